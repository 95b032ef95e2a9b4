//! One webhook: what it says, its log of deliveries, and what is done with it.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    id::{NoticeId, WebhookId},
    notice::NoticeKind,
    webhook::WebhookSpec,
};
use tollgate_store::{DeliveryFilter, DeliveryRow, DeliveryState, WebhookAt, WebhookReplay, WebhookView};

use super::{
    consumer_form::Errors,
    once,
    pieces::Html,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
    webhooks::Made,
};
use crate::admin::webhooks::OVERLAP_US;

/// How far back failures are sent again from, by the word of the form.
const SPANS: [(&str, i64); 3] = [("1h", 3_600_000_000), ("24h", 86_400_000_000), ("7d", 7 * 86_400_000_000)];

#[derive(Template)]
#[template(path = "webhook.html")]
struct Page {
    shell: Shell,
    webhook: WebhookView,
    deliveries: Vec<DeliveryRow>,
    older: Option<String>,
    /// The state that the list is restricted to.
    state: String,
    kinds: &'static [NoticeKind],
    may_change: bool,
    once: String,
    events: String,
    errors: Errors,
}

impl Shell {
    /// Where a delivery stands.
    pub(crate) fn delivery_state(&self, row: &DeliveryRow) -> Html {
        match row.state {
            DeliveryState::Taken => self.pill("allowed", "allowed", "Delivered"),
            DeliveryState::Failed => self.pill("denied", "denied", "Given up"),
            DeliveryState::Pending if row.attempts == 0 => self.pill("off", "clock", "Waiting"),
            DeliveryState::Pending => self.pill("limited", "limited", "Trying again"),
        }
    }
}

pub(crate) async fn show(Path(id): Path<String>, visit: Visit) -> Result<Response, Trouble> {
    let webhook = visible(&visit, &id).await?;
    page(&visit, webhook, None, Errors::default()).await
}

async fn visible(visit: &Visit, id: &str) -> Result<WebhookView, Trouble> {
    visit.permit(Action::ReadAutomation)?;
    let id: WebhookId = id.parse().map_err(|_| Trouble::absent("webhook"))?;
    Ok(visit.store().webhook(visit.tenant(), id).await?)
}

async fn page(
    visit: &Visit,
    webhook: WebhookView,
    typed: Option<WebhookSpec>,
    errors: Errors,
) -> Result<Response, Trouble> {
    let state = visit.query.owned("state").unwrap_or_default();
    let filter = DeliveryFilter { state: DeliveryState::from_name(&state), notice: None };
    let found = visit.store().deliveries(webhook.id, &filter, &visit.rows()).await?;
    let webhook = WebhookView { spec: typed.unwrap_or_else(|| webhook.spec.clone()), ..webhook };
    html(&Page {
        deliveries: found.items,
        older: visit.older(found.next.as_deref()),
        state,
        kinds: NoticeKind::ALL,
        may_change: visit.may_all(Action::ChangeResources),
        once: once::name()?,
        events: webhook.spec.events.join("\n"),
        webhook,
        errors,
        shell: visit.shell("Webhook"),
    })
}

fn back(webhook: &WebhookView, told: &str) -> Response {
    Redirect::to(&format!("/settings/webhooks/{}?done={told}", webhook.id)).into_response()
}

/// Changes what it says.
pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let webhook = visible(&visit, &id).await?;
    let spec = WebhookSpec {
        events: fields.lines("events"),
        enabled: fields.text("enabled").is_some(),
        description: fields.owned("description").unwrap_or_default(),
        ..webhook.spec.clone()
    };
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = WebhookAt { tenant: visit.tenant(), id: webhook.id, version };
    match visit.store().replace_webhook(&permit, at, spec.clone(), visit.now_us).await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(back(&webhook, "saved"))
        }
        Err(error) => page(&visit, webhook, Some(spec), Errors::from(error.into())?).await,
    }
}

/// Gives it another secret and shows that, once.
pub(crate) async fn rotate(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    once::whole(rotate_whole(id, posted)).await
}

async fn rotate_whole(id: String, posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeResources)?;
    let webhook = visible(&posted.visit, &id).await?;
    let first = match once::take(&posted, &format!("rotate {id}")).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    let overlap_us = if posted.fields.text("overlap") == Some("none") { 0 } else { OVERLAP_US };
    match visit.store().rotate_webhook_secret(&permit, (webhook.id, overlap_us), visit.now_us).await {
        Ok(made) => {
            first.done(visit, format!("/settings/webhooks/{}", webhook.id)).await;
            let (shell, url) = (visit.shell("Webhook"), &webhook.spec.url);
            let former_until_us = made.value.overlap_until_us;
            html(&Made { shell, id: webhook.id, url, secret: made.value.secret.expose(), former_until_us })
        }
        Err(error) => {
            let trouble = error.into();
            first.undone(visit, &trouble).await;
            page(visit, webhook, None, Errors::from(trouble)?).await
        }
    }
}

pub(crate) async fn test(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let webhook = visible(&visit, &id).await?;
    match visit.store().test_webhook(&permit, webhook.id, visit.now_us).await {
        Ok(_) => Ok(back(&webhook, "test-sent")),
        Err(error) => page(&visit, webhook, None, Errors::from(error.into())?).await,
    }
}

/// Sends again: one delivery, or all that were given up in a span.
pub(crate) async fn replay(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let webhook = visible(&visit, &id).await?;
    let which = match fields.text("delivery") {
        Some(delivery) => {
            let delivery = delivery.parse::<NoticeId>().map_err(|_| Trouble::absent("delivery"))?;
            WebhookReplay::One(delivery)
        }
        None => {
            let span = SPANS.into_iter().find(|(word, _)| fields.text("since") == Some(word));
            WebhookReplay::FailedSince(span.map_or(0, |(_, span_us)| visit.now_us.saturating_sub(span_us)))
        }
    };
    match visit.store().replay_deliveries(&permit, (webhook.id, which), visit.now_us).await {
        Ok(_) => Ok(back(&webhook, "sent-again")),
        Err(error) => page(&visit, webhook, None, Errors::from(error.into())?).await,
    }
}

pub(crate) async fn resume(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let webhook = visible(&visit, &id).await?;
    visit.store().resume_webhook(&permit, webhook.id, visit.now_us).await?;
    Ok(back(&webhook, "saved"))
}

pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let webhook = visible(&visit, &id).await?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = WebhookAt { tenant: visit.tenant(), id: webhook.id, version };
    match visit.store().delete_webhook(&permit, at, visit.now_us).await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to("/settings/webhooks?done=deleted").into_response())
        }
        Err(error) => page(&visit, webhook, None, Errors::from(error.into())?).await,
    }
}
