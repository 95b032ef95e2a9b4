//! One key with its secrets.

use tollgate_core::id::KeyId;

use super::KeyDetail;
use crate::{error::StoreError, open::Store};

impl Store {
    /// A key by its id, or by the beginning of its id when only one key begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn show_key(&self, id: &str) -> Result<KeyDetail, StoreError> {
        let _ = (id,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// The id of the key whose id is, or begins, so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_key(&self, id: &str) -> Result<KeyId, StoreError> {
        let _ = (id,);
        Err(StoreError::corrupt("not built yet"))
    }
}
