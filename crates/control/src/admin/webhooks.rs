//! Webhooks: what they say, their secrets, what is on its way to them; and what happened that they are told.

use tollgate_core::{
    id::{KeyId, NoticeId, WebhookId},
    time::Span,
    webhook::WebhookSpec,
};
use tollgate_store::{
    DeliveryFilter, DeliveryRow, DeliveryState, NoticeFilter, NoticeRow, WebhookAt, WebhookReplay,
    WebhookView,
};
use tollgate_wire::admin as wire;

use super::{
    BASE,
    answer::Answer,
    call::Call,
    moment::{Moment, rfc3339},
    view,
};
use crate::problem::Refused;

/// How long a former secret signs when nobody says.
pub(crate) const OVERLAP_US: i64 = 86_400_000_000;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let all = call.store().list_webhooks(Some(call.tenant())).await?;
    Answer::part(all.into_iter().map(shown), &call.page())
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    answer(visible(&call).await?)
}

async fn visible(call: &Call) -> Result<WebhookView, Refused> {
    Ok(call.store().webhook(call.tenant(), call.id::<WebhookId>()?).await?)
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let made = call.store().create_webhook(&call.permit, call.body::<WebhookSpec>()?, call.now_us).await?;
    call.known_here(made.seq).await;
    let (view, secret) = made.value;
    let (id, version) = (view.id.to_string(), view.version);
    let location = format!("{BASE}/webhooks/{id}");
    let kept = hidden(id);
    let secret = Some(secret.secret.expose().clone());
    let shown = wire::WebhookSecret { secret, notice: None, ..kept.clone() };
    Answer::created(&shown, location)?.version(version).shown_once(&kept)
}

pub(crate) async fn replace(call: Call) -> Result<Answer, Refused> {
    let (at, spec) = (at(&call)?, call.body::<WebhookSpec>()?);
    let done = call.store().replace_webhook(&call.permit, at, spec, call.now_us).await?;
    call.known_here(done.seq).await;
    answer(done.value)
}

