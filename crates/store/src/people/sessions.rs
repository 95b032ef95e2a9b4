//! Sessions of people who signed in. The cookie holds a token of 256 random bits, the row its
//! SHA-256: who reads the database cannot take a session over.

use std::{net::IpAddr, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Actor, Permit, Role},
    id::{ConsumerId, SessionId, TenantId, UserId},
    key::Digest,
};

use super::account::{load_account, role};
use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    random,
    sql::{Columns as _, Row, all, one, run, sql},
    write::{Change, Committed, Write},
};

/// The last use is written down at most this often.
const USE_STEP_US: i64 = 60_000_000;
/// Sessions an account may have at once; a further sign-in ends the one that was used longest ago.
const SESSIONS_MAX: usize = 50;
/// What is kept of the browser's name.
const USER_AGENT_CHARS_MAX: usize = 200;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How long one may stay unused, microseconds.
    pub idle_us: i64,
    /// How long one may last at all, microseconds.
    pub life_us: i64,
}

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The SHA-256 of its token.
    pub digest: Digest,
    /// Whose it is.
    pub account: UserId,
    /// The version of the account whose password and second factor were proven; with another one by now the
    /// session does not begin. `None` where somebody else vouches for the person.
    pub proven: Option<u64>,
    /// The tenant it acts in.
    pub tenant: TenantId,
    /// How the person proved who they are: `password`, `password+totp`, `oidc:google`.
    pub method: String,
    /// When they did, wall microseconds; 0 where that is not known.
    pub signed_in_us: i64,
    /// From where.
    pub address: IpAddr,
    /// With what, as the browser calls itself.
    pub user_agent: String,
}

/// What becomes of a session that gets a new token.
#[derive(Clone, Debug)]
pub struct SessionChange {
    /// The SHA-256 of the new token.
    pub digest: Digest,
    /// The tenant it acts in from now on.
    pub tenant: TenantId,
    /// How the person proved who they are.
    pub method: String,
    /// When they last did, wall microseconds.
    pub signed_in_us: i64,
}

/// What is found behind a token.
#[derive(Clone, Debug)]
pub enum SessionLookup {
    /// A session that is good.
    Good(Box<SignedInSession>),
    /// One that was unused for too long, or has lasted too long.
    Expired,
    /// None: never there, ended, or its person is no member any more.
    Unknown,
}

/// A good session, and what its person is now.
#[derive(Clone, Debug)]
pub struct SignedInSession {
    /// Its id.
    pub id: SessionId,
    /// Who it is.
    pub account: UserId,
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub name: String,
    /// The tenant it acts in.
    pub tenant: Named<TenantId>,
    /// The role there, as of now.
    pub role: Role,
    /// The consumers the person is mapped to, as of now.
    pub consumers: Arc<[ConsumerId]>,
    /// How the person proved who they are.
    pub method: String,
    /// When they last did, wall microseconds.
    pub signed_in_us: i64,
    /// When the session ends at the latest.
    pub ends_us: i64,
}

/// A session as its person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The tenant it acts in.
    pub tenant: TenantId,
    /// How the person proved who they are.
    pub method: String,
    /// When it began, wall microseconds.
    pub created_us: i64,
    /// When it was last used, to the minute.
    pub used_us: i64,
    /// When it ends at the latest.
    pub ends_us: i64,
    /// From where it began.
    pub address: String,
    /// How the browser called itself.
    pub user_agent: String,
}

