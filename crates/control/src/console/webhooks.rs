//! Webhooks: listed, made. A whole secret is in the answer of the form that made it.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tollgate_core::{authz::Action, id::WebhookId, notice::NoticeKind, webhook::WebhookSpec};
use tollgate_store::WebhookView;

use super::{
    consumer_form::Errors,
    form::Fields,
    keys::projects,
    once,
    pieces::Html,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::admin::webhooks::state;

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Page {
    shell: Shell,
    webhooks: Vec<WebhookView>,
    projects: Vec<String>,
    kinds: &'static [NoticeKind],
    may_change: bool,
    once: String,
    draft: Draft,
    errors: Errors,
}

/// What was typed.
struct Draft {
    /// The project; empty for all of the tenant.
    project: String,
    url: String,
    events: String,
    description: String,
}

/// The one page with a whole secret.
#[derive(Template)]
#[template(path = "webhook_secret.html")]
pub(super) struct Made<'a> {
    pub(super) shell: Shell,
    pub(super) id: WebhookId,
    pub(super) url: &'a str,
    pub(super) secret: &'a str,
    /// Until when the former one signs too.
    pub(super) former_until_us: Option<i64>,
}

impl Shell {
    /// How a webhook is.
    pub(crate) fn webhook_state(&self, view: &WebhookView) -> Html {
        let (class, icon, word) = match state(view) {
            "active" => ("allowed", "allowed", "Active"),
            "failing" => ("limited", "limited", "Failing"),
            "disabled" => ("off", "off", "Disabled"),
            "switched_off" => ("denied", "denied", "Switched off"),
            _ => ("limited", "limited", "Without secret"),
        };
        self.pill(class, icon, word)
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let draft = Draft::read(&visit.query);
    page(&visit, draft, Errors::default()).await
}

impl Draft {
    fn read(fields: &Fields) -> Self {
        Self {
            project: fields.owned("project").unwrap_or_default(),
            url: fields.owned("url").unwrap_or_default(),
            events: fields.exact("events").to_owned(),
            description: fields.owned("description").unwrap_or_default(),
        }
    }

    fn spec(&self, tenant: &str, events: Vec<String>) -> WebhookSpec {
        let is_whole = self.project.is_empty();
        WebhookSpec {
            tenant: is_whole.then(|| tenant.to_owned()),
            project: (!is_whole).then(|| format!("{tenant}/{}", self.project)),
            url: self.url.clone(),
            events,
            enabled: true,
            description: self.description.clone(),
        }
    }
}

async fn page(visit: &Visit, draft: Draft, errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    html(&Page {
        webhooks: visit.store().list_webhooks(Some(visit.tenant())).await?,
        projects: projects(visit).await?,
        kinds: NoticeKind::ALL,
        may_change: visit.may_all(Action::ChangeResources),
        once: once::name()?,
        draft,
        errors,
        shell: visit.shell("Webhooks"),
    })
}

/// Makes a webhook and shows its secret, once.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    once::whole(create_whole(posted)).await
}

async fn create_whole(posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&posted.fields);
    let first = match once::take(&posted, &format!("webhook {} {}", draft.project, draft.url)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    let spec = draft.spec(&visit.who.tenant.name, posted.fields.lines("events"));
    match visit.store().create_webhook(&permit, spec, visit.now_us).await {
        Ok(made) => {
            visit.known_here(made.seq).await;
            let (view, secret) = made.value;
            first.done(visit, format!("/settings/webhooks/{}", view.id)).await;
            let shell = visit.shell("Webhook");
            let secret = secret.secret.expose();
            html(&Made { shell, id: view.id, url: &view.spec.url, secret, former_until_us: None })
        }
        Err(error) => {
            let trouble = error.into();
            first.undone(visit, &trouble).await;
            page(visit, draft, Errors::from(trouble)?).await
        }
    }
}
