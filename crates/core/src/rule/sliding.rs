//! Sums over the last so-and-so long, in little room.
//!
//! A window is cut into [`STEPS`] steps. The step that is partly over counts in proportion to what of
//! it is still inside, rounded down: what is counted is at most what was, and less by at most the
//! traffic of one step. Records may come late or out of order; what is older than the window is left
//! out.

use std::collections::HashMap;

/// Steps of a window.
pub const STEPS: usize = 60;

/// A sum over a sliding window.
#[derive(Clone, Debug)]
pub struct SlidingSum {
    step_us: i64,
    /// The number of the newest step; step `n` lies at `n % (STEPS + 1)`.
    newest: i64,
    steps: Box<[u64; STEPS + 1]>,
}

impl SlidingSum {
    /// An empty window of this length, at least [`STEPS`] microseconds.
    #[must_use]
    pub fn new(window_us: i64) -> Self {
        Self { step_us: (window_us / STEPS as i64).max(1), newest: i64::MIN, steps: Box::new([0; STEPS + 1]) }
    }

    /// Adds an amount at a moment.
    pub fn add(&mut self, at_us: i64, amount: u64) {
        let step = at_us.div_euclid(self.step_us);
        self.advance(step);
        if step > self.newest.saturating_sub(STEPS as i64 + 1) {
            let place = &mut self.steps[Self::place(step)];
            *place = place.saturating_add(amount);
        }
    }

    /// The sum over the window that ends at this moment, or at the newest one that was added.
    #[must_use]
    pub fn sum(&self, at_us: i64) -> u64 {
        let now = at_us.div_euclid(self.step_us).max(self.newest);
        let at_us = at_us.max(self.newest.saturating_mul(self.step_us));
        let first = now.saturating_sub(STEPS as i64);
        let mut sum: u64 = 0;
        for step in first.max(self.newest.saturating_sub(STEPS as i64))..=self.newest {
            let value = self.steps[Self::place(step)];
            // Of the oldest step only what is not over yet.
            let inside = if step == first {
                let left_us = self.step_us - 1 - at_us.rem_euclid(self.step_us);
                let part =
                    u128::from(value) * left_us.unsigned_abs() as u128 / self.step_us.unsigned_abs() as u128;
                part as u64
            } else {
                value
            };
            sum = sum.saturating_add(inside);
        }
        sum
    }

    /// Whether nothing that was added is in the window any more.
    #[must_use]
    pub fn is_over(&self, at_us: i64) -> bool {
        at_us.div_euclid(self.step_us) > self.newest.saturating_add(STEPS as i64)
    }

    fn advance(&mut self, step: i64) {
        if step <= self.newest {
            return;
        }
        let fresh = step.saturating_sub(self.newest).min(STEPS as i64 + 1);
        for passed in 0..fresh {
            self.steps[Self::place(step - passed)] = 0;
        }
        self.newest = step;
    }

    fn place(step: i64) -> usize {
        step.rem_euclid(STEPS as i64 + 1) as usize
    }
}

/// How many different things there were in a sliding window, exact up to a bound.
#[derive(Clone, Debug)]
pub struct SlidingSet {
    /// When each was last seen.
    seen: HashMap<u128, i64>,
    /// None of them was last seen before this moment.
    oldest_us: i64,
}

impl Default for SlidingSet {
    fn default() -> Self {
        Self { seen: HashMap::new(), oldest_us: i64::MAX }
    }
}

impl SlidingSet {
    /// Notes that a thing was there. Once more than `most` are held, a new one is not: the count is above `most` then,
    /// which is all that matters.
    pub fn add(&mut self, thing: u128, at_us: i64, most: usize) {
        if let Some(last) = self.seen.get_mut(&thing) {
            *last = (*last).max(at_us);
        } else if self.seen.len() <= most {
            self.seen.insert(thing, at_us);
            self.oldest_us = self.oldest_us.min(at_us);
        }
    }

