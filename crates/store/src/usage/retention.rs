//! Forgetting what is old. Each call deletes a bounded number of rows and says how many; call again
//! until it says 0. Nothing here is a change of resources, so nothing of it stands in the audit.

use crate::{
    error::StoreError,
    open::Store,
    sql::{built, run},
};

/// Rows deleted a call: few enough that no shipment waits long behind one.
const ROWS_MAX: u32 = 5_000;

impl Store {
    /// Forgets raw decisions made before a moment, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_decisions_before(&self, before_us: i64) -> Result<u64, StoreError> {
        self.forget("decisions", ("boot, lane, number", "at_us"), before_us).await
    }

    /// Forgets counts of quota periods that ended before a moment, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_quotas_ended_before(&self, before_us: i64) -> Result<u64, StoreError> {
        self.forget("quota_usage", ("rule, subject, period_start_us", "period_end_us"), before_us).await
    }

    /// Forgets roll-ups of minutes that began before a moment, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_usage_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let row = "minute_us, key, service, code, consumer, project, tenant";
        self.forget("usage_minute", (row, "minute_us"), before_us).await
    }

    /// Forgets nodes that were last seen before a moment without saying good-bye.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_nodes_before(&self, before_us: i64) -> Result<u64, StoreError> {
        self.forget("nodes", ("node", "seen_us"), before_us).await
    }

    async fn forget(
        &self,
        table: &'static str,
        (row, time): (&'static str, &'static str),
        before_us: i64,
    ) -> Result<u64, StoreError> {
        let text = format!(
            "DELETE FROM {table} WHERE ({row}) IN \
             (SELECT {row} FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT {ROWS_MAX})"
        );
        let mut tx = self.begin_write().await?;
        let rows = run(built(text).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}
