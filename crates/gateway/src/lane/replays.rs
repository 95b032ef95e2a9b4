//! Signatures that were here: each counts once while its moment counts. Over all lanes of a process; another node, and
//! this one after a restart, have not seen them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use tollgate_core::id::{ServiceId, TenantId};

/// Signatures that are remembered; about 150 bytes each.
const REMEMBERED_MAX: usize = 262_144;
/// And of one tenant, so that none takes the room of all others.
const REMEMBERED_TENANT_MAX: usize = REMEMBERED_MAX / 8;

/// A service, and what a signature is told apart by.
type Nonce = (ServiceId, [u8; 32]);

/// Too many to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What was here. Only signatures that are right come in, so that nobody else can fill it.
#[derive(Debug)]
pub(crate) struct Replays {
    most: usize,
    most_of_tenant: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: HashMap<Nonce, TenantId>,
    /// How many each tenant has; none that has none.
    of_tenant: HashMap<TenantId, usize>,
    /// The same in the order in which they run out, wall microseconds.
    ends: BTreeSet<(i64, Nonce)>,
}

impl Default for Replays {
    fn default() -> Self {
        Self { most: REMEMBERED_MAX, most_of_tenant: REMEMBERED_TENANT_MAX, seen: Mutex::default() }
    }
}

impl Replays {
    /// Whether it was here before.
    pub(crate) fn knows(&self, nonce: &Nonce, now_us: i64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now_us);
        seen.nonces.contains_key(nonce)
    }

    /// Whether it is here for the first time; remembers it for as long as its moment counts.
    pub(crate) fn first(
        &self,
        (tenant, nonce): (TenantId, Nonce),
        until_us: i64,
        now_us: i64,
    ) -> Result<bool, Full> {
        // Nothing in here can panic halfway.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now_us);
        if seen.nonces.contains_key(&nonce) {
            return Ok(false);
        }
        let own = seen.of_tenant.get(&tenant).copied().unwrap_or(0);
        if seen.nonces.len() >= self.most || own >= self.most_of_tenant {
            return Err(Full);
        }
        seen.nonces.insert(nonce, tenant);
        seen.of_tenant.insert(tenant, own + 1);
        seen.ends.insert((until_us, nonce));
        Ok(true)
    }
}

impl Seen {
    /// Forgets what has run out.
    fn forget(&mut self, now_us: i64) {
        while let Some(end) = self.ends.first().copied().filter(|(end_us, _)| *end_us < now_us) {
            self.ends.remove(&end);
            let Some(tenant) = self.nonces.remove(&end.1) else { continue };
            let left = self.of_tenant.get(&tenant).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.of_tenant.remove(&tenant);
            } else {
                self.of_tenant.insert(tenant, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_once_while_its_moment_counts_and_the_number_is_bounded() {
        let replays = Replays { most: 2, most_of_tenant: 2, seen: Mutex::default() };
        let of = |service, byte| (TenantId(service), (ServiceId(service), [byte; 32]));
        assert_eq!(replays.first(of(1, 1), 100, 0), Ok(true));
        assert_eq!(replays.first(of(1, 1), 100, 100), Ok(false));
        assert_eq!(replays.first(of(2, 1), 90, 50), Ok(true));
        assert_eq!(replays.first(of(1, 2), 100, 90), Err(Full));
        // What has run out makes room; nothing that still counts is forgotten for it.
        assert_eq!(replays.first(of(1, 2), 200, 91), Ok(true));
        assert_eq!(replays.first(of(1, 1), 100, 100), Ok(false));
        assert_eq!(replays.seen.lock().unwrap().ends.len(), 2);
    }

    #[test]
    fn one_tenant_does_not_take_the_room_of_another() {
        let replays = Replays { most: 4, most_of_tenant: 2, seen: Mutex::default() };
        let of = |tenant, byte| (TenantId(tenant), (ServiceId(tenant), [byte; 32]));
        assert_eq!(replays.first(of(1, 1), 100, 0), Ok(true));
        assert_eq!(replays.first(of(1, 2), 100, 0), Ok(true));
        assert_eq!(replays.first(of(1, 3), 100, 0), Err(Full));
        assert_eq!(replays.first(of(2, 1), 100, 0), Ok(true));
        assert!(replays.knows(&of(1, 1).1, 100) && !replays.knows(&of(1, 3).1, 100));
        assert_eq!(replays.first(of(1, 3), 200, 101), Ok(true));
        assert_eq!(replays.seen.lock().unwrap().of_tenant.len(), 1);
    }
}