pub(crate) async fn delete(call: Call) -> Result<Answer, Refused> {
    let at = at(&call)?;
    let done = call.store().delete_webhook(&call.permit, at, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

pub(crate) async fn rotate(call: Call) -> Result<Answer, Refused> {
    let asked: wire::WebhookRotation = call.body_or_default()?;
    let overlap_us = match asked.overlap.as_deref() {
        None => OVERLAP_US,
        Some("0s") => 0,
        Some(text) => {
            let span = text.parse::<Span>().map_err(|error| Refused::invalid("overlap", error))?;
            i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
        }
    };
    let id = visible(&call).await?.id;
    let made = call.store().rotate_webhook_secret(&call.permit, (id, overlap_us), call.now_us).await?;
    let former_until = made.value.overlap_until_us.map(rfc3339);
    let kept = wire::WebhookSecret { former_until, ..hidden(id.to_string()) };
    let secret = Some(made.value.secret.expose().clone());
    let shown = wire::WebhookSecret { secret, notice: None, ..kept.clone() };
    Answer::ok(&shown)?.shown_once(&kept)
}

/// What a repetition of a call that showed a secret is answered.
fn hidden(id: String) -> wire::WebhookSecret {
    wire::WebhookSecret { id, secret: None, former_until: None, notice: Some(view::SHOWN_ONCE.to_owned()) }
}

pub(crate) async fn test(call: Call) -> Result<Answer, Refused> {
    let id = visible(&call).await?.id;
    let made = call.store().test_webhook(&call.permit, id, call.now_us).await?;
    Answer::ok(&wire::WebhookTest { delivery: made.value.to_string() })
}

pub(crate) async fn resume(call: Call) -> Result<Answer, Refused> {
    let id = visible(&call).await?.id;
    call.store().resume_webhook(&call.permit, id, call.now_us).await?;
    answer(call.store().webhook(call.tenant(), id).await?)
}

pub(crate) async fn replay(call: Call) -> Result<Answer, Refused> {
    let asked: wire::WebhookReplay = call.body()?;
    let which = match (asked.delivery, asked.failed_since) {
        (Some(delivery), None) => {
            let id = delivery.parse::<NoticeId>();
            WebhookReplay::One(id.map_err(|error| Refused::invalid("delivery", error))?)
        }
        (None, Some(since)) => {
            let since = since.parse::<Moment>().map_err(|error| Refused::invalid("failed_since", error))?;
            WebhookReplay::FailedSince(since.ago_us(call.now_us))
        }
        _ => return Err(Refused::invalid("delivery", "say one: `delivery`, or `failed_since`")),
    };
    let id = visible(&call).await?.id;
    let done = call.store().replay_deliveries(&call.permit, (id, which), call.now_us).await?;
    Answer::ok(&wire::WebhookReplayed { replayed: done.value })
}

pub(crate) async fn deliveries(call: Call) -> Result<Answer, Refused> {
    let id = visible(&call).await?.id;
    let state = call.query.text("state").and_then(DeliveryState::from_name);
    let filter = DeliveryFilter { state, notice: None };
    let page = call.store().deliveries(id, &filter, &call.page()).await?;
    Answer::ok(&wire::List { items: page.items.into_iter().map(delivery).collect(), next: page.next })
}

pub(crate) async fn notices(call: Call) -> Result<Answer, Refused> {
    let key = call.query.text("key_id").map(str::parse::<KeyId>).transpose();
    let filter = NoticeFilter {
        tenant: Some(call.tenant()),
        consumers: call.scope().consumers.map(|own| own.to_vec()),
        key: key.map_err(|error| Refused::NotFound(error.to_string()))?,
        kind: call.query.owned("type"),
        ..NoticeFilter::default()
    };
    let page = call.store().notices(&filter, &call.page()).await?;
    Answer::ok(&wire::List { items: page.items.into_iter().map(notice).collect(), next: page.next })
}

fn at(call: &Call) -> Result<WebhookAt, Refused> {
    Ok(WebhookAt { tenant: call.tenant(), id: call.id()?, version: call.expected_version()? })
}

fn answer(view: WebhookView) -> Result<Answer, Refused> {
    let version = view.version;
    Ok(Answer::ok(&shown(view))?.version(version))
}

/// The word for how a webhook is.
pub(crate) fn state(view: &WebhookView) -> &'static str {
    match (view.spec.enabled, &view.disabled, view.secrets, view.failing_us) {
        (false, ..) => "disabled",
        (true, Some(_), ..) => "switched_off",
        (true, None, 0, _) => "without_secret",
        (true, None, _, Some(_)) => "failing",
        (true, None, _, None) => "active",
    }
}

fn shown(view: WebhookView) -> wire::Webhook {
    wire::Webhook {
        id: view.id.to_string(),
        version: view.version,
        state: state(&view).to_owned(),
        reason: view.disabled.map(|(_, why)| why),
        failing_since: view.failing_us.map(rfc3339),
        former_secret_until: view.overlap_until_us.map(rfc3339),
        pending: view.pending,
        failed: view.failed,
        spec: view.spec,
    }
}

fn delivery(row: DeliveryRow) -> wire::Delivery {
    wire::Delivery {
        id: row.notice.to_string(),
        kind: row.kind,
        state: row.state.name().to_owned(),
        attempts: row.attempts,
        made_at: rfc3339(row.made_us),
        next_at: row.next_us.map(rfc3339),
        last_at: row.last_us.map(rfc3339),
        status: Some(row.status).filter(|status| *status != 0),
        took_ms: row.took_us as f64 / 1000.0,
        answer: row.answer,
    }
}

fn notice(row: NoticeRow) -> wire::Notice {
    wire::Notice {
        id: row.id.to_string(),
        kind: row.kind,
        timestamp: rfc3339(row.at_us),
        data: serde_json::from_str(&row.body).unwrap_or_default(),
    }
}
