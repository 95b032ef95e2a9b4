//! What the tests decide about: a policy, a service, a key, and counters in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tollgate_core::{
    counters::{Charge, Counters, Measure, Refund, Refusal, Rule, RuleId, Standing, Standings},
    field_error::FieldError,
    id::{ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
    key::{Digest, Environment, mint},
    keyring::{KeyRecord, KeyState},
    limits::Verdict,
    policy::{Policy, PolicyRow},
    secret::Secret,
    service::{Service, ServiceRow},
    time::Now,
};

pub(crate) const PROJECT: ProjectId = ProjectId(1);
pub(crate) const OTHER_PROJECT: ProjectId = ProjectId(2);
/// 2025-11-21T12:00:00Z.
pub(crate) const NOON_US: i64 = 1_763_726_400_000_000;
pub(crate) const NOW: Now = Now { wall_us: NOON_US, mono_ns: 1_000_000_000_000 };

/// A service of a project from the lines that matter.
pub(crate) fn service_of(project: ProjectId, number: u64, lines: &str) -> Arc<Service> {
    let base = "project = 'maps'\nkind = 'proxy'\nupstreams = ['http://127.0.0.1:9000']\n";
    let name = if lines.contains("name =") { "" } else { "name = 'tiles'\n" };
    let matches = if lines.contains("match =") { "" } else { "match = { path_prefix = '/tiles' }\n" };
    let spec = toml::from_str(&format!("{base}{name}{matches}{lines}")).unwrap();
    let row = ServiceRow { id: ServiceId(number), project, tenant: TenantId(1), version: 1 };
    Arc::new(Service::compile(Arc::new(spec), row).unwrap())
}

pub(crate) fn service(lines: &str) -> Arc<Service> {
    service_of(PROJECT, 1, lines)
}

/// A policy from the lines that matter; it grants the service `tiles` unless it says otherwise.
pub(crate) fn policy(lines: &str) -> Policy {
    compile(lines).unwrap()
}

pub(crate) fn compile(lines: &str) -> Result<Policy, Vec<FieldError>> {
    let services = if lines.contains("services =") { "" } else { "services = ['tiles']\n" };
    let text = format!("project = 'maps'\nname = 'standard'\n{services}{lines}");
    let spec = toml::from_str(&text).unwrap();
    let row = PolicyRow { id: PolicyId(1), project: PROJECT, version: 1 };
    Policy::compile(&spec, row, |name| (name == "tiles").then_some(ServiceId(1)))
}

pub(crate) fn record() -> KeyRecord {
    KeyRecord {
        id: KeyId(11),
        consumer: ConsumerId(22),
        project: PROJECT,
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

/// A key that is the same for the same seed.
pub(crate) fn key(prefix: &str, seed: u64) -> String {
    let random = Digest::of(&seed.to_le_bytes()).0;
    mint(prefix, Environment::Live, &Secret::new(random)).unwrap().expose().clone()
}

/// Pseudo-random numbers that are the same at every run (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }
}

/// What one count holds: an arrival time, units of one period, or units in flight.
type Cells = HashMap<(RuleId, u64, i64), u64>;

/// Counters without any cleverness: one lock, one map.
#[derive(Default)]
pub(crate) struct Memory {
    cells: Mutex<Cells>,
}

impl Memory {
    /// All counts that are not nothing, to compare before and after.
    pub(crate) fn cells(&self) -> Cells {
        let cells = self.cells.lock().unwrap();
        cells.iter().filter(|(_, units)| **units != 0).map(|(name, units)| (*name, *units)).collect()
    }
}

impl Counters for Memory {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        let mut cells = self.cells.lock().unwrap();
        let mut changed = cells.clone();
        for (index, charge) in charges.iter().enumerate() {
            let (standing, retry) = take_one(&mut changed, charge, now);
            standings.push(standing);
            if let Some(retry_after_ns) = retry {
                return Err(Refusal::Exhausted { index, retry_after_ns });
            }
        }
        *cells = changed;
        Ok(())
    }

    fn release(&self, rule: RuleId, subject: u64) {
        let mut cells = self.cells.lock().unwrap();
        let in_flight = cells.get_mut(&(rule, subject, 0)).unwrap();
        *in_flight = in_flight.checked_sub(1).unwrap();
    }

    fn refund(&self, refund: &Refund<'_>, now: Now) {
        let Refund { rule, subject, taken, used, at } = *refund;
        let mut cells = self.cells.lock().unwrap();
        let amounts = (u64::from(taken), used);
        match &rule.measure {
            Measure::Concurrency => {}
            Measure::Rate { gcra, .. } => {
                let arrival = cells.get_mut(&(rule.id, subject, 0)).unwrap();
                *arrival = gcra.correct(*arrival, amounts, now.mono_ns - at.mono_ns, now.mono_ns);
            }
            Measure::Quota(period) => {
                let start_us = period.window_at(at.wall_us).start_us;
                let count = cells.get_mut(&(rule.id, subject, start_us)).unwrap();
                *count = *count - amounts.0 + amounts.1;
            }
        }
    }

    fn peek(&self, rule: &Rule, subject: u64, now: Now) -> Standing {
        let mut cells = self.cells();
        take_one(&mut cells, &Charge { rule, subject, amount: 0 }, now).0
    }
}

/// The standing, and when refused `Some` of when to come back.
fn take_one(cells: &mut Cells, charge: &Charge<'_>, now: Now) -> (Standing, Option<Option<u64>>) {
    let Charge { rule, subject, amount } = *charge;
    let amount = u64::from(amount);
    match &rule.measure {
        Measure::Rate { gcra, .. } => {
            let arrival = cells.entry((rule.id, subject, 0)).or_insert(0);
            let verdict = gcra.check(*arrival, now.mono_ns, amount);
            if let Verdict::Pass { arrival_ns } = verdict {
                *arrival = arrival_ns;
            }
            let standing = Standing {
                remaining: gcra.remaining(*arrival, now.mono_ns),
                reset_after_ns: gcra.reset_after_ns(*arrival, now.mono_ns),
                window: None,
            };
            match verdict {
                Verdict::Pass { .. } => (standing, None),
                Verdict::Refuse { retry_after_ns } => (standing, Some(retry_after_ns)),
            }
        }
        Measure::Quota(period) => {
            let window = period.window_at(now.wall_us);
            let wait_ns = (window.end_us - now.wall_us).unsigned_abs() * 1000;
            let used = cells.entry((rule.id, subject, window.start_us)).or_insert(0);
            let (left, passes) = counted(used, rule.amount, amount);
            let standing = Standing { remaining: left, reset_after_ns: wait_ns, window: Some(window) };
            (standing, (!passes).then_some(Some(wait_ns)))
        }
        Measure::Concurrency => {
            let used = cells.entry((rule.id, subject, 0)).or_insert(0);
            let (left, passes) = counted(used, rule.amount, amount);
            let standing = Standing { remaining: left, reset_after_ns: 0, window: None };
            (standing, (!passes).then_some(None))
        }
    }
}

fn counted(used: &mut u64, most: u64, amount: u64) -> (u64, bool) {
    let passes = *used + amount.max(1) <= most;
    if passes {
        *used += amount;
    }
    (most.saturating_sub(*used), passes)
}
