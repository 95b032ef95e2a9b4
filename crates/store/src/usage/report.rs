//! Usage by group.

use super::{UsageBy, UsageFilter, UsageReport};
use crate::{error::StoreError, open::Store};

impl Store {
    /// Sums usage by the columns given.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when more than one of day, hour and minute is given.
    pub async fn usage(&self, by: &[UsageBy], filter: &UsageFilter) -> Result<UsageReport, StoreError> {
        let _ = (by, filter,);
        Err(StoreError::corrupt("not built yet"))
    }
}
