//! Importing many keys.

use tollgate_core::authz::Permit;

use super::{ImportOptions, ImportReport, ImportRow};
use crate::{error::StoreError, open::Store};

impl Store {
    /// Imports keys in transactions of 10,000 rows each, one change a transaction; an interrupted import
    /// is taken up by running it again, what is there already is then reported as collisions. Missing
    /// consumers are created. Needs `Action::ChangeKeys` in the project's tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the project, [`StoreError::Conflict`] at the bounds `HMACS_MAX` and
    /// `PREFIX_LENGTHS_MAX`. What is wrong with single rows stands in the report.
    pub async fn import_keys(
        &self,
        permit: &Permit,
        options: &ImportOptions,
        rows: impl Iterator<Item = ImportRow> + Send,
        now_us: i64,
    ) -> Result<ImportReport, StoreError> {
        let _ = (permit, options, rows.count(), now_us,);
        Err(StoreError::corrupt("not built yet"))
    }
}
