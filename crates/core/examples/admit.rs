//! Measures recognising a key and deciding about it, with a keyring of any size.
//!
//! `cargo run --release -p tollgate-core --example admit -- --keys 1000000`
//!
//! Keys are drawn at random over the whole keyring, so that caches are as cold as they would be
//! behind a real mix of callers. The policy has a scope, an endpoint, one limit and one quota. The counters
//! are a flat table of atomics, to have the misses of real ones and none of their bookkeeping.

use std::{
    hint::black_box,
    io::Write as _,
    sync::Arc,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use tollgate_core::{
    admit::{Case, admit},
    authenticate::{Recognised, recognise},
    blocks::Blocks,
    counters::{Charge, Counters, Measure, Refund, Refusal, Rule, RuleId, Standing, Standings},
    facts::Facts,
    id::{ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
    key::{Digest, Environment, mint},
    keyring::{KeyRecord, KeyState},
    limits::Verdict,
    period::Window,
    policy::{Policy, PolicyRow},
    resource::{PolicySpec, ServiceSpec},
    secret::Secret,
    service::{Service, ServiceRow},
    tables::{Snapshot, Tables},
    time::Now,
};

/// What the binary of the product uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Decisions of one round.
const DECISIONS: usize = 1_000_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Failure> {
    let keys = key_count()?;
    let mut out = std::io::stdout();
    let snapshot = Snapshot::with_capacity(keys);
    let tables = tables()?;
    let before = resident_bytes()?;
    let started = mono_ns();
    for number in 0..keys as u64 {
        snapshot.keyring.put(Digest::of(key_text(number)?.expose().as_bytes()), record(number));
    }
    let built = mono_ns() - started;
    let bytes = (resident_bytes()?.saturating_sub(before)) / keys.max(1);
    writeln!(out, "keys                {keys}")?;
    writeln!(out, "bytes per key       {bytes}")?;
    writeln!(out, "mint, hash and put  {} ns per key", built / keys.max(1) as u64)?;

    let policy = tables.policies.get(&PolicyId(1)).ok_or("no policy")?;
    let service = tables.services.get(&ServiceId(1)).ok_or("no service")?;
    let counters = FlatCounters::new(keys);
    let asked = asked_keys(keys as u64)?;
    let facts = Facts {
        service: Some(service),
        method: Some("GET"),
        path: Some("/tiles/8/132/87"),
        address: Some([203, 0, 113, 9].into()),
        cost: 1,
        ..Facts::default()
    };
    let subject =
        Subject { snapshot: &snapshot, tables: &tables, policy, counters: &counters, facts: &facts };
    let (mut recognised, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        recognised.push(subject.time(&asked, |credential| subject.recognise_only(credential)));
        decided.push(subject.time(&asked, |credential| subject.recognise_and_admit(credential)));
    }
    writeln!(out, "recognise           {:.0} ns (median of {ROUNDS})", median(&mut recognised))?;
    writeln!(out, "recognise and admit {:.0} ns (median of {ROUNDS})", median(&mut decided))?;
    Ok(())
}

/// What a decision is made with.
struct Subject<'a> {
    snapshot: &'a Snapshot,
    tables: &'a Tables,
    policy: &'a Policy,
    counters: &'a FlatCounters,
    facts: &'a Facts<'a>,
}

impl Subject<'_> {
    fn recognise_only(&self, credential: &[u8]) -> bool {
        let found = recognise(credential, &self.snapshot.keyring, &self.tables.foreign);
        matches!(found, Recognised::Key { .. })
    }

    fn recognise_and_admit(&self, credential: &[u8]) -> bool {
        let Recognised::Key { record, .. } =
            recognise(credential, &self.snapshot.keyring, &self.tables.foreign)
        else {
            return false;
        };
        let policy = record.policy.and_then(|id| self.tables.policies.get(&id)).map(|policy| &**policy);
        let now = Now { wall_us: 1_764_000_000_000_000, mono_ns: mono_ns() };
        admit(Case { facts: self.facts, record: &record, policy, blocks: Blocks::NONE, now }, self.counters)
            .is_allowed()
    }

    /// Nanoseconds per call over all asked keys; every one of them must be allowed.
    fn time(&self, asked: &[[u8; KEY_LEN]], one: impl Fn(&[u8]) -> bool) -> f64 {
        black_box(self.policy);
        let started = thread_cpu_ns();
        let allowed = asked.iter().filter(|credential| one(black_box(&credential[..]))).count();
        let took = thread_cpu_ns() - started;
        if allowed == asked.len() { took as f64 / asked.len() as f64 } else { f64::NAN }
    }
}

/// The length of keys with the prefix `tg`.
const KEY_LEN: usize = 2 + 6 + 32;

fn asked_keys(keys: u64) -> Result<Vec<[u8; KEY_LEN]>, Failure> {
    let mut state = 0x5eed;
    (0..DECISIONS)
        .map(|_| {
            state = mixed(state);
            Ok(key_text(state % keys.max(1))?.expose().as_bytes().try_into()?)
        })
        .collect()
}

/// The key with this number: the same at every call.
fn key_text(number: u64) -> Result<Secret<String>, Failure> {
    let mut random = [0u8; 32];
    for (lane, chunk) in random.chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&mixed(number * 4 + lane as u64).to_le_bytes());
    }
    Ok(mint("tg", Environment::Live, &Secret::new(random))?)
}

