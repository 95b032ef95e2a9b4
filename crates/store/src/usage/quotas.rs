//! Durable counts of quotas.

use super::{QuotaTotal, rollup::quota_total};
use crate::{
    error::StoreError,
    open::Store,
    sql::{all, sql},
};

impl Store {
    /// What is used in the periods that have not ended, as far as it is shipped, over all nodes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quota_usage(&self, now_us: i64) -> Result<Vec<QuotaTotal>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT q.rule, q.subject, q.period_start_us, q.period_end_us, \
                    CAST(q.used + COALESCE((SELECT SUM(l.used) FROM quota_leases l WHERE l.rule = q.rule \
                    AND l.subject = q.subject AND l.period_start_us = q.period_start_us), 0) AS BIGINT) \
                    FROM quota_usage q WHERE q.period_end_us > $1";
        all(sql(text).bind(now_us), &mut conn).await?.iter().map(quota_total).collect()
    }
}
