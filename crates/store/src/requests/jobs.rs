//! Jobs: how far they are, for whoever asks, on whichever node.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::{JobId, KeyId, TenantId},
};

use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    random,
    resources::from_json,
    sql::{Columns as _, Row, all, built, bulk, one, places, rows_max, run as run_sql, sql},
    write::Change,
};

/// How long the row of a job is kept, microseconds: thirty days.
const KEPT_US: i64 = 30 * 86_400_000_000;
/// Rows of jobs that are kept of one tenant; the oldest go first.
const KEPT_MAX: i64 = 1000;
/// A running job that has not gone on for so long, microseconds, waits for a process to take it over.
const SILENT_US: i64 = 60_000_000;
/// A running job that has not gone on for so long, microseconds, fails: an hour later nobody expects it to
/// change anything.
const GONE_US: i64 = 3600 * 1_000_000;
/// Why it fails then.
const GONE: &str = "no process went on with it for an hour; start it again for the rest";

/// A job that begins.
#[derive(Clone, Debug)]
pub struct NewJobRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who started it.
    pub actor: String,
    /// What was asked for, JSON.
    pub request: String,
    /// Keys that it is about.
    pub total: u64,
    /// The process that works on it.
    pub run: u64,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobProgress {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It ended with an error.
    Failed,
    /// Somebody ended it.
    Cancelled,
    /// The process that ran it ended; the next one that finds it goes on.
    Lost,
}

/// A job as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Who started it.
    pub actor: String,
    /// What was asked for, JSON.
    pub request: String,
    /// How far it is.
    pub progress: JobProgress,
    /// Keys that it is about.
    pub total: u64,
    /// Keys that were looked at.
    pub done: u64,
    /// Keys that were changed.
    pub changed: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began, wall microseconds.
    pub created_us: i64,
    /// When it last went on.
    pub updated_us: i64,
}

const SELECT: &str =
    "SELECT id, actor, request, state, total, done, changed, error, created_us, updated_us FROM jobs";

impl Store {
    /// Writes down that a job begins. Needs `Action::ChangeKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotAuthorised`], [`StoreError::NotCovered`].
    pub async fn begin_job(&self, permit: &Permit, new: NewJobRow, now_us: i64) -> Result<JobId, StoreError> {
        let id = JobId::from_random(random::id_bytes()?);
        let asked: Value = from_json(&new.request)?;
        let mut write = self.write(permit, now_us).await?;
        let keys = "DELETE FROM job_keys WHERE job IN (SELECT id FROM jobs WHERE tenant = $1 AND (created_us < $2 \
                    OR id IN (SELECT id FROM jobs WHERE tenant = $1 AND state <> 0 \
                    ORDER BY created_us DESC, id DESC LIMIT 1000000 OFFSET $3)))";
        let old = "DELETE FROM jobs WHERE tenant = $1 AND (created_us < $2 OR id IN (SELECT id FROM jobs \
                   WHERE tenant = $1 AND state <> 0 ORDER BY created_us DESC, id DESC LIMIT 1000000 OFFSET $3))";
        for delete in [keys, old] {
            let delete = sql(delete).bind(new.tenant.to_sql()).bind(now_us - KEPT_US).bind(KEPT_MAX);
            run_sql(delete, write.conn()).await?;
        }
        let insert = "INSERT INTO jobs (id, tenant, actor, request, state, total, done, changed, run, \
                      created_us, updated_us) VALUES ($1, $2, $3, $4, 0, $5, 0, 0, $6, $7, $7)";
        let insert = sql(insert)
            .bind(id.to_sql())
            .bind(new.tenant.to_sql())
            .bind(new.actor)
            .bind(new.request)
            .bind(new.total as i64)
            .bind(new.run as i64)
            .bind(now_us);
        run_sql(insert, write.conn()).await?;
        let after = json!({ "request": asked, "keys": new.total });
        write.record(change("job.create", (new.tenant, id), (1, after)))?;
        write.commit().await?;
        Ok(id)
    }

