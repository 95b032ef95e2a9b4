//! Bringing the rows to what a file says, in one transaction.

use tollgate_core::{authz::Permit, resource::Resources};

use super::{ApplyMode, Plan};
use crate::{error::StoreError, open::Store};

impl Store {
    /// Creates and updates what differs. Nothing is changed when anything is wrong. Needs
    /// `Action::ChangeResources` in every tenant touched; creating a tenant needs it for the installation.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] with everything that is wrong; fields are paths into the resources given:
    /// `policy[2].services[0]`.
    pub async fn apply(
        &self,
        permit: &Permit,
        resources: &Resources,
        mode: ApplyMode,
        now_us: i64,
    ) -> Result<Plan, StoreError> {
        let _ = (permit, resources, mode, now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
