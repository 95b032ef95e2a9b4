//! One policy: what it says as form, as TOML and in words; changing it; trying a request on the draft.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    id::{PolicyId, ProjectId},
    resource::PolicySpec,
};
use tollgate_store::{
    AuditRow, Named, PageRequest, ResourceAt, ResourceFilter, ResourceId, ResourceSpec, Scope,
};

use super::{
    consumer::history,
    consumer_form::Errors,
    keys::projects,
    policies::keys_of,
    policy_draft::Draft,
    policy_words::{Sentence, of_policy},
    shell::Shell,
    trial::Trial,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::problem::Refused;

#[derive(Template)]
#[template(path = "policy.html")]
struct Page {
    shell: Shell,
    /// `None` for a new one.
    saved: Option<Saved>,
    draft: Draft,
    is_changed: bool,
    sentences: Vec<Sentence>,
    errors: Errors,
    trial: Trial,
    services: Vec<String>,
    history: Vec<AuditRow>,
    may_change: bool,
}

/// A policy as it is saved.
struct Saved {
    id: PolicyId,
    version: u64,
    project: Named<ProjectId>,
    spec: PolicySpec,
    keys: u64,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let saved = saved(&visit, &visit.scope(Action::ReadPolicies)?, &id).await?;
    let draft = Draft::of(&saved.spec);
    page(&visit, Some(saved), draft, (Errors::default(), Trial::default())).await
}

async fn saved(visit: &Visit, scope: &Scope, text: &str) -> Result<Saved, Trouble> {
    let id: PolicyId = text.parse().map_err(|_| Trouble::absent("policy"))?;
    let found = visit.store().resource(scope, ResourceId::Policy(id)).await?;
    let ResourceSpec::Policy(spec) = found.spec else { return Err(Trouble::absent("policy")) };
    let keys = keys_of(visit, &[id]).await?.get(&id).copied().unwrap_or(0);
    Ok(Saved { id, version: found.version, project: found.project, spec: *spec, keys })
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let projects = projects(&visit).await?;
    let project = visit.query.owned("project").or_else(|| projects.first().cloned()).unwrap_or_default();
    let toml =
        format!("project = \"{project}\"\nname = \"new-policy\"\nservices = []\nscopes = [\"read\"]\n");
    let draft = Draft::of(&toml::from_str(&toml).map_err(|_| Trouble::absent("project"))?);
    page(&visit, None, draft, (Errors::default(), Trial::default())).await
}

async fn page(
    visit: &Visit,
    saved: Option<Saved>,
    draft: Draft,
    (errors, trial): (Errors, Trial),
) -> Result<Response, Trouble> {
    let title = saved.as_ref().map_or_else(|| "New policy".to_owned(), |own| own.spec.name.clone());
    let history = match &saved {
        Some(own) => history(visit, &own.id.to_string()).await?,
        None => Vec::new(),
    };
    let project = match (&saved, &draft.spec) {
        (Some(own), _) => Some(own.project.id),
        (None, Some(spec)) => {
            visit.store().project_of(visit.tenant(), &spec.project).await.ok().map(|own| own.id)
        }
        (None, None) => None,
    };
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadServices)?, tollgate_store::Entity::Service);
    filter.project = project;
    let services = visit.store().list_resources(&filter, &PageRequest { limit: 200, cursor: None }).await?;
    html(&Page {
        is_changed: saved.as_ref().is_some_and(|own| draft.spec.as_ref() != Some(&own.spec)),
        sentences: draft.spec.as_ref().map(of_policy).unwrap_or_default(),
        services: services.items.iter().map(|item| item.spec.name().to_owned()).collect(),
        may_change: visit.may_all(Action::ChangeResources),
        shell: visit.shell(format!("{title}, policy")),
        saved,
        draft,
        errors,
        trial,
        history,
    })
}

/// Changes the draft, tries a request on it, or saves it.
pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let saved = saved(&visit, &visit.scope(Action::ReadPolicies)?, &id).await?;
    let draft = Draft::read(&fields);
    let mut trial = Trial::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, Some(saved), draft, (Errors(errors), trial)).await,
    };
    match fields.text("act") {
        Some("save") => {}
        Some("try") => {
            visit.permit(Action::Explain)?;
            trial = trial.run(&visit, &spec, &saved.project).await?;
            return page(&visit, Some(saved), draft, (Errors::default(), trial)).await;
        }
        _ => return page(&visit, Some(saved), draft, (Errors::default(), trial)).await,
    }
    let permit = visit.permit(Action::ChangeResources)?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Policy(saved.id), version };
    let new = ResourceSpec::Policy(Box::new(spec));
    match visit.store().replace_resource(&permit, at, new, visit.now_us).await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/policies/{}?done=saved", saved.id)).into_response())
        }
        Err(error) => {
            let errors = Errors::from(error.into())?;
            page(&visit, Some(saved), draft, (errors, trial)).await
        }
    }
}

/// Creates a policy, or changes the draft of a new one.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&fields);
    let trial = Trial::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, None, draft, (Errors(errors), trial)).await,
    };
    if fields.text("act") != Some("save") {
        return page(&visit, None, draft, (Errors::default(), trial)).await;
    }
    let made = async {
        let project = visit.store().project_of(visit.tenant(), &spec.project).await?;
        let project = format!("{}/{}", visit.who.tenant.name, project.name);
        let new = ResourceSpec::Policy(Box::new(PolicySpec { project, ..spec }));
        Ok::<_, Trouble>(visit.store().create_resource(&permit, new, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/policies/{}?done=created", done.value.id)).into_response())
        }
        Err(trouble) => {
            let errors = Errors::from(trouble)?;
            page(&visit, None, draft, (errors, trial)).await
        }
    }
}

/// Deletes a policy that no key needs.
pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let id: PolicyId = id.parse().map_err(|_| Refused::not_found())?;
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Policy(id), version: None };
    let done = visit.store().delete_resource(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/policies?done=deleted").into_response())
}