/// SplitMix64: a cheap bijection that looks random.
const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn record(number: u64) -> KeyRecord {
    KeyRecord {
        id: KeyId(mixed(number) >> 1),
        consumer: ConsumerId(number / 10),
        project: ProjectId(1),
        policy: Some(PolicyId(1)),
        expires_us: i64::MAX,
        secret_until_us: i64::MAX,
        version: 1,
        generation: 0,
        state: KeyState::Active,
        environment: Environment::Live,
        narrowing: None,
    }
}

fn tables() -> Result<Tables, Failure> {
    let service: ServiceSpec = toml::from_str(
        "project = 'maps'\nname = 'tiles'\nkind = 'proxy'\nmatch = { path_prefix = '/tiles' }\n\
         upstreams = ['http://127.0.0.1:9000']",
    )?;
    let row = ServiceRow { id: ServiceId(1), project: ProjectId(1), tenant: TenantId(1), version: 1 };
    let service = Service::compile(Arc::new(service), row).map_err(|errors| format!("{errors:?}"))?;
    let policy: PolicySpec = toml::from_str(
        "project = 'maps'\nname = 'standard'\nservices = ['tiles']\nscopes = ['read']\n\
         endpoints = ['GET /tiles/**']\n\
         limit = [{ name = 'burst', amount = 1000000, window = '1s' }]\n\
         quota = [{ name = 'monthly', amount = 1000000000, period = 'month' }]",
    )?;
    let row = PolicyRow { id: PolicyId(1), project: ProjectId(1), version: 1 };
    let policy =
        Policy::compile(&policy, row, |_| Some(ServiceId(1))).map_err(|errors| format!("{errors:?}"))?;
    Ok(Tables {
        policies: [(policy.id, Arc::new(policy))].into_iter().collect(),
        services: [(service.id, Arc::new(service))].into_iter().collect(),
        ..Tables::default()
    })
}

/// One atomic per cell, chosen by hash alone; cells that collide share a count.
struct FlatCounters {
    arrivals: Box<[AtomicU64]>,
    used: Box<[AtomicU64]>,
    window_start_us: AtomicI64,
    window_end_us: AtomicI64,
}

impl FlatCounters {
    fn new(keys: usize) -> Self {
        let cells = keys.next_power_of_two();
        Self {
            arrivals: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            used: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            window_start_us: AtomicI64::new(0),
            window_end_us: AtomicI64::new(0),
        }
    }

    /// The present window, worked out once.
    fn window(&self, period: &tollgate_core::period::Period, wall_us: i64) -> Window {
        let window = Window {
            start_us: self.window_start_us.load(Ordering::Relaxed),
            end_us: self.window_end_us.load(Ordering::Relaxed),
        };
        if (window.start_us..window.end_us).contains(&wall_us) {
            return window;
        }
        let window = period.window_at(wall_us);
        self.window_start_us.store(window.start_us, Ordering::Relaxed);
        self.window_end_us.store(window.end_us, Ordering::Relaxed);
        window
    }

    fn take_one(&self, charge: &Charge<'_>, now: Now) -> Option<Standing> {
        match &charge.rule.measure {
            Measure::Concurrency => None,
            Measure::Rate { gcra, .. } => {
                let cell = cell(&self.arrivals, charge)?;
                let mut arrival = cell.load(Ordering::Relaxed);
                loop {
                    let Verdict::Pass { arrival_ns } =
                        gcra.check(arrival, now.mono_ns, u64::from(charge.amount))
                    else {
                        return None;
                    };
                    match cell.compare_exchange_weak(arrival, arrival_ns, Ordering::AcqRel, Ordering::Relaxed)
                    {
                        Ok(_) => {
                            return Some(Standing {
                                remaining: gcra.remaining(arrival_ns, now.mono_ns),
                                reset_after_ns: gcra.reset_after_ns(arrival_ns, now.mono_ns),
                                window: None,
                            });
                        }
                        Err(present) => arrival = present,
                    }
                }
            }
            Measure::Quota(period) => {
                let window = self.window(period, now.wall_us);
                let used = cell(&self.used, charge)?.fetch_add(u64::from(charge.amount), Ordering::AcqRel);
                let reset_after_ns = (window.end_us - now.wall_us).unsigned_abs() * 1000;
                Some(Standing {
                    remaining: charge.rule.amount.checked_sub(used)?,
                    reset_after_ns,
                    window: Some(window),
                })
            }
        }
    }
}

fn cell<'c>(cells: &'c [AtomicU64], charge: &Charge<'_>) -> Option<&'c AtomicU64> {
    cells.get(mixed(charge.rule.id.0 ^ charge.subject) as usize & (cells.len() - 1))
}

impl Counters for FlatCounters {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        for (index, charge) in charges.iter().enumerate() {
            let standing = self.take_one(charge, now);
            standings.push(standing.ok_or(Refusal::Exhausted { index, retry_after_ns: None })?);
        }
        Ok(())
    }

    fn release(&self, _rule: RuleId, _subject: u64) {}

    fn refund(&self, _refund: &Refund<'_>, _now: Now) {}

    fn peek(&self, rule: &Rule, _subject: u64, _now: Now) -> Standing {
        Standing { remaining: rule.amount, reset_after_ns: 0, window: None }
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mono_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// What this thread has used of its core: other work on the machine does not count.
fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Bytes of this process in memory (`/proc/self/statm`, second number, pages of 4 KiB).
fn resident_bytes() -> Result<usize, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split_ascii_whitespace().nth(1).ok_or("statm has no second number")?.parse()?;
    Ok(pages * 4096)
}

fn key_count() -> Result<usize, Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut keys = 1_000_000;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--keys" => keys = arguments.next().ok_or("--keys needs a number")?.parse()?,
            other => return Err(format!("`{other}` is not an option; there is `--keys N`").into()),
        }
    }
    Ok(keys)
}
