//! Creating a key.

use tollgate_core::{authz::Permit, secret::Secret};

use super::{CreatedKey, NewKey};
use crate::{error::StoreError, open::Store, write::Committed};

impl Store {
    /// Creates a key of 32 random bytes. Needs `Action::ChangeKeys` in the project's tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Invalid`] for what
    /// is wrong with the rest.
    pub async fn create_key(
        &self,
        permit: &Permit,
        new: NewKey,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedKey>, StoreError> {
        let _ = (permit, new, random, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