impl Store {
    /// The session behind a token's digest, if it is good. Notes the use, to the minute.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn session(
        &self,
        digest: Digest,
        limits: SessionLimits,
        now_us: i64,
    ) -> Result<SessionLookup, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT s.id, s.account, a.email, a.name, s.tenant, t.name, m.role, s.method, \
                    s.signed_in_us, s.ends_us, s.used_us, s.created_us FROM sessions s \
                    JOIN accounts a ON a.id = s.account JOIN tenants t ON t.id = s.tenant \
                    JOIN members m ON m.account = s.account AND m.tenant = s.tenant WHERE s.digest = $1";
        let Some(row) = one(sql(text).bind(digest.0.to_vec()), &mut conn).await? else {
            return Ok(SessionLookup::Unknown);
        };
        let (ends, used, created) = (row.int(9)?, row.int(10)?, row.int(11)?);
        // The limits of today hold for the sessions of yesterday too.
        let over = now_us >= ends.min(created.saturating_add(limits.life_us))
            || now_us >= used.saturating_add(limits.idle_us);
        if over {
            return Ok(SessionLookup::Expired);
        }
        let account = UserId::from_sql(row.int(1)?);
        let tenant = TenantId::from_sql(row.int(4)?);
        let session = SignedInSession {
            id: SessionId::from_sql(row.int(0)?),
            account,
            email: row.text(2)?.to_owned(),
            name: row.text(3)?.to_owned(),
            tenant: Named { id: tenant, name: row.text(5)?.to_owned() },
            role: role(row.text(6)?)?,
            consumers: consumers_of(&mut conn, account, tenant).await?,
            method: row.text(7)?.to_owned(),
            signed_in_us: row.int(8)?,
            ends_us: ends,
        };
        drop(conn);
        if now_us >= used.saturating_add(USE_STEP_US.min(limits.idle_us / 4)) {
            self.note_use(session.id, now_us).await;
        }
        Ok(SessionLookup::Good(Box::new(session)))
    }

    /// A use that cannot be written down is no reason to refuse it: the session ends the sooner.
    async fn note_use(&self, id: SessionId, now_us: i64) {
        let written = async {
            let mut tx = self.begin_write().await?;
            let update = sql("UPDATE sessions SET used_us = $1 WHERE id = $2 AND used_us < $1");
            run(update.bind(now_us).bind(id.to_sql()), &mut tx).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the last use of a session could not be written down");
        }
    }

    /// Begins a session. `permit` is the person's own, for `Action::UseOwnAccount`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the person is no member of the tenant; [`StoreError::Outdated`] when
    /// what was proven counts no more.
    pub async fn start_session(
        &self,
        permit: &Permit,
        new: NewSession,
        limits: SessionLimits,
        now_us: i64,
    ) -> Result<Committed<SessionId>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let value = insert_session(&mut write, &new, (limits, now_us)).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }

    /// Gives a session a new token, and another tenant or a fresh sign-in: what changes privileges
    /// never keeps a token. `permit` is the person's own, for `Action::UseOwnAccount`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the session is not that person's, or the person is no member of
    /// the tenant.
    pub async fn rotate_session(
        &self,
        permit: &Permit,
        (account, id): (UserId, SessionId),
        change: &SessionChange,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        own(permit, account)?;
        let mut write = self.write(permit, now_us).await?;
        is_member(write.conn(), account, change.tenant).await?;
        let text = "UPDATE sessions SET digest = $1, tenant = $2, method = $3, signed_in_us = $4, used_us = $5 \
                    WHERE id = $6 AND account = $7";
        let update = sql(text)
            .bind(change.digest.0.to_vec())
            .bind(change.tenant.to_sql())
            .bind(change.method.clone())
            .bind(change.signed_in_us)
            .bind(now_us)
            .bind(id.to_sql())
            .bind(account.to_sql());
        if run(update, write.conn()).await? == 0 {
            return Err(StoreError::not_found(Entity::Session, id));
        }
        let after = serde_json::json!({
            "user": account, "method": change.method, "signed_in_us": change.signed_in_us,
        });
        write.record(Change {
            needs: Action::UseOwnAccount,
            tenant: Some(change.tenant),
            action: "session.rotate",
            entity: Entity::Session,
            id: id.to_sql(),
            version: 1,
            before: None,
            after: Some(after.to_string()),
        })?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// The sessions of a person that have not ended, last used first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sessions_of(
        &self,
        account: UserId,
        limits: SessionLimits,
        now_us: i64,
    ) -> Result<Vec<SessionView>, StoreError> {
        let mut conn = self.reader().await?;
        let text = "SELECT id, tenant, method, created_us, used_us, ends_us, address, user_agent FROM sessions \
                    WHERE account = $1 AND ends_us > $2 AND used_us > $3 ORDER BY used_us DESC, id";
        let select =
            sql(text).bind(account.to_sql()).bind(now_us).bind(now_us.saturating_sub(limits.idle_us));
        all(select, &mut conn).await?.iter().map(view).collect()
    }

    /// The sessions of a person that act in a tenant and have not ended, last used first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sessions_in(
        &self,
        (tenant, account): (TenantId, UserId),
        limits: SessionLimits,
        now_us: i64,
    ) -> Result<Vec<SessionView>, StoreError> {
        let mut all = self.sessions_of(account, limits, now_us).await?;
        all.retain(|session| session.tenant == tenant);
        Ok(all)
    }

    /// Ends a session of a person: one's own with `Action::UseOwnAccount`, another's with
    /// `Action::EndSessions` in the tenant that it acts in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such session of that person.
    pub async fn end_session(
        &self,
        permit: &Permit,
        (account, id): (UserId, SessionId),
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let select = sql("SELECT tenant FROM sessions WHERE id = $1 AND account = $2");
        let row = one(select.bind(id.to_sql()).bind(account.to_sql()), write.conn())
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::Session, id))?;
        let delete = sql("DELETE FROM sessions WHERE id = $1");
        run(delete.bind(id.to_sql()), write.conn()).await?;
        let before = serde_json::json!({ "user": account });
        write.record(Change {
            needs: if is_own(permit, account) { Action::UseOwnAccount } else { Action::EndSessions },
            tenant: Some(TenantId::from_sql(row.int(0)?)),
            action: "session.end",
            entity: Entity::Session,
            id: id.to_sql(),
            version: 2,
            before: Some(before.to_string()),
            after: None,
        })?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// Deletes what has ended: sessions and links. No mutation of anybody, so it has no entry.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_ended(&self, limits: SessionLimits, now_us: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let delete = sql("DELETE FROM sessions WHERE ends_us <= $1 OR used_us <= $2");
        let sessions = run(delete.bind(now_us).bind(now_us.saturating_sub(limits.idle_us)), &mut tx).await?;
        let links = run(sql("DELETE FROM links WHERE expires_us <= $1").bind(now_us), &mut tx).await?;
        tx.commit().await?;
        Ok(sessions + links)
    }
}

