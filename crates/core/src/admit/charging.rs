//! The last check: what a request asks of the policy's rules, and what their refusal means.
//!
//! Rules are asked together; [`Counters::take`] takes all of them or none.

use smallvec::SmallVec;

use super::{Case, Charged, Check, Decision, words::limit_detail};
use crate::{
    code::Code,
    counters::{Charge, Counters, Measure, Refusal, Rule, subject_of_address},
    facts::TokenAsk,
    policy::Policy,
    resource::{Per, Unit},
};

/// How often a call that can do with what is left of its quotas looks at what that is.
const LOOKS_MAX: usize = 4;
/// When it is worth trying again where nobody could say what is left of a quota.
const SHORT_RETRY_NS: u64 = 1_000_000_000;

/// Charges the policy's rules, and refuses when one of them has no room.
pub(super) fn charge(case: Case<'_>, policy: &Policy, counters: &impl Counters, decision: &mut Decision) {
    charge_here(case, policy, counters, decision);
    if !decision.is_allowed() {
        decision.shared.clear();
    } else if !decision.shared.is_empty() {
        // Until somebody has asked, it is not known, and what is not known is denied.
        let words = "a limit that all nodes share was not asked; try again later";
        decision.refuse(Check::Limits, Code::Overloaded, words.to_owned());
    }
}

/// Charges what is counted in this process.
fn charge_here(case: Case<'_>, policy: &Policy, counters: &impl Counters, decision: &mut Decision) {
    charge_once(case, policy, counters, decision);
    if case.facts.tokens.is_none() {
        return;
    }
    // What was left was taken by others before this call took it: look again.
    for _ in 1..LOOKS_MAX {
        if decision.code != Code::QuotaExhausted {
            return;
        }
        (decision.code, decision.failed, decision.detail) = (Code::Valid, None, None);
        decision.retry_after_ns = None;
        decision.standings.clear();
        decision.charged.clear();
        decision.shared.clear();
        charge_once(case, policy, counters, decision);
    }
}

fn charge_once(case: Case<'_>, policy: &Policy, counters: &impl Counters, decision: &mut Decision) {
    let mut charges: SmallVec<[Charge<'_>; 4]> = SmallVec::new();
    // A policy has at most 17 rules (`policy::RULES_MAX`), so that the numbers never run out.
    for (index, rule) in (0u8..=u8::MAX).zip(&policy.rules) {
        let Some(charge) = charge_of(case, rule, counters) else { continue };
        if matches!(rule.measure, Measure::Rate { shared: Some(_), .. }) {
            let (subject, amount) = (charge.subject, charge.amount);
            decision.shared.push(Charged { rule: index, subject, amount });
            continue;
        }
        charges.push(charge);
        decision.charged.push(Charged { rule: index, subject: charge.subject, amount: charge.amount });
    }
    if charges.is_empty() {
        return;
    }
    decision.configured.insert(Check::Limits);
    match counters.take(&charges, case.now, &mut decision.standings) {
        Ok(()) => decision.passed.insert(Check::Limits),
        Err(Refusal::Full) => {
            decision.charged.clear();
            decision.standings.clear();
            let words = "there is no room to count another caller now; try again later";
            decision.refuse(Check::Limits, Code::Overloaded, words.to_owned());
        }
        Err(Refusal::Short { .. }) => {
            decision.is_short = true;
            decision.standings.clear();
            decision.retry_after_ns = Some(SHORT_RETRY_NS);
            let words = "what is left of a quota is not known here at the moment; try again later";
            decision.refuse(Check::Limits, Code::Overloaded, words.to_owned());
        }
        Err(Refusal::Exhausted { index, retry_after_ns }) => {
            decision.charged.truncate(index + 1);
            decision.retry_after_ns = retry_after_ns;
            match charges.get(index) {
                Some(Charge { rule, .. }) => {
                    decision.refuse(Check::Limits, code_of(rule), limit_detail(rule, policy));
                }
                // Counters that name a charge that was not asked are broken; broken refuses.
                None => {
                    let words = "the counters gave no clear answer; try again later";
                    decision.refuse(Check::Limits, Code::Overloaded, words.to_owned());
                }
            }
        }
    }
}

fn charge_of<'p>(case: Case<'_>, rule: &'p Rule, counters: &impl Counters) -> Option<Charge<'p>> {
    let subject = match rule.per {
        Per::Key => case.record.id.0,
        Per::Consumer => case.record.consumer.0,
        Per::Project => case.record.project.0,
        // An unknown address shares one count with all unknown addresses.
        Per::Ip => case.facts.address.map_or(u64::MAX, subject_of_address),
    };
    let amount = match rule.unit {
        Unit::Requests => case.facts.cost.min(1),
        Unit::Units => case.facts.cost,
        Unit::Tokens if case.facts.cost == 0 => 0,
        Unit::Tokens => tokens(case, rule, subject, counters)?,
    };
    Some(Charge { rule, subject, amount })
}

/// What a model call takes of a token limit or quota until its use is known: the most that it can use; or
/// all that a limit ever gives, or a quota still has, if the call can do with that. Waiting helps with a
/// limit, so that it does not squeeze calls into what happens to be left.
fn tokens(case: Case<'_>, rule: &Rule, subject: u64, counters: &impl Counters) -> Option<u32> {
    let TokenAsk { least, most } = case.facts.tokens?;
    let room = match &rule.measure {
        Measure::Concurrency => return None,
        Measure::Rate { gcra, .. } => gcra.burst,
        Measure::Quota(_) => counters.peek(rule, subject, case.now).remaining,
    };
    // An amount of 0 would take nothing.
    Some(u32::try_from(room).unwrap_or(u32::MAX).clamp(least.min(most), most).max(1))
}

const fn code_of(rule: &Rule) -> Code {
    match rule.measure {
        Measure::Concurrency => Code::ConcurrencyExceeded,
        Measure::Rate { .. } => Code::RateLimited,
        Measure::Quota(_) => Code::QuotaExhausted,
    }
}
