//! The log of deliveries, tests, and sending again.

use serde_json::json;
use tollgate_core::{
    authz::Permit,
    id::{NoticeId, WebhookId},
    notice::NoticeKind,
};

use super::{
    WebhookView,
    secret::{change, permitted},
};
use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    notices::{self, Notice},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, one, run, sql},
    write::Committed,
};

/// Deliveries that are sent again by one call.
const REPLAYED_MAX: i64 = 1_000;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent, for the first time or again.
    Pending,
    /// The receiver took it.
    Taken,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Taken, Self::Failed];

    pub(super) const fn to_sql(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Taken => 1,
            Self::Failed => 2,
        }
    }

    const fn from_sql(value: i64) -> Self {
        match value {
            0 => Self::Pending,
            1 => Self::Taken,
            _ => Self::Failed,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Taken => "delivered",
            Self::Failed => "failed",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The id of its notice; what receivers get as `webhook-id`.
    pub notice: NoticeId,
    /// The position of its notice.
    pub position: u64,
    /// Its type.
    pub kind: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried, since it was last asked for.
    pub attempts: u64,
    /// When it was first to be sent, wall microseconds.
    pub made_us: i64,
    /// When it is tried next, while it is pending.
    pub next_us: Option<i64>,
    /// When it was last tried.
    pub last_us: Option<i64>,
    /// The status of the last answer; 0 for none.
    pub status: u16,
    /// How long the last attempt took, microseconds.
    pub took_us: i64,
    /// The first characters of the last answer, or why there was none.
    pub answer: String,
}

/// Which deliveries.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of this notice.
    pub notice: Option<NoticeId>,
}

/// What is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// One delivery, whatever became of it.
    One(NoticeId),
    /// All that were given up of those made from a moment on, wall microseconds.
    FailedSince(i64),
}

const SELECT: &str = "SELECT notice, position, kind, state, attempts, made_us, next_us, last_us, status, took_us, answer \
     FROM webhook_deliveries";

