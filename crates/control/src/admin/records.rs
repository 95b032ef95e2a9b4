//! Types of events with their schemas, and records that a sink did not take.

use tollgate_core::{ingest_spec::EventTypeSpec, resource::Resources};
use tollgate_store::{ApplyMode, EventTypeView, ParkedFilter, ParkedRow, ParkedState};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, moment::rfc3339, view::named};
use crate::problem::Refused;

pub(crate) async fn types(call: Call) -> Result<Answer, Refused> {
    let project = call.query.text("project");
    let all = call.store().list_event_types(call.tenant()).await?;
    let own = all.into_iter().filter(|view| project.is_none_or(|project| is(view, project)));
    Answer::ok(&wire::List { items: own.map(shown).collect::<Vec<_>>(), next: None })
}

/// Whether it is of a project, given by name or id.
fn is(view: &EventTypeView, project: &str) -> bool {
    view.project.id.to_string() == project
        || view.project.name == project.rsplit('/').next().unwrap_or(project)
}

pub(crate) async fn register(call: Call) -> Result<Answer, Refused> {
    let new: wire::NewEventType = call.body()?;
    // A short name is that of the own tenant, whatever other tenants call theirs.
    let project = if new.project.contains('/') {
        new.project
    } else {
        format!("{}/{}", call.who.tenant.name, new.project)
    };
    let (name, version) = (new.name, new.version.unwrap_or(1));
    let spec = EventTypeSpec { project: project.clone(), name: name.clone(), version, schema: new.schema };
    let resources = Resources { event_types: vec![spec], ..Resources::default() };
    let plan = call.store().apply(&call.permit, &resources, ApplyMode::default(), call.now_us).await?;
    call.known_here(plan.seq).await;
    let all = call.store().list_event_types(call.tenant()).await?;
    let made = all
        .into_iter()
        .find(|view| is(view, &project) && view.spec.name == name && view.spec.version == version);
    let made = made.ok_or_else(|| Refused::NotFound(format!("`{name}` was taken away again meanwhile")))?;
    Answer::created(&shown(made), format!("{BASE}/event-types"))
}

pub(crate) async fn attempt(call: Call) -> Result<Answer, Refused> {
    let trial: wire::RecordTrial = call.body()?;
    let project = trial.project.rsplit('/').next().unwrap_or_default();
    let of = (project, trial.name.as_str(), trial.version);
    let misfits = call.store().try_record(call.tenant(), of, &trial.record).await?;
    let fits = misfits.is_empty();
    let problems = misfits.into_iter().map(|(path, reason)| wire::RecordMisfit { path, reason }).collect();
    Answer::ok(&wire::RecordVerdict { fits, problems })
}

pub(crate) async fn parked(call: Call) -> Result<Answer, Refused> {
    let filter = ParkedFilter { tenant: Some(call.tenant()), sink: None, open: !call.query.flag("all") };
    let rows = call.store().parked(&filter).await?;
    Answer::ok(&wire::List { items: rows.into_iter().map(of_row).collect::<Vec<_>>(), next: None })
}

pub(crate) async fn retry(call: Call) -> Result<Answer, Refused> {
    release(call, ParkedState::Retry).await
}

pub(crate) async fn skip(call: Call) -> Result<Answer, Refused> {
    release(call, ParkedState::Skip).await
}

async fn release(call: Call, state: ParkedState) -> Result<Answer, Refused> {
    let event: String = call.id()?;
    // Another tenant's is as absent as one that is not there.
    let filter = ParkedFilter { tenant: Some(call.tenant()), sink: None, open: true };
    let is_here = call.store().parked(&filter).await?.iter().any(|row| row.event == event);
    if !is_here {
        return Err(Refused::NotFound(format!("no record `{event}` waits; list them, or correct the id")));
    }
    let row = call.store().release_parked(&call.permit, (&event, state), call.now_us).await?;
    Answer::ok(&of_row(row))
}

fn shown(view: EventTypeView) -> wire::EventType {
    let EventTypeSpec { name, version, schema, .. } = view.spec;
    wire::EventType { project: named(&view.project), name, version, schema }
}

fn of_row(row: ParkedRow) -> wire::ParkedEvent {
    wire::ParkedEvent {
        event_id: row.event,
        sink: row.sink,
        kind: row.kind,
        reason: row.reason,
        state: row.state.name().to_owned(),
        parked_at: rfc3339(row.parked_us),
    }
}
