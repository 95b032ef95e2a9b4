//! Listing keys, page by page.

use super::{KeyFilter, KeyView, Page, PageRequest};
use crate::{error::StoreError, open::Store};

impl Store {
    /// Keys, newest first.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Ambiguous`] for names, [`StoreError::Invalid`] for a cursor
    /// that is none.
    pub async fn list_keys(&self, filter: &KeyFilter, page: &PageRequest) -> Result<Page<KeyView>, StoreError> {
        let _ = (filter, page,);
        Err(StoreError::corrupt("not built yet"))
    }
}
