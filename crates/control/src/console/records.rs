//! Records: what a sink did not take, with what to do about it; types of events with their schemas, a form for
//! another version, and a record tried against one.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, ingest_spec::EventTypeSpec, resource::Resources};
use tollgate_store::{ApplyMode, EventTypeView, Lag, ParkedFilter, ParkedRow, ParkedState, RefusedUsage};

use super::{
    consumer_form::Errors,
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};

/// Requests and messages of the topic of usage that are shown, the latest.
const REFUSED_SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "records.html")]
struct Page {
    shell: Shell,
    parked: Vec<ParkedRow>,
    /// How far sinks are; only for who may see how nodes are run.
    sinks: Vec<Lag>,
    /// What was passed over of the topic of usage, which all tenants share; only for them, and only where there is one
    /// tenant. With several, the operator has it from the command line.
    refused: Vec<RefusedUsage>,
    types: Vec<EventTypeView>,
    projects: Vec<String>,
    may_change: bool,
    typed: Typed,
    errors: Errors,
    /// What came of trying a record.
    tried: Option<Vec<(String, String)>>,
}

/// What stands in the forms.
#[derive(Default)]
struct Typed {
    project: String,
    name: String,
    version: String,
    schema: String,
    /// `project name@version`.
    of: String,
    record: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    page(&visit, Typed::default(), Errors::default(), None).await
}

async fn page(
    visit: &Visit,
    typed: Typed,
    errors: Errors,
    tried: Option<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let store = visit.store();
    let filter = ParkedFilter { tenant: Some(visit.tenant()), sink: None, open: true };
    let (mut sinks, mut refused) = (Vec::new(), Vec::new());
    if visit.may(Action::ReadSystem) {
        sinks.extend(store.outbox_lag().await?);
        sinks.extend(store.stream_lag().await?);
        if store.has_one_tenant().await? {
            refused.extend(store.refused_usage().await?.into_iter().take(REFUSED_SHOWN));
        }
    }
    html(&Page {
        parked: store.parked(&filter).await?,
        sinks,
        refused,
        types: store.list_event_types(visit.tenant()).await?,
        projects: projects(visit).await?,
        may_change: visit.may_all(Action::ChangeResources),
        typed,
        errors,
        tried,
        shell: visit.shell("Records"),
    })
}

/// What becomes of a record that was not taken.
fn words(row: &ParkedRow) -> &'static str {
    match row.state {
        ParkedState::Held => "held",
        ParkedState::Retry => "is tried again",
        ParkedState::Skip | ParkedState::Passed => "is left out",
    }
}

/// Registers a version of a type, or changes it.
pub(crate) async fn register(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let typed = Typed {
        project: fields.owned("project").unwrap_or_default(),
        name: fields.owned("name").unwrap_or_default(),
        version: fields.owned("version").unwrap_or_default(),
        schema: fields.exact("schema").to_owned(),
        ..Typed::default()
    };
    let spec = EventTypeSpec {
        project: format!("{}/{}", visit.who.tenant.name, typed.project),
        name: typed.name.clone(),
        // What is no number is refused as 0 is: versions count from 1.
        version: typed.version.parse().unwrap_or(0),
        schema: typed.schema.clone(),
    };
    let resources = Resources { event_types: vec![spec], ..Resources::default() };
    match visit.store().apply(&permit, &resources, ApplyMode::default(), visit.now_us).await {
        Ok(plan) => {
            visit.known_here(plan.seq).await;
            Ok(Redirect::to("/settings/records?done=saved").into_response())
        }
        Err(error) => {
            let mut errors = Errors::from(error.into())?;
            for error in &mut errors.0 {
                if let Some(field) = error.field.strip_prefix("event_type[0].") {
                    error.field = field.to_owned();
                }
            }
            page(&visit, typed, errors, None).await
        }
    }
}

/// Holds a record against a type; nothing is kept.
pub(crate) async fn attempt(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    visit.permit(Action::ReadAutomation)?;
    let of = fields.owned("of").unwrap_or_default();
    let record = fields.exact("record").to_owned();
    let (project, named) = of.split_once(' ').unwrap_or_default();
    let (name, version) = named.rsplit_once('@').unwrap_or_default();
    let of_type = (project, name, version.parse().ok());
    let outcome = visit.store().try_record(visit.tenant(), of_type, &record).await;
    let typed = Typed { of, record, ..Typed::default() };
    match outcome {
        Ok(misfits) => page(&visit, typed, Errors::default(), Some(misfits)).await,
        Err(error) => page(&visit, typed, Errors::from(error.into())?, None).await,
    }
}

pub(crate) async fn retry(Path(event): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    release(&event, posted, ParkedState::Retry).await
}

pub(crate) async fn skip(Path(event): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    release(&event, posted, ParkedState::Skip).await
}

async fn release(event: &str, posted: Posted, state: ParkedState) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let filter = ParkedFilter { tenant: Some(visit.tenant()), sink: None, open: true };
    if !visit.store().parked(&filter).await?.iter().any(|row| row.event == event) {
        return Err(Trouble::absent("record"));
    }
    visit.store().release_parked(&permit, (event, state), visit.now_us).await?;
    let done = if state == ParkedState::Retry { "retried" } else { "left-out" };
    Ok(Redirect::to(&format!("/settings/records?done={done}")).into_response())
}
