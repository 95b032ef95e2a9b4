//! What is written in the commit of a batch beside its records. What it is must not be known here.

use std::pin::Pin;

use sqlx::AnyConnection;

use crate::error::StoreError;

/// Something that stands or falls with a batch.
pub(crate) trait Beside: Send + Sync {
    /// Writes it, knowing which records of the batch are new.
    fn write<'w>(
        &'w self,
        conn: &'w mut AnyConnection,
        is_new: &'w [bool],
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'w>>;
}
