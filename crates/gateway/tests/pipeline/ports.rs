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
    counters::{Charge, Counters, Measure, Refusal, Rule, RuleId, Standing, Standings},
    limits::Verdict,
    time::{Clock, Now},
};
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

/// Counters behind one lock.
#[derive(Default)]
pub(crate) struct TestCounters {
    cells: Mutex<HashMap<(RuleId, u64), u64>>,
    pub(crate) released: AtomicU32,
}

impl TestCounters {
    fn cell_of(rule: &Rule, subject: u64, now: Now) -> (RuleId, u64) {
        match &rule.measure {
            Measure::Quota(period) => {
                let start = period.window_at(now.wall_us).start_us;
                (rule.id, subject ^ start.unsigned_abs().rotate_left(20))
            }
            _ => (rule.id, subject),
        }
    }

    /// Units in flight of all keys together.
    pub(crate) fn in_flight(&self, rule: RuleId) -> u64 {
        let cells = self.cells.lock().unwrap();
        cells.iter().filter(|((own, _), _)| *own == rule).map(|(_, count)| count).sum()
    }

    fn ask(value: u64, charge: &Charge<'_>, now: Now) -> Result<(u64, Standing), Option<u64>> {
        let rule = charge.rule;
        let amount = u64::from(charge.amount);
        match &rule.measure {
            Measure::Concurrency if value + amount.max(1) > rule.amount => Err(None),
            Measure::Concurrency => Ok((value + amount, stands(rule, value + amount, now))),
            Measure::Rate { gcra, .. } => match gcra.check(value, now.mono_ns, amount) {
                Verdict::Pass { arrival_ns } => Ok((arrival_ns, stands(rule, arrival_ns, now))),
                Verdict::Refuse { retry_after_ns } => Err(retry_after_ns),
            },
            Measure::Quota(_) if value + amount.max(1) > rule.amount => {
                Err(Some(stands(rule, value, now).reset_after_ns))
            }
            Measure::Quota(_) => Ok((value + amount, stands(rule, value + amount, now))),
        }
    }
}

fn stands(rule: &Rule, value: u64, now: Now) -> Standing {
    match &rule.measure {
        Measure::Concurrency => {
            Standing { remaining: rule.amount.saturating_sub(value), reset_after_ns: 0, window: None }
        }
        Measure::Rate { gcra, .. } => Standing {
            remaining: gcra.remaining(value, now.mono_ns),
            reset_after_ns: gcra.reset_after_ns(value, now.mono_ns),
            window: None,
        },
        Measure::Quota(period) => {
            let window = period.window_at(now.wall_us);
            Standing {
                remaining: rule.amount.saturating_sub(value),
                reset_after_ns: (window.end_us - now.wall_us).unsigned_abs() * 1_000,
                window: Some(window),
            }
        }
    }
}

impl Counters for TestCounters {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        let mut cells = self.cells.lock().unwrap();
        let mut taken = Vec::new();
        for (index, charge) in charges.iter().enumerate() {
            let cell = Self::cell_of(charge.rule, charge.subject, now);
            let value = cells.get(&cell).copied().unwrap_or(0);
            match Self::ask(value, charge, now) {
                Ok((value, standing)) => {
                    taken.push((cell, value));
                    standings.push(standing);
                }
                Err(retry_after_ns) => {
                    standings.push(stands(charge.rule, value, now));
                    return Err(Refusal::Exhausted { index, retry_after_ns });
                }
            }
        }
        cells.extend(taken);
        Ok(())
    }

    fn release(&self, rule: RuleId, subject: u64) {
        self.released.fetch_add(1, Ordering::SeqCst);
        let mut cells = self.cells.lock().unwrap();
        let count = cells.get_mut(&(rule, subject)).expect("released what was taken");
        *count = count.checked_sub(1).expect("released once");
    }

    fn peek(&self, rule: &Rule, subject: u64, now: Now) -> Standing {
        let cells = self.cells.lock().unwrap();
        stands(rule, cells.get(&Self::cell_of(rule, subject, now)).copied().unwrap_or(0), now)
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

struct TestHosts(Names);

impl HostLookup for TestHosts {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        let found = self.0.lock().unwrap().get(host).cloned();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let addresses = found.ok_or(HostUnknown)?;
            Ok(HostAnswer { addresses, ttl: Duration::from_secs(60) })
        })
    }
}

pub(crate) fn host_lookup(names: &Names) -> MakeHostLookup {
    let names = names.clone();
    Arc::new(move || Rc::new(TestHosts(names.clone())))
}
