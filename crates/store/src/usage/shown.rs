//! Decisions with the names of what they name.

use sqlx::AnyConnection;
use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
};

use super::{DecisionRow, calls, decisions::Kept, names::Names};
use crate::{error::StoreError, keys::address};

/// Looks the names up.
pub(super) async fn named(conn: &mut AnyConnection, kept: Vec<Kept>) -> Result<Vec<DecisionRow>, StoreError> {
    let ids = |of: fn(&Kept) -> u64| kept.iter().map(move |kept| of(kept) as i64);
    let consumers = Names::load(conn, "consumers", ids(|kept| kept.entry.consumer)).await?;
    let projects = Names::load(conn, "projects", ids(|kept| kept.entry.project)).await?;
    let tenants = Names::load(conn, "tenants", ids(|kept| kept.entry.tenant)).await?;
    let services = Names::load(conn, "services", ids(|kept| kept.entry.service)).await?;
    let mut called = calls::of(conn, kept.iter().map(|kept| kept.id)).await?;
    let mut rows = Vec::with_capacity(kept.len());
    for Kept { id, entry, path, detail, user_agent } in kept {
        rows.push(DecisionRow {
            id,
            at_us: entry.at_us,
            key: (entry.key != 0).then_some(KeyId(entry.key)),
            consumer: consumers.of(entry.consumer as i64, ConsumerId::from_sql),
            project: projects.of(entry.project as i64, ProjectId::from_sql),
            tenant: tenants.of(entry.tenant as i64, TenantId::from_sql),
            service: services.of(entry.service as i64, ServiceId::from_sql),
            policy: (entry.policy != 0).then_some(PolicyId(entry.policy)),
            code: Code::from_number(entry.code)
                .ok_or_else(|| StoreError::corrupt("a decision has an unknown code"))?,
            method: entry.method,
            status: entry.status,
            latency_us: entry.latency_us,
            upstream_us: entry.upstream_us,
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            units: entry.units,
            generation: entry.generation,
            flags: entry.flags.0,
            checks_passed: entry.checks_passed,
            checks_configured: entry.checks_configured,
            address: address(entry.address),
            path,
            detail,
            user_agent,
            call: called.remove(&id),
        });
    }
    Ok(rows)
}
