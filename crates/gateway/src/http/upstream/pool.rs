//! The connections of one lane, by origin.
//!
//! Whether a kept connection still lives is known without a system call: its task sees the upstream's FIN
//! through the runtime's readiness, and the codec then says so.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::http::bounds::PoolBounds;
use crate::http::ticks::Ticks;

use super::connect::{Http1, Http2};
use super::outgoing::Outgoing;
use super::{Origin, UpstreamErrorKind};

/// How often connections that were idle too long are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All pools of a lane. Origins come from the configuration, so their number is bounded by it; a pool
/// without connections is forgotten.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) bounds: PoolBounds,
    by_origin: RefCell<HashMap<Origin, Rc<Pool>>>,
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
            open: Cell::new(0),
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
    ticks: Rc<Ticks>,
    /// HTTP/1.1 connections without a request, the longest idle first.
    idle: RefCell<Vec<Idle>>,
    multiplexed: RefCell<Vec<Multiplexed>>,
    /// What ALPN chose last; `None` before the first connection.
    speaks_h2: Cell<Option<bool>>,
    open: Cell<usize>,
    /// Held while a connection is made that others can share.
    pub(super) dialling: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Idle {
    sender: Http1,
    since_ms: u64,
}

#[derive(Clone, Debug)]
struct Multiplexed {
    sender: Http2,
    streams: Rc<Cell<usize>>,
    used_ms: Rc<Cell<u64>>,
}

impl Pool {
    /// An idle HTTP/1.1 connection that is alive and ready; the most recently used one.
    pub(super) fn take_idle(&self) -> Option<Http1> {
        let mut idle = self.idle.borrow_mut();
        // The codec says "ready" only once it has finished with the request before.
        let at = idle.iter().rposition(|there| there.sender.is_ready() && !there.sender.is_closed())?;
        Some(idle.remove(at).sender)
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
        Ok(Opened(Rc::clone(self)))
    }

    fn give_back(&self, sender: Http1) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.bounds.idle_max {
            idle.remove(0);
        }
        idle.push(Idle { sender, since_ms: self.ticks.now_ms() });
    }

    fn forget_old(&self, now_ms: u64) {
        let timeout_ms = u64::try_from(self.bounds.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let is_old = |since_ms: u64| now_ms.saturating_sub(since_ms) > timeout_ms;
        // Taken out first: dropping a connection may run code that comes back here.
        let old: Vec<Idle> = {
            let mut idle = self.idle.borrow_mut();
            let (old, kept) =
                idle.drain(..).partition(|there| is_old(there.since_ms) || there.sender.is_closed());
            *idle = kept;
            old
        };
        drop(old);
        self.multiplexed.borrow_mut().retain(|there| {
            let unused = there.streams.get() == 0 && is_old(there.used_ms.get());
            !there.sender.is_closed() && !unused
        });
    }
}

/// Counts an open connection; held by its task.
#[derive(Debug)]
pub(super) struct Opened(Rc<Pool>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// One HTTP/1.1 connection while a request is on it. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) sender: Http1,
    pub(super) pool: Rc<Pool>,
    pub(super) request_body: Option<Rc<Outgoing>>,
}

impl Lease {
    /// The answer was read to its end: keeps the connection, if the request was sent to its end as well.
    pub(super) fn settle(self) {
        if self.request_body.is_none_or(|body| body.is_ended()) {
            self.pool.give_back(self.sender);
        }
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
