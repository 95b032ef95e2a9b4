//! Which upstream takes a request: the least loaded of those that are well.
//!
//! State of an upstream is shared by all lanes and outlives changes of its service's settings.
//! Health comes from two sides: checks of our own (active) and how real attempts went (passive).
//! Never are all upstreams out: when none is well, the one that has been out longest is tried.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use tollgate_core::{id::ServiceId, reach::Hold, webhook::Egress};

use crate::http::upstream::{Guard, Origin};

/// Failed attempts in a row after which an upstream is left out.
const FAILURES_MAX: u32 = 3;
/// How long it is left out at first; doubled at each further failure.
const OUT_NS: u64 = 1_000_000_000;
/// And at most this long.
const OUT_NS_MAX: u64 = 30_000_000_000;

/// The state of one upstream of one service.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    in_flight: AtomicU32,
    failures: AtomicU32,
    out_until_ns: AtomicU64,
    /// What the active checks say.
    down: AtomicBool,
    streak: AtomicU32,
    next_check_ns: AtomicU64,
}

impl Condition {
    /// Whether it takes requests.
    pub(crate) fn is_well(&self, now_ns: u64) -> bool {
        !self.down.load(Ordering::Relaxed) && now_ns >= self.out_until_ns.load(Ordering::Relaxed)
    }

