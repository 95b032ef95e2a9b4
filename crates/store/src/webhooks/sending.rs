//! The sender's side: its lease, what is due, what became of it.

use std::collections::HashMap;

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Actor, authorise},
    id::{NoticeId, ProjectId, TenantId, WebhookId},
    notice::NoticeKind,
    secret::Secret,
    webhook::WebhookSpec,
};

use super::{
    load_view,
    log::DeliveryState,
    secret::{change, signing},
};
use crate::{
    error::StoreError,
    notices::{self, Notice, moment},
    open::Store,
    resources::from_json,
    sql::{Columns as _, Row, Statement, all, built, one, run, sql},
};

/// Deliveries to one webhook that may wait. With more, notices wait instead: a receiver that is gone for days costs
/// no more than this.
const PENDING_MAX: i64 = 1_000;
/// Notices that one turn looks at for one webhook.
const NOTICES_MAX: i64 = 500;
/// The longest answer that is kept, in characters.
const ANSWER_LEN_MAX: usize = 1_000;

/// The right to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderLease {
    /// Goes up whenever somebody begins.
    pub epoch: u64,
}

/// Somebody else sends now; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another node sends webhooks now")]
pub struct SenderLost;

/// A webhook that is sent to.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Which.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its address.
    pub url: String,
    /// What its deliveries are signed with, the newest first; never empty.
    pub secrets: Vec<Secret<Vec<u8>>>,
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To which webhook.
    pub webhook: WebhookId,
    /// The position of its notice.
    pub position: u64,
    /// The id of its notice, the same however often it is sent.
    pub notice: NoticeId,
    /// Its type.
    pub kind: String,
    /// When it happened, wall microseconds.
    pub at_us: i64,
    /// What there is to say, a JSON object.
    pub body: String,
    /// How often it was tried before.
    pub attempts: u32,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// To which webhook.
    pub webhook: WebhookId,
    /// The position of its notice.
    pub position: u64,
    /// Whether it was taken.
    pub is_taken: bool,
    /// The status of the answer; 0 for none.
    pub status: u16,
    /// The first characters of the answer, or why there was none.
    pub answer: String,
    /// When it began, wall microseconds.
    pub at_us: i64,
    /// How long it took, microseconds.
    pub took_us: i64,
    /// When it is tried again; `None` never.
    pub next_us: Option<i64>,
    /// Whether the receiver said that it is gone.
    pub is_gone: bool,
}

