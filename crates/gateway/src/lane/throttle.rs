//! The throttle for bad keys: failures per address, in memory of one fixed size.
//!
//! A sketch of [`ROWS`] rows holds GCRA arrival times; an address counts in one cell of each row
//! and its state is the earliest of them. Sharing cells can only make an address look worse than
//! it is, never better, and that never keeps a valid key out: only requests with bad keys are
//! refused by it (reliability §7.9).

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use tollgate_core::{
    counters::subject_of_address,
    limits::{Gcra, Verdict},
};

/// Rows of the sketch.
const ROWS: usize = 4;
/// Cells of a row; a power of two. 4 × 16,384 cells are 512 KiB.
const CELLS: usize = 16_384;

/// Counts failures by address, for all lanes together.
pub(crate) struct Throttle {
    limit: Gcra,
    seed: RandomState,
    cells: Box<[AtomicU64]>,
}

impl Throttle {
    /// No failures yet.
    pub(crate) fn new(limit: Gcra) -> Self {
        let cells = (0..ROWS * CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { limit, seed: RandomState::new(), cells }
    }

    /// How long this address has to wait with its bad keys, in nanoseconds; `None` when it need not.
    pub(crate) fn wait_ns(&self, address: IpAddr, now_ns: u64) -> Option<u64> {
        let arrival =
            self.cells_of(address).map(|cell| cell.load(Ordering::Relaxed)).min().unwrap_or_default();
        match self.limit.check(arrival, now_ns, 1) {
            Verdict::Pass { .. } => None,
            Verdict::Refuse { retry_after_ns } => Some(retry_after_ns.unwrap_or(u64::MAX)),
        }
    }

    /// Counts one failure.
    pub(crate) fn count(&self, address: IpAddr, now_ns: u64) {
        let ceiling = now_ns.saturating_add(self.limit.interval_ns.saturating_mul(self.limit.burst));
        for cell in self.cells_of(address) {
            // A cell never runs further ahead than one full burst, so a flood is forgotten as fast
            // as a burst is.
            let _previous = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |arrival| {
                Some(arrival.max(now_ns).saturating_add(self.limit.interval_ns).min(ceiling))
            });
        }
    }

    fn cells_of(&self, address: IpAddr) -> impl Iterator<Item = &AtomicU64> {
        // The families are told apart, or a /64 could be chosen to count for an IPv4 address.
        let hash = self.seed.hash_one((address.to_canonical().is_ipv4(), subject_of_address(address)));
        (0..ROWS).filter_map(move |row| {
            let column = (hash >> (row * 16)) as usize % CELLS;
            self.cells.get(row * CELLS + column)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn throttle() -> Throttle {
        Throttle::new(Gcra::new(5, 5 * SECOND, 5))
    }

    #[test]
    fn an_address_is_throttled_after_its_burst_of_failures_and_freed_by_time() {
        let throttle = throttle();
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..5 {
            assert_eq!(throttle.wait_ns(address, SECOND), None);
            throttle.count(address, SECOND);
        }
        assert_eq!(throttle.wait_ns(address, SECOND), Some(SECOND));
        assert_eq!(throttle.wait_ns(address, 2 * SECOND), None);
    }

    #[test]
    fn a_flood_is_not_held_against_an_address_for_longer_than_a_burst() {
        let throttle = throttle();
        let address = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..10_000 {
            throttle.count(address, SECOND);
        }
        assert_eq!(throttle.wait_ns(address, 2 * SECOND), None);
    }

    #[test]
    fn ipv6_counts_by_64_and_neighbours_are_left_alone() {
        let throttle = throttle();
        let [one, same, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());
        for _ in 0..5 {
            throttle.count(one, SECOND);
        }
        assert!(throttle.wait_ns(same, SECOND).is_some());
        assert_eq!(throttle.wait_ns(other, SECOND), None);
    }
}
