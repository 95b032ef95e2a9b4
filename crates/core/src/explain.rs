//! A decision as a list of steps in words: which checks were asked, what each compared, which one
//! decided.

use serde::Serialize;

use crate::{
    admit::{
        Case, Check, Decision, ORDER,
        checks::{Outcome, ask},
        words::limit_words,
    },
    code::Code,
};

/// What a step of the trace came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It was asked and passed.
    Passed,
    /// It was asked and failed: this step decided.
    Failed,
    /// Nothing restricts it.
    Open,
    /// An earlier step had decided already.
    NotReached,
}

/// One step of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The check's name.
    pub check: &'static str,
    /// What it came to.
    pub outcome: StepOutcome,
    /// In words; empty when there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The trace of a case without its counters: every check up to the one that decides.
#[must_use]
pub fn trace(case: Case<'_>, decision: &Decision) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(ORDER.len() + 2);
    let mut decided = false;
    for check in ORDER {
        let (outcome, detail) = if decided {
            (StepOutcome::NotReached, String::new())
        } else {
            match ask(check, case) {
                Outcome::Open => (StepOutcome::Open, String::new()),
                Outcome::Pass => (StepOutcome::Passed, passed_words(check, case)),
                Outcome::Fail(_, detail) => (StepOutcome::Failed, detail),
            }
        };
        decided |= outcome == StepOutcome::Failed;
        steps.push(Step { check: check.name(), outcome, detail });
    }
    let limits = limits_step(case, decision, decided);
    decided |= limits.outcome == StepOutcome::Failed;
    steps.push(limits);
    steps.push(budget_step(decision, decided));
    steps
}

/// The trace that a stored decision left behind: the bits say which checks were asked and passed. A refusal
/// by none of them (by the head, the credential, the upstream) is a step `request` of its own: before the
/// checks where none was asked, else behind them.
#[must_use]
pub fn trace_of_record(code: Code, (configured, passed): (u32, u32), detail: &str) -> Vec<Step> {
    let failed = |check| Step { check, outcome: StepOutcome::Failed, detail: detail.to_owned() };
    let mut decided = false;
    let mut steps: Vec<Step> = Vec::with_capacity(ORDER.len() + 3);
    if code != Code::Valid && configured == 0 {
        decided = true;
        steps.push(failed("request"));
    }
    for check in ORDER.into_iter().chain([Check::Limits, Check::Budget]) {
        let bit = 1u32 << check as u8;
        let outcome = match (decided, configured & bit != 0, passed & bit != 0) {
            (true, _, _) => StepOutcome::NotReached,
            (false, false, _) => StepOutcome::Open,
            (false, true, true) => StepOutcome::Passed,
            (false, true, false) => StepOutcome::Failed,
        };
        decided |= outcome == StepOutcome::Failed;
        steps.push(match outcome {
            StepOutcome::Failed => failed(check.name()),
            outcome => Step { check: check.name(), outcome, detail: String::new() },
        });
    }
    if code != Code::Valid && !decided {
        steps.push(failed("request"));
    }
    steps
}

fn limits_step(case: Case<'_>, decision: &Decision, decided: bool) -> Step {
    let check = Check::Limits;
    let name = check.name();
    if decided {
        return Step { check: name, outcome: StepOutcome::NotReached, detail: String::new() };
    }
    if decision.failed == Some(check) {
        let detail = decision.detail.as_deref().unwrap_or("").to_owned();
        return Step { check: name, outcome: StepOutcome::Failed, detail };
    }
    let Some(policy) = case.policy.filter(|_| !decision.charged.is_empty()) else {
        return Step { check: name, outcome: StepOutcome::Open, detail: String::new() };
    };
    let words: Vec<String> = decision
        .charged
        .iter()
        .zip(&decision.standings)
        .filter_map(|(charged, standing)| {
            let rule = policy.rules.get(usize::from(charged.rule))?;
            Some(format!("{} ({} left)", limit_words(rule, policy), standing.remaining))
        })
        .collect();
    Step { check: name, outcome: StepOutcome::Passed, detail: words.join("; ") }
}

/// Only calls that cost money are asked; what was reserved is told by [`crate::admit::afford::granted_words`].
fn budget_step(decision: &Decision, decided: bool) -> Step {
    let check = Check::Budget;
    let (outcome, detail) = match (decided, decision.failed == Some(check)) {
        (true, _) => (StepOutcome::NotReached, ""),
        (false, true) => (StepOutcome::Failed, decision.detail.as_deref().unwrap_or("")),
        (false, false) if decision.passed.contains(check) => (StepOutcome::Passed, ""),
        (false, false) => (StepOutcome::Open, ""),
    };
    Step { check: check.name(), outcome, detail: detail.to_owned() }
}

fn passed_words(check: Check, case: Case<'_>) -> String {
    let policy = case.policy.map_or("", |policy| &*policy.name);
    match check {
        Check::State => "the key is active".to_owned(),
        Check::Expiry => "not expired".to_owned(),
        Check::Environment => format!("a {} key", case.record.environment),
        Check::Service => {
            format!("policy {policy} grants service {}", case.facts.service.map_or("", |own| own.name()))
        }
        Check::Scope => format!("granted by policy {policy}"),
        Check::Endpoint => format!(
            "{} {} is allowed by policy {policy}",
            case.facts.method.unwrap_or("*"),
            case.facts.path.unwrap_or("*")
        ),
        Check::Network | Check::KeyNetwork | Check::Host => case
            .facts
            .address
            .map(|address| format!("{} may call", address.to_canonical()))
            .unwrap_or_default(),
        Check::Model | Check::Referer | Check::Origin | Check::UserAgent | Check::App => {
            format!("allowed by policy {policy}")
        }
        Check::Signature => "signed with a secret of the service".to_owned(),
        Check::Limits | Check::Budget => String::new(),
    }
}
