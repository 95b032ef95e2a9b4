//! Every answer equals that of a model which is too simple to be wrong: token buckets in wide
//! integers (the dual of GCRA), a map of periods, a number in flight.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use tollgate_core::{
    counters::{Charge, Counters, Measure, Refusal, Rule, Standings},
    time::Now,
};
use tollgate_counters::LocalCounters;

use crate::support::{HOUR_US, at, concurrency, quota, rate};

#[derive(Default)]
struct Model {
    /// Nanoseconds of credit and when that was.
    buckets: HashMap<(u64, u64), (i128, i128)>,
    used: HashMap<(u64, u64, i64), u64>,
    in_flight: HashMap<(u64, u64), u64>,
}

impl Model {
    /// Whether the charge passes now; takes it if so.
    fn take(&mut self, charge: &Charge<'_>, now: Now) -> bool {
        let key = (charge.rule.id.0, charge.subject);
        let (asked, taken) = (u64::from(charge.amount.max(1)), u64::from(charge.amount));
        match &charge.rule.measure {
            Measure::Rate { gcra, .. } => {
                let full = i128::from(gcra.interval_ns) * i128::from(gcra.burst);
                let time = i128::from(now.mono_ns);
                let (credit, then) = self.buckets.get(&key).copied().unwrap_or((full, time));
                let credit = full.min(credit + time - then);
                let passes = credit >= i128::from(asked) * i128::from(gcra.interval_ns);
                let spent = if passes { i128::from(taken) * i128::from(gcra.interval_ns) } else { 0 };
                self.buckets.insert(key, (credit - spent, time));
                passes
            }
            Measure::Quota(_) => {
                let used = self.used.entry((key.0, key.1, now.wall_us.div_euclid(HOUR_US))).or_default();
                let passes = *used + asked <= charge.rule.amount;
                *used += if passes { taken } else { 0 };
                passes
            }
            Measure::Concurrency => {
                let count = self.in_flight.entry(key).or_default();
                let passes = *count < charge.rule.amount;
                *count += u64::from(passes && taken > 0);
                passes
            }
        }
    }

    fn remaining(&self, rule: &Rule, subject: u64, now: Now) -> u64 {
        let key = (rule.id.0, subject);
        match &rule.measure {
            Measure::Rate { gcra, .. } => {
                let full = i128::from(gcra.interval_ns) * i128::from(gcra.burst);
                let (credit, then) = self.buckets.get(&key).copied().unwrap_or((full, 0));
                let credit = full.min(credit + i128::from(now.mono_ns) - then);
                u64::try_from(credit / i128::from(gcra.interval_ns)).unwrap()
            }
            Measure::Quota(_) => {
                let used = self.used.get(&(key.0, key.1, now.wall_us.div_euclid(HOUR_US)));
                rule.amount - used.copied().unwrap_or(0)
            }
            Measure::Concurrency => rule.amount - self.in_flight.get(&key).copied().unwrap_or(0),
        }
    }

    fn copy(&self) -> Self {
        Self { buckets: self.buckets.clone(), used: self.used.clone(), in_flight: self.in_flight.clone() }
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in nanoseconds.
    Wait(u64),
    /// A request: which rules (bits), subject, amount.
    Request(u8, u64, u32),
    /// A request ended: give a unit of concurrency back.
    Release(u64),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u64..4_000).prop_map(Step::Wait),
        1 => (0u64..2_000_000_000_000).prop_map(Step::Wait),
        20 => (1u8..32, 0u64..3, 0u32..4).prop_map(|(rules, subject, amount)| Step::Request(rules, subject, amount)),
        6 => (0u64..3).prop_map(Step::Release),
        1 => Just(Step::Sweep),
    ];
    vec(step, 1..200)
}

fn rules() -> [Rule; 5] {
    [concurrency(1, 3), rate(2, 5, 700), rate(3, 1, 1_000), quota(4, 12), quota(5, 40)]
}

/// Runs one request on both and compares everything that can be seen.
fn request(
    counters: &LocalCounters,
    model: &mut Model,
    charges: &[Charge<'_>],
    now: Now,
) -> Result<(), TestCaseError> {
    let mut tried = model.copy();
    let refused = charges.iter().position(|charge| !tried.take(charge, now));
    let mut standings = Standings::new();
    let outcome = counters.take(charges, now, &mut standings);
    match (refused, outcome) {
        (None, Ok(())) => {
            *model = tried;
            prop_assert_eq!(standings.len(), charges.len());
        }
        (Some(expected), Err(Refusal::Exhausted { index, retry_after_ns })) => {
            prop_assert_eq!(index, expected);
            prop_assert_eq!(standings.len(), index + 1);
            check_retry(model, &charges[index], retry_after_ns, now)?;
        }
        (expected, outcome) => prop_assert!(false, "expected {expected:?}, got {outcome:?}"),
    }
    for (charge, standing) in charges.iter().zip(&standings) {
        prop_assert_eq!(standing.remaining, model.remaining(charge.rule, charge.subject, now));
        prop_assert_eq!(counters.peek(charge.rule, charge.subject, now), *standing);
    }
    Ok(())
}

/// The time to wait is exact: then it passes, a nanosecond earlier it does not.
fn check_retry(
    model: &Model,
    charge: &Charge<'_>,
    retry_after_ns: Option<u64>,
    now: Now,
) -> Result<(), TestCaseError> {
    let passes_after = |wait_ns: u64| {
        let wait_us = i64::try_from(wait_ns / 1_000).unwrap();
        model.copy().take(charge, at(now.mono_ns + wait_ns, now.wall_us + wait_us))
    };
    match (&charge.rule.measure, retry_after_ns) {
        (Measure::Concurrency, wait) => prop_assert_eq!(wait, None),
        (_, Some(wait_ns)) => {
            prop_assert!(passes_after(wait_ns));
            prop_assert!(!passes_after(wait_ns - 1));
        }
        (_, None) => prop_assert!(u64::from(charge.amount.max(1)) > charge.rule.amount),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn counters_answer_as_the_model_does(steps in steps()) {
        let rules = rules();
        let counters = LocalCounters::new(1_000);
        let mut model = Model::default();
        let mut now = at(1_000_000, 5 * HOUR_US);
        for step in steps {
            match step {
                Step::Wait(nanos) => {
                    now = at(now.mono_ns + nanos, now.wall_us + i64::try_from(nanos / 1_000).unwrap());
                }
                Step::Request(bits, subject, amount) => {
                    let asked = rules.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
                    let charges: Vec<_> = asked.map(|(_, rule)| Charge { rule, subject, amount }).collect();
                    request(&counters, &mut model, &charges, now)?;
                }
                Step::Release(subject) => {
                    counters.release(rules[0].id, subject);
                    let count = model.in_flight.entry((1, subject)).or_default();
                    *count = count.saturating_sub(1);
                }
                Step::Sweep => {
                    counters.sweep(now);
                }
            }
        }
    }
}
