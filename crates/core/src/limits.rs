//! The arithmetic of rate limits: GCRA (ITU-T I.371, the "virtual scheduling" form).
//!
//! A limit of `amount` per `window` lets one unit pass every `window / amount`, and up to `burst`
//! at once. The whole state is one number, the theoretical arrival time. In any span of time `w`
//! at most `burst + amount * w / window` units pass: that bound is what invariant I22 tests.

/// The constants of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Nanoseconds one unit takes, at least 1.
    pub interval_ns: u64,
    /// Units that may pass at once, at least 1.
    pub burst: u64,
}

/// What a limit says to a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes, and the state becomes `arrival_ns`.
    Pass {
        /// The new theoretical arrival time.
        arrival_ns: u64,
    },
    /// It does not pass before `retry_after_ns` from now; `None` when it never can, because it is
    /// larger than the burst.
    Refuse {
        /// Nanoseconds to wait.
        retry_after_ns: Option<u64>,
    },
}

/// The longest time that a full burst may stand for, in nanoseconds (146 years): past it the
/// arithmetic of 64 bits could wrap and refuse nothing.
pub const TOLERANCE_NS_MAX: u64 = 1 << 62;

impl Gcra {
    /// Whether the constants are within the bounds of the arithmetic ([`TOLERANCE_NS_MAX`]).
    #[must_use]
    pub fn is_sound(self) -> bool {
        self.interval_ns.checked_mul(self.burst).is_some_and(|tolerance| tolerance <= TOLERANCE_NS_MAX)
    }

    /// The constants of `amount` per `window_ns`, with `burst` at once.
    #[must_use]
    pub fn new(amount: u64, window_ns: u64, burst: u64) -> Self {
        // Rounded up, so that no more than `amount` pass per window, not a little more.
        Self { interval_ns: window_ns.div_ceil(amount.max(1)).max(1), burst: burst.max(1) }
    }

    /// Whether `amount` units may pass at `now_ns`, given the state `arrival_ns`.
    /// An amount of 0 passes when one unit could, and changes nothing.
    #[must_use]
    pub fn check(self, arrival_ns: u64, now_ns: u64, amount: u64) -> Verdict {
        let start = arrival_ns.max(now_ns);
        let tolerance = self.interval_ns.saturating_mul(self.burst);
        let arrival = start.saturating_add(self.interval_ns.saturating_mul(amount.max(1)));
        let horizon = now_ns.saturating_add(tolerance);
        if arrival <= horizon {
            return Verdict::Pass { arrival_ns: if amount == 0 { arrival_ns } else { arrival } };
        }
        let never = amount.max(1) > self.burst;
        Verdict::Refuse { retry_after_ns: (!never).then(|| arrival - horizon) }
    }

    /// How many units could pass at `now_ns`.
    #[must_use]
    pub fn remaining(self, arrival_ns: u64, now_ns: u64) -> u64 {
        let used = arrival_ns.saturating_sub(now_ns);
        let tolerance = self.interval_ns.saturating_mul(self.burst);
        tolerance.saturating_sub(used) / self.interval_ns
    }

    /// How long until the full burst is there again, in nanoseconds.
    #[must_use]
    pub fn reset_after_ns(self, arrival_ns: u64, now_ns: u64) -> u64 {
        arrival_ns.saturating_sub(now_ns)
    }

    /// What the state becomes when `amount` units are given back.
    #[must_use]
    pub fn give_back(self, arrival_ns: u64, amount: u64) -> u64 {
        arrival_ns.saturating_sub(self.interval_ns.saturating_mul(amount))
    }

    /// What the state becomes when `used` units turn out to be used of `taken`, which were taken `ago_ns`
    /// before `now_ns`.
    ///
    /// With the smaller amount the level would have been lower since then, by the difference, but for the
    /// time that it would have stood at nothing: while the larger level drained, that one could not. It
    /// stood at nothing for no longer than `ago_ns` less what the used units take to drain. So no more is
    /// given back than keeps the level at or over what it would have been, and the bound holds (I22).
    #[must_use]
    pub fn correct(self, arrival_ns: u64, (taken, used): (u64, u64), ago_ns: u64, now_ns: u64) -> u64 {
        if used > taken {
            let more = self.interval_ns.saturating_mul(used - taken);
            return arrival_ns.max(now_ns).saturating_add(more);
        }
        let unused = self.interval_ns.saturating_mul(taken - used);
        let drained = ago_ns.saturating_sub(self.interval_ns.saturating_mul(used));
        arrival_ns.saturating_sub(unused.saturating_sub(drained))
    }
}
