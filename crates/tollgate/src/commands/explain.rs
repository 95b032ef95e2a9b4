//! `tollgate explain`: a decision that was made, or one that would be made now.
//!
//! Neither decides anything itself: the one is read back from its record, the other asks
//! `core::admit` over the database's snapshot, without moving a counter.

use std::io::BufRead as _;

use serde::Serialize;
use tollgate_core::{
    explain::{Step, StepOutcome, trace_of_record},
    id::{DecisionId, KeyId},
    secret::Secret,
};
use tollgate_store::StoreError;

use super::{events::Event, recorded};
use crate::{cli::ExplainArgs, context::Context, failure::Failure, hypothetical, print};

/// What is explained.
#[derive(Serialize)]
struct Explanation<'a> {
    allowed: bool,
    code: &'static str,
    /// Why not, in words; empty when it is allowed.
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    steps: &'a [Step],
    /// What the explanation cannot know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: ExplainArgs) -> Result<(), Failure> {
    match &args.decision {
        Some(id) => recorded_decision(context, id).await,
        None => hypothetical_decision(context, args).await,
    }
}

async fn recorded_decision(context: &Context, id: &str) -> Result<(), Failure> {
    let id: DecisionId = id.parse().map_err(|error| Failure::Usage(format!("{error}")))?;
    let store = context.store().await?;
    recorded::bring_in(context, &store).await?;
    let row = match store.decision(id).await {
        Ok(row) => row,
        Err(StoreError::NotFound { .. }) => {
            return Err(Failure::failed(format!(
                "there is no record of {id}; single decisions are kept for `retention.decisions`, and a decision of another installation is not here"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let allowed = row.code == tollgate_core::code::Code::Valid;
    let (code, detail) = (row.code.name(), row.detail.clone());
    let steps = trace_of_record(row.code, (row.checks_configured, row.checks_passed), &detail);
    let shown = Explanation {
        allowed,
        code,
        detail,
        decision: Some(Event::of(row)),
        key_id: None,
        service: None,
        policy: None,
        steps: &steps,
        notes: Vec::new(),
    };
    context.printer.result(&shown, || in_words(&shown))
}

async fn hypothetical_decision(context: &Context, mut args: ExplainArgs) -> Result<(), Failure> {
    let credential = credential(args.key.take())?;
    let store = context.store().await?;
    let outcome = hypothetical::decide(context, &store, &credential, &args).await?;
    let shown = Explanation {
        allowed: outcome.code == tollgate_core::code::Code::Valid,
        code: outcome.code.name(),
        detail: outcome.detail,
        decision: None,
        key_id: outcome.key,
        service: outcome.service,
        policy: outcome.policy,
        steps: &outcome.steps,
        notes: outcome.notes,
    };
    context.printer.result(&shown, || in_words(&shown))
}

/// The key from the flag, or from standard input.
fn credential(flag: Option<String>) -> Result<Secret<String>, Failure> {
    match flag.as_deref() {
        Some("-") => {
            let mut line = String::new();
            std::io::Read::take(std::io::stdin().lock(), 4096).read_line(&mut line)?;
            Ok(Secret::new(line.trim().to_owned()))
        }
        Some(key) => Ok(Secret::new(key.to_owned())),
        None => Err(Failure::Usage("give a decision's id, or a key with --key".to_owned())),
    }
}

fn in_words(explanation: &Explanation<'_>) -> String {
    let head = if explanation.allowed { "ALLOWED" } else { "DENIED" };
    let mut text = format!("{head}  {}", explanation.code);
    if !explanation.detail.is_empty() {
        text.push_str(&format!("\n{}", explanation.detail));
    }
    text.push_str("\n\n");
    if let Some(decision) = &explanation.decision {
        text.push_str(&decision.in_words());
    }
    text.push_str(&print::fields(&[
        ("key", explanation.key_id.map(|id| id.to_string()).unwrap_or_default()),
        ("service", explanation.service.clone().unwrap_or_default()),
        ("policy", explanation.policy.clone().unwrap_or_default()),
    ]));
    let decided = |step: &&Step| matches!(step.outcome, StepOutcome::Passed | StepOutcome::Failed);
    let rows = explanation.steps.iter().filter(decided).map(|step| {
        let outcome = if step.outcome == StepOutcome::Failed { "FAILED" } else { "passed" };
        [step.check.to_owned(), outcome.to_owned(), step.detail.clone()]
    });
    text.push('\n');
    text.push_str(&print::table(["check", "outcome", "what was compared"], rows));
    text.push_str(&listed("\nNothing restricts", explanation.steps, StepOutcome::Open));
    text.push_str(&listed("\nNot asked any more", explanation.steps, StepOutcome::NotReached));
    for note in &explanation.notes {
        text.push_str(&format!("\nNote: {note}."));
    }
    text
}

/// The checks that came out so, on a line; empty when there is none.
fn listed(what: &str, steps: &[Step], outcome: StepOutcome) -> String {
    let names: Vec<&str> =
        steps.iter().filter(|step| step.outcome == outcome).map(|step| step.check).collect();
    if names.is_empty() { String::new() } else { format!("{what}: {}.", names.join(", ")) }
}
