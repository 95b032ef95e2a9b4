//! The port to live counters: what the decision asks of them, and nothing of how they count.

use smallvec::SmallVec;

use crate::{
    limits::Gcra,
    period::Period,
    period::Window,
    resource::{Per, Unit},
    time::Now,
};

/// Names a limit, quota or concurrency bound for ever: the first eight bytes of SHA-256 over the
/// policy's id, the rule's kind and its name. Changing the amount keeps the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub u64);

/// One limit, quota or concurrency bound of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name for ever.
    pub id: RuleId,
    /// Its name in the policy.
    pub name: Box<str>,
    /// What it counts.
    pub unit: Unit,
    /// Whose requests it counts together.
    pub per: Per,
    /// The amount that was written.
    pub amount: u64,
    /// How it counts.
    pub measure: Measure,
}

/// What becomes of a shared limit while nobody can be asked what all nodes have used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// Each node enforces the limit divided by the live nodes.
    Divides,
    /// Nothing passes.
    Refuses,
}

/// How a rule counts.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Units in flight.
    Concurrency,
    /// Units over a short window.
    Rate {
        /// The arithmetic.
        gcra: Gcra,
        /// The window as written, for headers and words.
        window: crate::time::Span,
        /// Whether all nodes count it together, and what becomes of it while they cannot; `None` where each
        /// node counts by itself.
        shared: Option<WhenGone>,
    },
    /// Units in a calendar period, durable.
    Quota(Period),
}

/// One rule asked for an amount on behalf of a subject.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Whose count: a key, consumer, project or address (see [`subject_of_address`]).
    pub subject: u64,
    /// How much; 0 asks whether one more would pass and takes nothing.
    pub amount: u32,
}

/// Where a rule stands for a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Units left now.
    pub remaining: u64,
    /// Nanoseconds until it is full again (rate) or the period ends (quota); 0 for concurrency.
    pub reset_after_ns: u64,
    /// The period that was charged, for quotas.
    pub window: Option<Window>,
}

/// The standings of all charges of a request, in their order.
pub type Standings = SmallVec<[Standing; 4]>;

/// Why charges were refused; none of them was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The charge with this index does not pass.
    Exhausted {
        /// Its index.
        index: usize,
        /// Nanoseconds until it could; `None` when waiting does not help.
        retry_after_ns: Option<u64>,
    },
    /// The charge with this index, the first of them, asks more of a quota than this process may use now.
    /// More may be set aside for it: whoever asks that first and then again gets another answer.
    Short {
        /// Its index.
        index: usize,
    },
    /// There is no room to count a new subject (a bound of the counters).
    Full,
}

/// What a charge lacks of what this process may use of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The period.
    pub window: Window,
    /// How much more is needed than is here; 0 where only is not known what there is.
    pub amount: u64,
}

/// What was taken of a rule before it was known how much would be used, and how much that was.
#[derive(Clone, Copy, Debug)]
pub struct Refund<'a> {
    /// A limit or quota; concurrency is given back by [`Counters::release`].
    pub rule: &'a Rule,
    /// Whose count.
    pub subject: u64,
    /// What was taken.
    pub taken: u32,
    /// What was used of it: less, or more.
    pub used: u64,
    /// When it was taken.
    pub at: Now,
}

/// Live counters. All-or-nothing: a refused request moves no counter.
pub trait Counters {
    /// Takes every charge or none. On success `standings` holds one entry a charge; on refusal it
    /// holds those of the charges up to and including the refused one.
    ///
    /// # Errors
    /// [`Refusal`] names the first charge that does not pass.
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal>;

    /// Gives one unit in flight back; called once for each concurrency charge that was taken.
    fn release(&self, rule: RuleId, subject: u64);

    /// Makes a rule count what was used instead of what was taken; called at most once for each charge.
    /// A limit gives back no more than keeps its bound (I22): what has drained since stays drained. A quota
    /// whose period is over gives back nothing. What was used beyond what was taken is counted whether
    /// there is room or not.
    fn refund(&self, refund: &Refund<'_>, now: Now);

    /// What a charge lacks of what this process may use of a quota; `None` when it is enough, and where
    /// nothing has to be set aside.
    fn lack(&self, charge: &Charge<'_>, now: Now) -> Option<Lack> {
        let _nothing_is_set_aside = (charge, now);
        None
    }

    /// Where a rule stands, without taking anything.
    fn peek(&self, rule: &Rule, subject: u64, now: Now) -> Standing;
}

/// The subject that stands for an address: an IPv4 address itself, the /64 of an IPv6 address.
#[must_use]
pub fn subject_of_address(address: std::net::IpAddr) -> u64 {
    match address.to_canonical() {
        std::net::IpAddr::V4(v4) => u64::from(u32::from(v4)),
        std::net::IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
}
