//! Switching keys off, on, and off for good; moving their expiry.

use tollgate_core::{authz::Permit, id::KeyId, keyring::KeyState};

use super::KeyView;
use crate::{error::StoreError, open::Store, write::Committed};

impl Store {
    /// Puts a key in a state. Revoked is final; the state it has already is no change.
    /// Needs `Action::ChangeKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] for a revoked key.
    pub async fn set_key_state(
        &self,
        permit: &Permit,
        id: KeyId,
        state: KeyState,
        now_us: i64,
    ) -> Result<Committed<KeyView>, StoreError> {
        let _ = (permit, id, state, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Moves the moment a key expires; `None` never, a moment up to now expires it at once.
    /// Needs `Action::ChangeKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] for a revoked key.
    pub async fn set_key_expiry(
        &self,
        permit: &Permit,
        id: KeyId,
        expires_us: Option<i64>,
        now_us: i64,
    ) -> Result<Committed<KeyView>, StoreError> {
        let _ = (permit, id, expires_us, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
