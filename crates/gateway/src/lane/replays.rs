//! Signatures that were here: each counts once while its moment counts. Over all lanes of a process; another node, and
//! this one after a restart, have not seen them.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use tollgate_core::id::ServiceId;

/// Signatures that are remembered; about 150 bytes each.
const REMEMBERED_MAX: usize = 262_144;

/// A service, and what a signature is told apart by.
type Nonce = (ServiceId, [u8; 32]);

/// Too many to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What was here. Only signatures that are right come in, so that nobody else can fill it.
#[derive(Debug)]
pub(crate) struct Replays {
    most: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: HashSet<Nonce>,
    /// The same in the order in which they run out, wall microseconds.
    ends: BTreeSet<(i64, Nonce)>,
}

impl Default for Replays {
    fn default() -> Self {
        Self { most: REMEMBERED_MAX, seen: Mutex::default() }
    }
}

impl Replays {
    /// Whether it is here for the first time; remembers it for as long as its moment counts.
    pub(crate) fn first(&self, nonce: Nonce, until_us: i64, now_us: i64) -> Result<bool, Full> {
        // Nothing in here can panic halfway.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((end_us, old)) = seen.ends.first().copied().filter(|(end_us, _)| *end_us < now_us) {
            seen.ends.remove(&(end_us, old));
            seen.nonces.remove(&old);
        }
        if seen.nonces.contains(&nonce) {
            return Ok(false);
        }
        if seen.nonces.len() >= self.most {
            return Err(Full);
        }
        seen.nonces.insert(nonce);
        seen.ends.insert((until_us, nonce));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_once_while_its_moment_counts_and_the_number_is_bounded() {
        let replays = Replays { most: 2, seen: Mutex::default() };
        let of = |service, byte| (ServiceId(service), [byte; 32]);
        assert_eq!(replays.first(of(1, 1), 100, 0), Ok(true));
        assert_eq!(replays.first(of(1, 1), 100, 100), Ok(false));
        assert_eq!(replays.first(of(2, 1), 90, 50), Ok(true));
        assert_eq!(replays.first(of(1, 2), 100, 90), Err(Full));
        // What has run out makes room; nothing that still counts is forgotten for it.
        assert_eq!(replays.first(of(1, 2), 200, 91), Ok(true));
        assert_eq!(replays.first(of(1, 1), 100, 100), Ok(false));
        assert_eq!(replays.seen.lock().unwrap().ends.len(), 2);
    }
}
