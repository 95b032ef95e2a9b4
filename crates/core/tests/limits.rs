//! GCRA: the bound of I22, and the arithmetic against a model with one bucket of credit.

use proptest::prelude::*;
use tollgate_core::limits::{Gcra, Verdict};

/// A bucket that fills by one nanosecond of credit a nanosecond.
struct Bucket {
    credit_ns: u128,
    at_ns: u64,
}

impl Bucket {
    fn take(&mut self, gcra: Gcra, now_ns: u64, amount: u64) -> bool {
        let full = u128::from(gcra.interval_ns) * u128::from(gcra.burst);
        self.credit_ns = full.min(self.credit_ns + u128::from(now_ns - self.at_ns));
        self.at_ns = now_ns;
        let price = u128::from(gcra.interval_ns) * u128::from(amount);
        let passes = price <= self.credit_ns;
        if passes {
            self.credit_ns -= price;
        }
        passes
    }
}

fn any_limit() -> impl Strategy<Value = (u64, u64, u64)> {
    (1u64..200, prop_oneof![Just(1_000_000u64), Just(1_000_000_007), Just(60_000_000_000)], 1u64..200)
}

/// Steps of time and amounts, around the pace of the limit.
fn any_load() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![Just(0), 0u64..10_000_000, 0u64..2_000_000_000];
    prop::collection::vec((step, 1u64..8), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_span_of_time_sees_more_than_burst_and_rate(
        (amount, window_ns, burst) in any_limit(),
        load in any_load(),
    ) {
        let gcra = Gcra::new(amount, window_ns, burst);
        let (mut now, mut arrival) = (1_000_000_000u64, 0u64);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (step, units) in load {
            now += step;
            if let Verdict::Pass { arrival_ns } = gcra.check(arrival, now, units) {
                arrival = arrival_ns;
                passed.push((now, units));
            }
        }
        for (index, (from, _)) in passed.iter().enumerate() {
            let mut sum = 0u128;
            for (to, units) in &passed[index..] {
                sum += u128::from(*units);
                let rate = u128::from(to - from) * u128::from(amount) / u128::from(window_ns);
                prop_assert!(sum <= u128::from(burst) + rate, "{} units in {} ns", sum, to - from);
            }
        }
    }

    #[test]
    fn every_verdict_is_that_of_the_model((amount, window_ns, burst) in any_limit(), load in any_load()) {
        let gcra = Gcra::new(amount, window_ns, burst);
        let start = 1_000_000_000u64;
        let full = u128::from(gcra.interval_ns) * u128::from(gcra.burst);
        let mut bucket = Bucket { credit_ns: full, at_ns: start };
        let (mut now, mut arrival) = (start, 0u64);
        for (step, units) in load {
            now += step;
            let verdict = gcra.check(arrival, now, units);
            let left = gcra.remaining(arrival, now);
            let expected = bucket.take(gcra, now, units);
            match verdict {
                Verdict::Pass { arrival_ns } => {
                    prop_assert!(expected);
                    prop_assert!(units <= left);
                    arrival = arrival_ns;
                }
                Verdict::Refuse { retry_after_ns } => {
                    prop_assert!(!expected);
                    prop_assert!(units > left);
                    prop_assert_eq!(retry_after_ns.is_none(), units > burst);
                    if let Some(wait) = retry_after_ns {
                        // Exact: not a nanosecond earlier.
                        let passes =
                            |at| matches!(gcra.check(arrival, at, units), Verdict::Pass { .. });
                        prop_assert!(passes(now + wait));
                        prop_assert!(!passes(now + wait - 1));
                    }
                }
            }
            prop_assert_eq!(u128::from(gcra.remaining(arrival, now)), bucket.credit_ns / u128::from(gcra.interval_ns));
        }
    }

    #[test]
    fn asking_takes_nothing((amount, window_ns, burst) in any_limit(), arrival: u32, now: u32) {
        let gcra = Gcra::new(amount, window_ns, burst);
        let (arrival, now) = (u64::from(arrival), u64::from(now));
        match gcra.check(arrival, now, 0) {
            Verdict::Pass { arrival_ns } => {
                prop_assert_eq!(arrival_ns, arrival);
                prop_assert!(gcra.remaining(arrival, now) >= 1);
            }
            Verdict::Refuse { .. } => prop_assert_eq!(gcra.remaining(arrival, now), 0),
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again((amount, window_ns, burst) in any_limit(), units in 1u64..50) {
        let gcra = Gcra::new(amount, window_ns, burst);
        let now = 1_000_000_000;
        if let Verdict::Pass { arrival_ns } = gcra.check(0, now, units) {
            let back = gcra.give_back(arrival_ns, units);
            prop_assert_eq!(gcra.remaining(back, now), burst);
        }
    }

    #[test]
    fn sound_constants_never_wrap(amount: u64, window_ns: u64, burst: u64, arrival: u64, now in 0u64..1 << 62) {
        let gcra = Gcra::new(amount, window_ns, burst);
        if gcra.is_sound() {
            // More than the burst at once never passes, however large the numbers are.
            let more = burst.max(1).saturating_add(1);
            let passes = matches!(gcra.check(arrival, now, more), Verdict::Pass { .. });
            prop_assert!(!passes);
        }
    }

    /// I22 with amounts that are known late: a limit that took more and gave the rest back never passes a
    /// request that it had not passed had it known the amounts from the beginning.
    #[test]
    fn what_was_not_used_is_given_back_without_breaking_the_bound(
        steps in prop::collection::vec((0u64..4_000_000_000, 1u64..60, 0u64..60, 0u64..20_000_000_000), 1..60),
    ) {
        // 60 units a minute, one a second.
        let gcra = Gcra::new(60, 60_000_000_000, 60);
        let mut now = 1_000_000_000_000;
        let (mut arrival, mut truth) = (0, 0);
        let mut open: Vec<(u64, u64, u64, u64)> = Vec::new();
        for (step, taken, used, lasts) in steps {
            now += step;
            let (done, still): (Vec<_>, Vec<_>) = open.into_iter().partition(|call| call.3 <= now);
            open = still;
            for (taken, used, at, _) in done {
                arrival = gcra.correct(arrival, (taken, used), now - at, now);
            }
            let used = used.min(taken);
            if let Verdict::Pass { arrival_ns } = gcra.check(arrival, now, taken) {
                arrival = arrival_ns;
                if used > 0 {
                    let Verdict::Pass { arrival_ns } = gcra.check(truth, now, used) else {
                        panic!("passed what the bound refuses");
                    };
                    truth = arrival_ns;
                }
                open.push((taken, used, now, now + lasts));
            }
        }
    }

    #[test]
    fn what_was_used_beyond_what_was_taken_counts((amount, window_ns, burst) in any_limit(), more in 1u64..100) {
        let gcra = Gcra::new(amount, window_ns, burst);
        let now = 1_000_000_000;
        let after = gcra.correct(now, (1, 1 + more), 0, now);
        prop_assert_eq!(after, now + gcra.interval_ns * more);
    }
}
