//! The bound of cells, sweeping, seeding, and the turn of a period.

use tollgate_core::{
    counters::{Charge, Counters, Refund, Refusal, RuleId, Standings},
    period::Window,
};
use tollgate_counters::LocalCounters;

use crate::support::{HOUR_US, at, concurrency, quota, rate, take};

const MINUTE_NS: u64 = 60_000_000_000;

fn hour(number: i64) -> Window {
    Window { start_us: number * HOUR_US, end_us: (number + 1) * HOUR_US }
}

#[test]
fn at_the_bound_a_new_subject_is_refused_and_known_ones_go_on() {
    let counters = LocalCounters::new(3);
    let rule = rate(1, 100, 1_000);
    for subject in 0..3 {
        assert!(take(&counters, &[&rule], subject, 1, at(0, 0)).is_ok());
    }
    assert_eq!(take(&counters, &[&rule], 3, 1, at(0, 0)).err(), Some(Refusal::Full));
    assert_eq!(counters.seed(RuleId(9), 9, hour(0), 1), Err(Refusal::Full));
    assert!(take(&counters, &[&rule], 2, 1, at(0, 0)).is_ok());
    assert!(take(&counters, &[&rule], 3, 0, at(0, 0)).is_ok(), "asking needs no cell");
    assert_eq!(counters.cells(), 3);
    assert_eq!(counters.sweep(at(MINUTE_NS + 200_000, 0)), 3);
    assert!(take(&counters, &[&rule], 3, 1, at(MINUTE_NS + 200_000, 0)).is_ok());
    assert_eq!(counters.cells(), 1);
}

#[test]
fn a_sweep_drops_only_what_is_as_good_as_new() {
    let counters = LocalCounters::new(100);
    let (slow, used, running) = (rate(1, 1, 10 * MINUTE_NS), quota(2, 5), concurrency(3, 2));
    assert!(take(&counters, &[&slow, &used, &running], 7, 1, at(0, 0)).is_ok());
    assert_eq!(counters.sweep(at(MINUTE_NS * 9, HOUR_US - 1)), 0);
    assert_eq!(
        take(&counters, &[&slow], 7, 1, at(MINUTE_NS * 9, 0)).err(),
        Some(Refusal::Exhausted { index: 0, retry_after_ns: Some(MINUTE_NS) })
    );
    counters.release(running.id, 7);
    assert_eq!(counters.sweep(at(MINUTE_NS * 10, HOUR_US)), 1, "nothing in flight");
    assert_eq!(counters.sweep(at(MINUTE_NS * 11, HOUR_US)), 1, "the rate is full again, for a minute");
    assert_eq!(
        counters.sweep(at(MINUTE_NS * 11, HOUR_US + 60_000_000)),
        1,
        "the period is over, for a minute"
    );
    assert_eq!(counters.cells(), 0);
}

#[test]
fn a_seed_never_lowers_a_count_and_never_turns_a_period_back() {
    let counters = LocalCounters::new(100);
    let rule = quota(1, 100);
    let remaining = |wall_us| counters.peek(&rule, 5, at(0, wall_us)).remaining;
    counters.seed(rule.id, 5, hour(2), 30).unwrap();
    assert_eq!(remaining(2 * HOUR_US), 70);
    assert!(take(&counters, &[&rule], 5, 4, at(0, 2 * HOUR_US)).is_ok());
    counters.seed(rule.id, 5, hour(2), 33).unwrap();
    assert_eq!(remaining(2 * HOUR_US), 66, "34 were counted here");
    counters.seed(rule.id, 5, hour(2), 90).unwrap();
    assert_eq!(remaining(2 * HOUR_US), 10);
    counters.seed(rule.id, 5, hour(1), 1).unwrap();
    assert_eq!(remaining(2 * HOUR_US), 10);
    assert_eq!(remaining(3 * HOUR_US), 100);
    counters.seed(rule.id, 5, hour(3), 100).unwrap();
    assert_eq!(
        take(&counters, &[&rule], 5, 1, at(0, 3 * HOUR_US + 1)).err(),
        Some(Refusal::Exhausted { index: 0, retry_after_ns: Some(HOUR_US as u64 * 1_000 - 1_000) })
    );
}