/// The consumers that a person is mapped to in a tenant.
pub(crate) async fn consumers_of(
    conn: &mut AnyConnection,
    account: UserId,
    tenant: TenantId,
) -> Result<Arc<[ConsumerId]>, StoreError> {
    let text = "SELECT consumer FROM member_consumers WHERE account = $1 AND tenant = $2 ORDER BY consumer";
    let rows = all(sql(text).bind(account.to_sql()).bind(tenant.to_sql()), conn).await?;
    rows.iter().map(|row| Ok(ConsumerId::from_sql(row.int(0)?))).collect()
}

/// Begins a session inside a mutation.
pub(crate) async fn insert_session(
    write: &mut Write<'_>,
    new: &NewSession,
    (limits, now_us): (SessionLimits, i64),
) -> Result<SessionId, StoreError> {
    is_member(write.conn(), new.account, new.tenant).await?;
    own(write.permit(), new.account)?;
    if let Some(proven) = new.proven {
        let present = load_account(write.conn(), new.account).await?.version;
        if present != proven {
            return Err(StoreError::Outdated { kind: Entity::User, version: present });
        }
    }
    make_room(write.conn(), new.account).await?;
    let id = SessionId::from_random(random::id_bytes()?);
    let address = new.address.to_string();
    let user_agent: String = new.user_agent.chars().take(USER_AGENT_CHARS_MAX).collect();
    let insert = "INSERT INTO sessions (id, digest, account, tenant, method, created_us, signed_in_us, used_us, \
                  ends_us, address, user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $8, $9, $10)";
    let insert = sql(insert)
        .bind(id.to_sql())
        .bind(new.digest.0.to_vec())
        .bind(new.account.to_sql())
        .bind(new.tenant.to_sql())
        .bind(new.method.clone())
        .bind(now_us)
        .bind(new.signed_in_us.min(now_us))
        .bind(now_us.saturating_add(limits.life_us))
        .bind(address.clone())
        .bind(user_agent.clone());
    run(insert, write.conn()).await?;
    let after = serde_json::json!({
        "user": new.account, "method": new.method, "address": address, "user_agent": user_agent,
    });
    write.record(Change {
        needs: Action::UseOwnAccount,
        tenant: Some(new.tenant),
        action: "session.start",
        entity: Entity::Session,
        id: id.to_sql(),
        version: 1,
        before: None,
        after: Some(after.to_string()),
    })?;
    Ok(id)
}

