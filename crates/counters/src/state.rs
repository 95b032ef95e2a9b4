//! What one cell counts, and what a charge does to it. Pure.

use tollgate_core::{
    counters::{Charge, Lack, Measure, Refund, Rule, Standing},
    limits::Verdict,
    period::Window,
    time::Now,
};

use crate::{
    lease::{Lease, Part, Quotas},
    refused::{Refused, fits, until_ns},
};

/// How long a cell must have been as good as new before it is dropped. Far longer than a request
/// can be between reading the clock and being counted, so that dropping never changes an answer.
const GRACE_NS: u64 = 60_000_000_000;

/// The count of one rule for one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The cell was dropped and must be looked up again.
    Gone,
    /// The theoretical arrival time of a rate, monotonic nanoseconds.
    Rate { arrival_ns: u64 },
    /// What was used of a quota in a period; at least what all nodes together are known to have `seeded`.
    Quota { window: Window, used: u64, seeded: u64 },
    /// What this process may use of a quota in a period.
    Leased { window: Window, lease: Lease },
    /// Units in flight.
    InFlight { count: u64 },
}

impl State {
    /// A count that has not begun. `window` is the present one, for quotas.
    pub(crate) fn fresh(rule: &Rule, window: Window, quotas: Quotas) -> Self {
        match (&rule.measure, quotas) {
            (Measure::Concurrency, _) => Self::InFlight { count: 0 },
            (Measure::Rate { .. }, _) => Self::Rate { arrival_ns: 0 },
            (Measure::Quota(_), Quotas::Counted) => Self::Quota { window, used: 0, seeded: 0 },
            (Measure::Quota(_), Quotas::Leased) => Self::Leased { window, lease: Lease::default() },
        }
    }

    /// The count at `now`: goes on to the present period where there are periods.
    pub(crate) fn at(self, now: Now, window: Window) -> Self {
        match self {
            // Equal; or another request, a moment later, has begun the next period already.
            Self::Quota { window: known, .. } if known == window || known.start_us > now.wall_us => self,
            Self::Quota { window: known, used, seeded } => {
                // The period of a rule was made longer: what was used counts on. Otherwise it is over.
                let holds_known = window.start_us <= known.start_us && known.end_us <= window.end_us;
                let (used, seeded) = if holds_known { (used, seeded) } else { (0, 0) };
                Self::Quota { window, used, seeded }
            }
            Self::Leased { window: known, .. } if known == window || known.start_us > now.wall_us => self,
            // What is left of another period is of no use in this one.
            Self::Leased { .. } => Self::Leased { window, lease: Lease::default() },
            _ => self,
        }
    }

    /// Takes a charge. An amount of 0 asks whether 1 would pass, and takes nothing.
    pub(crate) fn take(self, charge: &Charge<'_>, now: Now) -> Result<Self, Refused> {
        let amount = u64::from(charge.amount);
        let most = charge.rule.amount;
        match (self, &charge.rule.measure) {
            (Self::Rate { arrival_ns }, Measure::Rate { gcra, .. }) => {
                match gcra.check(arrival_ns, now.mono_ns, amount) {
                    Verdict::Pass { arrival_ns } => Ok(Self::Rate { arrival_ns }),
                    Verdict::Refuse { retry_after_ns } => Err(Refused::Exhausted { retry_after_ns }),
                }
            }
            (Self::Quota { window, used, seeded }, Measure::Quota(_)) => {
                if fits(used, amount, most) {
                    return Ok(Self::Quota { window, used: used + amount, seeded });
                }
                let helps = fits(0, amount, most);
                Err(Refused::Exhausted { retry_after_ns: helps.then(|| until_ns(window, now)) })
            }
            (Self::Leased { window, lease }, Measure::Quota(_)) => {
                let lease = lease.take(window, (amount, most), now)?;
                Ok(Self::Leased { window, lease })
            }
            (Self::InFlight { count }, Measure::Concurrency) => {
                // One unit, whatever the amount: `release` gives one back.
                let one = amount.min(1);
                if fits(count, one, most) {
                    Ok(Self::InFlight { count: count + one })
                } else {
                    Err(Refused::Exhausted { retry_after_ns: None })
                }
            }
            // Two rules with one name: what is not known is refused.
            _ => Err(Refused::Exhausted { retry_after_ns: None }),
        }
    }

    /// What all nodes together have used of a quota in a period, as the database knows it. Raises the count
    /// to it, and never lowers it; an older period than the one that is counted is ignored.
    pub(crate) fn seed(self, window: Window, total: u64) -> Self {
        match self {
            Self::Quota { window: known, used, seeded } if known == window => {
                Self::Quota { window, used: used.max(total), seeded: seeded.max(total) }
            }
            Self::Quota { window: known, .. } if known.start_us < window.start_us => {
                Self::Quota { window, used: total, seeded: total }
            }
            _ => self,
        }
    }

