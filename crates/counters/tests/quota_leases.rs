//! Quotas of which this process may use only what was set aside for it.

use proptest::{collection::vec, prelude::*};
use tollgate_core::{
    counters::{Charge, Counters as _, Lack, Refund, Refusal, RuleId},
    period::Window,
};
use tollgate_counters::{LocalCounters, Part, Quotas};

use crate::support::{HOUR_US, at, quota, rate, take};

const AMOUNT: u64 = 100;
const HOUR: Window = Window { start_us: 0, end_us: HOUR_US };

fn leased() -> LocalCounters {
    LocalCounters::new(100).with_quotas(Quotas::Leased)
}

fn part(given: u64, rest: u64, ask_from_ns: u64) -> Part {
    Part { amount: AMOUNT, given, rest, ask_from_ns, is_elsewhere: false }
}

/// I22: what is not known is not admitted; what is leased is, and no more.
#[test]
fn nothing_passes_before_it_is_leased() {
    let (counters, rule) = (leased(), quota(1, AMOUNT));
    let short = Some(Refusal::Short { index: 0 });
    for amount in [0, 1, 5] {
        assert_eq!(take(&counters, &[&rule], 3, amount, at(0, 0)).err(), short);
    }
    assert_eq!(counters.cells(), 1, "asking makes no cell");
    let charge = Charge { rule: &rule, subject: 3, amount: 5 };
    assert_eq!(counters.lack(&charge, at(0, 0)), Some(Lack { window: HOUR, amount: 5 }));
    assert!(counters.grant(RuleId(1), 3, HOUR, &part(7, 20, 0)));
    assert_eq!(counters.lack(&charge, at(0, 0)), None);
    let standings = take(&counters, &[&rule], 3, 5, at(0, 0)).unwrap();
    assert_eq!((standings[0].remaining, standings[0].window), (22, Some(HOUR)));
    assert_eq!(take(&counters, &[&rule], 3, 5, at(0, 0)).err(), short);
    assert_eq!(counters.lack(&charge, at(0, 0)), Some(Lack { window: HOUR, amount: 3 }));
    assert!(take(&counters, &[&rule], 3, 0, at(0, 0)).is_ok(), "one more would pass");
    // Nothing is left: it is exhausted, and asked for again later.
    assert!(counters.grant(RuleId(1), 3, HOUR, &part(0, 0, 1_000)));
    let refusal = take(&counters, &[&rule], 3, 5, at(0, 0)).err();
    let until_ns = HOUR_US as u64 * 1_000;
    assert_eq!(refusal, Some(Refusal::Exhausted { index: 0, retry_after_ns: Some(until_ns) }));
    assert!(take(&counters, &[&rule], 3, 2, at(0, 0)).is_ok(), "what is here can be used");
    let elsewhere = Part { is_elsewhere: true, ..part(0, 0, 1_000) };
    assert!(counters.grant(RuleId(1), 3, HOUR, &elsewhere));
    let refusal = take(&counters, &[&rule], 3, 1, at(400, 0)).err();
    assert_eq!(refusal, Some(Refusal::Exhausted { index: 0, retry_after_ns: Some(600) }));
    assert_eq!(take(&counters, &[&rule], 3, 1, at(1_000, 0)).err(), short);
    let too_large = take(&counters, &[&rule], 3, 101, at(1_000, 0)).err();
    assert_eq!(too_large, Some(Refusal::Exhausted { index: 0, retry_after_ns: None }), "never");
}

#[test]
fn a_limit_that_refuses_is_not_worth_a_lease() {
    let (counters, quota, rate) = (leased(), quota(1, AMOUNT), rate(2, 1, 1_000));
    assert_eq!(take(&counters, &[&quota, &rate], 3, 1, at(0, 0)).err(), Some(Refusal::Short { index: 0 }));
    assert!(take(&counters, &[&rate], 3, 1, at(0, 0)).is_ok());
    let refusal = take(&counters, &[&quota, &rate], 3, 1, at(0, 0)).err();
    assert_eq!(refusal, Some(Refusal::Exhausted { index: 1, retry_after_ns: Some(1_000) }));
}