async fn is_member(conn: &mut AnyConnection, account: UserId, tenant: TenantId) -> Result<(), StoreError> {
    let member = sql("SELECT role FROM members WHERE account = $1 AND tenant = $2");
    match one(member.bind(account.to_sql()).bind(tenant.to_sql()), conn).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::not_found(Entity::Tenant, tenant)),
    }
}

/// Ends the sessions that were used longest ago, so that no more than the most remain with a new one.
async fn make_room(conn: &mut AnyConnection, account: UserId) -> Result<(), StoreError> {
    let select = sql("SELECT id FROM sessions WHERE account = $1 ORDER BY used_us DESC, id");
    let rows = all(select.bind(account.to_sql()), conn).await?;
    for row in rows.iter().skip(SESSIONS_MAX - 1) {
        run(sql("DELETE FROM sessions WHERE id = $1").bind(row.int(0)?), conn).await?;
    }
    Ok(())
}

/// Ends sessions of a person as part of another change, which says so in its entry: all of them, or
/// all but one, or those in a tenant.
pub(crate) async fn end_sessions_of(
    conn: &mut AnyConnection,
    account: UserId,
    (tenant, except): (Option<TenantId>, Option<SessionId>),
) -> Result<u64, StoreError> {
    let text = "DELETE FROM sessions WHERE account = $1 AND id <> $2 AND (tenant = $3 OR $3 = -1)";
    let delete = sql(text)
        .bind(account.to_sql())
        .bind(except.map_or(-1, SessionId::to_sql))
        .bind(tenant.map_or(-1, TenantId::to_sql));
    run(delete, conn).await
}

/// Whether a permit is held by the person themselves.
pub(crate) fn is_own(permit: &Permit, account: UserId) -> bool {
    match permit.actor() {
        Actor::Person(user) | Actor::Member { user, .. } => *user == account,
        Actor::OsUser(_) | Actor::Worker(_) | Actor::Rule { .. } => false,
    }
}

/// Refuses permits that are held by somebody else than the person.
pub(crate) fn own(permit: &Permit, account: UserId) -> Result<(), StoreError> {
    if is_own(permit, account) { Ok(()) } else { Err(StoreError::NotCovered { kind: Entity::User }) }
}

fn view(row: &Row) -> Result<SessionView, StoreError> {
    Ok(SessionView {
        id: SessionId::from_sql(row.int(0)?),
        tenant: TenantId::from_sql(row.int(1)?),
        method: row.text(2)?.to_owned(),
        created_us: row.int(3)?,
        used_us: row.int(4)?,
        ends_us: row.int(5)?,
        address: row.text(6)?.to_owned(),
        user_agent: row.text(7)?.to_owned(),
    })
}