    /// Counts what was used instead of what was taken. What other nodes used stays counted: a quota never
    /// goes below what was seeded.
    pub(crate) fn refund(self, refund: &Refund<'_>, now: Now) -> Self {
        let Refund { rule, taken, used, at, .. } = *refund;
        let taken = u64::from(taken);
        match (self, &rule.measure) {
            (Self::Rate { arrival_ns }, Measure::Rate { gcra, .. }) => {
                let ago_ns = now.mono_ns.saturating_sub(at.mono_ns);
                let arrival_ns = gcra.correct(arrival_ns, (taken, used), ago_ns, now.mono_ns);
                Self::Rate { arrival_ns }
            }
            (Self::Quota { window, used: count, seeded }, Measure::Quota(_))
                if (window.start_us..window.end_us).contains(&at.wall_us) =>
            {
                let corrected = count.saturating_sub(taken).saturating_add(used);
                Self::Quota { window, used: corrected.max(seeded), seeded }
            }
            // What somebody else reports of a quota is counted in the database, and used of nobody's lease.
            (Self::Leased { .. }, _) if taken == 0 => self,
            (Self::Leased { window, lease }, Measure::Quota(_))
                if (window.start_us..window.end_us).contains(&at.wall_us) =>
            {
                Self::Leased { window, lease: lease.corrected(taken, used) }
            }
            // Another period, or a concurrency bound.
            _ => self,
        }
    }

    /// Adds what was leased in a period; `None` when that period is over here.
    pub(crate) fn grant(self, window: Window, part: &Part) -> Option<Self> {
        match self {
            Self::Leased { window: known, .. } if known != window && known.start_us > window.start_us => None,
            Self::Leased { window: known, lease } => {
                let lease = if known == window { lease } else { Lease::default() };
                Some(Self::Leased { window, lease: lease.granted(part) })
            }
            _ => None,
        }
    }

    /// Takes out what is free of a lease; what it is of is not known afterwards.
    pub(crate) fn take_back(&mut self, window: Window) -> u64 {
        match self {
            Self::Leased { window: known, lease } if *known == window => lease.take_back(),
            _ => 0,
        }
    }

    /// What is free of a lease.
    pub(crate) fn free(self, window: Window) -> u64 {
        match self {
            Self::Leased { window: known, lease } if known == window => lease.free(),
            _ => 0,
        }
    }

    /// What a charge lacks of a lease.
    pub(crate) fn lack(self, charge: &Charge<'_>) -> Option<Lack> {
        let Self::Leased { window, lease } = self else { return None };
        let amount = lease.lack(u64::from(charge.amount), charge.rule.amount)?;
        Some(Lack { window, amount })
    }

    /// Where the rule stands.
    pub(crate) fn standing(self, rule: &Rule, now: Now) -> Standing {
        match (self, &rule.measure) {
            (Self::Rate { arrival_ns }, Measure::Rate { gcra, .. }) => Standing {
                remaining: gcra.remaining(arrival_ns, now.mono_ns),
                reset_after_ns: gcra.reset_after_ns(arrival_ns, now.mono_ns),
                window: None,
            },
            (Self::Quota { window, used, .. }, Measure::Quota(_)) => Standing {
                remaining: rule.amount.saturating_sub(used),
                reset_after_ns: until_ns(window, now),
                window: Some(window),
            },
            (Self::Leased { window, lease }, Measure::Quota(_)) => Standing {
                remaining: lease.remaining(rule.amount),
                reset_after_ns: until_ns(window, now),
                window: Some(window),
            },
            (Self::InFlight { count }, Measure::Concurrency) => {
                Standing { remaining: rule.amount.saturating_sub(count), reset_after_ns: 0, window: None }
            }
            _ => Standing { remaining: 0, reset_after_ns: 0, window: None },
        }
    }

    /// Whether a new cell would answer every request from now on in the same way.
    pub(crate) fn is_as_good_as_new(self, now: Now) -> bool {
        match self {
            Self::Gone => true,
            Self::Rate { arrival_ns } => arrival_ns.saturating_add(GRACE_NS) <= now.mono_ns,
            Self::Quota { window, used, .. } => {
                let grace_us = i64::try_from(GRACE_NS / 1000).unwrap_or(i64::MAX);
                used == 0 || window.end_us.saturating_add(grace_us) <= now.wall_us
            }
            Self::Leased { window, lease } => {
                let grace_us = i64::try_from(GRACE_NS / 1000).unwrap_or(i64::MAX);
                lease.is_as_good_as_new(now.mono_ns.saturating_sub(GRACE_NS))
                    || window.end_us.saturating_add(grace_us) <= now.wall_us
            }
            Self::InFlight { count } => count == 0,
        }
    }
}
