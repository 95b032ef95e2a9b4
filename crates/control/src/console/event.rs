//! One decision: what was asked, what was answered, and every check in words.

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{
    authz::Action,
    code::Code,
    explain::{Step, StepOutcome, trace_of_record},
    id::DecisionId,
};
use tollgate_store::{DecisionRow, KeyView, Named, ResourceId};

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

#[derive(Template)]
#[template(path = "event.html")]
struct Page {
    shell: Shell,
    row: DecisionRow,
    key: Option<KeyView>,
    policy: Option<Named<tollgate_core::id::PolicyId>>,
    steps: Vec<Step>,
    passed: usize,
    remedy: &'static str,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadEvents)?;
    let id: DecisionId = id.parse().map_err(|_| Trouble::absent("decision"))?;
    let row = visit.store().decision(id).await?;
    let is_here = row.tenant.as_ref().is_some_and(|tenant| tenant.id == visit.tenant());
    let consumer = row.consumer.as_ref().map(|consumer| consumer.id);
    let is_own = permit.consumers().is_none_or(|own| consumer.is_some_and(|id| own.contains(&id)));
    if !is_here || !is_own {
        return Err(Trouble::absent("decision"));
    }
    let key = match row.key {
        Some(key) => visit.store().key_of(visit.tenant(), key).await.ok().map(|found| found.key),
        None => None,
    };
    let policy = match row.policy {
        Some(id) => {
            let scope = visit.scope(Action::ReadPolicies)?;
            let found = visit.store().resource(&scope, ResourceId::Policy(id)).await.ok();
            found.map(|found| Named { id, name: found.spec.name().to_owned() })
        }
        None => None,
    };
    let steps = trace_of_record(row.code, (row.checks_configured, row.checks_passed), &row.detail);
    html(&Page {
        passed: steps.iter().filter(|step| step.outcome == StepOutcome::Passed).count(),
        remedy: if row.code == Code::Valid { "" } else { tollgate_wire::codes::entry(row.code).remedy },
        shell: visit.shell(format!("Decision {}", row.code)),
        row,
        key,
        policy,
        steps,
    })
}

impl Shell {
    /// The class of a step of a trace.
    pub(crate) const fn step_class(&self, outcome: &StepOutcome) -> &'static str {
        match outcome {
            StepOutcome::Passed => "passed",
            StepOutcome::Failed => "failed",
            StepOutcome::Open | StepOutcome::NotReached => "skipped",
        }
    }

    /// The picture of a step of a trace.
    pub(crate) const fn step_icon(&self, outcome: &StepOutcome) -> &'static str {
        match outcome {
            StepOutcome::Passed => "allowed",
            StepOutcome::Failed => "denied",
            StepOutcome::Open | StepOutcome::NotReached => "off",
        }
    }

    /// What a step came to, in words.
    pub(crate) const fn step_word(&self, outcome: &StepOutcome) -> &'static str {
        match outcome {
            StepOutcome::Passed => "passed",
            StepOutcome::Failed => "failed",
            StepOutcome::Open => "no rule",
            StepOutcome::NotReached => "not reached",
        }
    }

    /// What a check compares.
    pub(crate) fn check_name(&self, check: impl AsRef<str>) -> &'static str {
        match check.as_ref() {
            "request" => "Request",
            "route" => "Route",
            "key" => "Known key",
            "state" => "State",
            "expiry" => "Expiry",
            "environment" => "Environment",
            "service" => "Service",
            "scope" => "Scope",
            "endpoint" => "Endpoint",
            "model" => "Model",
            "network" => "Address, by the policy",
            "key_network" => "Address, by the key",
            "host" => "Bound host",
            "referer" => "Referer",
            "origin" => "Origin",
            "user_agent" => "User-Agent",
            "app" => "App",
            "limits" => "Limits and quotas",
            _ => "Check",
        }
    }
}
