//! Usage by group.

use sqlx::AnyConnection;
use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
};

use super::{
    UsageBy, UsageFilter, UsageReport, UsageRow, UsageSums,
    names::Names,
    source::{Source, expression, step},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, all},
};

const SUMS: &str = "CAST(COALESCE(SUM(requests), 0) AS BIGINT), \
     CAST(COALESCE(SUM(CASE WHEN code = 0 THEN 0 ELSE requests END), 0) AS BIGINT), \
     CAST(COALESCE(SUM(units), 0) AS BIGINT), CAST(COALESCE(SUM(latency_us), 0) AS BIGINT), \
     CAST(COALESCE(SUM(upstream_us), 0) AS BIGINT), CAST(COALESCE(SUM(bytes_in), 0) AS BIGINT), \
     CAST(COALESCE(SUM(bytes_out), 0) AS BIGINT)";

impl Store {
    /// Sums usage by the columns given, from all nodes, as far as they shipped it
    /// (see [`Store::wait_shipped`]).
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when a column is given twice, or more than one of day, hour and minute.
    pub async fn usage(&self, by: &[UsageBy], filter: &UsageFilter) -> Result<UsageReport, StoreError> {
        check(by)?;
        let columns: Vec<String> = by.iter().map(|column| expression(*column)).collect();
        let numbers: Vec<String> = (1..=by.len()).map(|number| number.to_string()).collect();
        let mut tx = self.begin_read().await?;
        let source = Source::of(&mut tx, by, filter).await?;
        let relation = &source.relation;
        let text = if by.is_empty() {
            format!("SELECT {SUMS} FROM {relation}")
        } else {
            let (columns, numbers) = (columns.join(", "), numbers.join(", "));
            format!("SELECT {columns}, {SUMS} FROM {relation} GROUP BY {numbers} ORDER BY {numbers}")
        };
        let rows = all(source.ask(text), &mut tx).await?;
        let mut report = UsageReport::default();
        for row in &rows {
            report.total = report.total.plus(sums(row, by.len())?);
        }
        if !by.is_empty() {
            report.rows = named(&mut tx, by, &rows).await?;
        }
        tx.rollback().await?;
        Ok(report)
    }
}

fn check(by: &[UsageBy]) -> Result<(), StoreError> {
    let twice =
        by.iter().enumerate().any(|(index, column)| by.iter().skip(index + 1).any(|other| other == column));
    let times = by.iter().filter(|column| step(**column).is_some()).count();
    if twice || times > 1 {
        return Err(StoreError::invalid("by", "name each column once, and only one of day, hour and minute"));
    }
    Ok(())
}

pub(super) fn sums(row: &Row, first: usize) -> Result<UsageSums, StoreError> {
    Ok(UsageSums {
        requests: row.count(first)?,
        denied: row.count(first + 1)?,
        units: row.count(first + 2)?,
        latency_us: row.count(first + 3)?,
        upstream_us: row.count(first + 4)?,
        bytes_in: row.count(first + 5)?,
        bytes_out: row.count(first + 6)?,
    })
}

pub(super) async fn named(
    conn: &mut AnyConnection,
    by: &[UsageBy],
    rows: &[Row],
) -> Result<Vec<UsageRow>, StoreError> {
    let mut names = Vec::with_capacity(by.len());
    for (index, column) in by.iter().enumerate() {
        let table = match column {
            UsageBy::Service => "services",
            UsageBy::Consumer => "consumers",
            UsageBy::Project => "projects",
            UsageBy::Tenant => "tenants",
            _ => {
                names.push(None);
                continue;
            }
        };
        let ids = rows.iter().map(|row| row.int(index)).collect::<Result<Vec<_>, _>>()?;
        names.push(Some(Names::load(conn, table, ids.into_iter()).await?));
    }
    rows.iter().map(|row| usage_row(row, by, &names)).collect()
}

fn usage_row(row: &Row, by: &[UsageBy], names: &[Option<Names>]) -> Result<UsageRow, StoreError> {
    let mut usage = UsageRow { sums: sums(row, by.len())?, ..UsageRow::default() };
    for (index, (column, names)) in by.iter().zip(names).enumerate() {
        let value = row.int(index)?;
        match (column, names) {
            (UsageBy::Key, _) => usage.key = (value != 0).then(|| KeyId::from_sql(value)),
            (UsageBy::Code, _) => usage.code = u8::try_from(value).ok().and_then(Code::from_number),
            (UsageBy::Service, Some(names)) => usage.service = names.of(value, ServiceId::from_sql),
            (UsageBy::Consumer, Some(names)) => usage.consumer = names.of(value, ConsumerId::from_sql),
            (UsageBy::Project, Some(names)) => usage.project = names.of(value, ProjectId::from_sql),
            (UsageBy::Tenant, Some(names)) => usage.tenant = names.of(value, TenantId::from_sql),
            _ => usage.time_us = Some(value),
        }
    }
    Ok(usage)
}
