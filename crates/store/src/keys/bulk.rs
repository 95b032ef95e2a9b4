//! The same change to many keys, a step at a time, so that a million keys hold the database no
//! longer than two hundred do.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_core::{authz::Permit, id::TenantId, keyring::KeyState};

use super::{
    BulkEdit, BulkStep, KeyFilter,
    edit::update_words,
    list::page_of,
    row::{KeyRow, update_key},
    state::action,
};
use crate::{
    error::StoreError,
    open::Store,
    page::PageRequest,
    resources::{from_json, metadata_problem, to_json},
    write::{Change, Committed, Write},
};

/// Keys of one step, which is one transaction.
const STEP_KEYS_MAX: u32 = 200;

impl Store {
    /// Changes the next keys that the filter finds. Needs `Action::ChangeKeys` in their tenant.
    /// The filter must not ask for what the change alters, or the steps would lose their place:
    /// that is looked at by the caller.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for metadata that cannot be, [`StoreError::NotCovered`].
    pub async fn edit_keys(
        &self,
        permit: &Permit,
        (filter, edit): (&KeyFilter, &BulkEdit),
        cursor: Option<String>,
        now_us: i64,
    ) -> Result<Committed<BulkStep>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let page = PageRequest { limit: STEP_KEYS_MAX, cursor };
        let page = page_of(write.conn(), filter, &page).await?;
        let mut step = BulkStep { seen: 0, changed: 0, next: page.next };
        for view in page.items {
            let (key, tenant) = KeyRow::load(write.conn(), view.id).await?;
            step.seen += 1;
            if apply(&mut write, (key, tenant), edit).await? {
                step.changed += 1;
            }
        }
        let seq = write.commit().await?;
        Ok(Committed { value: step, seq })
    }
}

/// Changes one key; `false` when there was nothing to change.
async fn apply(
    write: &mut Write<'_>,
    (mut key, tenant): (KeyRow, TenantId),
    edit: &BulkEdit,
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
            let after = json!({ "state": state.name() });
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
            let values = (json!({ "metadata": before }), json!({ "metadata": after }));
            key.change(tenant, "key.update", (Some(values.0), Some(values.1)))
        }
    };
    write.record_of(key.consumer, change)?;
    Ok(true)
}
