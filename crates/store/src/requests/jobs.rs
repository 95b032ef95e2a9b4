//! Jobs: how far they are, for whoever asks, on whichever node.

use tollgate_core::id::{JobId, TenantId};

use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    random,
    sql::{Columns as _, Row, all, built, one, run, sql},
};

/// How long the row of a job is kept, microseconds: thirty days.
const KEPT_US: i64 = 30 * 86_400_000_000;
/// Rows of jobs that are kept of one tenant; the oldest go first.
const KEPT_MAX: i64 = 1000;
/// A running job that has not gone on for so long, microseconds, is lost: its process ended.
const SILENT_US: i64 = 60_000_000;

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
    /// The process that ran it ended.
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
    /// Writes down that a job begins.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_job(&self, new: NewJobRow, now_us: i64) -> Result<JobId, StoreError> {
        let id = JobId::from_random(random::id_bytes()?);
        let mut tx = self.begin_write().await?;
        let old = "DELETE FROM jobs WHERE tenant = $1 AND (created_us < $2 OR id IN (SELECT id FROM jobs \
                   WHERE tenant = $1 AND state <> 0 ORDER BY created_us DESC, id DESC LIMIT 1000000 OFFSET $3))";
        run(sql(old).bind(new.tenant.to_sql()).bind(now_us - KEPT_US).bind(KEPT_MAX), &mut tx).await?;
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
        run(insert, &mut tx).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Writes down how far a job is; `false` when it is to end, because somebody cancelled it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn advance_job(&self, job: &JobRow, now_us: i64) -> Result<bool, StoreError> {
        let update = "UPDATE jobs SET state = $1, total = $2, done = $3, changed = $4, error = $5, \
                      updated_us = $6 WHERE id = $7 AND state = 0";
        let update = sql(update)
            .bind(number(job.progress))
            .bind(job.total as i64)
            .bind(job.done as i64)
            .bind(job.changed as i64)
            .bind(job.error.clone())
            .bind(now_us)
            .bind(job.id.to_sql());
        let mut tx = self.begin_write().await?;
        let touched = run(update, &mut tx).await?;
        tx.commit().await?;
        Ok(touched == 1)
    }

    /// Ends a job that is running; what it changed until then stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when it has ended.
    pub async fn cancel_job(&self, tenant: TenantId, id: JobId, now_us: i64) -> Result<JobRow, StoreError> {
        let mut tx = self.begin_write().await?;
        let update =
            sql("UPDATE jobs SET state = 3, updated_us = $1 WHERE id = $2 AND tenant = $3 AND state = 0");
        let touched = run(update.bind(now_us).bind(id.to_sql()).bind(tenant.to_sql()), &mut tx).await?;
        tx.commit().await?;
        let job = self.job(tenant, id, now_us).await?;
        if touched == 0 {
            return Err(StoreError::Conflict("this job has ended already".to_owned()));
        }
        Ok(job)
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

const fn number(progress: JobProgress) -> i64 {
    match progress {
        JobProgress::Running => 0,
        JobProgress::Done => 1,
        // What is lost is never written; it is seen by its silence.
        JobProgress::Failed | JobProgress::Lost => 2,
        JobProgress::Cancelled => 3,
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
