//! Reading raw decisions.

use sqlx::AnyConnection;
use tollgate_core::{
    code::Code,
    id::{ConsumerId, DecisionId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
};

use super::{DecisionFilter, DecisionRow, names::Names, packed::Rest};
use crate::{
    error::{Entity, StoreError},
    keys::{PAGE_ROWS_MAX, Page, PageRequest, address},
    open::Store,
    sql::{Columns as _, Row, Statement, all, built, only, sql},
};

const SELECT: &str =
    "SELECT boot, lane, number, at_us, key, consumer, project, tenant, service, code, rest FROM decisions";

impl Store {
    /// Decisions, newest first unless asked otherwise.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let (mut wheres, mut values) = conditions(filter);
        let (after, order) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        if let Some(cursor) = &page.cursor {
            let first = values.len() + 1;
            values.extend(parse_cursor(cursor)?);
            wheres.push(format!(
                "(at_us, boot, lane, number) {after} (${first}, ${}, ${}, ${})",
                first + 1,
                first + 2,
                first + 3
            ));
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!(
            "{SELECT}{} ORDER BY at_us {order}, boot {order}, lane {order}, number {order} LIMIT {}",
            all_of(&wheres),
            limit + 1
        );
        let statement = values.into_iter().fold(built(text), Statement::bind);
        let mut tx = self.begin_read().await?;
        let rows = all(statement, &mut tx).await?;
        let shown = rows.get(..limit).unwrap_or(&rows);
        let items = named(&mut tx, shown).await?;
        tx.rollback().await?;
        let next = (rows.len() > limit).then(|| items.last().map(cursor_of)).flatten();
        Ok(Page { items, next })
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_decisions(&self, filter: &DecisionFilter) -> Result<u64, StoreError> {
        let (wheres, values) = conditions(filter);
        let text = format!("SELECT COUNT(*) FROM decisions{}", all_of(&wheres));
        let statement = values.into_iter().fold(built(text), Statement::bind);
        let mut conn = self.reader().await?;
        only(statement, &mut conn).await?.count(0)
    }

    /// One decision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was never kept, is not shipped yet, or is forgotten.
    pub async fn decision(&self, id: DecisionId) -> Result<DecisionRow, StoreError> {
        let select = built(format!("{SELECT} WHERE boot = $1 AND lane = $2 AND number = $3"));
        let select = select.bind(id.boot as i64).bind(i64::from(id.lane)).bind(id.number as i64);
        let mut tx = self.begin_read().await?;
        let rows = all(select, &mut tx).await?;
        let found = named(&mut tx, &rows).await?.pop();
        tx.rollback().await?;
        found.ok_or_else(|| StoreError::not_found(Entity::Decision, id))
    }

    /// The moment of the oldest decision that is kept, wall microseconds; `None` when none is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn oldest_decision_us(&self) -> Result<Option<i64>, StoreError> {
        let mut conn = self.reader().await?;
        only(sql("SELECT MIN(at_us) FROM decisions"), &mut conn).await?.opt_int(0)
    }
}

fn conditions(filter: &DecisionFilter) -> (Vec<String>, Vec<i64>) {
    let asked = [
        ("key =", filter.key.map(KeyId::to_sql)),
        ("consumer =", filter.consumer.map(ConsumerId::to_sql)),
        ("service =", filter.service.map(ServiceId::to_sql)),
        ("tenant =", filter.tenant.map(TenantId::to_sql)),
        ("code =", filter.code.map(|code| i64::from(code.number()))),
        ("at_us >=", filter.from_us),
        ("at_us <", filter.to_us),
    ];
    let (mut wheres, mut values) = (Vec::new(), Vec::new());
    for (test, value) in asked {
        if let Some(value) = value {
            values.push(value);
            wheres.push(format!("{test} ${}", values.len()));
        }
    }
    (wheres, values)
}

fn all_of(wheres: &[String]) -> String {
    if wheres.is_empty() { String::new() } else { format!(" WHERE {}", wheres.join(" AND ")) }
}

fn cursor_of(row: &DecisionRow) -> String {
    format!("{}.{}", row.at_us, row.id)
}

fn parse_cursor(cursor: &str) -> Result<[i64; 4], StoreError> {
    let problem = || StoreError::invalid("cursor", "it is none of this list");
    let (at_us, id) = cursor.split_once('.').ok_or_else(problem)?;
    let id: DecisionId = id.parse().map_err(|_| problem())?;
    let at_us = at_us.parse().map_err(|_| problem())?;
    Ok([at_us, id.boot as i64, i64::from(id.lane), id.number as i64])
}

async fn named(conn: &mut AnyConnection, rows: &[Row]) -> Result<Vec<DecisionRow>, StoreError> {
    let ids = |column: usize| rows.iter().map(move |row| row.int(column)).collect::<Result<Vec<_>, _>>();
    let consumers = Names::load(conn, "consumers", ids(5)?.into_iter()).await?;
    let projects = Names::load(conn, "projects", ids(6)?.into_iter()).await?;
    let tenants = Names::load(conn, "tenants", ids(7)?.into_iter()).await?;
    let services = Names::load(conn, "services", ids(8)?.into_iter()).await?;
    let mut decisions = Vec::with_capacity(rows.len());
    for row in rows {
        let rest = Rest::unpack(row.blob(10)?)
            .ok_or_else(|| StoreError::corrupt("a decision cannot be read; a later Tollgate wrote it"))?;
        let (key, policy) = (row.int(4)?, rest.policy);
        let code = u8::try_from(row.int(9)?).ok().and_then(Code::from_number);
        decisions.push(DecisionRow {
            id: DecisionId {
                boot: row.count(0)?,
                lane: crate::keys::small(row.int(1)?),
                number: row.int(2)? as u64,
            },
            at_us: row.int(3)?,
            key: (key != 0).then(|| KeyId::from_sql(key)),
            consumer: consumers.of(row.int(5)?, ConsumerId::from_sql),
            project: projects.of(row.int(6)?, ProjectId::from_sql),
            tenant: tenants.of(row.int(7)?, TenantId::from_sql),
            service: services.of(row.int(8)?, ServiceId::from_sql),
            policy: (policy != 0).then_some(PolicyId(policy)),
            code: code.ok_or_else(|| StoreError::corrupt("a decision has an unknown code"))?,
            method: rest.method,
            status: rest.status,
            latency_us: rest.latency_us,
            upstream_us: rest.upstream_us,
            bytes_in: rest.bytes_in,
            bytes_out: rest.bytes_out,
            units: rest.units,
            generation: rest.generation,
            flags: rest.flags,
            checks_passed: rest.checks_passed,
            checks_configured: rest.checks_configured,
            address: address(rest.address),
            path: rest.path,
            detail: rest.detail,
            user_agent: rest.user_agent,
        });
    }
    Ok(decisions)
}