#[test]
fn a_refund_never_gives_back_what_other_nodes_used() {
    let counters = LocalCounters::new(100);
    let (rule, now) = (quota(1, 1_000), at(0, 2 * HOUR_US));
    let refund =
        |used| counters.refund(&Refund { rule: &rule, subject: 5, taken: 1_000, used, at: now }, now);
    let remaining = || counters.peek(&rule, 5, now).remaining;
    assert!(take(&counters, &[&rule], 5, 1_000, now).is_ok());
    counters.seed(rule.id, 5, hour(2), 900).unwrap();
    assert_eq!(remaining(), 0);
    refund(10);
    assert_eq!(remaining(), 100, "900 are of others");
    refund(50);
    assert_eq!(remaining(), 100, "however often");
    counters.seed(rule.id, 5, hour(3), 1).unwrap();
    assert_eq!(counters.peek(&rule, 5, at(0, 3 * HOUR_US)).remaining, 999, "another period begins anew");
}

#[test]
fn a_request_a_moment_behind_the_turn_of_a_period_counts_in_the_new_one() {
    let counters = LocalCounters::new(100);
    let rule = quota(1, 3);
    let early = take(&counters, &[&rule], 5, 1, at(0, HOUR_US - 1)).unwrap();
    assert_eq!(early[0].window, Some(hour(0)));
    let turned = take(&counters, &[&rule], 5, 1, at(1, HOUR_US)).unwrap();
    assert_eq!((turned[0].window, turned[0].remaining), (Some(hour(1)), 2));
    // Another thread read its clock before the turn.
    let behind = take(&counters, &[&rule], 5, 1, at(0, HOUR_US - 1)).unwrap();
    assert_eq!((behind[0].window, behind[0].remaining), (Some(hour(1)), 1));
}

#[test]
fn an_edited_amount_keeps_the_count() {
    let counters = LocalCounters::new(100);
    for _ in 0..3 {
        assert!(take(&counters, &[&quota(1, 10)], 5, 1, at(0, 0)).is_ok());
    }
    assert_eq!(counters.peek(&quota(1, 4), 5, at(0, 0)).remaining, 1);
    assert_eq!(counters.peek(&quota(1, 2), 5, at(0, 0)).remaining, 0);
    assert!(take(&counters, &[&quota(1, 3)], 5, 1, at(0, 0)).is_err());
}

#[test]
fn what_is_larger_than_the_limit_is_told_that_waiting_does_not_help() {
    let counters = LocalCounters::new(100);
    for rule in [rate(1, 5, 1_000), quota(2, 5)] {
        let refusal = take(&counters, &[&rule], 5, 6, at(0, 0)).err();
        assert_eq!(refusal, Some(Refusal::Exhausted { index: 0, retry_after_ns: None }));
        assert_eq!(counters.peek(&rule, 5, at(0, 0)).remaining, 5);
    }
}

#[test]
fn one_rule_charged_twice_by_one_request_counts_twice() {
    let counters = LocalCounters::new(100);
    let rule = rate(1, 3, 1_000);
    let charge = Charge { rule: &rule, subject: 5, amount: 1 };
    let mut standings = Standings::new();
    assert_eq!(counters.take(&[charge, charge], at(0, 0), &mut standings), Ok(()));
    assert_eq!(standings[1].remaining, 1);
    let refusal = counters.take(&[charge, charge], at(0, 0), &mut standings);
    assert_eq!(refusal.err(), Some(Refusal::Exhausted { index: 1, retry_after_ns: Some(1_000) }));
    assert_eq!(counters.peek(&rule, 5, at(0, 0)).remaining, 1);
}

#[test]
fn giving_back_what_was_never_taken_lets_nobody_more_in() {
    let counters = LocalCounters::new(100);
    let rule = concurrency(1, 2);
    counters.release(rule.id, 5);
    assert!(take(&counters, &[&rule], 5, 1, at(0, 0)).is_ok());
    assert!(take(&counters, &[&rule], 5, 1, at(0, 0)).is_ok());
    let refusal = take(&counters, &[&rule], 5, 1, at(0, 0)).err();
    assert_eq!(refusal, Some(Refusal::Exhausted { index: 0, retry_after_ns: None }));
    (0..9).for_each(|_| counters.release(rule.id, 5));
    assert_eq!(counters.peek(&rule, 5, at(0, 0)).remaining, 2);
}
