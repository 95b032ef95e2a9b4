//! Saying on stderr how far a long look at recorded traffic is.

use tollgate_core::time::Clock as _;

use crate::{context::Context, print::say};

/// After how long it is said, and how often then.
const SAY_EVERY_NS: u64 = 2_000_000_000;

/// How far it is.
pub(super) struct Going<'c> {
    context: &'c Context,
    from_us: i64,
    to_us: i64,
    said_ns: u64,
    looked: u64,
}

impl<'c> Going<'c> {
    /// It begins now, and goes through this span of wall time.
    pub(super) fn new(context: &'c Context, (from_us, to_us): (i64, i64)) -> Self {
        Self { context, from_us, to_us, said_ns: context.clock.mono_ns(), looked: 0 }
    }

    /// So many more were looked at, up to a moment.
    pub(super) fn on(&mut self, more: u64, at_us: i64) {
        self.looked += more;
        let now_ns = self.context.clock.mono_ns();
        if now_ns.saturating_sub(self.said_ns) >= SAY_EVERY_NS {
            self.said_ns = now_ns;
            let whole = (self.to_us - self.from_us).max(1);
            let share = (at_us - self.from_us).clamp(0, whole) * 100 / whole;
            say(&format!("{} decisions looked at, {share} % of the time", self.looked));
        }
    }
}
