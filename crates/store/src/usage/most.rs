//! The groups that used most, without all the others: of a hundred thousand keys a page shows a few.

use super::{
    UsageBy, UsageFilter, UsageMost,
    report::{named, sums},
    source::{Source, expression},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all},
};

/// The sums of a group, by the names that the statement gives them.
const NAMED: &str = "CAST(SUM(requests) AS BIGINT) AS requests, \
     CAST(SUM(CASE WHEN code = 0 THEN 0 ELSE requests END) AS BIGINT) AS denied, \
     CAST(SUM(units) AS BIGINT) AS units, CAST(SUM(latency_us) AS BIGINT) AS latency_us, \
     CAST(SUM(upstream_us) AS BIGINT) AS upstream_us, CAST(SUM(bytes_in) AS BIGINT) AS bytes_in, \
     CAST(SUM(bytes_out) AS BIGINT) AS bytes_out";
const COLUMNS: &str = "requests, denied, units, latency_us, upstream_us, bytes_in, bytes_out";

impl Store {
    /// Sums usage by one column, as [`Store::usage`] does, and returns the `most` groups with the most
    /// requests, the largest first, with the total of all and how many groups there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn usage_most(
        &self,
        by: UsageBy,
        filter: &UsageFilter,
        most: u32,
    ) -> Result<UsageMost, StoreError> {
        let group = expression(by);
        let mut tx = self.begin_read().await?;
        let source = Source::of(&mut tx, &[by], filter).await?;
        let totals: Vec<String> =
            COLUMNS.split(", ").map(|name| format!("CAST(COALESCE(SUM({name}), 0) AS BIGINT)")).collect();
        let text = format!(
            "WITH all_groups AS (SELECT {group} AS own_group, {NAMED} FROM {} GROUP BY 1) \
             SELECT own_group, {COLUMNS}, 1 AS is_group FROM \
             (SELECT * FROM all_groups ORDER BY requests DESC, own_group LIMIT {most}) AS largest \
             UNION ALL SELECT COUNT(*), {}, 0 FROM all_groups ORDER BY 9 DESC, 2 DESC, 1",
            source.relation,
            totals.join(", ")
        );
        let mut rows = all(source.ask(text), &mut tx).await?;
        let mut found = UsageMost::default();
        if let Some(last) = rows.pop() {
            found.groups = last.count(0)?;
            found.total = sums(&last, 1)?;
        }
        found.rows = named(&mut tx, &[by], &rows).await?;
        tx.rollback().await?;
        Ok(found)
    }
}
