//! The row of a key, as it is written and as the audit shows it.

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use tollgate_core::{
    authz::Action,
    id::{ConsumerId, KeyId, PolicyId, ProjectId, TenantId},
    key::{Digest, Environment},
    keyring::KeyState,
};

use crate::{
    error::{Entity, StoreError},
    resources::to_json,
    sql::{Columns as _, Row, built, bulk, one, places, rows_max, run, sql},
    write::Change,
};

/// A key's row.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub(crate) id: KeyId,
    pub(crate) project: ProjectId,
    pub(crate) consumer: ConsumerId,
    pub(crate) policy: Option<PolicyId>,
    pub(crate) environment: Environment,
    pub(crate) state: KeyState,
    pub(crate) name: Option<String>,
    /// `i64::MAX` never.
    pub(crate) expires_us: i64,
    /// [`NarrowingText`] as JSON.
    pub(crate) narrowing: Option<String>,
    /// A map as JSON.
    pub(crate) metadata: Option<String>,
    pub(crate) prefix: String,
    pub(crate) last4: String,
    pub(crate) created_us: i64,
    pub(crate) version: u32,
    pub(crate) generation: u16,
    pub(crate) import: Option<i64>,
}

/// What a key narrows, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NarrowingText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bind_host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allow_ips: Option<Vec<String>>,
}

/// The columns of a key, in the order of [`insert_keys`].
const COLUMNS: &str = "id, project, consumer, policy, environment, state, name, expires_us, narrowing, \
                       metadata, prefix, last4, created_us, version, generation, import_id";
const COLUMN_COUNT: usize = 16;

impl KeyRow {
    /// Reads a key and its tenant for changing it.
    pub(crate) async fn load(conn: &mut AnyConnection, id: KeyId) -> Result<(Self, TenantId), StoreError> {
        let columns =
            COLUMNS.split(", ").map(|name| format!("k.{}", name.trim())).collect::<Vec<_>>().join(", ");
        let text = format!(
            "SELECT {columns}, p.tenant FROM keys k JOIN projects p ON p.id = k.project WHERE k.id = $1"
        );
        let row = one(built(text).bind(id.to_sql()), conn)
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::Key, id))?;
        Ok((Self::read(&row)?, TenantId::from_sql(row.int(COLUMN_COUNT)?)))
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let text = |column: usize| Ok::<_, StoreError>(row.opt_text(column)?.map(str::to_owned));
        Ok(Self {
            id: KeyId::from_sql(row.int(0)?),
            project: ProjectId::from_sql(row.int(1)?),
            consumer: ConsumerId::from_sql(row.int(2)?),
            policy: row.opt_int(3)?.map(PolicyId::from_sql),
            environment: environment(row.int(4)?),
            state: state(row.int(5)?),
            name: text(6)?,
            expires_us: row.int(7)?,
            narrowing: text(8)?,
            metadata: text(9)?,
            prefix: row.text(10)?.to_owned(),
            last4: row.text(11)?.to_owned(),
            created_us: row.int(12)?,
            version: small(row.int(13)?),
            generation: small(row.int(14)?),
            import: row.opt_int(15)?,
        })
    }

    /// Takes the next version; the last one there can be is refused.
    pub(crate) fn next_version(&mut self) -> Result<(), StoreError> {
        self.version = self.version.checked_add(1).ok_or_else(|| {
            StoreError::Conflict("this key was changed too often; create a new one".to_owned())
        })?;
        Ok(())
    }

    /// Refuses to change a revoked key.
    pub(crate) fn not_revoked(&self) -> Result<(), StoreError> {
        if self.state == KeyState::Revoked {
            return Err(StoreError::Conflict(format!(
                "key `{}` is revoked, which is for good; create a new one",
                self.id
            )));
        }
        Ok(())
    }

    /// The audit entry of a change of this key that whoever tends it may make (`Action::TendKeys`).
    pub(crate) fn tended(
        &self,
        tenant: TenantId,
        action: &'static str,
        values: (Option<serde_json::Value>, Option<serde_json::Value>),
    ) -> Change {
        Change { needs: Action::TendKeys, ..self.change(tenant, action, values) }
    }

    /// The audit entry of a rotation of this key, or of its end (`Action::RotateKeys`).
    pub(crate) fn rotated(
        &self,
        tenant: TenantId,
        action: &'static str,
        values: (serde_json::Value, serde_json::Value),
    ) -> Change {
        let values = (Some(values.0), Some(values.1));
        Change { needs: Action::RotateKeys, ..self.change(tenant, action, values) }
    }

    /// The audit entry of a change of this key.
    pub(crate) fn change(
        &self,
        tenant: TenantId,
        action: &'static str,
        (before, after): (Option<serde_json::Value>, Option<serde_json::Value>),
    ) -> Change {
        Change {
            needs: Action::ChangeKeys,
            tenant: Some(tenant),
            action,
            entity: Entity::Key,
            id: self.id.to_sql(),
            version: u64::from(self.version),
            before: before.map(|value| value.to_string()),
            after: after.map(|value| value.to_string()),
        }
    }

    /// All of it as the audit shows a new key.
    pub(super) fn audit(&self) -> Result<serde_json::Value, StoreError> {
        let narrowing: Option<serde_json::Value> =
            self.narrowing.as_deref().map(crate::resources::from_json).transpose()?;
        let metadata: Option<serde_json::Value> =
            self.metadata.as_deref().map(crate::resources::from_json).transpose()?;
        Ok(serde_json::json!({
            "project": self.project, "consumer": self.consumer, "policy": self.policy,
            "environment": self.environment, "state": self.state.name(), "name": self.name,
            "expires_us": (self.expires_us != i64::MAX).then_some(self.expires_us),
            "narrowing": narrowing, "metadata": metadata,
            "prefix": self.prefix, "last4": self.last4, "generation": self.generation,
        }))
    }
}