    /// Forgets what is not in the window that ends at this moment. It looks through all of them only when the oldest
    /// may be over.
    pub fn forget(&mut self, at_us: i64, window_us: i64) {
        let from_us = at_us.saturating_sub(window_us);
        if self.oldest_us > from_us {
            return;
        }
        self.seen.retain(|_, last| *last > from_us);
        self.oldest_us = self.seen.values().copied().min().unwrap_or(i64::MAX);
        if self.seen.capacity() > 64 + 4 * self.seen.len() {
            self.seen.shrink_to(2 * self.seen.len());
        }
    }

    /// Whether a thing is held.
    #[must_use]
    pub fn has(&self, thing: u128) -> bool {
        self.seen.contains_key(&thing)
    }

    /// How many are held: after [`SlidingSet::forget`] those of the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the list of all that was added: never more, and less by no more than one step holds.
        #[test]
        fn the_sum_is_at_most_what_was_and_short_by_at_most_a_step(
            window_us in 60i64..1_000_000,
            steps in prop::collection::vec((0i64..50_000, 0u64..10), 1..200),
        ) {
            let step_us = (window_us / STEPS as i64).max(1);
            let length_us = step_us * STEPS as i64;
            let mut sliding = SlidingSum::new(window_us);
            let (mut all, mut now) = (Vec::new(), 1_700_000_000_000_000i64);
            for (later, amount) in steps {
                now += later;
                sliding.add(now, amount);
                all.push((now, amount));
                let within = |from: i64| -> u64 {
                    all.iter().filter(|(at, _)| *at > from).map(|(_, amount)| amount).sum()
                };
                let counted = sliding.sum(now);
                prop_assert!(counted <= within(now - length_us - step_us));
                prop_assert!(counted >= within(now - length_us + step_us), "{counted}");
            }
            prop_assert_eq!(sliding.sum(now + length_us + step_us), 0);
            prop_assert!(sliding.is_over(now + length_us + step_us));
        }

        #[test]
        fn order_within_the_window_does_not_matter(
            mut moments in prop::collection::vec(0i64..59_000, 1..50),
        ) {
            let end = 1_000_059_999;
            let count = |moments: &[i64]| {
                let mut sliding = SlidingSum::new(60_000);
                moments.iter().for_each(|moment| sliding.add(1_000_000_000 + moment, 1));
                sliding.sum(end)
            };
            let forwards = count(&moments);
            moments.reverse();
            prop_assert_eq!(count(&moments), forwards);
        }
    }

    #[test]
    fn what_comes_too_late_is_left_out() {
        let mut sliding = SlidingSum::new(60_000_000);
        sliding.add(600_000_000, 1);
        sliding.add(500_000_000, 5);
        assert_eq!(sliding.sum(600_000_000), 1);
    }

    fn add(set: &mut SlidingSet, thing: u128, at_us: i64, most: usize) -> usize {
        set.forget(at_us, 100);
        set.add(thing, at_us, most);
        set.len()
    }

    #[test]
    fn different_things_are_counted_once_and_forgotten() {
        let mut set = SlidingSet::default();
        assert_eq!(add(&mut set, 1, 10, 3), 1);
        assert_eq!(add(&mut set, 1, 20, 3), 1);
        assert_eq!(add(&mut set, 2, 50, 3), 2);
        assert_eq!(add(&mut set, 3, 125, 3), 2);
        assert_eq!(add(&mut set, 4, 126, 3), 3);
        assert_eq!(add(&mut set, 5, 127, 3), 4, "four are held, one is over");
        assert_eq!(add(&mut set, 6, 300, 3), 1);
    }

    #[test]
    fn a_flood_of_things_takes_no_more_room_than_the_bound() {
        let mut set = SlidingSet::default();
        let counted = (0..1_000u128).map(|thing| add(&mut set, thing, 5, 10)).last();
        assert_eq!((counted, set.seen.len()), (Some(11), 11));
    }
}
