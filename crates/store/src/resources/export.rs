//! Writing the resources out.

use tollgate_core::resource::Resources;

use crate::{error::StoreError, open::Store};

impl Store {
    /// All resources, by name; applying them changes nothing. Projects are named `tenant/project` where
    /// the short name is ambiguous.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn export(&self) -> Result<Resources, StoreError> {
        Err(StoreError::corrupt("not built yet"))
    }
}