impl NarrowingText {
    /// The JSON of the row; `None` when nothing is narrowed.
    pub(crate) fn row(&self) -> Result<Option<String>, StoreError> {
        if *self == Self::default() { Ok(None) } else { to_json(self).map(Some) }
    }
}

/// Inserts keys, many a statement.
pub(crate) async fn insert_keys(conn: &mut AnyConnection, keys: &[KeyRow]) -> Result<(), StoreError> {
    for part in keys.chunks(rows_max(COLUMN_COUNT)) {
        let text = format!("INSERT INTO keys ({COLUMNS}) VALUES {}", places(part.len(), COLUMN_COUNT));
        let mut statement = bulk(text);
        for key in part {
            statement = statement
                .bind(key.id.to_sql())
                .bind(key.project.to_sql())
                .bind(key.consumer.to_sql())
                .bind(key.policy.map(PolicyId::to_sql))
                .bind(key.environment as i64)
                .bind(key.state as i64)
                .bind(key.name.clone())
                .bind(key.expires_us)
                .bind(key.narrowing.clone())
                .bind(key.metadata.clone())
                .bind(key.prefix.clone())
                .bind(key.last4.clone())
                .bind(key.created_us)
                .bind(i64::from(key.version))
                .bind(i64::from(key.generation))
                .bind(key.import);
        }
        run(statement, conn).await?;
    }
    Ok(())
}

/// One secret that is found by its digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretRow {
    pub(crate) digest: Digest,
    pub(crate) key: KeyId,
    pub(crate) generation: u16,
    /// See `key_secrets` in the migrations.
    pub(crate) scheme: i64,
}

/// Inserts current secrets, many a statement.
pub(crate) async fn insert_secrets(
    conn: &mut AnyConnection,
    secrets: &[SecretRow],
) -> Result<(), StoreError> {
    for part in secrets.chunks(rows_max(5)) {
        let text = format!(
            "INSERT INTO key_secrets (digest, key, generation, until_us, scheme) VALUES {}",
            places(part.len(), 5)
        );
        let mut statement = bulk(text);
        for secret in part {
            statement = statement
                .bind(secret.digest.0.to_vec())
                .bind(secret.key.to_sql())
                .bind(i64::from(secret.generation))
                .bind(i64::MAX)
                .bind(secret.scheme);
        }
        run(statement, conn).await?;
    }
    Ok(())
}

/// Writes the columns of a key that may change.
pub(super) async fn update_key(conn: &mut AnyConnection, key: &KeyRow) -> Result<(), StoreError> {
    let text = "UPDATE keys SET state = $1, expires_us = $2, prefix = $3, last4 = $4, version = $5, \
                generation = $6 WHERE id = $7";
    let update = sql(text)
        .bind(key.state as i64)
        .bind(key.expires_us)
        .bind(key.prefix.clone())
        .bind(key.last4.clone())
        .bind(i64::from(key.version))
        .bind(i64::from(key.generation))
        .bind(key.id.to_sql());
    run(update, conn).await?;
    Ok(())
}

/// The environment with this number.
pub(crate) fn environment(number: i64) -> Environment {
    if number == Environment::Live as i64 { Environment::Live } else { Environment::Test }
}

/// The state with this number; what is unknown counts as revoked.
pub(crate) fn state(number: i64) -> KeyState {
    KeyState::from_number(u8::try_from(number).unwrap_or(u8::MAX))
}

/// A number that was written from a smaller type.
pub(crate) fn small<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}