impl Store {
    /// Takes the right to send for a run of a process: a new one, one that has run out, or its own. `None` while another
    /// holds it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_sender(
        &self,
        boot: u64,
        (now_us, until_us): (i64, i64),
    ) -> Result<Option<SenderLease>, StoreError> {
        let mut tx = self.begin_write().await?;
        let take = sql("UPDATE webhook_sender SET epoch = epoch + 1, boot = $1, until_us = $2 \
                        WHERE id = 1 AND (until_us <= $3 OR boot = $1) RETURNING epoch");
        let row = one(take.bind(boot as i64).bind(until_us).bind(now_us), &mut tx).await?;
        tx.commit().await?;
        row.map(|row| Ok(SenderLease { epoch: row.count(0)? })).transpose()
    }

    /// Keeps the right to send until another moment.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_sender(
        &self,
        lease: SenderLease,
        until_us: i64,
    ) -> Result<Result<(), SenderLost>, StoreError> {
        let mut tx = self.begin_write().await?;
        let is_held = hold(lease, until_us, &mut tx).await?;
        tx.commit().await?;
        Ok(if is_held { Ok(()) } else { Err(SenderLost) })
    }

    /// Gives the right back, so that another node can begin at once.
    ///
    /// # Errors
    /// When the database cannot be written; the lease then runs out by itself.
    pub async fn leave_sender(&self, lease: SenderLease) -> Result<(), StoreError> {
        self.keep_sender(lease, 0).await.map(drop)
    }

    /// Looks at new notices for every webhook and keeps what each wants told as due. Whether there may be more.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn fan_out_notices(
        &self,
        lease: SenderLease,
        (now_us, until_us): (i64, i64),
    ) -> Result<Result<bool, SenderLost>, StoreError> {
        let mut conn = self.reader().await?;
        // Cheap when there is nothing: most turns find nothing.
        let text = "SELECT w.id, w.tenant, w.project, w.spec, w.seen, (SELECT COUNT(*) FROM webhook_deliveries d \
                    WHERE d.webhook = w.id AND d.state = 0), h.next FROM webhooks w, notice_head h \
                    WHERE h.id = 1 AND w.seen < h.next AND w.disabled_us IS NULL";
        let behind = all(sql(text), &mut conn).await?;
        let mut found = Vec::new();
        let mut has_more = false;
        for row in &behind {
            let webhook = Behind::read(row)?;
            let room = PENDING_MAX - row.int(5)?;
            if room > 0 {
                let (kept, seen, more) = webhook.look(room, row.int(6)?, &mut conn).await?;
                has_more |= more;
                found.push((webhook, kept, seen));
            }
        }
        drop(conn);
        if found.is_empty() {
            return Ok(Ok(false));
        }
        let mut tx = self.begin_write().await?;
        if !hold(lease, until_us, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Err(SenderLost));
        }
        for (webhook, kept, seen) in found {
            for (position, notice, kind) in kept {
                let insert =
                    sql("INSERT INTO webhook_deliveries (webhook, position, notice, kind, state, attempts, \
                                  made_us, next_us, status, took_us, answer) \
                                  SELECT id, $2, $3, $4, 0, 0, $5, $5, 0, 0, '' FROM webhooks WHERE id = $1 \
                                  ON CONFLICT (webhook, position) DO NOTHING");
                let insert =
                    insert.bind(webhook.id.to_sql()).bind(position).bind(notice).bind(kind).bind(now_us);
                run(insert, &mut tx).await?;
            }
            let update = sql("UPDATE webhooks SET seen = $1 WHERE id = $2 AND seen = $3");
            run(update.bind(seen).bind(webhook.id.to_sql()).bind(webhook.seen), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(Ok(has_more))
    }

    /// Webhooks with deliveries that are due, and for each the first of them that are not under way.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due_deliveries(
        &self,
        now_us: i64,
        (each_max, under_way): (usize, &HashMap<WebhookId, Vec<u64>>),
    ) -> Result<Vec<(Sending, Vec<Outgoing>)>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT w.id, w.spec, w.tenant FROM webhooks w WHERE w.disabled_us IS NULL AND EXISTS \
                    (SELECT 1 FROM webhook_deliveries d WHERE d.webhook = w.id AND d.state = 0 AND d.next_us <= $1) \
                    AND EXISTS (SELECT 1 FROM webhook_secrets s WHERE s.webhook = w.id AND s.until_us > $1)";
        let rows = all(sql(text).bind(now_us), &mut conn).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sealer = self.sealer(&mut conn).await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            let (id, spec) = (WebhookId::from_sql(row.int(0)?), from_json::<WebhookSpec>(row.text(1)?)?);
            let busy = under_way.get(&id).map_or(&[][..], Vec::as_slice);
            let room = each_max.saturating_sub(busy.len());
            if !spec.enabled || room == 0 {
                continue;
            }
            let outgoing = outgoing(&mut conn, (id, now_us), (room, busy)).await?;
            if outgoing.is_empty() {
                continue;
            }
            let secrets = match signing(&mut conn, &sealer, (id, now_us)).await {
                Ok(secrets) => secrets,
                Err(error) => {
                    // The others are sent all the same.
                    tracing::error!(webhook = %id, %error, "the secret of a webhook cannot be decrypted; nothing is sent to it");
                    continue;
                }
            };
            let tenant = TenantId::from_sql(row.int(2)?);
            due.push((Sending { id, tenant, url: spec.url, secrets }, outgoing));
        }
        Ok(due)
    }

    /// Writes down what became of attempts. A webhook whose receiver is gone, or fails since before `failing_since_us`,
    /// is switched off and that is told.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn settle_deliveries(
        &self,
        lease: SenderLease,
        attempted: &[Attempted],
        (now_us, until_us, failing_since_us): (i64, i64, i64),
    ) -> Result<Result<(), SenderLost>, StoreError> {
        let mut tx = self.begin_write().await?;
        if !hold(lease, until_us, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Err(SenderLost));
        }
        let mut failing = Vec::new();
        for one in attempted {
            run(settled(one), &mut tx).await?;
            let id = one.webhook.to_sql();
            if one.is_taken {
                let well =
                    sql("UPDATE webhooks SET failing_us = NULL WHERE id = $1 AND failing_us IS NOT NULL");
                run(well.bind(id), &mut tx).await?;
                continue;
            }
            let since = sql("UPDATE webhooks SET failing_us = $1 WHERE id = $2 AND failing_us IS NULL");
            run(since.bind(one.at_us).bind(id), &mut tx).await?;
            let due = sql("SELECT 1 FROM webhooks WHERE id = $1 AND disabled_us IS NULL \
                           AND ($2 = 1 OR failing_us <= $3)");
            let due = due.bind(id).bind(i64::from(one.is_gone)).bind(failing_since_us);
            if crate::sql::one(due, &mut tx).await?.is_some() {
                failing.push(one);
            }
        }
        tx.commit().await?;
        // A change of its own each: what became of attempts takes no lock that mutations wait for.
        for one in failing {
            if !self.disable(lease, one, (now_us, until_us, failing_since_us)).await? {
                return Ok(Err(SenderLost));
            }
        }
        Ok(Ok(()))
    }

    /// Switches a webhook off whose receiver is gone or has failed for long, with its entry in the audit and its notice,
    /// when that is new (I20). `false` when the lease is lost.
    async fn disable(
        &self,
        lease: SenderLease,
        one: &Attempted,
        (now_us, until_us, failing_since_us): (i64, i64, i64),
    ) -> Result<bool, StoreError> {
        let permit = authorise(&Actor::Worker("webhooks".to_owned()), Action::ChangeResources, None)?;
        let mut write = self.write(&permit, now_us).await?;
        if !hold(lease, until_us, write.conn()).await? {
            write.roll_back().await?;
            return Ok(false);
        }
        let why = if one.is_gone {
            "its receiver answered 410: it is gone"
        } else {
            "every attempt failed for days"
        };
        let update = sql(
            "UPDATE webhooks SET disabled_us = $1, disabled_why = $2 WHERE id = $3 AND disabled_us IS NULL \
                          AND ($4 = 1 OR failing_us <= $5) RETURNING failing_us",
        );
        let update = update.bind(now_us).bind(why).bind(one.webhook.to_sql());
        let update = update.bind(i64::from(one.is_gone)).bind(failing_since_us);
        let Some(row) = crate::sql::one(update, write.conn()).await? else {
            write.roll_back().await?;
            return Ok(true);
        };
        let since = row.opt_int(0)?.map(moment);
        let view = load_view(write.conn(), one.webhook).await?;
        write.record(change("webhook.disable", &view, Some(json!({ "reason": why }))))?;
        let mut notice = Notice::new(NoticeKind::WebhookDisabled, view.tenant, now_us);
        notice.project = view.project;
        let notice = notice
            .with("webhook_id", one.webhook.to_string())
            .with("url", view.spec.url)
            .with("reason", why)
            .with("failing_since", json!(since));
        notices::write(write.conn(), &notice).await?;
        write.commit().await?;
        tracing::warn!(webhook = %one.webhook, why, "a webhook was switched off");
        Ok(true)
    }

    /// Forgets deliveries made before a moment that are not to be sent any more, and gives up those that wait from
    /// before it, or whose notice is not kept any more: they could never be sent, and took room for ever. How many.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_deliveries_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let given_up = "UPDATE webhook_deliveries SET state = 2, answer = 'given up: its notice is kept no longer' \
                        WHERE (webhook, position) IN (SELECT d.webhook, d.position FROM webhook_deliveries d \
                        WHERE d.state = 0 AND (d.made_us < $1 OR NOT EXISTS \
                        (SELECT 1 FROM notices n WHERE n.position = d.position)) LIMIT 10000)";
        let text = "DELETE FROM webhook_deliveries WHERE (webhook, position) IN (SELECT webhook, position \
                    FROM webhook_deliveries WHERE made_us < $1 AND state > 0 ORDER BY made_us LIMIT 10000)";
        let mut tx = self.begin_write().await?;
        let rows = run(sql(given_up).bind(before_us), &mut tx).await?;
        let rows = rows + run(sql(text).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

/// A webhook that has not seen all notices.
struct Behind {
    id: WebhookId,
    tenant: TenantId,
    project: Option<ProjectId>,
    spec: WebhookSpec,
    seen: i64,
}

/// Position, id and type of a notice that is wanted.
type Wanted = (i64, i64, String);

impl Behind {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: WebhookId::from_sql(row.int(0)?),
            tenant: TenantId::from_sql(row.int(1)?),
            project: row.opt_int(2)?.map(ProjectId::from_sql),
            spec: from_json(row.text(3)?)?,
            seen: row.int(4)?,
        })
    }

    /// What it wants of the next notices, up to where it has seen them then, and whether there may be more.
    async fn look(
        &self,
        room: i64,
        end: i64,
        conn: &mut AnyConnection,
    ) -> Result<(Vec<Wanted>, i64, bool), StoreError> {
        if !self.spec.enabled {
            // What happens while it is switched off is not told later.
            return Ok((Vec::new(), end, false));
        }
        let project = self.project.map_or(0, ProjectId::to_sql);
        let text = format!(
            "SELECT position, id, kind FROM notices WHERE tenant = $1 AND position >= $2 AND position < $3 \
             AND ($4 = 0 OR project = $5) ORDER BY position LIMIT {NOTICES_MAX}"
        );
        let ask =
            built(text).bind(self.tenant.to_sql()).bind(self.seen).bind(end).bind(project).bind(project);
        let rows = all(ask, conn).await?;
        let mut wanted = Vec::new();
        for row in &rows {
            if wanted.len() as i64 >= room {
                // This one and what comes after it waits for room.
                return Ok((wanted, row.int(0)?, false));
            }
            let kind = row.text(2)?;
            let is_told = NoticeKind::from_name(kind)
                .is_some_and(|kind| kind != NoticeKind::WebhookTest && self.spec.wants(kind));
            if is_told {
                wanted.push((row.int(0)?, row.int(1)?, kind.to_owned()));
            }
        }
        let is_full = rows.len() as i64 == NOTICES_MAX;
        let seen = match rows.last() {
            Some(last) if is_full => last.int(0)? + 1,
            _ => end,
        };
        Ok((wanted, seen, is_full))
    }
}

