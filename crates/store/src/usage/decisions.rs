//! Reading raw decisions.

use tollgate_core::id::DecisionId;

use super::{DecisionFilter, DecisionRow};
use crate::{
    error::StoreError,
    keys::{Page, PageRequest},
    open::Store,
};

impl Store {
    /// Decisions, newest first unless asked otherwise.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let _ = (filter, page,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_decisions(&self, filter: &DecisionFilter) -> Result<u64, StoreError> {
        let _ = (filter,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// One decision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was never kept, or is forgotten.
    pub async fn decision(&self, id: DecisionId) -> Result<DecisionRow, StoreError> {
        let _ = (id,);
        Err(StoreError::corrupt("not built yet"))
    }
}
