//! Giving a key a new secret.

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::Permit,
    id::KeyId,
    key::{Digest, face, mint},
    secret::Secret,
};

use super::{
    CreatedKey, Rotation,
    row::{KeyRow, SecretRow, insert_secrets, update_key},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, built, one, run, sql},
    write::Committed,
};

impl Store {
    /// Gives a key a new secret under the same id; the present one stays valid for the overlap, older
    /// ones end at once. Needs `Action::RotateKeys` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] for a revoked key.
    pub async fn rotate_key(
        &self,
        permit: &Permit,
        rotation: Rotation,
        random: &Secret<[u8; 32]>,
        now_us: i64,
    ) -> Result<Committed<CreatedKey>, StoreError> {
        if rotation.overlap_us < 0 {
            return Err(StoreError::invalid("overlap", "it cannot be negative"));
        }
        let mut write = self.write(permit, now_us).await?;
        let (mut row, tenant) = KeyRow::load(write.conn(), rotation.id).await?;
        row.not_revoked()?;
        let until = now_us.saturating_add(rotation.overlap_us).min(i64::MAX - 1);
        end_secrets(write.conn(), &row, Ends { now_us, until_us: until }).await?;
        let prefix = sql("SELECT key_prefix FROM projects WHERE id = $1").bind(row.project.to_sql());
        let project = one(prefix, write.conn())
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::Project, row.project))?;
        let prefix = project.text(0)?.to_owned();
        let key =
            mint(&prefix, row.environment, random).map_err(|error| StoreError::corrupt(error.to_string()))?;
        let face = face(&prefix, row.environment, key.expose());
        let before = json!({ "generation": row.generation, "prefix": row.prefix, "last4": row.last4 });
        row.generation = row.generation.checked_add(1).ok_or_else(|| {
            StoreError::Conflict("this key was rotated too often; create a new one".to_owned())
        })?;
        row.prefix.clone_from(&face.prefix);
        row.last4.clone_from(&face.last4);
        row.next_version()?;
        update_key(write.conn(), &row).await?;
        let digest = Digest::of(key.expose().as_bytes());
        let secret = SecretRow { digest, key: row.id, generation: row.generation, scheme: 0 };
        insert_secrets(write.conn(), &[secret]).await?;
        let after = json!({
            "generation": row.generation, "prefix": row.prefix, "last4": row.last4, "previous_until_us": until,
        });
        write.record_of(row.consumer, row.rotated(tenant, "key.rotate", (before, after)))?;
        let seq = write.commit().await?;
        let value =
            CreatedKey { id: row.id, key, face, generation: row.generation, previous_until_us: Some(until) };
        Ok(Committed { value, seq })
    }
}

struct Ends {
    now_us: i64,
    until_us: i64,
}

/// The present secret ends with the overlap, older ones now. Rows stay: nodes learn from them that
/// a secret they hold has ended.
async fn end_secrets(conn: &mut AnyConnection, row: &KeyRow, ends: Ends) -> Result<(), StoreError> {
    let KeyRow { id, generation, .. } = row;
    for table in ["key_secrets", "slow_secrets"] {
        let present = format!("UPDATE {table} SET until_us = $1 WHERE key = $2 AND generation = $3");
        end(conn, present, (ends.until_us, *id, *generation)).await?;
        let older =
            format!("UPDATE {table} SET until_us = $1 WHERE key = $2 AND generation < $3 AND until_us > $1");
        end(conn, older, (ends.now_us, *id, *generation)).await?;
    }
    Ok(())
}

async fn end(
    conn: &mut AnyConnection,
    text: String,
    (until_us, id, generation): (i64, KeyId, u16),
) -> Result<(), StoreError> {
    run(built(text).bind(until_us).bind(id.to_sql()).bind(i64::from(generation)), conn).await?;
    Ok(())
}
