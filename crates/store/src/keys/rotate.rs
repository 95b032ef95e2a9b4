//! Giving a key a new secret.

use tollgate_core::{authz::Permit, secret::Secret};

use super::{CreatedKey, Rotation};
use crate::{error::StoreError, open::Store, write::Committed};

impl Store {
    /// Gives a key a new secret under the same id; the present one stays valid for the overlap, older
    /// ones end at once. Needs `Action::ChangeKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] for a revoked key.
    pub async fn rotate_key(
        &self,
        permit: &Permit,
        rotation: Rotation,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedKey>, StoreError> {
        let _ = (permit, rotation, random, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