    /// Takes over a job that no process goes on with, for this run; the one that waits longest. Those that
    /// waited for an hour fail instead.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_over_job(
        &self,
        run: u64,
        now_us: i64,
    ) -> Result<Option<(TenantId, JobRow)>, StoreError> {
        let mut conn = self.reader().await?;
        let find = sql("SELECT id, tenant, updated_us FROM jobs WHERE state = 0 AND updated_us < $1 \
                        ORDER BY updated_us, id LIMIT 1");
        let found = one(find.bind(now_us.saturating_sub(SILENT_US)), &mut conn).await?;
        drop(conn);
        let Some(found) = found else { return Ok(None) };
        let (id, tenant) = (JobId::from_sql(found.int(0)?), TenantId::from_sql(found.int(1)?));
        let take =
            sql("UPDATE jobs SET run = $1, updated_us = $2 WHERE id = $3 AND state = 0 AND updated_us = $4");
        let take = take.bind(run as i64).bind(now_us).bind(id.to_sql()).bind(found.int(2)?);
        let mut tx = self.begin_write().await?;
        if found.int(2)? < now_us.saturating_sub(GONE_US) {
            let end =
                "UPDATE jobs SET state = 2, error = $1, updated_us = $2 WHERE state = 0 AND updated_us < $3";
            run_sql(sql(end).bind(GONE).bind(now_us).bind(now_us.saturating_sub(GONE_US)), &mut tx).await?;
            tx.commit().await?;
            return Ok(None);
        }
        // Of two who find it, one is first.
        let touched = run_sql(take, &mut tx).await?;
        tx.commit().await?;
        if touched == 1 { Ok(Some((tenant, self.job(tenant, id, now_us).await?))) } else { Ok(None) }
    }

    /// Ends a job of this run with an error; what it changed until then stays.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn fail_job(&self, (id, run): (JobId, u64), why: &str, now_us: i64) -> Result<(), StoreError> {
        let update = sql("UPDATE jobs SET state = 2, error = $1, updated_us = $2 \
                          WHERE id = $3 AND run = $4 AND state = 0");
        let update = update.bind(why.to_owned()).bind(now_us).bind(id.to_sql()).bind(run as i64);
        let mut tx = self.begin_write().await?;
        run_sql(update, &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Ends a job that is running; what it changed until then stays. Needs `Action::ChangeKeys`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when it has ended.
    pub async fn cancel_job(
        &self,
        permit: &Permit,
        (tenant, id): (TenantId, JobId),
        now_us: i64,
    ) -> Result<JobRow, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let update = sql("UPDATE jobs SET state = 3, updated_us = $1 \
                          WHERE id = $2 AND tenant = $3 AND state = 0 RETURNING done, changed");
        let update = update.bind(now_us).bind(id.to_sql()).bind(tenant.to_sql());
        let Some(ended) = one(update, write.conn()).await? else {
            write.roll_back().await?;
            self.job(tenant, id, now_us).await?;
            return Err(StoreError::Conflict("this job has ended already".to_owned()));
        };
        let after = json!({ "done": ended.count(0)?, "changed": ended.count(1)? });
        write.record(change("job.cancel", (tenant, id), (2, after)))?;
        write.commit().await?;
        self.job(tenant, id, now_us).await
    }

    /// A job of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn job(&self, tenant: TenantId, id: JobId, now_us: i64) -> Result<JobRow, StoreError> {
        let mut conn = self.reader().await?;
        let select = built(format!("{SELECT} WHERE id = $1 AND tenant = $2"));
        let row = one(select.bind(id.to_sql()).bind(tenant.to_sql()), &mut conn).await?;
        job_row(&row.ok_or_else(|| StoreError::not_found(Entity::Job, id))?, now_us)
    }

    /// Jobs of a tenant, newest first; of one person where `actor` is given.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_jobs(
        &self,
        (tenant, actor): (TenantId, Option<&str>),
        page: &PageRequest,
        now_us: i64,
    ) -> Result<Page<JobRow>, StoreError> {
        let mut wheres = Conditions::default();
        wheres.int("tenant = ?", tenant.to_sql());
        if let Some(actor) = actor {
            wheres.text("actor = ?", actor);
        }
        if let Some(cursor) = &page.cursor {
            let problem = || StoreError::invalid("cursor", "it is none of this list");
            let (created, id) = cursor.split_once('.').ok_or_else(problem)?;
            let id: JobId = id.parse().map_err(|_| problem())?;
            let created = created.parse().map_err(|_| problem())?;
            wheres.past(("created_us", "id"), "<", (created, id.to_sql()));
        }
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text =
            format!("{SELECT}{} ORDER BY created_us DESC, id DESC LIMIT {}", wheres.clause(), limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(wheres.bind(built(text)), &mut conn).await?;
        let items = rows.iter().take(limit).map(|row| job_row(row, now_us)).collect::<Result<Vec<_>, _>>()?;
        let next = (rows.len() > limit)
            .then(|| items.last().map(|job| format!("{}.{}", job.created_us, job.id)))
            .flatten();
        Ok(Page { items, next })
    }
}

