//! Sign-ins under way: the password was right, the second factor is still to come. What proves the first
//! step is a token of 256 random bits, of which the row holds the SHA-256; it is good for minutes, and an
//! account has one at a time. Nothing here is anybody's decision, so nothing here has an audit entry; the
//! session that such a sign-in ends in has.

use tollgate_core::{id::UserId, key::Digest};

use crate::{
    error::StoreError,
    open::Store,
    random,
    sql::{Columns as _, one, run, sql},
};

/// What a first step is in its row; invitations are 0, links to set a password 1.
pub(crate) const STEP: i64 = 2;

impl Store {
    /// Keeps that somebody took the first step, until then, wall microseconds. An earlier one ends. `proven`
    /// is the version of the account whose password it was; `false` when it has another one by now, and
    /// nothing is kept.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_step(
        &self,
        (account, proven, digest): (UserId, u64, Digest),
        (now_us, expires_us): (i64, i64),
    ) -> Result<bool, StoreError> {
        let id: [u8; 8] = random::id_bytes()?;
        let id = tollgate_core::id::InvitationId::from_random(id);
        let mut tx = self.begin_write().await?;
        // Holds the row: a new password waits, and then finds the step and ends it.
        let held = sql("UPDATE accounts SET version = version WHERE id = $1 AND version = $2");
        if run(held.bind(account.to_sql()).bind(proven as i64), &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        let earlier = sql("DELETE FROM links WHERE kind = $1 AND account = $2");
        run(earlier.bind(STEP).bind(account.to_sql()), &mut tx).await?;
        let insert = "INSERT INTO links (id, digest, kind, account, email, created_by, created_us, expires_us) \
                      VALUES ($1, $2, $3, $4, '', $5, $6, $7)";
        let insert = sql(insert)
            .bind(id.to_sql())
            .bind(digest.0.to_vec())
            .bind(STEP)
            .bind(account.to_sql())
            .bind(account.to_string())
            .bind(now_us)
            .bind(expires_us);
        run(insert, &mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Who took the first step with this token, if it is good.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn step(&self, digest: Digest, now_us: i64) -> Result<Option<UserId>, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql("SELECT account FROM links WHERE kind = $1 AND digest = $2 AND expires_us > $3");
        let row = one(select.bind(STEP).bind(digest.0.to_vec()).bind(now_us), &mut conn).await?;
        row.map(|row| Ok(UserId::from_sql(row.int(0)?))).transpose()
    }

    /// Uses the first step up; `false` when somebody else did.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_step(&self, digest: Digest) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        let delete = sql("DELETE FROM links WHERE kind = $1 AND digest = $2");
        let ended = run(delete.bind(STEP).bind(digest.0.to_vec()), &mut tx).await? > 0;
        tx.commit().await?;
        Ok(ended)
    }
}
