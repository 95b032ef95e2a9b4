//! Switching keys off, on, and off for good; moving their expiry.

use serde_json::json;
use tollgate_core::{authz::Permit, id::KeyId, keyring::KeyState};

use super::{
    KeyView,
    list::load_view,
    row::{KeyRow, update_key},
};
use crate::{error::StoreError, open::Store, write::Committed};

impl Store {
    /// Puts a key in a state. Revoked is final; the state it has already is no change. Disabled and
    /// revoked need `Action::TendKeys` in its tenant, others `Action::ChangeKeys`.
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
        let mut write = self.write(permit, now_us).await?;
        let (mut key, tenant) = KeyRow::load(write.conn(), id).await?;
        if key.state != state {
            key.not_revoked()?;
            let before = json!({ "state": key.state.name() });
            key.state = state;
            key.next_version()?;
            update_key(write.conn(), &key).await?;
            let after = json!({ "state": state.name() });
            let values = (Some(before), Some(after));
            // Whoever only tends keys takes power away from them, and never gives it back.
            let change = if matches!(state, KeyState::Disabled | KeyState::Revoked) {
                key.tended(tenant, action(state), values)
            } else {
                key.change(tenant, action(state), values)
            };
            write.record_of(key.consumer, change)?;
        }
        let value = load_view(write.conn(), id).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }

    /// Moves the moment a key expires; `None` never, a moment up to now expires it at once.
    /// Needs `Action::ChangeKeys` in its tenant.
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
        let mut write = self.write(permit, now_us).await?;
        let (mut key, tenant) = KeyRow::load(write.conn(), id).await?;
        let expires = expires_us.unwrap_or(i64::MAX);
        if key.expires_us != expires {
            key.not_revoked()?;
            let shown = |moment: i64| json!({ "expires_us": (moment != i64::MAX).then_some(moment) });
            let before = shown(key.expires_us);
            key.expires_us = expires;
            key.next_version()?;
            update_key(write.conn(), &key).await?;
            write.record(key.change(tenant, "key.expire", (Some(before), Some(shown(expires)))))?;
        }
        let value = load_view(write.conn(), id).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }
}

/// The word in the audit.
pub(super) const fn action(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "key.enable",
        KeyState::Disabled => "key.disable",
        KeyState::Blocked => "key.block",
        KeyState::Revoked => "key.revoke",
    }
}
