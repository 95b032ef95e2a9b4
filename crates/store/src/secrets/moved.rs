//! What former versions kept in the clear, encrypted when a node starts: the second factors of people and the keys of
//! imported HMACs. In one transaction, so that a crash leaves each row as it was or encrypted, and the row says
//! which. SQLite overwrites what was there and empties its log, so that the file has no copy of it.

use super::seal::{Place, present_name};
use crate::{
    dialect::Engine,
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, one, only, run, sql},
};

const CLEAR_FACTORS: &str = "SELECT id, totp_secret, totp_pending FROM accounts \
                             WHERE totp_sealed = 0 AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL)";
const CLEAR_HMACS: &str = "SELECT id, secret FROM hmac_secrets WHERE sealed = 0";

impl Store {
    /// Makes the file of keys with a first key, for this process's user alone, unless it is there. Whoever
    /// calls it is told by people that the other nodes get it too.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be written, or when secrets are encrypted under a key already
    /// that is not in it.
    pub async fn make_key_file(&self) -> Result<(), StoreError> {
        let mut conn = self.reader().await?;
        let sealer = self.sealer(&mut conn).await?;
        if let Some(name) = present_name(&mut conn).await? {
            return if sealer.has(name)? { Ok(()) } else { Err(sealer.missing(name)) };
        }
        match self.key_file() {
            Some(file) if file.keys()?.is_empty() => file.make(),
            _ => Ok(()),
        }
    }

    /// Encrypts what former versions kept in the clear, and says how many rows had it. 0, and two rows looked
    /// for, when all is done; 0 too where there is no key and none is made at need: what is in the clear can be
    /// read then as before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the key is not there, or the database cannot be written.
    pub async fn seal_what_is_clear(&self) -> Result<u64, StoreError> {
        let Some(file) = self.key_file() else { return Ok(0) };
        let mut conn = self.reader().await?;
        let factor = one(sql(CLEAR_FACTORS), &mut conn).await?;
        let hmac = one(sql(CLEAR_HMACS), &mut conn).await?;
        drop(conn);
        if factor.is_none() && hmac.is_none() {
            return Ok(0);
        }
        if !file.is_made_at_need && file.keys()?.is_empty() {
            tracing::warn!(
                "second factors or keys of imported HMACs are in the clear in the database; make the file of keys \
                 with `tollgate secrets seal` and copy it to every node"
            );
            return Ok(0);
        }
        let is_sqlite = self.engine() == Engine::Sqlite;
        let mut tx = self.begin_write().await?;
        if let Some(lock) = self.engine().lock_mutations() {
            only(sql(lock), &mut tx).await?;
        }
        if is_sqlite {
            // What is replaced is overwritten with zeros (https://www.sqlite.org/pragma.html#pragma_secure_delete).
            all(sql("PRAGMA secure_delete = ON"), &mut tx).await?;
        }
        let sealer = self.sealer(&mut tx).await?;
        let mut count = 0_u64;
        for row in all(sql(CLEAR_FACTORS), &mut tx).await? {
            let id = row.int(0)?;
            let mut sealed = [None, None];
            for (slot, column) in sealed.iter_mut().zip([1, 2]) {
                if let Some(plain) = row.opt_blob(column)? {
                    *slot = Some(sealer.seal(&mut tx, Place::SecondFactor(id), plain).await?);
                }
            }
            let [secret, pending] = sealed;
            let update =
                "UPDATE accounts SET totp_secret = $1, totp_pending = $2, totp_sealed = 1 WHERE id = $3";
            run(sql(update).bind(secret).bind(pending).bind(id), &mut tx).await?;
            count += 1;
        }
        for row in all(sql(CLEAR_HMACS), &mut tx).await? {
            let id = row.int(0)?;
            let sealed = sealer.seal(&mut tx, Place::Hmac(id), row.blob(1)?).await?;
            let update = sql("UPDATE hmac_secrets SET secret = $1, sealed = 1 WHERE id = $2");
            run(update.bind(sealed).bind(id), &mut tx).await?;
            count += 1;
        }
        tx.commit().await?;
        if is_sqlite {
            self.empty_log().await?;
        }
        tracing::info!(count, "secrets that a former version kept in the clear are encrypted now");
        Ok(count)
    }

    /// Writes SQLite's log into the database and cuts it to nothing. Others who read may keep it from that for a
    /// moment; the next checkpoint does it then.
    async fn empty_log(&self) -> Result<(), StoreError> {
        let mut conn = self.writer().await?;
        let row = only(sql("PRAGMA wal_checkpoint(TRUNCATE)"), &mut conn).await?;
        all(sql("PRAGMA secure_delete = OFF"), &mut conn).await?;
        if row.int(0)? != 0 {
            tracing::warn!(
                "the log of the database could not be emptied, for others read it; it is overwritten later"
            );
        }
        Ok(())
    }
}
