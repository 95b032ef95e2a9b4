//! Why a charge does not pass, and the two sums that this is found out with. Pure.

use tollgate_core::{period::Window, time::Now};

/// The charge does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nanoseconds until it could, if waiting helps.
    Exhausted { retry_after_ns: Option<u64> },
    /// It could if more were leased.
    Short,
}

/// Whether `amount` (or 1, when only asked) still fits.
pub(crate) fn fits(used: u64, amount: u64, most: u64) -> bool {
    used.checked_add(amount.max(1)).is_some_and(|sum| sum <= most)
}

/// Nanoseconds from now to the end of a period.
pub(crate) fn until_ns(window: Window, now: Now) -> u64 {
    let micros = window.end_us.saturating_sub(now.wall_us);
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}
