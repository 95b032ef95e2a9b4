//! Everything encrypted anew under another key. A crash at any point leaves every secret readable: the new key
//! is in the file before anything is encrypted under it, all rows change in one transaction, and the old key
//! goes only after that.

use sqlx::{Any, AnyConnection, Transaction};
use tollgate_core::authz::{Action, Permit};

use super::{
    OwnPlace, everything,
    seal::{key_of, present_name},
};
use crate::{
    error::{Entity, StoreError},
    key_file::KeyName,
    open::Store,
    sql::{only, run, sql},
    write::Change,
};

/// What was encrypted anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// How many secrets of all kinds.
    pub count: u64,
    /// The name of the key that they are encrypted under now.
    pub key: String,
}

impl Store {
    /// Adds a key to the file, which the next [`Store::rewrap_secrets`] takes: where several nodes each have
    /// their copy of it, they get the new file before anything needs it. Gives the key's name. Needs
    /// `Action::ChangeProviderCredentials` for the installation.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be read or written.
    pub async fn prepare_rewrap(&self, permit: &Permit) -> Result<String, StoreError> {
        if !permit.covers(Action::ChangeProviderCredentials, None) {
            return Err(StoreError::NotCovered { kind: Entity::Secret });
        }
        let mut tx = self.begin_alone().await?;
        let name = self.next_key(&mut tx).await?;
        tx.commit().await?;
        Ok(name.to_string())
    }

    /// Encrypts every secret of the installation anew: under the key that was prepared, or under one that it
    /// adds to the file. Then takes the keys that nothing is encrypted under out of the file. Needs
    /// `Action::ChangeProviderCredentials` for the installation.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a key is missing, [`StoreError::Corrupt`] for a secret that cannot be
    /// decrypted; nothing was changed then.
    pub async fn rewrap_secrets(&self, permit: &Permit, now_us: i64) -> Result<Rewrapped, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let name = self.next_key(write.conn()).await?;
        let sealer = self.sealer(write.conn()).await?;
        let file = self.key_file().ok_or_else(|| StoreError::corrupt("the file of keys is gone"))?;
        let key = file.key(name)?.ok_or_else(|| sealer.missing(name))?;
        let rows = everything(write.conn()).await?;
        let count = rows.len() as u64;
        for row in rows {
            let plain = sealer.open(row.place.borrowed(), &row.bytes)?;
            let sealed = sealer.seal_under(&key, row.place.borrowed(), plain.expose())?;
            let update = match row.place {
                OwnPlace::Secret { id, .. } => {
                    sql("UPDATE secrets SET sealed = $1 WHERE id = $2").bind(sealed).bind(id)
                }
                OwnPlace::SecondFactor { account, is_pending: false } => {
                    sql("UPDATE accounts SET totp_secret = $1 WHERE id = $2").bind(sealed).bind(account)
                }
                OwnPlace::SecondFactor { account, is_pending: true } => {
                    sql("UPDATE accounts SET totp_pending = $1 WHERE id = $2").bind(sealed).bind(account)
                }
                OwnPlace::Hmac(id) => {
                    sql("UPDATE hmac_secrets SET secret = $1 WHERE id = $2").bind(sealed).bind(id)
                }
                OwnPlace::Webhook { webhook, number } => {
                    sql("UPDATE webhook_secrets SET sealed = $1 WHERE webhook = $2 AND number = $3")
                        .bind(sealed)
                        .bind(webhook)
                        .bind(number)
                }
            };
            run(update, write.conn()).await?;
        }
        let note = "INSERT INTO meta (name, value) VALUES ('secrets_key', $1) \
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        run(sql(note).bind(name.to_string()), write.conn()).await?;
        write.record(Change {
            needs: Action::ChangeProviderCredentials,
            tenant: None,
            action: "secrets.rewrap",
            entity: Entity::Secret,
            id: 0,
            version: 1,
            before: None,
            after: Some(serde_json::json!({ "count": count, "key": name.to_string() }).to_string()),
        })?;
        // It is read again: nothing may be encrypted under a key that was taken out meanwhile.
        if !file.keys()?.iter().any(|key| key.name == name) {
            return Err(sealer.missing(name));
        }
        write.commit().await?;
        self.forget_old_keys(name).await?;
        Ok(Rewrapped { count, key: name.to_string() })
    }

    /// The newest key of the file when nothing is encrypted under it yet, or one that is added.
    async fn next_key(&self, conn: &mut AnyConnection) -> Result<KeyName, StoreError> {
        let present = self.sealer(conn).await?.present_key(conn).await?.name;
        let file = self.key_file().ok_or_else(|| StoreError::corrupt("the file of keys is gone"))?;
        let newest = file.keys()?.last().map(|key| key.name);
        let mut used = vec![present];
        for row in everything(conn).await? {
            used.push(key_of(&row.bytes)?);
        }
        match newest {
            Some(newest) if !used.contains(&newest) => Ok(newest),
            _ => file.add(),
        }
    }

    /// Begins a transaction beside which nobody encrypts anything: two who each add a key, or one who takes
    /// keys out while another begins to use one, come one after the other.
    async fn begin_alone(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.begin_write().await?;
        if let Some(lock) = self.engine().lock_mutations() {
            only(sql(lock), &mut tx).await?;
        }
        Ok(tx)
    }

    async fn forget_old_keys(&self, present: KeyName) -> Result<(), StoreError> {
        let mut conn = self.begin_alone().await?;
        let mut used = vec![present];
        used.extend(present_name(&mut conn).await?);
        for row in everything(&mut conn).await? {
            used.push(key_of(&row.bytes)?);
        }
        self.key_file().map_or(Ok(()), |file| file.keep(&used))?;
        Ok(conn.rollback().await?)
    }
}
