//! What this process may use of a quota without asking anybody: a part that the database has set aside.
//!
//! Pure. Invariant: what was granted is what was taken, what is free, and what was taken back; where more was
//! used than taken, `free` is below zero, and what is granted next pays for it first.

use tollgate_core::{period::Window, time::Now};

use crate::refused::{Refused, fits, until_ns};

/// How quotas are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quotas {
    /// By this process alone: what it counts is all there is.
    #[default]
    Counted,
    /// By many, each of which uses only what was set aside for it.
    Leased,
}

/// What the database says and gives of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The quota's amount by which it was given.
    pub amount: u64,
    /// How much was set aside for this process now.
    pub given: u64,
    /// How much is left that is set aside for nobody.
    pub rest: u64,
    /// Before this moment, in monotonic nanoseconds, asking again is in vain.
    pub ask_from_ns: u64,
    /// Whether other processes have some that they may give back.
    pub is_elsewhere: bool,
}

/// A part of a quota in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The quota's amount by which it was given; 0 while nothing is known. A quota that says another one
    /// now is asked for anew.
    amount: u64,
    free: i64,
    rest: u64,
    ask_from_ns: u64,
    is_elsewhere: bool,
}

impl Lease {
    /// Takes an amount; 0 asks whether 1 would pass.
    pub(crate) fn take(self, window: Window, (amount, most): (u64, u64), now: Now) -> Result<Self, Refused> {
        if !fits(0, amount, most) {
            return Err(Refused::Exhausted { retry_after_ns: None });
        }
        if self.amount != most {
            return Err(Refused::Short);
        }
        let wanted = signed(amount);
        if amount == 0 && (self.free > 0 || self.rest > 0) {
            return Ok(self);
        }
        if amount > 0 && self.free >= wanted {
            return Ok(Self { free: self.free - wanted, ..self });
        }
        if now.mono_ns >= self.ask_from_ns {
            return Err(Refused::Short);
        }
        let retry_after_ns = match self.is_elsewhere {
            true => self.ask_from_ns - now.mono_ns,
            false => until_ns(window, now),
        };
        Err(Refused::Exhausted { retry_after_ns: Some(retry_after_ns) })
    }

    /// What an amount lacks; `None` when it is enough.
    pub(crate) fn lack(self, amount: u64, most: u64) -> Option<u64> {
        if amount == 0 {
            return (self.amount != most || (self.free <= 0 && self.rest == 0)).then_some(0);
        }
        // What is free of another amount goes back first.
        let free = if self.amount == most { self.free } else { self.free.min(0) };
        let lack = signed(amount).saturating_sub(free);
        (lack > 0).then(|| lack.unsigned_abs())
    }

    pub(crate) fn granted(self, part: &Part) -> Self {
        Self {
            amount: part.amount,
            free: self.free.saturating_add(signed(part.given)),
            rest: part.rest,
            ask_from_ns: part.ask_from_ns,
            is_elsewhere: part.is_elsewhere,
        }
    }

    pub(crate) fn corrected(self, taken: u64, used: u64) -> Self {
        Self { free: self.free.saturating_add(signed(taken)).saturating_sub(signed(used)), ..self }
    }

    pub(crate) fn take_back(&mut self) -> u64 {
        let free = self.free();
        // A debt stays.
        *self = Self { free: self.free.min(0), ..Self::default() };
        free
    }

    pub(crate) fn free(self) -> u64 {
        self.free.max(0).unsigned_abs()
    }

    /// What is left of a quota of this amount, as far as is known.
    pub(crate) fn remaining(self, most: u64) -> u64 {
        if self.amount != most {
            return most;
        }
        self.free().saturating_add(self.rest).min(most)
    }

    /// Whether a new one would answer in the same way, for one that was asked last before this moment.
    pub(crate) fn is_as_good_as_new(self, before_ns: u64) -> bool {
        self.free == 0 && self.ask_from_ns <= before_ns
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
