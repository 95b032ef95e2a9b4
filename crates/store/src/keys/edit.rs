//! Changing what a key says: its name, metadata, policy and expiry.

use serde_json::{Map, Value, json};
use sqlx::AnyConnection;
use tollgate_core::{authz::Permit, field_error::FieldError, id::PolicyId};

use super::{
    KeyEdit, KeyView,
    create::{check_name_for_people, policy_named},
    list::load_view,
    row::KeyRow,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    resources::{from_json, metadata_problem, same_version, to_json},
    sql::{run, sql},
    write::Committed,
};

impl Store {
    /// Changes what a key says; what is so already is no change. Needs `Action::ChangeKeys` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`],
    /// [`StoreError::Conflict`] for a revoked key.
    pub async fn edit_key(
        &self,
        permit: &Permit,
        edit: KeyEdit,
        now_us: i64,
    ) -> Result<Committed<KeyView>, StoreError> {
        let errors = problems(&edit);
        if !errors.is_empty() {
            return Err(StoreError::Invalid(errors));
        }
        let mut write = self.write(permit, now_us).await?;
        let (mut key, tenant) = KeyRow::load(write.conn(), edit.id).await?;
        same_version(Entity::Key, u64::from(key.version), edit.version.map(u64::from))?;
        let mut differences = Differences::default();
        change(write.conn(), &mut key, (&edit, &mut differences)).await?;
        if !differences.before.is_empty() {
            key.not_revoked()?;
            key.next_version()?;
            update_words(write.conn(), &key).await?;
            let values = (Some(Value::Object(differences.before)), Some(Value::Object(differences.after)));
            write.record_of(key.consumer, key.change(tenant, "key.update", values))?;
        }
        let value = load_view(write.conn(), edit.id).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }
}

fn problems(edit: &KeyEdit) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(problem) = edit.name.as_ref().and_then(Option::as_deref).and_then(check_name_for_people) {
        errors.push(FieldError::new("name", problem));
    }
    if let Some(problem) = edit.metadata.as_ref().and_then(metadata_problem) {
        errors.push(FieldError::new("metadata", problem));
    }
    errors
}

/// What differs, for the audit.
#[derive(Default)]
struct Differences {
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Differences {
    fn note(&mut self, field: &str, before: Value, after: Value) {
        if before != after {
            self.before.insert(field.to_owned(), before);
            self.after.insert(field.to_owned(), after);
        }
    }
}

async fn change(
    conn: &mut AnyConnection,
    key: &mut KeyRow,
    (edit, differences): (&KeyEdit, &mut Differences),
) -> Result<(), StoreError> {
    if let Some(name) = &edit.name {
        differences.note("name", json!(key.name), json!(name));
        key.name.clone_from(name);
    }
    if let Some(policy) = &edit.policy {
        let id = match policy {
            Some(name) => Some(policy_named(conn, key.project, name).await?),
            None => None,
        };
        differences.note("policy", json!(key.policy), json!(id));
        key.policy = id;
    }
    if let Some(expires) = edit.expires_us {
        let shown = |moment: i64| json!((moment != i64::MAX).then_some(moment));
        let expires = expires.unwrap_or(i64::MAX);
        differences.note("expires_us", shown(key.expires_us), shown(expires));
        key.expires_us = expires;
    }
    if let Some(metadata) = &edit.metadata {
        let before: Option<Value> = key.metadata.as_deref().map(from_json).transpose()?;
        let after = (!metadata.is_empty()).then_some(metadata);
        differences.note("metadata", json!(before), json!(after));
        key.metadata = after.map(to_json).transpose()?;
    }
    Ok(())
}

/// Writes what a key says.
pub(super) async fn update_words(conn: &mut AnyConnection, key: &KeyRow) -> Result<(), StoreError> {
    let text = "UPDATE keys SET name = $1, metadata = $2, policy = $3, expires_us = $4, version = $5 \
                WHERE id = $6";
    let update = sql(text)
        .bind(key.name.clone())
        .bind(key.metadata.clone())
        .bind(key.policy.map(PolicyId::to_sql))
        .bind(key.expires_us)
        .bind(i64::from(key.version))
        .bind(key.id.to_sql());
    run(update, conn).await?;
    Ok(())
}