/// What a step did.
pub(crate) struct JobProgressed<'a> {
    /// Keys that were looked at.
    pub(crate) seen: usize,
    /// Keys that were changed.
    pub(crate) changed: &'a [KeyId],
    /// Where the next step begins; `None` at the end.
    pub(crate) next: Option<String>,
}

/// Where the next step of a job begins; `None` when it has ended or belongs to another run.
pub(crate) async fn job_place(
    conn: &mut AnyConnection,
    (id, run): (JobId, u64),
) -> Result<Option<Option<String>>, StoreError> {
    let find = sql("SELECT cursor FROM jobs WHERE id = $1 AND run = $2 AND state = 0");
    let row = one(find.bind(id.to_sql()).bind(run as i64), conn).await?;
    row.map(|row| Ok(row.opt_text(0)?.map(str::to_owned))).transpose()
}

/// Writes a step down; `false` when the job has ended or was taken over meanwhile.
pub(crate) async fn note_step(
    conn: &mut AnyConnection,
    (id, run): (JobId, u64),
    step: JobProgressed<'_>,
    now_us: i64,
) -> Result<bool, StoreError> {
    for part in step.changed.chunks(rows_max(2)) {
        let mut insert = bulk(format!("INSERT INTO job_keys (job, key) VALUES {}", places(part.len(), 2)));
        for key in part {
            insert = insert.bind(id.to_sql()).bind(key.to_sql());
        }
        run_sql(insert, conn).await?;
    }
    // Keys that came since they were counted are counted now.
    let update = sql("UPDATE jobs SET done = done + $1, changed = changed + $2, cursor = $3, state = $4, \
                      updated_us = $5, total = CASE WHEN done + $1 > total THEN done + $1 ELSE total END \
                      WHERE id = $6 AND run = $7 AND state = 0");
    let update = update
        .bind(step.seen as i64)
        .bind(step.changed.len() as i64)
        .bind(step.next.clone())
        .bind(i64::from(step.next.is_none()))
        .bind(now_us)
        .bind(id.to_sql())
        .bind(run as i64);
    Ok(run_sql(update, conn).await? == 1)
}

fn change(action: &'static str, (tenant, id): (TenantId, JobId), (version, after): (u64, Value)) -> Change {
    Change {
        needs: Action::ChangeKeys,
        tenant: Some(tenant),
        action,
        entity: Entity::Job,
        id: id.to_sql(),
        version,
        before: None,
        after: Some(after.to_string()),
    }
}

fn job_row(row: &Row, now_us: i64) -> Result<JobRow, StoreError> {
    let updated_us = row.int(9)?;
    Ok(JobRow {
        id: JobId::from_sql(row.int(0)?),
        actor: row.text(1)?.to_owned(),
        request: row.text(2)?.to_owned(),
        progress: match row.int(3)? {
            0 if updated_us < now_us - SILENT_US => JobProgress::Lost,
            0 => JobProgress::Running,
            1 => JobProgress::Done,
            3 => JobProgress::Cancelled,
            _ => JobProgress::Failed,
        },
        total: row.count(4)?,
        done: row.count(5)?,
        changed: row.count(6)?,
        error: row.opt_text(7)?.map(str::to_owned),
        created_us: row.int(8)?,
        updated_us,
    })
}
