//! Changes to many keys, for the API and the console. A job is a row; a task takes it step by step, each
//! step one transaction with the keys it changed, so that each is changed once whoever takes the steps. A
//! job whose process ended is taken over by the next one that looks ([`tend`]), with the rights that whoever
//! started it has then; each step asks for these again, and the job fails when they are gone. It ends when all
//! keys were looked at, when somebody cancels it, or with an error.

use std::{sync::Arc, time::Duration};

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::{ConsumerId, TenantId, UserId},
    keyring::KeyState,
};
use tollgate_store::{BulkEdit, JobRow, JobStep, KeyFilter, KeysPreview, Named, NewJobRow, StoreError};
use tollgate_wire::admin as wire;

use super::moment::expiry_us;
use crate::{
    problem::Refused,
    session::SignedIn,
    state::{App, JobSlot},
};

/// Keys that one job may be about.
const KEYS_MAX: u64 = 1_000_000;
/// How often a step that others hinder is tried again before the job fails.
const BUSY_MAX: u32 = 20;
/// How long a hindered step waits.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How often a process looks for jobs that nobody goes on with.
const LOOK: Duration = Duration::from_secs(2);
const DAY_US: i64 = 86_400_000_000;

/// Begins a job. `permit` is for `Action::ChangeKeys`.
pub(crate) async fn start(
    app: &App,
    (who, permit): (&SignedIn, Permit),
    asked: &wire::NewJob,
) -> Result<JobRow, Refused> {
    let now_us = app.now_us();
    let place = Whose { tenant: &who.tenant, consumers: permit.consumers() };
    let filter = selected(app, place, (asked.keys(), now_us)).await?;
    let edit = edit_of(asked)?;
    let total = app.store().count_keys_of(&filter).await?;
    if total > KEYS_MAX {
        let problem = format!("{total} keys are selected; at most {KEYS_MAX} go into one job, select fewer");
        return Err(Refused::invalid("keys", problem));
    }
    let Some(slot) = app.jobs().take(who.tenant.id) else {
        return Err(Refused::Busy(
            "as many jobs as this node takes of a tenant are under way; wait for one to end".into(),
        ));
    };
    let request = serde_json::to_string(asked).map_err(|error| Refused::Malformed(error.to_string()))?;
    let new =
        NewJobRow { tenant: who.tenant.id, actor: who.user.to_string(), request, total, run: app.run() };
    let id = app.store().begin_job(&permit, new, now_us).await?;
    let row = app.store().job(who.tenant.id, id, now_us).await?;
    let work = Work { app: app.clone(), permit, filter, edit, row: row.clone(), _slot: slot };
    tokio::spawn(work.run());
    Ok(row)
}

/// What a job would be about. `permit` is for `Action::ChangeKeys`.
pub(crate) async fn preview(
    app: &App,
    (who, permit): (&SignedIn, &Permit),
    keys: &wire::KeySelection,
) -> Result<KeysPreview, Refused> {
    let now_us = app.now_us();
    let place = Whose { tenant: &who.tenant, consumers: permit.consumers() };
    let filter = selected(app, place, (keys, now_us)).await?;
    Ok(app.store().preview_keys(&filter, now_us.saturating_sub(DAY_US)).await?)
}

/// Goes on with the jobs of processes that ended, for as long as this one lives.
pub(crate) async fn tend(app: App) {
    let mut beat = tokio::time::interval(LOOK);
    loop {
        beat.tick().await;
        // What nobody can work on here stays for others.
        if !app.jobs().has_room() {
            continue;
        }
        match app.store().take_over_job(app.run(), app.now_us()).await {
            Ok(Some((tenant, row))) => take_over(&app, tenant, row).await,
            Ok(None) => {}
            // A node without a database has said so elsewhere.
            Err(error) => tracing::debug!(%error, "jobs cannot be looked for"),
        }
    }
}

async fn take_over(app: &App, tenant: TenantId, row: JobRow) {
    let (id, slot) = (row.id, app.jobs().adopt(tenant));
    tracing::info!(%id, done = row.done, total = row.total, "going on with a job whose process ended");
    match resumed(app, tenant, &row).await {
        Ok((permit, filter, edit)) => {
            let work = Work { app: app.clone(), permit, filter, edit, row, _slot: slot };
            tokio::spawn(work.run());
        }
        // The database is away: it waits for the next look.
        Err(Refused::Unavailable(why) | Refused::Busy(why)) => {
            tracing::warn!(%id, why, "a job cannot go on at present");
        }
        Err(refused) => {
            let why = format!("it could not go on after its process ended: {}", refused.detail());
            fail(app, &row, &why).await;
        }
    }
}

