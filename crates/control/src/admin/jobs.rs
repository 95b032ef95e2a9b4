//! Jobs: the same change to many keys. A job is a row that its task writes its progress into; the
//! task works in steps, each a transaction of its own, and ends when the row says that somebody
//! cancelled it. A process that ends leaves its jobs as they are; they are shown as lost, and started
//! again they do the rest, for what is done already is no change.

use std::sync::Arc;

use tollgate_core::{authz::Permit, id::JobId, keyring::KeyState};
use tollgate_store::{BulkEdit, JobProgress, JobRow, KeyFilter, NewJobRow, StoreError};
use tollgate_wire::admin as wire;

use super::{BASE, Shared, answer::Answer, call::Call, keys::filter_of, moment::expiry_us, view};
use crate::problem::Refused;

/// Keys that one job may be about.
const KEYS_MAX: u64 = 1_000_000;
/// How often a step that others hinder is tried again before the job fails.
const BUSY_MAX: u32 = 20;

pub(crate) async fn start(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewJob = call.body()?;
    let filter = selected(&call, asked.keys()).await?;
    let edit = edit_of(&asked)?;
    let total = call.store().count_keys_of(&filter).await?;
    if total > KEYS_MAX {
        let problem = format!("{total} keys are selected; at most {KEYS_MAX} go into one job, select fewer");
        return Err(Refused::invalid("keys", problem));
    }
    let Ok(place) = Arc::clone(&call.shared.jobs).try_acquire_owned() else {
        return Err(Refused::Busy(
            "as many jobs as this node takes are under way; wait for one to end".into(),
        ));
    };
    let request = serde_json::to_string(&asked).map_err(|error| Refused::Malformed(error.to_string()))?;
    let actor = call.who.user.to_string();
    let new = NewJobRow { tenant: call.tenant(), actor, request, total, run: call.shared.run };
    let id = call.store().begin_job(new, call.now_us).await?;
    let row = call.store().job(call.tenant(), id, call.now_us).await?;
    let body = view::job(row.clone())?;
    let work = Work { shared: Arc::clone(&call.shared), permit: call.permit, filter, edit, row };
    tokio::spawn(async move {
        work.run().await;
        drop(place);
    });
    Answer::accepted(&body, format!("{BASE}/jobs/{id}"))
}

/// The keys that are selected, up to those of this moment. Nothing selected is not everything.
async fn selected(call: &Call, keys: &wire::KeySelection) -> Result<KeyFilter, Refused> {
    if *keys == wire::KeySelection::default() {
        return Err(Refused::invalid("keys", "say which: a project, consumer, policy or another field"));
    }
    let mut filter = filter_of(call, keys.project.as_deref()).await?;
    filter.consumer.clone_from(&keys.consumer);
    filter.policy.clone_from(&keys.policy);
    filter.search.clone_from(&keys.search);
    filter.environment = match keys.environment.as_deref().map(str::parse) {
        None => None,
        Some(Ok(environment)) => Some(environment),
        Some(Err(_)) => return Err(Refused::invalid("keys.environment", "write `live` or `test`")),
    };
    filter.expires_before_us = match &keys.expires_before {
        None => None,
        Some(text) => expiry_us(text, call.now_us)
            .map_err(|problem| Refused::invalid("keys.expires_before", problem))?,
    };
    filter.created_until_us = Some(call.now_us);
    Ok(filter)
}

fn edit_of(asked: &wire::NewJob) -> Result<BulkEdit, Refused> {
    Ok(match asked {
        wire::NewJob::Revoke { .. } => BulkEdit::State(KeyState::Revoked),
        wire::NewJob::Disable { .. } => BulkEdit::State(KeyState::Disabled),
        wire::NewJob::Enable { .. } => BulkEdit::State(KeyState::Active),
        wire::NewJob::Tag { set, remove, .. } if set.is_empty() && remove.is_empty() => {
            return Err(Refused::invalid("set", "say what to set or to remove"));
        }
        wire::NewJob::Tag { set, remove, .. } => BulkEdit::Tag { set: set.clone(), remove: remove.clone() },
    })
}

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let actor = call.who.user.to_string();
    let actor = call.permit.consumers().is_some().then_some(actor.as_str());
    let page = call.store().list_jobs((call.tenant(), actor), &call.page(), call.now_us).await?;
    let items = page.items.into_iter().map(view::job).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let id: JobId = call.id()?;
    let row = call.store().job(call.tenant(), id, call.now_us).await?;
    if call.permit.consumers().is_some() && row.actor != call.who.user.to_string() {
        return Err(Refused::NotFound(format!("there is no job `{id}`; list them, or correct the id")));
    }
    Answer::ok(&view::job(row)?)
}

pub(crate) async fn cancel(call: Call) -> Result<Answer, Refused> {
    let row = call.store().cancel_job(call.tenant(), call.id()?, call.now_us).await?;
    Answer::ok(&view::job(row)?)
}

/// A job at work.
struct Work {
    shared: Arc<Shared>,
    /// The right it was started with: a job ends what it began, whatever becomes of the person.
    permit: Permit,
    filter: KeyFilter,
    edit: BulkEdit,
    row: JobRow,
}

impl Work {
    async fn run(mut self) {
        let id = self.row.id;
        match self.steps().await {
            Ok(progress) => self.row.progress = progress,
            Err(error) => {
                tracing::warn!(%id, %error, cause = error.cause(), "a job failed");
                self.row.progress = JobProgress::Failed;
                self.row.error = Some(error.to_string());
            }
        }
        if self.row.progress == JobProgress::Cancelled {
            return;
        }
        let app = self.shared.app.clone();
        if let Err(error) = app.store().advance_job(&self.row, app.now_us()).await {
            tracing::warn!(%id, %error, cause = error.cause(), "the end of a job could not be written down");
        }
    }

    async fn steps(&mut self) -> Result<JobProgress, StoreError> {
        let app = self.shared.app.clone();
        let mut cursor = None;
        let mut busy = 0;
        loop {
            let what = (&self.filter, &self.edit);
            let done = app.store().edit_keys(&self.permit, what, cursor.clone(), app.now_us()).await;
            let step = match done {
                Ok(done) => done.value,
                Err(StoreError::Busy { .. }) if busy < BUSY_MAX => {
                    busy += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.row.done += step.seen;
            self.row.changed += step.changed;
            // Keys that came or went since they were counted.
            self.row.total = self.row.total.max(self.row.done);
            cursor = step.next;
            if cursor.is_none() {
                return Ok(JobProgress::Done);
            }
            if !app.store().advance_job(&self.row, app.now_us()).await? {
                return Ok(JobProgress::Cancelled);
            }
        }
    }
}
