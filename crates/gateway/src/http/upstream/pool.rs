//! The connections of one lane, by origin.
//!
//! Nothing runs for an idle connection. Whether it still lives is looked up when it is wanted and by the
//! sweep, in the runtime's readiness and so without a system call; one on which anything came is thrown
//! away.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tollgate_core::keyring::PlainHash;

use crate::http::bounds::PoolBounds;
use crate::http::ticks::Ticks;

use super::connect::Http2;
use super::h1;
use super::{Origin, UpstreamErrorKind};

/// How often connections that were idle too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All pools of a lane. Origins come from the configuration, so their number is bounded by it; a pool
/// without connections is forgotten.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) bounds: PoolBounds,
    by_origin: RefCell<HashMap<Origin, Rc<Pool>, PlainHash>>,
}

impl Pools {
    pub(super) fn new(bounds: PoolBounds, ticks: &Rc<Ticks>) -> Rc<Self> {
        let pools = Rc::new(Self { bounds, by_origin: RefCell::default() });
        tokio::task::spawn_local(sweep(Rc::downgrade(&pools), Rc::clone(ticks)));
        pools
    }

    pub(super) fn of(self: &Rc<Self>, origin: &Origin, ticks: &Rc<Ticks>) -> Rc<Pool> {
        if let Some(pool) = self.by_origin.borrow().get(origin) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool {
            bounds: self.bounds.clone(),
            ticks: Rc::clone(ticks),
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            speaks_h2: Cell::new(None),
            open: Rc::default(),
            dialling: tokio::sync::Mutex::new(()),
        });
        self.by_origin.borrow_mut().insert(origin.clone(), Rc::clone(&pool));
        pool
    }
}

async fn sweep(pools: Weak<Pools>, ticks: Rc<Ticks>) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    loop {
        every.tick().await;
        let Some(pools) = pools.upgrade() else { return };
        let now_ms = ticks.now_ms();
        pools.by_origin.borrow_mut().retain(|_, pool| {
            pool.forget_old(now_ms);
            // A pool that somebody holds may be about to open a connection.
            pool.open.get() > 0 || Rc::strong_count(pool) > 1
        });
    }
}

/// The connections to one origin.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) bounds: PoolBounds,
    pub(super) ticks: Rc<Ticks>,
    /// HTTP/1.1 connections without a request, the longest idle first.
    idle: RefCell<Vec<Idle>>,
    multiplexed: RefCell<Vec<Multiplexed>>,
    /// What ALPN chose last; `None` before the first connection.
    speaks_h2: Cell<Option<bool>>,
    /// Connections of both protocols, in use and idle, tunnels included.
    open: Rc<Cell<usize>>,
    /// Held while a connection is made that others can share.
    pub(super) dialling: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<h1::Connection>,
    since_ms: u64,
}

#[derive(Clone, Debug)]
struct Multiplexed {
    sender: Http2,
    streams: Rc<Cell<usize>>,
    used_ms: Rc<Cell<u64>>,
}

impl Pool {
    /// An idle HTTP/1.1 connection that is alive; the most recently used one.
    pub(super) fn take_idle(&self) -> Option<Box<h1::Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut there) = idle.pop() {
            if there.connection.is_quiet() {
                return Some(there.connection);
            }
        }
        None
    }

    /// An HTTP/2 connection with room for one more stream.
    pub(super) fn take_stream(self: &Rc<Self>) -> Option<StreamLease> {
        let mut multiplexed = self.multiplexed.borrow_mut();
        multiplexed.retain(|there| !there.sender.is_closed());
        let there =
            multiplexed.iter().find(|there| there.streams.get() < self.bounds.h2_streams_max)?.clone();
        drop(multiplexed);
        Some(StreamLease::new(there, &self.ticks))
    }

    /// Makes a new HTTP/2 connection known, and takes its first stream.
    pub(super) fn share(self: &Rc<Self>, sender: Http2) -> StreamLease {
        let there = Multiplexed { sender, streams: Rc::default(), used_ms: Rc::default() };
        self.multiplexed.borrow_mut().push(there.clone());
        StreamLease::new(there, &self.ticks)
    }

    pub(super) fn speaks_h2(&self) -> Option<bool> {
        self.speaks_h2.get()
    }

    pub(super) fn set_speaks_h2(&self, speaks: bool) {
        self.speaks_h2.set(Some(speaks));
    }

    /// Leave to open one more connection.
    pub(super) fn open(self: &Rc<Self>) -> Result<Opened, UpstreamErrorKind> {
        if self.open.get() >= self.bounds.connections_max {
            return Err(UpstreamErrorKind::Saturated);
        }
        self.open.set(self.open.get() + 1);
        Ok(Opened(Rc::clone(&self.open)))
    }

    /// Keeps a connection whose last exchange is over.
    pub(super) fn give_back(&self, connection: Box<h1::Connection>) {
        let mut idle = self.idle.borrow_mut();
        if self.bounds.idle_max == 0 {
            return;
        }
        if idle.len() >= self.bounds.idle_max {
            idle.remove(0);
        }
        idle.push(Idle { connection, since_ms: self.ticks.now_ms() });
    }

    fn forget_old(&self, now_ms: u64) {
        let timeout_ms = u64::try_from(self.bounds.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let is_old = |since_ms: u64| now_ms.saturating_sub(since_ms) > timeout_ms;
        self.idle.borrow_mut().retain_mut(|there| !is_old(there.since_ms) && there.connection.is_quiet());
        self.multiplexed.borrow_mut().retain(|there| {
            let unused = there.streams.get() == 0 && is_old(there.used_ms.get());
            !there.sender.is_closed() && !unused
        });
    }
}

/// Counts an open connection as long as it lives.
#[derive(Debug)]
pub(in crate::http) struct Opened(Rc<Cell<usize>>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One stream of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct StreamLease {
    pub(super) sender: Http2,
    streams: Rc<Cell<usize>>,
    used_ms: Rc<Cell<u64>>,
    ticks: Rc<Ticks>,
}

impl StreamLease {
    fn new(there: Multiplexed, ticks: &Rc<Ticks>) -> Self {
        there.streams.set(there.streams.get() + 1);
        Self { sender: there.sender, streams: there.streams, used_ms: there.used_ms, ticks: Rc::clone(ticks) }
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        self.streams.set(self.streams.get().saturating_sub(1));
        self.used_ms.set(self.ticks.now_ms());
    }
}
