//! The ids that are known: what a record is told apart by, in memory as far as they are kept.
//!
//! They come in generations, so that forgetting the oldest costs nothing. The rows of `event_ids` hold the
//! same; what another process adds is read from there before anything is decided.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Ids of one generation.
const GENERATION: usize = 1 << 18;

/// Ids are hashes already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

type Ids = HashSet<u128, BuildHasherDefault<AsItIs>>;

/// A set of ids, for those of one commit.
pub(super) type Fresh = Ids;

/// The ids of all records that are not forgotten.
pub(super) struct Known {
    /// All records before this position are in here.
    pub(super) next: u64,
    /// Whether it holds what the database held when it was read first.
    pub(super) is_loaded: bool,
    generations: VecDeque<Generation>,
    count: usize,
    most: usize,
}

#[derive(Default)]
struct Generation {
    ids: Ids,
    /// When the last of them was received.
    received_us: i64,
}

impl Known {
    pub(super) fn new(most: usize) -> Self {
        Self { next: 0, is_loaded: false, generations: VecDeque::new(), count: 0, most: most.max(GENERATION) }
    }

    pub(super) fn contains(&self, id: u128) -> bool {
        self.generations.iter().rev().any(|generation| generation.ids.contains(&id))
    }

    pub(super) fn extend(&mut self, ids: impl IntoIterator<Item = u128>, received_us: i64) {
        for id in ids {
            if self.generations.back().is_none_or(|last| last.ids.len() >= GENERATION) {
                self.generations.push_back(Generation::default());
            }
            let Some(last) = self.generations.back_mut() else { continue };
            last.received_us = last.received_us.max(received_us);
            self.count += usize::from(last.ids.insert(id));
        }
        while self.count > self.most {
            self.forget_oldest();
        }
    }

    /// Forgets generations of which nothing was received since.
    pub(super) fn forget_before(&mut self, received_us: i64) {
        while self.generations.front().is_some_and(|oldest| oldest.received_us < received_us) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        match self.generations.pop_front() {
            Some(oldest) => self.count -= oldest.ids.len(),
            None => self.count = 0,
        }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}

/// Ids as a row of the database has them.
pub(super) fn packed(ids: &[u128]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_be_bytes()).collect()
}

/// The ids of such a row.
pub(super) fn unpacked(packed: &[u8]) -> impl Iterator<Item = u128> {
    packed.as_chunks().0.iter().map(|id: &[u8; 16]| u128::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_by_number_and_by_time() {
        let mut known = Known::new(2 * GENERATION);
        let ids = |from: u128| (0..GENERATION as u128).map(move |id| from + id);
        known.extend(ids(0), 1);
        known.extend(ids(1 << 32), 2);
        assert!(known.contains(0) && known.contains(1 << 32));
        known.extend([1 << 64], 3);
        assert!(!known.contains(0) && known.contains(1 << 32) && known.contains(1 << 64));
        known.forget_before(3);
        assert!(!known.contains(1 << 32) && known.contains(1 << 64));
        assert_eq!(known.len(), 1);
    }

    #[test]
    fn rows_give_back_the_ids_they_were_made_of() {
        let ids = [0, 1, u128::MAX];
        assert_eq!(unpacked(&packed(&ids)).collect::<Vec<_>>(), ids);
    }
}
