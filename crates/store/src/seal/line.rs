//! One change of an exported audit: a line of JSON with every field that its hash covers.
//!
//! There is exactly one way to write a change, so that verifying finds any byte that is not as it was
//! exported: also those of what is there for readers only.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_core::id::TenantId;

use super::checkpoint::{from_hex, hex};
use crate::{
    audit::subject,
    chain::Link,
    error::StoreError,
    sql::{Columns as _, Row},
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    tollgate_audit: u8,
    installation: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    seq: i64,
    at_us: i64,
    tenant: Option<String>,
    actor: String,
    action: String,
    entity: String,
    /// The id as it is shown, for readers.
    subject: String,
    entity_id: i64,
    version: i64,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    hash: String,
}

/// The first line of an export.
pub(super) fn head(installation: u64) -> String {
    let head = Head { tollgate_audit: 1, installation: format!("{installation:016x}") };
    // Plain values into memory: that cannot fail.
    serde_json::to_string(&head).unwrap_or_default()
}

/// Reads the first line: the installation.
pub(super) fn parse_head(line: &str) -> Option<u64> {
    let head: Head = serde_json::from_str(line).ok()?;
    let installation = u64::from_str_radix(&head.installation, 16).ok()?;
    (self::head(installation) == line).then_some(installation)
}

/// The line of a row of [`crate::audit::COLUMNS`].
pub(super) fn of(row: &Row) -> Result<String, StoreError> {
    let seq = row.int(0)?;
    let altered = || StoreError::corrupt(format!("change {seq} holds what is no JSON; it was altered"));
    let raw = |text: Option<&'_ str>| match text {
        None => Ok(None),
        // `null` would be read as nothing at all.
        Some(text) if text == "null" || text.contains(['\n', '\r']) => Err(altered()),
        Some(text) => RawValue::from_string(text.to_owned()).map(Some).map_err(|_| altered()),
    };
    let (before, after) = (raw(row.opt_text(8)?)?, raw(row.opt_text(9)?)?);
    let (entity, entity_id) = (row.text(5)?.to_owned(), row.int(6)?);
    let written = Written {
        seq,
        at_us: row.int(1)?,
        tenant: row.opt_int(2)?.map(|id| TenantId::from_sql(id).to_string()),
        actor: row.text(3)?.to_owned(),
        action: row.text(4)?.to_owned(),
        subject: subject(&entity, entity_id),
        entity,
        entity_id,
        version: row.int(7)?,
        before: before.as_deref(),
        after: after.as_deref(),
        hash: hex(row.blob(11)?),
    };
    serde_json::to_string(&written).map_err(|_| altered())
}

/// Reads a line: the number of the change, the hash it carries, and the hash that its fields give
/// behind `previous`. `None` when it is not exactly as it is written.
pub(super) fn parse(line: &str, previous: &[u8; 32]) -> Option<(u64, [u8; 32], [u8; 32])> {
    let written: Written<'_> = serde_json::from_str(line).ok()?;
    let tenant: Option<TenantId> = match &written.tenant {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let is_exact = serde_json::to_string(&written).is_ok_and(|again| again == line)
        && written.subject == subject(&written.entity, written.entity_id)
        && written.tenant == tenant.map(|id| id.to_string());
    let link = Link {
        seq: written.seq,
        at_us: written.at_us,
        tenant: tenant.map(TenantId::to_sql),
        actor: &written.actor,
        action: &written.action,
        entity: &written.entity,
        entity_id: written.entity_id,
        version: written.version,
        before: written.before.map(RawValue::get),
        after: written.after.map(RawValue::get),
    };
    let seq = u64::try_from(written.seq).ok()?;
    is_exact.then_some((seq, from_hex(&written.hash)?, link.hash(previous)))
}
