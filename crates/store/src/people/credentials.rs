//! Passwords, second factors and recovery codes of people. What comes in is hashed already, but for
//! the secrets of second factors, which have to be known to be compared.

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::{SessionId, TenantId, UserId},
    key::Digest,
    secret::Secret,
};

use super::{
    account::load_account,
    change::{UserChange, user_change},
    sessions::{end_sessions_of, own},
    steps::STEP,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    secrets::Place,
    sql::{Columns as _, one, run, sql},
    write::{Committed, Write},
};

/// The second factor of an account (RFC 6238).
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// The secret that codes are made from; `None` when no second factor is asked for.
    pub secret: Option<Secret<Vec<u8>>>,
    /// A secret that was shown to the person and that they have not confirmed with a code.
    pub pending: Option<Secret<Vec<u8>>>,
    /// The last step of time whose code was taken; codes up to it are used up.
    pub last_step: i64,
}

/// Whose credentials are changed, and where the entry belongs.
#[derive(Clone, Copy, Debug)]
pub struct OwnChange {
    /// The person.
    pub account: UserId,
    /// The tenant they act in, whose audit shows it.
    pub tenant: TenantId,
    /// The session that stays; all others end.
    pub session: Option<SessionId>,
}

impl Store {
    /// Sets a new password and ends the person's other sessions. `permit` is the person's own, for
    /// `Action::ChangeOwnAccount`, as for all of this file.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_password(
        &self,
        permit: &Permit,
        who: OwnChange,
        hash: &Secret<String>,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let ended = put_password(&mut write, who, hash).await?;
        note(&mut write, who, ("user.password", Some(json!({ "sessions_ended": ended })))).await?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// The second factor of an account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn second_factor(&self, account: UserId) -> Result<SecondFactor, StoreError> {
        let mut conn = self.reader().await?;
        let select =
            sql("SELECT totp_secret, totp_pending, totp_step, totp_sealed FROM accounts WHERE id = $1");
        let row = one(select.bind(account.to_sql()), &mut conn)
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::User, account))?;
        let (secret, pending) = (row.opt_blob(0)?, row.opt_blob(1)?);
        let mut factor = SecondFactor { secret: None, pending: None, last_step: row.int(2)? };
        if secret.is_none() && pending.is_none() {
            return Ok(factor);
        }
        if row.int(3)? == 0 {
            // A store without a file of keys leaves what a former version wrote as it is.
            factor.secret = secret.map(|bytes| Secret::new(bytes.to_vec()));
            factor.pending = pending.map(|bytes| Secret::new(bytes.to_vec()));
            return Ok(factor);
        }
        let sealer = self.sealer(&mut conn).await?;
        let open = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| sealer.open(Place::SecondFactor(account.to_sql()), bytes)).transpose()
        };
        (factor.secret, factor.pending) = (open(secret)?, open(pending)?);
        Ok(factor)
    }

    /// Keeps a secret that the person has yet to confirm with a code.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn begin_second_factor(
        &self,
        permit: &Permit,
        who: OwnChange,
        secret: &Secret<Vec<u8>>,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let sealer = self.sealer(write.conn()).await?;
        let place = Place::SecondFactor(who.account.to_sql());
        let sealed = sealer.seal(write.conn(), place, secret.expose()).await?;
        let update = sql("UPDATE accounts SET totp_pending = $1, totp_sealed = 1 WHERE id = $2");
        run(update.bind(sealed).bind(who.account.to_sql()), write.conn()).await?;
        note(&mut write, who, ("user.second_factor_begin", None)).await?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// Makes the kept secret the second factor, with new recovery codes, and ends the person's other
    /// sessions. `secret` is the one that was confirmed, `step` the step of time of the code that did.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when no secret is kept, or another one by now.
    pub async fn confirm_second_factor(
        &self,
        permit: &Permit,
        who: OwnChange,
        (secret, step, recovery): (&Secret<Vec<u8>>, i64, &[Digest]),
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let account = who.account.to_sql();
        let select = sql("SELECT totp_pending FROM accounts WHERE id = $1 AND totp_sealed = 1");
        let row = one(select.bind(account), write.conn()).await?;
        let pending = row.as_ref().map(|row| row.opt_blob(0)).transpose()?.flatten();
        let sealer = self.sealer(write.conn()).await?;
        let pending = pending.map(|bytes| sealer.open(Place::SecondFactor(account), bytes)).transpose()?;
        if pending.as_ref() != Some(secret) {
            return Err(StoreError::Conflict("no second factor was begun; begin it again".to_owned()));
        }
        // Both stand at the same place, so that what is encrypted can be moved as it is.
        let update = "UPDATE accounts SET totp_secret = totp_pending, totp_pending = NULL, totp_step = $1 \
                      WHERE id = $2";
        run(sql(update).bind(step).bind(account), write.conn()).await?;
        put_recovery_codes(write.conn(), who.account, recovery).await?;
        let ended = end_sessions_of(write.conn(), who.account, (None, who.session)).await?;
        let after = json!({ "recovery_codes": recovery.len(), "sessions_ended": ended });
        note(&mut write, who, ("user.second_factor_on", Some(after))).await?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// Takes the second factor and its recovery codes away. None there is no change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove_second_factor(
        &self,
        permit: &Permit,
        who: OwnChange,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let update = "UPDATE accounts SET totp_secret = NULL, totp_pending = NULL WHERE id = $1 \
                      AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL)";
        if run(sql(update).bind(who.account.to_sql()), write.conn()).await? > 0 {
            put_recovery_codes(write.conn(), who.account, &[]).await?;
            note(&mut write, who, ("user.second_factor_off", None)).await?;
        }
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// Takes the second factor of somebody who lost it away, with the recovery codes, and ends all sessions
    /// and sign-ins under way of the account; `false` when there was none. `permit` is for
    /// `Action::ChangeMembers` in the whole installation: an account may belong to several tenants, so that
    /// nobody of one of them decides on it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn take_second_factor_away(
        &self,
        permit: &Permit,
        account: UserId,
        now_us: i64,
    ) -> Result<Committed<bool>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let version = load_account(write.conn(), account).await?.version + 1;
        let update = sql("UPDATE accounts SET totp_secret = NULL, totp_pending = NULL, version = $2 \
                          WHERE id = $1 AND (totp_secret IS NOT NULL OR totp_pending IS NOT NULL)");
        let had_one = run(update.bind(account.to_sql()).bind(version as i64), write.conn()).await? > 0;
        if had_one {
            put_recovery_codes(write.conn(), account, &[]).await?;
            let steps = sql("DELETE FROM links WHERE kind = $1 AND account = $2");
            run(steps.bind(STEP).bind(account.to_sql()), write.conn()).await?;
            let ended = end_sessions_of(write.conn(), account, (None, None)).await?;
            write.record(user_change(UserChange {
                needs: Action::ChangeMembers,
                tenant: None,
                action: "user.second_factor_taken",
                account,
                version,
                before: None,
                after: Some(json!({ "sessions_ended": ended })),
            }))?;
        }
        let seq = write.commit().await?;
        Ok(Committed { value: had_one, seq })
    }

    /// Uses the code of a step of time up. `false` when it, or a later one, was used already: of two
    /// sign-ins with one code one fails. No mutation of anybody, so it has no entry; the sign-in has.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn use_code_step(&self, account: UserId, step: i64) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        let update = sql("UPDATE accounts SET totp_step = $1 WHERE id = $2 AND totp_step < $1");
        let used = run(update.bind(step).bind(account.to_sql()), &mut tx).await? > 0;
        tx.commit().await?;
        Ok(used)
    }

    /// Uses a recovery code up; `false` when there is none with this digest.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn use_recovery_code(
        &self,
        permit: &Permit,
        (account, digest): (UserId, Digest),
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        own(write.permit(), account)?;
        let delete = sql("DELETE FROM recovery_codes WHERE account = $1 AND digest = $2");
        let delete = delete.bind(account.to_sql()).bind(digest.0.to_vec());
        if run(delete, write.conn()).await? == 0 {
            write.roll_back().await?;
            return Ok(false);
        }
        let version = load_account(write.conn(), account).await?.version;
        write.record(user_change(UserChange {
            needs: Action::UseOwnAccount,
            tenant: None,
            action: "user.recovery_code",
            account,
            version,
            before: None,
            after: None,
        }))?;
        write.commit().await?;
        Ok(true)
    }

    /// How many recovery codes are left.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recovery_codes_left(&self, account: UserId) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql("SELECT COUNT(*) FROM recovery_codes WHERE account = $1");
        let row = one(select.bind(account.to_sql()), &mut conn).await?;
        row.map_or(Ok(0), |row| row.count(0))
    }
}