impl Store {
    /// Deliveries to a webhook, the newest notice first.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Invalid`] for a cursor that is none.
    pub async fn deliveries(
        &self,
        webhook: WebhookId,
        filter: &DeliveryFilter,
        page: &PageRequest,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let mut wheres = Conditions::default();
        wheres.int("webhook = ?", webhook.to_sql());
        if let Some(state) = filter.state {
            wheres.int("state = ?", state.to_sql());
        }
        if let Some(notice) = filter.notice {
            wheres.int("notice = ?", notice.to_sql());
        }
        if let Some(cursor) = &page.cursor {
            let before =
                cursor.parse().map_err(|_| StoreError::invalid("cursor", "it is none of this list"))?;
            wheres.int("position < ?", before);
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT}{} ORDER BY position DESC LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(delivery).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit).then(|| items.last().map(|item| item.position.to_string())).flatten();
        Ok(Page { items, next })
    }

    /// Sends an example to one webhook, whatever it is told otherwise. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when nothing is sent to it at present.
    pub async fn test_webhook(
        &self,
        permit: &Permit,
        id: WebhookId,
        now_us: i64,
    ) -> Result<Committed<NoticeId>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let view = permitted(&mut write, id).await?;
        is_sent_to(&view)?;
        write.record(change("webhook.test", &view, None))?;
        let mut notice = Notice::new(NoticeKind::WebhookTest, view.tenant, now_us);
        notice.project = view.project;
        let notice = notice.with("webhook_id", id.to_string()).with("message", "This is a test.");
        let notice = notices::write(write.conn(), &notice).await?;
        let insert = sql(
            "INSERT INTO webhook_deliveries (webhook, position, notice, kind, state, attempts, made_us, \
                          next_us, status, took_us, answer) SELECT $1, position, id, kind, 0, 0, $2, $2, 0, 0, '' \
                          FROM notices WHERE id = $3",
        );
        run(insert.bind(id.to_sql()).bind(now_us).bind(notice.to_sql()), write.conn()).await?;
        Ok(Committed { value: notice, seq: write.commit().await? })
    }

    /// Sends again, at once and with all attempts anew: one delivery, or all of those that were given up since a moment,
    /// at most 1000. How many. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when nothing is sent to it at present.
    pub async fn replay_deliveries(
        &self,
        permit: &Permit,
        (id, which): (WebhookId, Replay),
        now_us: i64,
    ) -> Result<Committed<u64>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let view = permitted(&mut write, id).await?;
        is_sent_to(&view)?;
        // What is not kept any more cannot be told again.
        let text = "UPDATE webhook_deliveries SET state = 0, attempts = 0, next_us = $1 WHERE webhook = $2 \
                    AND position IN (SELECT d.position FROM webhook_deliveries d JOIN notices n \
                    ON n.position = d.position WHERE d.webhook = $2 AND ";
        let (update, said) = match which {
            Replay::One(notice) => {
                let update = built(format!("{text} d.notice = $3)")).bind(now_us).bind(id.to_sql());
                (update.bind(notice.to_sql()), json!({ "delivery": notice.to_string() }))
            }
            Replay::FailedSince(from_us) => {
                let rest =
                    format!("d.state = 2 AND d.made_us >= $3 ORDER BY d.position LIMIT {REPLAYED_MAX})");
                let update = built(format!("{text}{rest}")).bind(now_us).bind(id.to_sql());
                (update.bind(from_us), json!({ "failed_since_us": from_us }))
            }
        };
        let value = run(update, write.conn()).await?;
        if let (Replay::One(notice), 0) = (which, value) {
            return Err(StoreError::not_found(Entity::Delivery, notice));
        }
        if value > 0 {
            write.record(change("webhook.replay", &view, Some(said)))?;
        }
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Sends to a webhook again that was switched off because its receiver failed; what happened meanwhile is told too.
    /// Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn resume_webhook(
        &self,
        permit: &Permit,
        id: WebhookId,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let view = permitted(&mut write, id).await?;
        if view.disabled.is_some() {
            let update = "UPDATE webhooks SET disabled_us = NULL, disabled_why = NULL, failing_us = NULL WHERE id = $1";
            run(sql(update).bind(id.to_sql()), write.conn()).await?;
            let due = "UPDATE webhook_deliveries SET next_us = $1 WHERE webhook = $2 AND state = 0 AND next_us > $1";
            run(sql(due).bind(now_us).bind(id.to_sql()), write.conn()).await?;
            write.record(change("webhook.resume", &view, None))?;
        }
        Ok(Committed { value: (), seq: write.commit().await? })
    }

    /// One delivery.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delivery(&self, webhook: WebhookId, notice: NoticeId) -> Result<DeliveryRow, StoreError> {
        let text = format!("{SELECT} WHERE webhook = $1 AND notice = $2");
        let mut conn = self.reader().await?;
        let row = one(built(text).bind(webhook.to_sql()).bind(notice.to_sql()), &mut conn).await?;
        delivery(&row.ok_or_else(|| StoreError::not_found(Entity::Delivery, notice))?)
    }
}

/// Refuses what would wait for ever.
fn is_sent_to(view: &WebhookView) -> Result<(), StoreError> {
    let problem = if !view.spec.enabled {
        "this webhook is not enabled; enable it first"
    } else if view.disabled.is_some() {
        "this webhook was switched off because its receiver failed; resume it first"
    } else if view.secrets == 0 {
        "this webhook has no secret yet, and nothing is sent unsigned; make one first"
    } else {
        return Ok(());
    };
    Err(StoreError::Conflict(problem.to_owned()))
}

fn delivery(row: &Row) -> Result<DeliveryRow, StoreError> {
    let state = DeliveryState::from_sql(row.int(3)?);
    Ok(DeliveryRow {
        notice: NoticeId::from_sql(row.int(0)?),
        position: row.count(1)?,
        kind: row.text(2)?.to_owned(),
        state,
        attempts: row.count(4)?,
        made_us: row.int(5)?,
        next_us: Some(row.int(6)?).filter(|_| state == DeliveryState::Pending),
        last_us: row.opt_int(7)?,
        status: u16::try_from(row.int(8)?).unwrap_or(0),
        took_us: row.int(9)?,
        answer: row.text(10)?.to_owned(),
    })
}
