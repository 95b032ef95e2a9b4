//! Tokens of the service API: `tgs_…`, for services and proxies that ask about keys.

use tollgate_core::{
    authz::Permit,
    id::{ServiceId, ServiceTokenId, TenantId},
    key::KeyText,
    secret::Secret,
};

use crate::{error::StoreError, named::Named, open::Store, write::Committed};

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct NewServiceToken {
    /// Its name, unique among the tenant's tokens that are not revoked.
    pub name: String,
    /// The tenant; may be `None` where there is one only, or where the services tell.
    pub tenant: Option<String>,
    /// The services it may ask about: `service`, `project/service` or `tenant/project/service`.
    /// Empty: all of the tenant.
    pub services: Vec<String>,
}

/// A token just created: the only place where its text is.
#[derive(Clone, Debug)]
pub struct CreatedServiceToken {
    /// Its id.
    pub id: ServiceTokenId,
    /// The whole token.
    pub token: KeyText,
}

/// A token as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTokenView {
    /// Its id.
    pub id: ServiceTokenId,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: Named<TenantId>,
    /// The services it may ask about; empty: all.
    pub services: Vec<Named<ServiceId>>,
    /// Its last four characters.
    pub last4: String,
    /// When it was created, wall microseconds.
    pub created_us: i64,
    /// When it was revoked.
    pub revoked_us: Option<i64>,
}

impl Store {
    /// Creates a token. Needs `Action::ChangeServiceTokens` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Conflict`]
    /// when the name is taken.
    pub async fn create_service_token(
        &self,
        permit: &Permit,
        new: NewServiceToken,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedServiceToken>, StoreError> {
        let _ = (permit, new, random, now_us);
        Err(StoreError::corrupt("not built yet"))
    }

    /// All tokens, revoked ones too, by creation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_service_tokens(&self) -> Result<Vec<ServiceTokenView>, StoreError> {
        Err(StoreError::corrupt("not built yet"))
    }

    /// Revokes a token for good; again is no change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_service_token(
        &self,
        permit: &Permit,
        id: ServiceTokenId,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let _ = (permit, id, now_us);
        Err(StoreError::corrupt("not built yet"))
    }
}
