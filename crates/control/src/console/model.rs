//! One version of a model: how it is on this node, what is written of it as form and as TOML, giving it an alias,
//! taking it away. Files of the host are named by its operator; here they are shown.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::ModelId, predict_spec::ModelSpec};
use tollgate_store::{AuditRow, ResourceAt, ResourceId, ResourceSpec};
use tollgate_wire::admin::Model;

use super::{
    consumer::history,
    consumer_form::Errors,
    keys::projects,
    model_draft::ModelDraft,
    models::{at_most, words},
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::{admin::models::shown, model_trial::try_sample, problem::Refused};

#[derive(Template)]
#[template(path = "model.html")]
struct Page {
    shell: Shell,
    /// `None` for a new one.
    saved: Option<Saved>,
    draft: ModelDraft,
    is_changed: bool,
    errors: Errors,
    history: Vec<AuditRow>,
    may_change: bool,
}

/// A version as it is saved.
struct Saved {
    id: ModelId,
    /// With how it is on this node.
    model: Model,
    spec: ModelSpec,
}

impl Saved {
    fn words(&self) -> &'static str {
        words(&self.model)
    }

    fn median(&self) -> String {
        at_most(self.model.median_us)
    }

    fn p99(&self) -> String {
        at_most(self.model.p99_us)
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let saved = saved(&visit, &id).await?;
    let draft = ModelDraft::of(&saved.spec);
    page(&visit, Some(saved), draft, Errors::default()).await
}

async fn saved(visit: &Visit, text: &str) -> Result<Saved, Trouble> {
    let id: ModelId = text.parse().map_err(|_| Trouble::absent("model"))?;
    let found = visit.store().resource(&visit.scope(Action::ReadServices)?, ResourceId::Model(id)).await?;
    let model = shown(found, &visit.app.control().health.models());
    let model = model.ok_or_else(|| Trouble::absent("model"))?;
    Ok(Saved { id, spec: model.spec.clone(), model })
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let projects = projects(&visit).await?;
    let project = visit.query.owned("project").or_else(|| projects.first().cloned()).unwrap_or_default();
    let toml = format!(
        "project = \"{project}\"\nname = \"new-model\"\nversion = \"1\"\n\
         remote = {{ protocol = \"kserve-v2\", url = \"http://127.0.0.1:8000\" }}\n\n\
         [[input]]\nname = \"features\"\ndatatype = \"FP32\"\nshape = [-1, 4]\n"
    );
    let draft = ModelDraft::of(&toml::from_str(&toml).map_err(|_| Trouble::absent("project"))?);
    page(&visit, None, draft, Errors::default()).await
}

async fn page(
    visit: &Visit,
    saved: Option<Saved>,
    draft: ModelDraft,
    errors: Errors,
) -> Result<Response, Trouble> {
    let title = saved
        .as_ref()
        .map_or_else(|| "New model".to_owned(), |own| format!("{} {}", own.spec.name, own.spec.version));
    let history = match &saved {
        Some(own) => history(visit, &own.id.to_string()).await?,
        None => Vec::new(),
    };
    html(&Page {
        is_changed: saved.as_ref().is_some_and(|own| draft.spec.as_ref() != Some(&own.spec)),
        may_change: visit.may_all(Action::ChangeResources),
        shell: visit.shell(format!("{title}, model")),
        saved,
        draft,
        errors,
        history,
    })
}

/// Changes the draft, or saves it.
pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let saved = saved(&visit, &id).await?;
    let draft = ModelDraft::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, Some(saved), draft, Errors(errors)).await,
    };
    if fields.text("act") != Some("save") {
        return page(&visit, Some(saved), draft, Errors::default()).await;
    }
    let permit = visit.permit(Action::ChangeResources)?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Model(saved.id), version };
    let done = async {
        let scope = visit.scope(Action::ReadServices)?;
        try_sample(&visit.app, (&scope, saved.id), &spec).await?;
        let new = ResourceSpec::Model(Box::new(spec));
        Ok::<_, Trouble>(visit.store().replace_resource(&permit, at, new, visit.now_us).await?)
    };
    match done.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/models/{}?done=saved", saved.id)).into_response())
        }
        Err(trouble) => {
            let errors = Errors::from(trouble)?;
            page(&visit, Some(saved), draft, errors).await
        }
    }
}

/// Registers a version, or changes the draft of a new one.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = ModelDraft::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, None, draft, Errors(errors)).await,
    };
    if fields.text("act") != Some("save") {
        return page(&visit, None, draft, Errors::default()).await;
    }
    let made = async {
        let project = visit.store().project_of(visit.tenant(), &spec.project).await?;
        let project = format!("{}/{}", visit.who.tenant.name, project.name);
        let new = ResourceSpec::Model(Box::new(ModelSpec { project, ..spec }));
        Ok::<_, Trouble>(visit.store().create_resource(&permit, new, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/models/{}?done=created", done.value.id)).into_response())
        }
        Err(trouble) => {
            let errors = Errors::from(trouble)?;
            page(&visit, None, draft, errors).await
        }
    }
}

/// Gives it an alias, which another version that has it loses.
pub(crate) async fn give_alias(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let saved = saved(&visit, &id).await?;
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Model(saved.id), version: None };
    let alias = fields.text("alias").unwrap_or_default();
    match visit.store().give_model_alias(&permit, at, alias, visit.now_us).await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/models/{}?done=saved", saved.id)).into_response())
        }
        Err(error) => {
            let draft = ModelDraft::of(&saved.spec);
            let errors = Errors::from(error.into())?;
            page(&visit, Some(saved), draft, errors).await
        }
    }
}

/// Takes a version away; its file stays.
pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let id: ModelId = id.parse().map_err(|_| Refused::not_found())?;
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Model(id), version: None };
    let done = visit.store().delete_resource(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/models?done=deleted").into_response())
}
