//! Replacing a slow or foreign hash by the fast one.

use tollgate_core::authz::Permit;

use super::Rehash;
use crate::{error::StoreError, open::Store, write::Committed};

impl Store {
    /// Replaces the hash of a secret by its SHA-256. `false` when it was so already. Needs
    /// `Action::RehashKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn rehash(&self, permit: &Permit, rehash: Rehash, now_us: i64) -> Result<Committed<bool>, StoreError> {
        let _ = (permit, rehash, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
