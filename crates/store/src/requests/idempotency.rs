//! A request that is sent twice is done once. The claim is written before anything is done and the
//! answer after it: a process that dies in between leaves the claim, so that a repetition is refused
//! and never done a second time.

use tollgate_core::{id::TenantId, key::Digest};

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, one, only, run, sql},
};

/// How long an answer is kept, microseconds: a day.
const KEPT_US: i64 = 86_400_000_000;
/// Answers that are kept of one person, so that a busy one takes nothing from the others.
const KEPT_MAX: u64 = 5_000;
/// Answers that are kept of one tenant.
const KEPT_OF_TENANT_MAX: u64 = 50_000;
/// Bytes of an answer that is kept; longer ones are not repeated but refused.
const BODY_BYTES_MAX: usize = 256 << 10;

/// A request by the name that its sender gave it.
#[derive(Clone, Debug)]
pub struct RequestName {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// Who sent it.
    pub actor: String,
    /// The digest of its `Idempotency-Key`.
    pub name: Digest,
    /// The digest of what it asks for: method, path and body.
    pub request: Digest,
}

/// An answer that was given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerKept {
    /// Its status.
    pub status: u16,
    /// Its body, without secrets.
    pub body: String,
}

/// What is known about a request of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing: it is to be done now.
    New,
    /// It was done.
    Answered(AnswerKept),
    /// It is under way, or the process died while it was: whether it took effect is not known.
    UnderWay,
    /// Something else was asked under this name.
    Other,
    /// Too many names are known of this person, or of the tenant.
    Full,
}

impl Store {
    /// Claims a name.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn claim_request(&self, name: &RequestName, now_us: i64) -> Result<Claim, StoreError> {
        let mut tx = self.begin_write().await?;
        run(sql("DELETE FROM idempotency WHERE created_us < $1").bind(now_us - KEPT_US), &mut tx).await?;
        let insert = "INSERT INTO idempotency (tenant, actor, name, request, state, status, body, created_us) \
                      VALUES ($1, $2, $3, $4, 0, 0, '', $5) ON CONFLICT (tenant, actor, name) DO NOTHING";
        let insert = sql(insert)
            .bind(name.tenant.to_sql())
            .bind(name.actor.clone())
            .bind(name.name.0.to_vec())
            .bind(name.request.0.to_vec())
            .bind(now_us);
        if run(insert, &mut tx).await? == 1 {
            let own = sql("SELECT COUNT(*) FROM idempotency WHERE tenant = $1 AND actor = $2");
            let own = only(own.bind(name.tenant.to_sql()).bind(name.actor.clone()), &mut tx).await?;
            let all = sql("SELECT COUNT(*) FROM idempotency WHERE tenant = $1").bind(name.tenant.to_sql());
            let all = only(all, &mut tx).await?;
            if own.count(0)? > KEPT_MAX || all.count(0)? > KEPT_OF_TENANT_MAX {
                tx.rollback().await?;
                return Ok(Claim::Full);
            }
            tx.commit().await?;
            return Ok(Claim::New);
        }
        let find = "SELECT request, state, status, body FROM idempotency \
                    WHERE tenant = $1 AND actor = $2 AND name = $3";
        let find = sql(find).bind(name.tenant.to_sql()).bind(name.actor.clone()).bind(name.name.0.to_vec());
        let row = one(find, &mut tx).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(Claim::UnderWay) };
        Ok(match (row.blob(0)? == name.request.0, row.int(1)?) {
            (false, _) => Claim::Other,
            (true, 1) => Claim::Answered(AnswerKept {
                status: u16::try_from(row.int(2)?).unwrap_or(500),
                body: row.text(3)?.to_owned(),
            }),
            (true, _) => Claim::UnderWay,
        })
    }

    /// Keeps the answer of a claimed request.
    ///
    /// # Errors
    /// When the database cannot be written; the claim then stays.
    pub async fn keep_answer(&self, name: &RequestName, answer: AnswerKept) -> Result<(), StoreError> {
        if answer.body.len() > BODY_BYTES_MAX {
            return Ok(());
        }
        let update = "UPDATE idempotency SET state = 1, status = $1, body = $2 \
                      WHERE tenant = $3 AND actor = $4 AND name = $5";
        let update = sql(update)
            .bind(i64::from(answer.status))
            .bind(answer.body)
            .bind(name.tenant.to_sql())
            .bind(name.actor.clone())
            .bind(name.name.0.to_vec());
        let mut tx = self.begin_write().await?;
        run(update, &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Gives a name back: nothing was done under it.
    ///
    /// # Errors
    /// When the database cannot be written; the claim then stays.
    pub async fn release_request(&self, name: &RequestName) -> Result<(), StoreError> {
        let delete = "DELETE FROM idempotency WHERE tenant = $1 AND actor = $2 AND name = $3 AND state = 0";
        let delete =
            sql(delete).bind(name.tenant.to_sql()).bind(name.actor.clone()).bind(name.name.0.to_vec());
        let mut tx = self.begin_write().await?;
        run(delete, &mut tx).await?;
        Ok(tx.commit().await?)
    }
}
