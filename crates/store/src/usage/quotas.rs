//! Durable counts of quotas.

use super::{QuotaTotal, rollup::quota_total};
use crate::{
    error::StoreError,
    open::Store,
    sql::{all, sql},
};

impl Store {
    /// What is used in the periods that have not ended, for seeding the counters.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quota_usage(&self, now_us: i64) -> Result<Vec<QuotaTotal>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT rule, subject, period_start_us, period_end_us, used FROM quota_usage \
                    WHERE period_end_us > $1";
        all(sql(text).bind(now_us), &mut conn).await?.iter().map(quota_total).collect()
    }
}