/// Keeps the lease inside a transaction; whether it is still held.
async fn hold(lease: SenderLease, until_us: i64, conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let keep = sql("UPDATE webhook_sender SET until_us = $1 WHERE id = 1 AND epoch = $2");
    Ok(run(keep.bind(until_us).bind(lease.epoch as i64), conn).await? == 1)
}

async fn outgoing(
    conn: &mut AnyConnection,
    (id, now_us): (WebhookId, i64),
    (room, busy): (usize, &[u64]),
) -> Result<Vec<Outgoing>, StoreError> {
    let text = format!(
        "SELECT d.position, d.notice, d.kind, n.at_us, n.body, d.attempts FROM webhook_deliveries d \
         JOIN notices n ON n.position = d.position WHERE d.webhook = $1 AND d.state = 0 AND d.next_us <= $2 \
         ORDER BY d.next_us, d.position LIMIT {}",
        room + busy.len()
    );
    let rows = all(built(text).bind(id.to_sql()).bind(now_us), conn).await?;
    let mut outgoing = Vec::with_capacity(rows.len());
    for row in &rows {
        let position = row.count(0)?;
        if outgoing.len() < room && !busy.contains(&position) {
            outgoing.push(Outgoing {
                webhook: id,
                position,
                notice: NoticeId::from_sql(row.int(1)?),
                kind: row.text(2)?.to_owned(),
                at_us: row.int(3)?,
                body: row.text(4)?.to_owned(),
                attempts: u32::try_from(row.int(5)?).unwrap_or(u32::MAX),
            });
        }
    }
    Ok(outgoing)
}

fn settled(one: &Attempted) -> Statement {
    let state = match (one.is_taken, one.next_us) {
        (true, _) => DeliveryState::Taken,
        (false, Some(_)) => DeliveryState::Pending,
        (false, None) => DeliveryState::Failed,
    };
    sql("UPDATE webhook_deliveries SET state = $1, attempts = attempts + 1, next_us = $2, last_us = $3, \
         status = $4, took_us = $5, answer = $6 WHERE webhook = $7 AND position = $8 AND state = 0")
    .bind(state.to_sql())
    .bind(one.next_us.unwrap_or(0))
    .bind(one.at_us)
    .bind(i64::from(one.status))
    .bind(one.took_us)
    .bind(one.answer.chars().filter(|sign| *sign != '\0').take(ANSWER_LEN_MAX).collect::<String>())
    .bind(one.webhook.to_sql())
    .bind(one.position as i64)
}
