//! Limits that all nodes count together: what a decision still has to ask of them, and what their answer means.
//!
//! They are asked last, when all else has passed, and are taken together. Where they refuse, what the request
//! took here is given back, so that a refused request moves no counter.

use smallvec::SmallVec;

use super::{Charged, Check, Decision, words::limit_detail};
use crate::{
    code::Code,
    counters::{Charge, Counters, Measure, Refund, Refusal, RuleId, Standings, WhenGone},
    limits::Gcra,
    policy::Policy,
    time::Now,
};

/// When it is worth trying again where nobody could say what is left of a limit.
const UNKNOWN_RETRY_NS: u64 = 1_000_000_000;

/// One shared limit asked for an amount on behalf of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedCharge {
    /// The limit.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// How much; 0 asks whether one more would pass and takes nothing.
    pub amount: u32,
    /// Its arithmetic.
    pub gcra: Gcra,
    /// What becomes of it while nobody can be asked.
    pub when_gone: WhenGone,
}

/// What those who count shared limits say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedVerdict {
    /// All were taken; how they stand, in their order.
    Passed(Standings),
    /// The charge with this index does not pass, and none was taken.
    Exhausted {
        /// Its index.
        index: usize,
        /// Nanoseconds until it could; `None` when waiting does not help.
        retry_after_ns: Option<u64>,
        /// How the charges up to it stand.
        standings: Standings,
    },
    /// Nobody could be asked, and one of the limits says to refuse then.
    Unknown,
}

impl Decision {
    /// Whether somebody beyond this process can still be asked. Until then it is a refusal.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_short || !self.shared.is_empty()
    }

    /// The shared limits that have to be asked, in the order of [`Decision::shared`].
    pub fn shared_charges(&self, policy: &Policy) -> SmallVec<[SharedCharge; 2]> {
        let charge = |charged: &Charged| {
            let rule = policy.rules.get(usize::from(charged.rule))?;
            let Measure::Rate { gcra, shared: Some(when_gone), .. } = rule.measure else { return None };
            let (subject, amount) = (charged.subject, charged.amount);
            Some(SharedCharge { rule: rule.id, subject, amount, gcra, when_gone })
        };
        self.shared.iter().filter_map(charge).collect()
    }

    /// Ends an open decision by what the shared limits say. Where they refuse, what it took of `counters`
    /// is given back.
    pub fn conclude(
        &mut self,
        policy: &Policy,
        verdict: SharedVerdict,
        (counters, took, now): (&impl Counters, Now, Now),
    ) {
        let shared = std::mem::take(&mut self.shared);
        (self.code, self.failed, self.detail) = (Code::Valid, None, None);
        self.configured.insert(Check::Limits);
        if let SharedVerdict::Passed(standings) = &verdict
            && standings.len() == shared.len()
        {
            self.passed.insert(Check::Limits);
            self.charged.extend(shared);
            self.standings.extend_from_slice(standings);
            return;
        }
        self.give_back(policy, (counters, took, now));
        match verdict {
            SharedVerdict::Exhausted { index, retry_after_ns, standings }
                if index < shared.len() && standings.len() == index + 1 =>
            {
                self.charged.extend(shared.into_iter().take(index + 1));
                self.standings = standings;
                self.retry_after_ns = retry_after_ns;
                let rule =
                    self.charged.last().and_then(|charged| policy.rules.get(usize::from(charged.rule)));
                let words = rule.map_or_else(String::new, |rule| limit_detail(rule, policy));
                self.refuse(Check::Limits, Code::RateLimited, words);
            }
            // An answer that fits no question is none.
            _ => {
                self.retry_after_ns = Some(UNKNOWN_RETRY_NS);
                let words = "a limit that all nodes share cannot be counted at the moment; try again later";
                self.refuse(Check::Limits, Code::Overloaded, words.to_owned());
            }
        }
    }

    /// Ends an open decision by counters that nobody else counts in, where a decision is tried rather than
    /// made: what nodes have counted together is not asked.
    pub fn conclude_alone(&mut self, policy: &Policy, counters: &impl Counters, now: Now) {
        if self.shared.is_empty() {
            return;
        }
        let charge = |charged: &Charged| {
            let rule = policy.rules.get(usize::from(charged.rule))?;
            Some(Charge { rule, subject: charged.subject, amount: charged.amount })
        };
        let charges: SmallVec<[Charge<'_>; 2]> = self.shared.iter().filter_map(charge).collect();
        let mut standings = Standings::new();
        let verdict = match counters.take(&charges, now, &mut standings) {
            Ok(()) => SharedVerdict::Passed(standings),
            Err(Refusal::Exhausted { index, retry_after_ns }) => {
                SharedVerdict::Exhausted { index, retry_after_ns, standings }
            }
            Err(Refusal::Full | Refusal::Short { .. }) => SharedVerdict::Unknown,
        };
        self.conclude(policy, verdict, (counters, now, now));
    }

    /// Gives back what was taken.
    fn give_back(&mut self, policy: &Policy, (counters, took, now): (&impl Counters, Now, Now)) {
        self.passed.0 &= !(1 << Check::Limits as u8);
        self.standings.clear();
        for Charged { rule, subject, amount } in std::mem::take(&mut self.charged) {
            let Some(rule) = policy.rules.get(usize::from(rule)).filter(|_| amount > 0) else { continue };
            match rule.measure {
                Measure::Concurrency => counters.release(rule.id, subject),
                Measure::Rate { .. } | Measure::Quota(_) => {
                    counters.refund(&Refund { rule, subject, taken: amount, used: 0, at: took }, now);
                }
            }
        }
    }
}
