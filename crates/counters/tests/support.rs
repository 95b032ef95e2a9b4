//! Rules and moments.

use tollgate_core::{
    counters::{Charge, Counters, Measure, Refusal, Rule, RuleId, Standings},
    limits::Gcra,
    period::{Period, PeriodUnit},
    resource::{Per, Unit},
    time::{Now, Span},
};
use tollgate_counters::LocalCounters;

/// An hour that begins at 0 in UTC.
pub(crate) const HOUR_US: i64 = 3_600_000_000;

pub(crate) fn rule(id: u64, amount: u64, measure: Measure) -> Rule {
    Rule {
        id: RuleId(id),
        name: format!("rule-{id}").into(),
        unit: Unit::Requests,
        per: Per::Key,
        amount,
        measure,
    }
}

/// A rate of `burst` at once and one more every `interval_ns`.
pub(crate) fn rate(id: u64, burst: u64, interval_ns: u64) -> Rule {
    rule(
        id,
        burst,
        Measure::Rate { gcra: Gcra { interval_ns, burst }, window: Span::from_secs(1), shared: None },
    )
}

pub(crate) fn quota(id: u64, amount: u64) -> Rule {
    let Ok(period) = Period::new(PeriodUnit::Hour, "UTC") else { panic!("UTC is a zone") };
    rule(id, amount, Measure::Quota(period))
}

pub(crate) fn concurrency(id: u64, amount: u64) -> Rule {
    rule(id, amount, Measure::Concurrency)
}

pub(crate) fn at(mono_ns: u64, wall_us: i64) -> Now {
    Now { wall_us, mono_ns }
}

/// Takes `amount` of each rule for one subject.
pub(crate) fn take(
    counters: &LocalCounters,
    rules: &[&Rule],
    subject: u64,
    amount: u32,
    now: Now,
) -> Result<Standings, Refusal> {
    let charges: Vec<_> = rules.iter().map(|rule| Charge { rule, subject, amount }).collect();
    let mut standings = Standings::new();
    counters.take(&charges, now, &mut standings).map(|()| standings)
}
