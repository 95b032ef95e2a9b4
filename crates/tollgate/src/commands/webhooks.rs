//! `tollgate webhooks …`: secrets, tests, the log of deliveries, sending again.

use std::time::Duration;

use serde::Serialize;
use tollgate_core::{
    authz::Action,
    id::{NoticeId, WebhookId},
    time::Span,
};
use tollgate_store::{
    DeliveryFilter, DeliveryRow, DeliveryState, MadeSecret, PAGE_ROWS_MAX, PageRequest, Store, WebhookReplay,
    WebhookView,
};

use crate::{
    cli::{WebhooksCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// How often a test looks whether it was answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct List {
    webhooks: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: WebhookId,
    /// The project, or the tenant, that it is told of.
    of: String,
    url: String,
    events: Vec<String>,
    state: &'static str,
    /// Why it is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    pending: u64,
    failed: u64,
}

#[derive(Serialize)]
struct Secret {
    id: WebhookId,
    secret: String,
    /// Until when the former one signs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_until: Option<String>,
}

#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
    /// Whether there are more than were asked for.
    more: bool,
}

#[derive(Serialize)]
struct Delivery {
    id: NoticeId,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    state: &'static str,
    attempts: u64,
    next: Option<String>,
    last: Option<String>,
    status: Option<u16>,
    took_ms: f64,
    answer: String,
}

#[derive(Serialize)]
struct Replayed {
    replayed: u64,
}

#[derive(Serialize)]
struct Resumed {
    id: WebhookId,
    resumed: bool,
}

pub(crate) async fn run(context: &Context, command: WebhooksCommand) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        WebhooksCommand::List => list(context, &store).await,
        WebhooksCommand::Secret(args) => {
            let webhook = store.find_webhook(&args.webhook).await?;
            if webhook.secrets > 0 {
                return Err(Failure::Usage(
                    "it has a secret, which was shown when it was made; `tollgate webhooks rotate` makes another"
                        .to_owned(),
                ));
            }
            make(context, &store, (webhook.id, Span::from_secs(0))).await
        }
        WebhooksCommand::Rotate(args) => {
            let webhook = store.find_webhook(&args.webhook.webhook).await?;
            make(context, &store, (webhook.id, args.overlap)).await
        }
        WebhooksCommand::Test(args) => test(context, &store, (&args.webhook.webhook, args.wait)).await,
        WebhooksCommand::Deliveries(args) => {
            let webhook = store.find_webhook(&args.webhook.webhook).await?;
            let filter = DeliveryFilter { state: args.state, notice: None };
            deliveries(context, &store, (webhook.id, &filter, args.limit)).await
        }
        WebhooksCommand::Replay(args) => {
            let webhook = store.find_webhook(&args.webhook.webhook).await?;
            let which = match (args.delivery, args.failed_since) {
                (Some(delivery), _) => {
                    WebhookReplay::One(delivery.parse().map_err(|error| Failure::Usage(format!("{error}")))?)
                }
                (None, since) => {
                    WebhookReplay::FailedSince(since.map_or(0, |since| since.at_us(context.now_us())))
                }
            };
            let permit = context.permit(Action::ChangeResources)?;
            let done = store.replay_deliveries(&permit, (webhook.id, which), context.now_us()).await?;
            let shown = Replayed { replayed: done.value };
            context.printer.result(&shown, || format!("{} deliveries are sent again.", shown.replayed))
        }
        WebhooksCommand::Resume(args) => {
            let webhook = store.find_webhook(&args.webhook).await?;
            let permit = context.permit(Action::ChangeResources)?;
            store.resume_webhook(&permit, webhook.id, context.now_us()).await?;
            let shown = Resumed { id: webhook.id, resumed: true };
            context.printer.result(&shown, || format!("{} is sent to again.", webhook.spec.url))
        }
    }
}

async fn list(context: &Context, store: &Store) -> Result<(), Failure> {
    let webhooks = store.list_webhooks(None).await?;
    let shown = List { webhooks: webhooks.into_iter().map(Shown::of).collect() };
    context.printer.result(&shown, || {
        let header = ["id", "of", "url", "events", "state", "pending", "failed"];
        print::table(header, shown.webhooks.iter().map(Shown::row))
    })
}

