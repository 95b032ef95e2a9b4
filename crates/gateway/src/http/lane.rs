//! What all connections of one lane share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use super::bounds::Bounds;
use super::ticks::Ticks;

/// One lane of one listener.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) ticks: Rc<Ticks>,
    pub(super) bounds: Bounds,
    draining: Cell<bool>,
    open: Cell<usize>,
    /// Who waits for the last connection to end.
    emptied: RefCell<Option<Waker>>,
    /// The text of `Date`, and the tick it was written at.
    date: Cell<Option<(u64, [u8; 29])>>,
}

/// How long the text of `Date` is used, in milliseconds.
const DATE_MS: u64 = 500;

impl LaneState {
    pub(super) fn new(bounds: Bounds) -> Rc<Self> {
        Rc::new(Self {
            ticks: Ticks::of_this_thread(),
            bounds,
            draining: Cell::new(false),
            open: Cell::new(0),
            emptied: RefCell::new(None),
            date: Cell::new(None),
        })
    }

    /// The text of `Date`, written anew by `write` now and then.
    pub(super) fn date_as_of_tick(&self, write: impl FnOnce() -> [u8; 29]) -> [u8; 29] {
        let now_ms = self.ticks.now_ms();
        match self.date.get() {
            Some((at_ms, text)) if now_ms.saturating_sub(at_ms) < DATE_MS => text,
            _ => {
                let text = write();
                self.date.set(Some((now_ms, text)));
                text
            }
        }
    }

    /// Whether connections should end as soon as they have nothing in flight.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Asks every connection to end.
    pub(super) fn drain(&self) {
        self.draining.set(true);
        self.ticks.wake_all();
    }

    /// Open connections; the waker is woken when there are none.
    pub(super) fn open_or_wake(&self, waker: &Waker) -> usize {
        *self.emptied.borrow_mut() = Some(waker.clone());
        self.open.get()
    }

    pub(super) fn open(&self) -> usize {
        self.open.get()
    }
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
pub(super) struct Opened {
    lane: Rc<LaneState>,
    _place: Place,
}

impl Opened {
    pub(super) fn new(lane: &Rc<LaneState>, place: Place) -> Self {
        lane.open.set(lane.open.get() + 1);
        Self { lane: Rc::clone(lane), _place: place }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let open = self.lane.open.get().saturating_sub(1);
        self.lane.open.set(open);
        if open == 0
            && let Some(waker) = self.lane.emptied.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

/// How many connections a listener has open, over all its lanes and by address. The map has at most one
/// entry per open connection.
#[derive(Debug)]
pub(super) struct Places {
    open: AtomicUsize,
    open_max: usize,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
    by_ip_max: usize,
}

impl Places {
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            open_max: bounds.connections_max,
            by_ip: Mutex::default(),
            by_ip_max: bounds.connections_per_ip_max,
        })
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for one more connection from `ip`, unless a bound is reached.
    pub(super) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let network = network(ip);
        let mut by_ip = self.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        // Checked and changed under the lock, so the bounds are exact.
        if self.open.load(Ordering::Relaxed) >= self.open_max {
            return None;
        }
        let there = by_ip.entry(network).or_insert(0);
        if *there >= self.by_ip_max {
            return None;
        }
        *there += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Place { places: Arc::clone(self), network })
    }
}

/// A taken place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_ip = self.places.by_ip.lock().unwrap_or_else(PoisonError::into_inner);
        self.places.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(there) = by_ip.get_mut(&self.network) {
            *there -= 1;
            if *there == 0 {
                by_ip.remove(&self.network);
            }
        }
    }
}

/// One IPv4 address, or the /64 that one IPv6 customer has.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) & !u128::from(u64::MAX)).to_be_bytes()),
    }
}