#[test]
fn another_amount_and_another_period_are_asked_for_anew() {
    let (counters, rule, other) = (leased(), quota(1, AMOUNT), quota(1, 50));
    assert!(counters.grant(RuleId(1), 3, HOUR, &part(10, 0, 0)));
    assert_eq!(take(&counters, &[&other], 3, 1, at(0, 0)).err(), Some(Refusal::Short { index: 0 }));
    let charge = Charge { rule: &other, subject: 3, amount: 1 };
    assert_eq!(counters.lack(&charge, at(0, 0)).map(|lack| lack.amount), Some(1));
    assert_eq!(counters.take_back(RuleId(1), 3, HOUR), 10);
    assert_eq!(take(&counters, &[&rule], 3, 1, at(0, 0)).err(), Some(Refusal::Short { index: 0 }));
    assert!(counters.grant(RuleId(1), 3, HOUR, &part(10, 0, 0)));
    assert_eq!(take(&counters, &[&rule], 3, 1, at(0, HOUR_US)).err(), Some(Refusal::Short { index: 0 }));
    let next = Window { start_us: HOUR_US, end_us: 2 * HOUR_US };
    assert!(counters.grant(RuleId(1), 3, next, &part(1, 0, 0)));
    assert!(!counters.grant(RuleId(1), 3, HOUR, &part(1, 0, 0)), "that period is over");
    assert!(take(&counters, &[&rule], 3, 1, at(0, HOUR_US)).is_ok());
    assert_eq!(counters.free(RuleId(1), 3, HOUR), 0);
}

#[test]
fn a_cell_is_dropped_when_nothing_is_here() {
    let (counters, rule) = (leased(), quota(1, AMOUNT));
    assert!(counters.grant(RuleId(1), 3, HOUR, &part(10, 0, 0)));
    let minute = 60_000_000_000;
    assert_eq!(counters.sweep(at(2 * minute, 1)), 0, "some is free");
    take(&counters, &[&rule], 3, 10, at(0, 0)).unwrap();
    assert_eq!(counters.sweep(at(2 * minute, 1)), 1);
    // What comes back later was set aside for this process still.
    let refund = Refund { rule: &rule, subject: 3, taken: 10, used: 4, at: at(0, 0) };
    counters.refund(&refund, at(2 * minute, 1));
    assert_eq!(counters.free(RuleId(1), 3, HOUR), 6);
    // What a service reports the database counts, and what is here was set aside for this process.
    counters.refund(&Refund { taken: 0, used: 5, ..refund }, at(2 * minute, 1));
    assert_eq!(counters.free(RuleId(1), 3, HOUR), 6);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take(u32),
    Grant(u64),
    TakeBack,
    Refund { taken: u32, used: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..20).prop_map(Step::Take),
        2 => (0u64..30).prop_map(Step::Grant),
        1 => Just(Step::TakeBack),
        1 => (1u32..20, 0u64..30).prop_map(|(taken, used)| Step::Refund { taken, used }),
    ]
}

proptest! {
    /// What was granted is what was taken, what is free, and what was taken back; nothing passes otherwise.
    #[test]
    fn what_is_granted_is_taken_free_or_taken_back(steps in vec(step(), 1..60)) {
        let (counters, rule) = (leased(), quota(1, AMOUNT));
        let (mut free, mut is_known) = (0i64, false);
        for step in steps {
            match step {
                Step::Take(amount) => {
                    let passes = take(&counters, &[&rule], 3, amount, at(0, 0)).is_ok();
                    prop_assert_eq!(passes, is_known && i64::from(amount) <= free);
                    free -= if passes { i64::from(amount) } else { 0 };
                }
                Step::Grant(given) => {
                    prop_assert!(counters.grant(RuleId(1), 3, HOUR, &part(given, 0, u64::MAX)));
                    (free, is_known) = (free + given as i64, true);
                }
                Step::TakeBack => {
                    prop_assert_eq!(counters.take_back(RuleId(1), 3, HOUR) as i64, free.max(0));
                    (free, is_known) = (free.min(0), false);
                }
                Step::Refund { taken, used } => {
                    counters.refund(&Refund { rule: &rule, subject: 3, taken, used, at: at(0, 0) }, at(0, 0));
                    free += i64::from(taken) - used as i64;
                }
            }
            prop_assert_eq!(counters.free(RuleId(1), 3, HOUR) as i64, free.max(0));
        }
    }
}

/// I22: threads that take while others grant and take back never get more than was granted.
#[test]
fn threads_never_use_more_than_was_granted() {
    let (counters, rule) = (leased(), quota(1, 1_000_000));
    let part = |given| Part { amount: 1_000_000, given, rest: 0, ask_from_ns: 0, is_elsewhere: false };
    let (granted, taken) = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    (0..20_000).filter(|_| take(&counters, &[&rule], 3, 1, at(0, 0)).is_ok()).count()
                })
            })
            .collect();
        let mut granted = 0u64;
        for round in 0..2_000u64 {
            assert!(counters.grant(RuleId(1), 3, HOUR, &part(7)));
            granted += 7;
            if round % 5 == 0 {
                granted -= counters.take_back(RuleId(1), 3, HOUR);
            }
        }
        let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        (granted, taken as u64)
    });
    assert_eq!(granted, taken + counters.free(RuleId(1), 3, HOUR));
}
