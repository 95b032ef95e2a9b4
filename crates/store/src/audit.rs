//! Reading the audit, and proving that nobody altered it.

use tollgate_core::id::TenantId;

use crate::{
    error::StoreError,
    keys::{Page, PageRequest},
    open::Store,
};

/// Which part of the audit; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About this thing: an id as it is shown, `key_…`.
    pub subject: Option<String>,
    /// From this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Before this moment.
    pub to_us: Option<i64>,
}

/// One change as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub seq: u64,
    /// When, wall microseconds.
    pub at_us: i64,
    /// Whose it was; `None` is the whole installation's.
    pub tenant: Option<TenantId>,
    /// Who did it: `os:alice`, `usr_…`, `worker:rehash`.
    pub actor: String,
    /// What was done: `key.revoke`.
    pub action: String,
    /// To what kind of thing.
    pub entity: String,
    /// To which: its id as it is shown.
    pub subject: String,
    /// The version of its row after the change.
    pub version: u64,
    /// What it was before, JSON.
    pub before: Option<String>,
    /// What it was after, JSON.
    pub after: Option<String>,
    /// Its link in the chain.
    pub hash: [u8; 32],
}

/// A chain that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many changes it has.
    pub rows: u64,
    /// The number of the last; the same, for numbers have no gaps.
    pub head: u64,
    /// The hash of the last; written down elsewhere it proves later that nothing up to here changed.
    pub hash: [u8; 32],
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the first change that does not fit.
    pub seq: u64,
    /// What does not fit.
    pub what: String,
}

impl Store {
    /// The audit, newest first.
    ///
    /// # Errors
    /// When the database cannot be read, or the subject is no id.
    pub async fn audit_list(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRow>, StoreError> {
        let _ = (filter, page);
        Err(StoreError::corrupt("not built yet"))
    }

    /// Recomputes the chain from all rows: any row altered, deleted, inserted or moved is found.
    ///
    /// # Errors
    /// When the database cannot be read. A broken chain is no error but the answer `Err(Broken)`.
    pub async fn audit_verify(&self) -> Result<Result<Verified, Broken>, StoreError> {
        Err(StoreError::corrupt("not built yet"))
    }
}
