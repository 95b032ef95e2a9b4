//! Durable counts of quotas.

use super::QuotaTotal;
use crate::{error::StoreError, open::Store};

impl Store {
    /// What is used in the periods that have not ended, for seeding the counters.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn quota_usage(&self, now_us: i64) -> Result<Vec<QuotaTotal>, StoreError> {
        let _ = (now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
