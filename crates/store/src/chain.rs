//! The hash chain of the audit: every change carries the hash of the one before it, so that no row
//! can be altered, taken out, put in or moved without breaking the chain from there on (I20).
//!
//! `h(n) = SHA-256(h(n-1) ‖ canonical(row n))`; the canonical form writes every field with its
//! length before it, so that no two rows share one.

use sha2::{Digest as _, Sha256};

/// The fields of a change that the chain covers: all but the hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) seq: i64,
    pub(crate) at_us: i64,
    pub(crate) tenant: Option<i64>,
    pub(crate) actor: &'a str,
    pub(crate) action: &'a str,
    pub(crate) entity: &'a str,
    pub(crate) entity_id: i64,
    pub(crate) version: i64,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

/// The hash before the first change of an installation.
pub(crate) fn genesis(installation: i64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"tollgate audit chain 1")
        .chain_update(installation.to_be_bytes())
        .finalize()
        .into()
}

impl Link<'_> {
    /// The hash of this change behind the one before it.
    pub(crate) fn hash(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(previous);
        for number in [self.seq, self.at_us, self.entity_id, self.version] {
            hasher.update(number.to_be_bytes());
        }
        match self.tenant {
            None => hasher.update([0]),
            Some(tenant) => {
                hasher.update([1]);
                hasher.update(tenant.to_be_bytes());
            }
        }
        for text in [Some(self.actor), Some(self.action), Some(self.entity), self.before, self.after] {
            match text {
                None => hasher.update([0]),
                Some(text) => {
                    hasher.update([1]);
                    hasher.update((text.len() as u64).to_be_bytes());
                    hasher.update(text.as_bytes());
                }
            }
        }
        hasher.finalize().into()
    }
}