    /// An attempt got an answer.
    pub(crate) fn succeeded(&self) {
        // Read first: in the common case nothing has to be written to a line that all lanes share.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.out_until_ns.store(0, Ordering::Relaxed);
        }
    }

    /// An attempt failed: no connection, no answer, or nonsense.
    pub(crate) fn failed(&self, now_ns: u64) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures >= FAILURES_MAX {
            let doublings = (failures - FAILURES_MAX).min(8);
            let out_ns = (OUT_NS << doublings).min(OUT_NS_MAX);
            self.out_until_ns.store(now_ns.saturating_add(out_ns), Ordering::Relaxed);
        }
    }

    /// Whether an active check is due; the caller that is told so has to make it.
    pub(crate) fn claim_check(&self, now_ns: u64, interval_ns: u64) -> bool {
        let due = self.next_check_ns.load(Ordering::Relaxed);
        now_ns >= due
            && self
                .next_check_ns
                .compare_exchange(
                    due,
                    now_ns.saturating_add(interval_ns),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Notes what an active check found. It takes `unhealthy_after` failures in a row to be down
    /// and `healthy_after` successes to be up again. Returns the new state when it changed.
    pub(crate) fn checked(&self, well: bool, unhealthy_after: u32, healthy_after: u32) -> Option<bool> {
        let down = self.down.load(Ordering::Relaxed);
        if well != down {
            // It confirms what is known.
            self.streak.store(0, Ordering::Relaxed);
            return None;
        }
        let streak = self.streak.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let needed = if down { healthy_after } else { unhealthy_after };
        if streak < needed.max(1) {
            return None;
        }
        self.streak.store(0, Ordering::Relaxed);
        self.down.store(!down, Ordering::Relaxed);
        if down {
            self.succeeded();
        }
        Some(down)
    }
}

/// One request in flight at an upstream; ends when dropped.
#[derive(Debug)]
pub(crate) struct Load(Arc<Condition>);

impl Load {
    /// Counts one request in.
    pub(crate) fn of(condition: &Arc<Condition>) -> Self {
        condition.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(condition.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Chooses among at most 32 upstreams (the bound of core). `tried` has a bit for each that has
/// failed this request already; it is taken again only when there is no other. `turn` spreads equal
/// loads. `None` when the list is empty.
pub(crate) fn choose(conditions: &[Arc<Condition>], tried: u32, turn: usize, now_ns: u64) -> Option<usize> {
    let length = conditions.len();
    if length <= 1 {
        return (length == 1).then_some(0);
    }
    // Ordered by what matters most: not tried before, well, little load; else longest out.
    (0..length).map(|offset| (turn.wrapping_add(offset)) % length).min_by_key(|index| {
        let was_tried = tried & (1 << (index % 32)) != 0;
        match conditions.get(*index) {
            None => (true, true, u64::MAX),
            Some(condition) if condition.is_well(now_ns) => {
                (was_tried, false, u64::from(condition.in_flight.load(Ordering::Relaxed)))
            }
            Some(condition) => (was_tried, true, condition.out_until_ns.load(Ordering::Relaxed)),
        }
    })
}

/// The conditions of all upstreams in use.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// As many entries as services have upstreams; the dead are swept when one is added.
    known: Mutex<HashMap<(ServiceId, String), Weak<Condition>>>,
    /// Where upstreams may be.
    egress: Arc<Egress>,
}

impl Registry {
    /// A registry of nothing yet.
    pub(crate) fn new(egress: Egress) -> Self {
        Self { egress: Arc::new(egress), ..Self::default() }
    }

    /// An origin that reaches so far.
    pub(crate) fn held(&self, origin: Origin, hold: Hold) -> Origin {
        origin.within(Guard { hold, egress: Arc::clone(&self.egress) })
    }

    /// The condition of a service's upstream; asked for once a lane when a service is compiled.
    pub(crate) fn condition(&self, service: ServiceId, upstream: &str) -> Arc<Condition> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (service, upstream.to_owned());
        if let Some(condition) = known.get(&key).and_then(Weak::upgrade) {
            return condition;
        }
        known.retain(|_, condition| condition.strong_count() > 0);
        let condition = Arc::new(Condition::default());
        known.insert(key, Arc::downgrade(&condition));
        condition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(count: usize) -> Vec<Arc<Condition>> {
        (0..count).map(|_| Arc::new(Condition::default())).collect()
    }

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let all = conditions(3);
        let _busy = [Load::of(&all[0]), Load::of(&all[0]), Load::of(&all[1])];
        assert_eq!(choose(&all, 0, 0, 0), Some(2));
        let idle = conditions(3);
        let chosen: Vec<_> = (0..4).map(|turn| choose(&idle, 0, turn, 0)).collect();
        assert_eq!(chosen, [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn one_that_failed_this_request_is_tried_again_only_when_there_is_no_other() {
        let all = conditions(2);
        assert_eq!(choose(&all, 0b01, 0, 0), Some(1));
        assert!(choose(&all, 0b11, 0, 0).is_some());
        assert_eq!(choose(&conditions(1), 0b1, 0, 0), Some(0));
        assert_eq!(choose(&[], 0, 0, 0), None);
    }

    #[test]
    fn failures_in_a_row_take_an_upstream_out_for_a_while_and_a_success_brings_it_back() {
        let all = conditions(2);
        for _ in 0..FAILURES_MAX {
            assert!(all[0].is_well(0));
            all[0].failed(0);
        }
        assert!(!all[0].is_well(OUT_NS - 1));
        assert_eq!(choose(&all, 0, 0, OUT_NS - 1), Some(1));
        assert!(all[0].is_well(OUT_NS));
        all[0].failed(OUT_NS);
        assert!(!all[0].is_well(OUT_NS + 1), "one more failure takes it out again at once");
        all[0].succeeded();
        assert!(all[0].is_well(OUT_NS + 1));
    }

    #[test]
    fn when_all_are_out_the_one_that_is_back_first_is_tried() {
        let all = conditions(2);
        for (index, at) in [(0, 500), (1, 0)] {
            for _ in 0..FAILURES_MAX {
                all[index].failed(at);
            }
        }
        assert_eq!(choose(&all, 0, 0, 600), Some(1));
    }

    #[test]
    fn active_checks_need_their_number_in_a_row_both_ways() {
        let condition = Condition::default();
        assert_eq!(condition.checked(false, 2, 2), None);
        assert_eq!(condition.checked(true, 2, 2), None);
        assert_eq!(condition.checked(false, 2, 2), None);
        assert_eq!(condition.checked(false, 2, 2), Some(false));
        assert!(!condition.is_well(0));
        assert_eq!(condition.checked(true, 2, 2), None);
        assert_eq!(condition.checked(true, 2, 2), Some(true));
        assert!(condition.is_well(0));
    }

    #[test]
    fn load_ends_when_the_request_does() {
        let all = conditions(1);
        drop(Load::of(&all[0]));
        assert_eq!(all[0].in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_condition_is_shared_while_it_is_in_use_and_forgotten_after() {
        let registry = Registry::default();
        let one = registry.condition(ServiceId(1), "http://a");
        assert!(Arc::ptr_eq(&one, &registry.condition(ServiceId(1), "http://a")));
        drop(one);
        let _other = registry.condition(ServiceId(1), "http://b");
        assert_eq!(registry.known.lock().unwrap().len(), 1);
    }
}
