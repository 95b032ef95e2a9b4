//! The first tenant and its owner.

use tollgate_core::{
    authz::Permit,
    id::{TenantId, UserId},
    secret::Secret,
};

use crate::{error::StoreError, open::Store, write::Committed};

/// What a new installation begins with.
#[derive(Clone, Debug)]
pub struct NewInstallation {
    /// The name of the first tenant.
    pub tenant: String,
    /// The e-mail address of its owner.
    pub owner_email: String,
    /// The argon2id PHC string of the owner's password.
    pub password_hash: Secret<String>,
}

/// What `init` made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// The tenant.
    pub tenant: TenantId,
    /// Its owner.
    pub owner: UserId,
}

impl Store {
    /// Creates the first tenant and its owner. Needs [`Action::Initialise`](tollgate_core::authz::Action).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an owner exists already, [`StoreError::Invalid`] for a bad name
    /// or address.
    pub async fn init(
        &self,
        permit: &Permit,
        new: NewInstallation,
        now_us: i64,
    ) -> Result<Committed<Initialised>, StoreError> {
        let _ = (permit, new, now_us);
        Err(StoreError::corrupt("not built yet"))
    }
}
