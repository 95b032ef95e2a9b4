//! In-memory ends of the gateway's ports.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tollgate_core::{
    counters::{Charge, Counters, Refund, Refusal, Rule, RuleId, Standing, Standings},
    time::{Clock, Now},
};
use tollgate_counters::LocalCounters;
use tollgate_gateway::{
    bound_host::{HostAnswer, HostLookup, HostUnknown, Lookup, MakeHostLookup},
    slow_hash::{Rehash, RehashSink},
};

/// A clock that runs, and jumps when told to.
pub(crate) struct TestClock {
    started: Instant,
    wall_start_us: AtomicI64,
    ahead_ns: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        // 2026-09-01T12:00:00Z: the middle of a day and of no month's end.
        let wall_start_us = AtomicI64::new(1_788_264_000_000_000);
        Self { started: Instant::now(), wall_start_us, ahead_ns: AtomicU64::new(1_000_000_000) }
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ns.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let run_ns = u64::try_from(self.started.elapsed().as_nanos()).unwrap();
        let mono_ns = run_ns + self.ahead_ns.load(Ordering::SeqCst);
        let wall_us = self.wall_start_us.load(Ordering::SeqCst) + i64::try_from(mono_ns / 1_000).unwrap();
        Now { wall_us, mono_ns }
    }
}

/// The counters of the product, and how often something was given back.
pub(crate) struct TestCounters {
    inner: LocalCounters,
    pub(crate) released: AtomicU32,
}

impl TestCounters {
    pub(crate) fn new() -> Self {
        Self { inner: LocalCounters::new(10_000), released: AtomicU32::new(0) }
    }
}

impl Counters for TestCounters {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        self.inner.take(charges, now, standings)
    }

    fn release(&self, rule: RuleId, subject: u64) {
        self.released.fetch_add(1, Ordering::SeqCst);
        self.inner.release(rule, subject);
    }

    fn refund(&self, refund: &Refund<'_>, now: Now) {
        self.inner.refund(refund, now);
    }

    fn peek(&self, rule: &Rule, subject: u64, now: Now) -> Standing {
        self.inner.peek(rule, subject, now)
    }
}

/// Keeps what was offered.
#[derive(Default)]
pub(crate) struct TestRehash(pub(crate) Mutex<Vec<Rehash>>);

impl RehashSink for TestRehash {
    fn offer(&self, rehash: Rehash) {
        self.0.lock().unwrap().push(rehash);
    }
}

/// Names and addresses that tests may change.
pub(crate) type Names = Arc<Mutex<HashMap<String, Vec<std::net::IpAddr>>>>;

/// Holds look-ups back while it has no permits.
pub(crate) type Door = Arc<tokio::sync::Semaphore>;

struct TestHosts {
    names: Names,
    door: Door,
    asked: Arc<AtomicU32>,
}

impl HostLookup for TestHosts {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        let found = self.names.lock().unwrap().get(host).cloned();
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let _open = self.door.acquire().await.map_err(|_| HostUnknown)?;
            let addresses = found.ok_or(HostUnknown)?;
            Ok(HostAnswer { addresses, ttl: Duration::from_secs(60) })
        })
    }
}

/// Look-ups of these names, held back by the door, counted by `asked`.
pub(crate) fn host_lookup(names: &Names, door: &Door, asked: &Arc<AtomicU32>) -> MakeHostLookup {
    let (names, door, asked) = (names.clone(), door.clone(), asked.clone());
    Arc::new(move || Rc::new(TestHosts { names: names.clone(), door: door.clone(), asked: asked.clone() }))
}
