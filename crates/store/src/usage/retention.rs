//! Forgetting what is old. Each call deletes a bounded number of rows and says how many; call again until it
//! says 0.

use crate::{error::StoreError, open::Store};

impl Store {
    /// Forgets raw decisions made before a moment, at most 10,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_decisions_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let _ = (before_us,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Forgets counts of quota periods that ended before a moment, at most 10,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_quotas_ended_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let _ = (before_us,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Forgets roll-ups of minutes before a moment, at most 10,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_usage_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let _ = (before_us,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Forgets nodes that were last seen before a moment without saying good-bye.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_nodes_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let _ = (before_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