/// Sets a password inside a mutation; how many sessions ended.
pub(crate) async fn put_password(
    write: &mut Write<'_>,
    who: OwnChange,
    hash: &Secret<String>,
) -> Result<u64, StoreError> {
    if !hash.expose().starts_with("$argon2id$") {
        return Err(StoreError::invalid("password", "its hash is no argon2id PHC string"));
    }
    own(write.permit(), who.account)?;
    let update = sql("UPDATE accounts SET password_hash = $1 WHERE id = $2 AND login IS NOT NULL");
    if run(update.bind(hash.expose().clone()).bind(who.account.to_sql()), write.conn()).await? == 0 {
        return Err(StoreError::Conflict(
            "this account signs in at an identity provider; change the password there".to_owned(),
        ));
    }
    // A link that somebody asked for before, or a first step with the old one, is no way around it.
    let links = sql("DELETE FROM links WHERE kind > 0 AND account = $1");
    run(links.bind(who.account.to_sql()), write.conn()).await?;
    end_sessions_of(write.conn(), who.account, (None, who.session)).await
}

async fn put_recovery_codes(
    conn: &mut AnyConnection,
    account: UserId,
    digests: &[Digest],
) -> Result<(), StoreError> {
    run(sql("DELETE FROM recovery_codes WHERE account = $1").bind(account.to_sql()), conn).await?;
    for digest in digests {
        let insert = sql("INSERT INTO recovery_codes (account, digest) VALUES ($1, $2)");
        run(insert.bind(account.to_sql()).bind(digest.0.to_vec()), conn).await?;
    }
    Ok(())
}

/// Counts the account's version up and records the change.
pub(crate) async fn note(
    write: &mut Write<'_>,
    who: OwnChange,
    (action, after): (&'static str, Option<serde_json::Value>),
) -> Result<(), StoreError> {
    own(write.permit(), who.account)?;
    let account = load_account(write.conn(), who.account).await?;
    let version = account.version + 1;
    let update = sql("UPDATE accounts SET version = $1 WHERE id = $2");
    run(update.bind(version as i64).bind(who.account.to_sql()), write.conn()).await?;
    write.record(user_change(UserChange {
        needs: Action::ChangeOwnAccount,
        tenant: Some(who.tenant),
        action,
        account: who.account,
        version,
        before: None,
        after,
    }))
}
