//! Replacing a slow or foreign hash by the fast one, after the credential verified.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    key::Digest,
};

use super::{Rehash, schemes::count_scheme};
use crate::{
    error::StoreError,
    keys::KeyRow,
    open::Store,
    sql::{Columns as _, one, run, sql},
    write::Committed,
};

impl Store {
    /// Replaces the hash of a secret by its SHA-256. `false` when it was so already. Needs
    /// `Action::RehashKeys` in the key's tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn rehash(
        &self,
        permit: &Permit,
        rehash: Rehash,
        now_us: i64,
    ) -> Result<Committed<bool>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let (mut key, tenant) = KeyRow::load(write.conn(), rehash.key).await?;
        let Some((before, until_us)) = take_out(write.conn(), &rehash).await? else {
            return Ok(Committed { value: false, seq: write.commit().await? });
        };
        let insert = sql(
            "INSERT INTO key_secrets (digest, key, generation, until_us, scheme) VALUES ($1, $2, $3, $4, 1)",
        );
        let insert = insert
            .bind(rehash.digest.0.to_vec())
            .bind(rehash.key.to_sql())
            .bind(i64::from(rehash.generation))
            .bind(until_us);
        run(insert, write.conn()).await?;
        count_scheme(write.conn(), 1, 1).await?;
        key.next_version()?;
        let version = sql("UPDATE keys SET version = $1 WHERE id = $2");
        run(version.bind(i64::from(key.version)).bind(key.id.to_sql()), write.conn()).await?;
        let after = json!({ "generation": rehash.generation, "scheme": "sha256" });
        let mut change = key.change(tenant, "key.rehash", (Some(before), Some(after)));
        change.needs = Action::RehashKeys;
        write.record(change)?;
        let seq = write.commit().await?;
        Ok(Committed { value: true, seq })
    }
}

/// Deletes the hash that is replaced. Gives what nodes need to forget it, and until when it held.
async fn take_out(conn: &mut AnyConnection, rehash: &Rehash) -> Result<Option<(Value, i64)>, StoreError> {
    let (key, generation) = (rehash.key.to_sql(), i64::from(rehash.generation));
    let slow =
        "DELETE FROM slow_secrets WHERE key = $1 AND generation = $2 RETURNING prefix, until_us, scheme";
    if let Some(row) = one(sql(slow).bind(key).bind(generation), conn).await? {
        let before = json!({ "scheme": row.int(2)?, "prefix": hex(&Digest(row.hash(0)?)) });
        return Ok(Some((before, row.int(1)?)));
    }
    let fast = "DELETE FROM key_secrets WHERE key = $1 AND generation = $2 AND scheme IN (2, 3) \
                RETURNING digest, until_us, scheme";
    let row = one(sql(fast).bind(key).bind(generation), conn).await?;
    let Some(row) = row else { return Ok(None) };
    count_scheme(conn, row.int(2)?, -1).await?;
    let before = json!({ "scheme": row.int(2)?, "digest": hex(&Digest(row.hash(0)?)) });
    Ok(Some((before, row.int(1)?)))
}

fn hex(digest: &Digest) -> String {
    digest.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