/// What a job was about, from its row, with the rights that its person has now.
async fn resumed(
    app: &App,
    tenant: TenantId,
    row: &JobRow,
) -> Result<(Permit, KeyFilter, BulkEdit), Refused> {
    let asked: wire::NewJob = serde_json::from_str(&row.request)
        .map_err(|_| Refused::Conflict("its request cannot be read; a later Tollgate wrote it".to_owned()))?;
    let user: UserId =
        row.actor.parse().map_err(|_| Refused::Conflict("nobody is known who started it".to_owned()))?;
    let member = app.store().member(tenant, user).await?;
    let actor = Actor::Member { user, tenant, role: member.role, consumers: Arc::clone(&member.consumers) };
    let permit = authorise(&actor, Action::ChangeKeys, Some(tenant))?;
    let memberships = app.store().memberships(user).await?;
    let named = memberships.into_iter().find(|membership| membership.tenant.id == tenant);
    let named = named.ok_or_else(Refused::not_found)?.tenant;
    let place = Whose { tenant: &named, consumers: permit.consumers() };
    let filter = selected(app, place, (asked.keys(), row.created_us)).await?;
    let edit = edit_of(&asked)?;
    Ok((permit, filter, edit))
}

/// Whose keys.
struct Whose<'a> {
    tenant: &'a Named<TenantId>,
    /// Of these consumers only.
    consumers: Option<&'a [ConsumerId]>,
}

/// The keys that are selected, up to those of a moment. Nothing selected is not everything.
async fn selected(
    app: &App,
    whose: Whose<'_>,
    (keys, at_us): (&wire::KeySelection, i64),
) -> Result<KeyFilter, Refused> {
    if *keys == wire::KeySelection::default() {
        return Err(Refused::invalid("keys", "say which: a project, consumer, policy or another field"));
    }
    let project = match &keys.project {
        Some(project) => {
            let found = app.store().project_of(whose.tenant.id, project).await?;
            Some(format!("{}/{}", whose.tenant.name, found.name))
        }
        None => None,
    };
    let environment = match keys.environment.as_deref().map(str::parse) {
        None => None,
        Some(Ok(environment)) => Some(environment),
        Some(Err(_)) => return Err(Refused::invalid("keys.environment", "write `live` or `test`")),
    };
    let metadata = match keys.metadata.as_deref().map(|text| text.split_once('=')) {
        None => None,
        Some(Some((name, value))) => Some((name.to_owned(), value.to_owned())),
        Some(None) => return Err(Refused::invalid("keys.metadata", "write `name=value`")),
    };
    let expires_before_us = match &keys.expires_before {
        None => None,
        Some(text) => {
            expiry_us(text, at_us).map_err(|problem| Refused::invalid("keys.expires_before", problem))?
        }
    };
    Ok(KeyFilter {
        tenant: Some(whose.tenant.id),
        consumers: whose.consumers.map(<[ConsumerId]>::to_vec),
        project,
        consumer: keys.consumer.clone(),
        policy: keys.policy.clone(),
        state: keys.state.as_deref().map(state_named).transpose()?,
        environment,
        search: keys.search.clone(),
        metadata,
        expires_before_us,
        created_until_us: Some(at_us),
        job: None,
        attention: None,
    })
}

fn state_named(name: &str) -> Result<KeyState, Refused> {
    let states = [KeyState::Active, KeyState::Disabled, KeyState::Blocked, KeyState::Revoked];
    let found = states.into_iter().find(|state| state.name() == name);
    found.ok_or_else(|| Refused::invalid("keys.state", "write `active`, `disabled`, `blocked` or `revoked`"))
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

/// A job at work.
struct Work {
    app: App,
    permit: Permit,
    filter: KeyFilter,
    edit: BulkEdit,
    row: JobRow,
    _slot: JobSlot,
}

impl Work {
    async fn run(self) {
        let store = self.app.store();
        let job = (self.row.id, self.app.run());
        let mut busy = 0;
        loop {
            let what = (&self.filter, &self.edit);
            let turn = self.app.jobs().turn().await;
            let stepped = store.step_job(&self.permit, job, what, self.app.now_us()).await;
            drop(turn);
            match stepped {
                Ok(JobStep::More) => busy = 0,
                Ok(JobStep::Done | JobStep::NotOurs) => return,
                Err(StoreError::Busy { .. }) if busy < BUSY_MAX => {
                    busy += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(id = %self.row.id, %error, cause = error.cause(), "a job failed");
                    return fail(&self.app, &self.row, &error.to_string()).await;
                }
            }
        }
    }
}

async fn fail(app: &App, row: &JobRow, why: &str) {
    if let Err(error) = app.store().fail_job((row.id, app.run()), why, app.now_us()).await {
        tracing::warn!(id = %row.id, %error, cause = error.cause(), "the end of a job could not be written down");
    }
}
