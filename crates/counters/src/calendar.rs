//! The present window of a quota, worked out at most once a second for each rule and thread.
//!
//! Asking the calendar costs up to 0.7 µs where clocks change with the season; the answer is the
//! same for hours. It is kept by thread, so that remembering it costs no other core anything.

use std::cell::RefCell;

use tollgate_core::{
    counters::{Measure, Rule},
    period::{PeriodUnit, Window},
    time::Now,
};

/// How long an answer is believed. When a policy is edited, its rules keep their names; a change
/// of a quota's time zone is seen after this time at the latest.
const BELIEVED_NS: u64 = 1_000_000_000;
/// Answers remembered by each thread; a rule that finds its place taken asks the calendar.
const PLACES: usize = 256;

/// One answer, and all that it depends on.
#[derive(Clone, Copy)]
struct Answer {
    rule: u64,
    /// Where the rule lies: an edited policy is another one in memory, nearly always.
    address: usize,
    unit: PeriodUnit,
    asked_ns: u64,
    window: Window,
}

thread_local! {
    static ANSWERS: RefCell<Vec<Option<Answer>>> = const { RefCell::new(Vec::new()) };
}

/// The window of a rule at `now`; one that never ends for rules without periods.
pub(crate) fn window(rule: &Rule, now: Now) -> Window {
    let Measure::Quota(period) = &rule.measure else {
        return Window { start_us: i64::MIN, end_us: i64::MAX };
    };
    let place = rule.id.0 as usize % PLACES;
    let address = std::ptr::from_ref(rule).addr();
    ANSWERS.with_borrow_mut(|answers| {
        if answers.is_empty() {
            answers.resize(PLACES, None);
        }
        let Some(remembered) = answers.get_mut(place) else {
            return period.window_at(now.wall_us);
        };
        if let Some(answer) = remembered
            && (answer.rule, answer.address, answer.unit) == (rule.id.0, address, period.unit())
            && (answer.window.start_us..answer.window.end_us).contains(&now.wall_us)
            && now.mono_ns.checked_sub(answer.asked_ns).is_some_and(|age| age < BELIEVED_NS)
        {
            return answer.window;
        }
        let window = period.window_at(now.wall_us);
        let answer = Answer { rule: rule.id.0, address, unit: period.unit(), asked_ns: now.mono_ns, window };
        *remembered = Some(answer);
        window
    })
}