async fn make(context: &Context, store: &Store, (id, overlap): (WebhookId, Span)) -> Result<(), Failure> {
    let permit = context.permit(Action::ChangeResources)?;
    let overlap_us = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
    let made = store.rotate_webhook_secret(&permit, (id, overlap_us), context.now_us()).await?;
    let MadeSecret { secret, overlap_until_us } = made.value;
    let former_until = overlap_until_us.map(rfc3339);
    let shown = Secret { id, secret: secret.expose().clone(), former_until };
    context.printer.result(&shown, || {
        let former =
            shown.former_until.as_ref().map(|until| format!("\nThe former one signs too until {until}."));
        format!("{}\nThis is the only time that it is shown.{}", shown.secret, former.unwrap_or_default())
    })
}

async fn test(context: &Context, store: &Store, (name, wait): (&str, Span)) -> Result<(), Failure> {
    let webhook = store.find_webhook(name).await?;
    let permit = context.permit(Action::ChangeResources)?;
    let notice = store.test_webhook(&permit, webhook.id, context.now_us()).await?.value;
    let deadline = tokio::time::Instant::now() + Duration::from_micros(wait.as_micros());
    let row = loop {
        let row = store.delivery(webhook.id, notice).await?;
        if row.last_us.is_some() || tokio::time::Instant::now() >= deadline {
            break row;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let (is_taken, was_tried) = (row.state == DeliveryState::Taken, row.last_us.is_some());
    let shown = Delivery::of(row);
    context.printer.result(&shown, || match (is_taken, was_tried) {
        (true, _) => format!("The receiver took it: {} in {} ms.", shown.status.unwrap_or(0), shown.took_ms),
        (false, true) => format!("The receiver did not take it: {}", shown.outcome()),
        (false, false) => "Nobody has sent it yet; is a node with the role `workers` running?".to_owned(),
    })?;
    if is_taken { Ok(()) } else { Err(Failure::Said) }
}

async fn deliveries(
    context: &Context,
    store: &Store,
    (id, filter, limit): (WebhookId, &DeliveryFilter, u32),
) -> Result<(), Failure> {
    let page = PageRequest { limit: limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let part = store.deliveries(id, filter, &page).await?;
    let shown = Deliveries {
        more: part.next.is_some(),
        deliveries: part.items.into_iter().map(Delivery::of).collect(),
    };
    context.printer.result(&shown, || {
        let header = ["id", "type", "time", "state", "attempts", "next", "answer"];
        print::table(header, shown.deliveries.iter().map(Delivery::row))
    })
}

impl Shown {
    fn of(view: WebhookView) -> Self {
        let state = match (view.spec.enabled, &view.disabled, view.secrets, view.failing_us) {
            (false, ..) => "disabled",
            (true, Some(_), ..) => "switched off",
            (true, None, 0, _) => "without secret",
            (true, None, _, Some(_)) => "failing",
            (true, None, _, None) => "active",
        };
        Self {
            id: view.id,
            of: view.spec.project.or(view.spec.tenant).unwrap_or_default(),
            url: view.spec.url,
            events: view.spec.events,
            state,
            reason: view.disabled.map(|(_, why)| why),
            pending: view.pending,
            failed: view.failed,
        }
    }

    fn row(&self) -> [String; 7] {
        [
            self.id.to_string(),
            self.of.clone(),
            self.url.clone(),
            self.events.join(", "),
            self.state.to_owned(),
            self.pending.to_string(),
            self.failed.to_string(),
        ]
    }
}

impl Delivery {
    fn of(row: DeliveryRow) -> Self {
        Self {
            id: row.notice,
            kind: row.kind,
            time: rfc3339(row.made_us),
            state: row.state.name(),
            attempts: row.attempts,
            next: row.next_us.map(rfc3339),
            last: row.last_us.map(rfc3339),
            status: Some(row.status).filter(|status| *status != 0),
            took_ms: row.took_us as f64 / 1000.0,
            answer: row.answer,
        }
    }

    /// Status and answer in one line.
    fn outcome(&self) -> String {
        let answer: String = self.answer.lines().next().unwrap_or_default().chars().take(120).collect();
        match self.status {
            Some(status) => format!("{status} {answer}"),
            None => answer,
        }
    }

    fn row(&self) -> [String; 7] {
        [
            self.id.to_string(),
            self.kind.clone(),
            self.time.clone(),
            self.state.to_owned(),
            self.attempts.to_string(),
            self.next.clone().unwrap_or_default(),
            self.outcome(),
        ]
    }
}
