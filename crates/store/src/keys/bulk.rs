//! The same change to many keys, a step at a time, so that a million keys hold the database no
//! longer than two hundred do.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_core::{
    authz::Permit,
    id::{JobId, TenantId},
    keyring::KeyState,
};

use super::{
    BulkEdit, JobStep, KeyFilter,
    edit::update_words,
    list::{ids_of, still},
    row::{KeyRow, update_key},
    state::action,
};
use crate::{
    error::StoreError,
    open::Store,
    page::PageRequest,
    requests::{JobProgressed, job_place, note_step},
    resources::{from_json, metadata_problem, to_json},
    write::{Change, Write},
};

/// Keys of one step, which is one transaction.
const STEP_KEYS_MAX: u32 = 200;

impl Store {
    /// Takes the next step of a job: changes the next keys that its filter finds, and writes down which and
    /// how far it is, in one transaction. So each key is changed once, whoever takes the steps. What may take
    /// long, to find the keys, is done before others have to wait; that they are meant still is asked again
    /// when they do. Needs `Action::ChangeKeys` in the tenant of the keys.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for metadata that cannot be, [`StoreError::NotAuthorised`] when the right was lost
    /// meanwhile, [`StoreError::NotCovered`].
    pub async fn step_job(
        &self,
        permit: &Permit,
        (job, run): (JobId, u64),
        (filter, edit): (&KeyFilter, &BulkEdit),
        now_us: i64,
    ) -> Result<JobStep, StoreError> {
        let mut conn = self.reader().await?;
        let Some(cursor) = job_place(&mut conn, (job, run)).await? else { return Ok(JobStep::NotOurs) };
        let request = PageRequest { limit: STEP_KEYS_MAX, cursor: cursor.clone() };
        let page = ids_of(&mut conn, filter, &request).await?;
        drop(conn);
        let mut write = self.write(permit, now_us).await?;
        let place = job_place(write.conn(), (job, run)).await?;
        if place.as_ref() != Some(&cursor) {
            write.roll_back().await?;
            // Somebody else took this step, or the job ended.
            return Ok(if place.is_some() { JobStep::More } else { JobStep::NotOurs });
        }
        let seen = page.items.len();
        let mut changed = Vec::new();
        for id in still(write.conn(), filter, &page.items).await? {
            let (key, tenant) = KeyRow::load(write.conn(), id).await?;
            if apply(&mut write, (key, tenant), (edit, job)).await? {
                changed.push(id);
            }
        }
        let is_last = page.next.is_none();
        let step = JobProgressed { seen, changed: &changed, next: page.next };
        if !note_step(write.conn(), (job, run), step, now_us).await? {
            write.roll_back().await?;
            return Ok(JobStep::NotOurs);
        }
        write.commit_rows().await?;
        Ok(if is_last { JobStep::Done } else { JobStep::More })
    }
}

/// Changes one key; `false` when there was nothing to change.
async fn apply(
    write: &mut Write<'_>,
    (mut key, tenant): (KeyRow, TenantId),
    (edit, job): (&BulkEdit, JobId),
) -> Result<bool, StoreError> {
    if key.state == KeyState::Revoked {
        return Ok(false);
    }
    let change: Change = match edit {
        BulkEdit::State(state) if *state == key.state => return Ok(false),
        BulkEdit::State(state) => {
            let before = json!({ "state": key.state.name() });
            key.state = *state;
            key.next_version()?;
            update_key(write.conn(), &key).await?;
            let after = json!({ "state": state.name(), "job": job });
            key.change(tenant, action(*state), (Some(before), Some(after)))
        }
        BulkEdit::Tag { set, remove } => {
            let before: BTreeMap<String, String> =
                key.metadata.as_deref().map(from_json).transpose()?.unwrap_or_default();
            let mut after = before.clone();
            remove.iter().for_each(|name| drop(after.remove(name)));
            after.extend(set.clone());
            if after == before {
                return Ok(false);
            }
            if let Some(problem) = metadata_problem(&after) {
                return Err(StoreError::invalid(format!("metadata of {}", key.id), problem));
            }
            key.metadata = if after.is_empty() { None } else { Some(to_json(&after)?) };
            key.next_version()?;
            update_words(write.conn(), &key).await?;
            let values = (json!({ "metadata": before }), json!({ "metadata": after, "job": job }));
            key.change(tenant, "key.update", (Some(values.0), Some(values.1)))
        }
    };
    write.record_of(key.consumer, change)?;
    Ok(true)
}
