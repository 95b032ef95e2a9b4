//! Taking over what the journals hold, exactly once.

use tollgate_journal::{Batch, Mark};

use super::Shipped;
use crate::{error::StoreError, open::Store};

impl Store {
    /// Takes over batches in one transaction: roll-ups, quotas, last uses, raw decisions when `keep` is
    /// set. However often a range comes, it counts once (I13).
    ///
    /// # Errors
    /// When the database cannot be written; nothing was taken over then.
    pub async fn ship(&self, batches: &[Batch], keep: bool) -> Result<Shipped, StoreError> {
        let _ = (batches, keep,);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Where each lane goes on: what to hand to the journal's reader.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn shipped_marks(&self) -> Result<Vec<Mark>, StoreError> {
        Err(StoreError::corrupt("not built yet"))
    }

    /// Where one lane goes on; 0 when nothing of it was shipped.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn shipped_upto(&self, boot: u64, lane: u16) -> Result<u64, StoreError> {
        let _ = (boot, lane,);
        Err(StoreError::corrupt("not built yet"))
    }
}
