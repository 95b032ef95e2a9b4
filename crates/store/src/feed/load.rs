//! Filling a snapshot from nothing.

use tollgate_core::tables::Snapshot;

use super::Applied;
use crate::{error::StoreError, open::Store};

impl Store {
    /// Loads everything. Keys are read on several connections after the head was read; what they see
    /// that is newer is applied again by the first [`Store::catch_up`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load(&self, snapshot: &Snapshot) -> Result<Applied, StoreError> {
        let _ = (snapshot,);
        Err(StoreError::corrupt("not built yet"))
    }
}
