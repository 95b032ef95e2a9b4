//! Secrets of projects: set and removed, never shown. Both need a fresh sign-in.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::SecretId, secret::Secret};
use tollgate_store::SecretView;

use super::{
    consumer_form::Errors,
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "secrets.html")]
struct Page {
    shell: Shell,
    secrets: Vec<SecretView>,
    projects: Vec<String>,
    may_change: bool,
    is_fresh: bool,
    project: String,
    name: String,
    errors: Errors,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let typed =
        (visit.query.owned("project").unwrap_or_default(), visit.query.owned("name").unwrap_or_default());
    page(&visit, typed, Errors::default()).await
}

async fn page(visit: &Visit, (project, name): (String, String), errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadProviderCredentials)?;
    html(&Page {
        secrets: visit.store().list_secrets(Some(visit.tenant())).await?,
        projects: projects(visit).await?,
        may_change: visit.may_all(Action::ChangeProviderCredentials),
        is_fresh: visit.permit(Action::ChangeProviderCredentials).is_ok(),
        project,
        name,
        errors,
        shell: visit.shell("Secrets"),
    })
}

/// Sets a secret, new or in place of the one of this name.
pub(crate) async fn set(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeProviderCredentials)?;
    let project = fields.owned("project").unwrap_or_default();
    let name = fields.owned("name").unwrap_or_default();
    let value = Secret::new(fields.exact("value").trim().to_owned());
    let full = format!("{}/{project}", visit.who.tenant.name);
    let set = visit.store().put_secret(&permit, (&full, &name, &value), visit.now_us).await;
    match set {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to("/settings/secrets?done=saved").into_response())
        }
        Err(error) => page(&visit, (project, name), Errors::from(error.into())?).await,
    }
}

pub(crate) async fn remove(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeProviderCredentials)?;
    let id: SecretId = id.parse().map_err(|_| Trouble::absent("secret"))?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let found = visit.store().secret_view(visit.tenant(), id).await?;
    let done = visit.store().remove_secret(&permit, (found.id, version), visit.now_us).await;
    match done {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to("/settings/secrets?done=removed").into_response())
        }
        Err(error) => page(&visit, (String::new(), String::new()), Errors::from(error.into())?).await,
    }
}
