//! The cells: one per rule and subject, made at first use, at most a fixed number.
//!
//! A cell that is dropped is first marked [`State::Gone`] while it is held, so that whoever looked
//! it up before finds out and looks again; no count goes to a cell that is not in the map.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use foldhash::quality::RandomState;
use papaya::{Guard, HashMap, LocalGuard};
use tollgate_core::time::Now;

use crate::state::State;

/// How many cells there may be unless the caller says otherwise: about 400 MB of them.
pub const CELLS_MAX_DEFAULT: usize = 4_000_000;

/// Which count: rule and subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) rule: u64,
    pub(crate) subject: u64,
}

/// One count. Held for a few dozen nanoseconds at a time; the standard mutex spins first, and
/// sleeps only if the holder was taken off its core.
pub(crate) struct Cell(Mutex<State>);

impl Cell {
    /// Holds the cell. A thread that panicked while it held one left a whole state: it is `Copy`
    /// and written at once.
    pub(crate) fn hold(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is no room for another cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// All cells.
pub(crate) struct Cells {
    /// The hash is seeded at random: subjects may be addresses, which clients choose.
    map: HashMap<Key, Cell, RandomState>,
    count: AtomicUsize,
    cells_max: usize,
}

impl Cells {
    pub(crate) fn new(cells_max: usize) -> Self {
        Self { map: HashMap::default(), count: AtomicUsize::new(0), cells_max }
    }

    /// Keeps what is found in the map alive.
    pub(crate) fn pin(&self) -> LocalGuard<'_> {
        self.map.guard()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn find<'g>(&self, key: Key, pin: &'g impl Guard) -> Option<&'g Cell> {
        self.map.get(&key, pin)
    }

    /// The cell of `key`, made with `fresh` if there is none.
    pub(crate) fn find_or_make<'g>(
        &self,
        key: Key,
        fresh: impl FnOnce() -> State,
        pin: &'g impl Guard,
    ) -> Result<&'g Cell, Full> {
        if let Some(cell) = self.map.get(&key, pin) {
            return Ok(cell);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.cells_max {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        self.map.try_insert(key, Cell(Mutex::new(fresh())), pin).or_else(|occupied| {
            self.count.fetch_sub(1, Ordering::Relaxed);
            Ok(occupied.current)
        })
    }

    /// Takes a cell that is marked as gone out of the map. The caller must not hold it.
    pub(crate) fn drop_gone(&self, key: Key, pin: &impl Guard) {
        if let Ok(Some(_)) = self.map.remove_if(&key, |_, cell| *cell.hold() == State::Gone, pin) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Drops every cell that is as good as new; returns how many.
    pub(crate) fn sweep(&self, now: Now) -> usize {
        let pin = self.pin();
        let mut dropped = 0;
        for (key, cell) in self.map.iter(&pin) {
            let is_dropped = {
                let mut state = cell.hold();
                let is_dropped = state.is_as_good_as_new(now);
                if is_dropped {
                    *state = State::Gone;
                }
                is_dropped
            };
            if is_dropped {
                self.drop_gone(*key, &pin);
                dropped += 1;
            }
        }
        dropped
    }
}
