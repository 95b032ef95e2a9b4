//! Links that are sent to people: invitations into a tenant, and resets of a password. A link holds
//! a token of 256 random bits, its row the SHA-256; it is good once and not for long.

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit, Role, authorise},
    id::{ConsumerId, InvitationId, TenantId, UserId},
    key::Digest,
    secret::Secret,
};

use super::{
    account::{
        NewAccount, NewMember, email_problem, insert_account, insert_member, login_of, name_problem, role,
    },
    change::{UserChange, user_change},
    credentials::{OwnChange, put_password},
    members::{checked_consumers, forget_resets_of, load, needs, set_consumers},
    sessions::own,
};
use crate::{
    error::{Entity, StoreError},
    named::Named,
    open::Store,
    random, resources,
    sql::{Columns as _, Row, all, built, one, run, sql},
    standing::actor_now,
    write::{Change, Committed, Write},
};

/// Invitations that may be open in a tenant at once.
const INVITATIONS_MAX: u64 = 1000;
/// What a link to set a password is in its row; invitations are 0.
const RESET: i64 = 1;

/// An invitation that begins.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// Into which tenant.
    pub tenant: TenantId,
    /// To whom it is sent.
    pub email: String,
    /// The role it gives.
    pub role: Role,
    /// The consumers that it maps to.
    pub consumers: Vec<ConsumerId>,
    /// The SHA-256 of its token.
    pub digest: Digest,
    /// When it ends, wall microseconds.
    pub expires_us: i64,
}

/// An invitation that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Into which tenant.
    pub tenant: Named<TenantId>,
    /// To whom it was sent.
    pub email: String,
    /// The role it gives.
    pub role: Role,
    /// The consumers that it maps to.
    pub consumers: Vec<ConsumerId>,
    /// Who sent it, as the audit shows it.
    pub created_by: String,
    /// When, wall microseconds.
    pub created_us: i64,
    /// When it ends.
    pub expires_us: i64,
    /// Whether an account signs in with this e-mail address already.
    pub has_account: bool,
}

/// A person who is new here.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The id the account shall have.
    pub id: UserId,
    /// The name for people; the e-mail address when empty.
    pub name: String,
    /// The argon2id PHC string of the password.
    pub password_hash: Secret<String>,
}

/// A link to set a new password.
#[derive(Clone, Copy, Debug)]
pub struct NewReset {
    /// Whose password.
    pub account: UserId,
    /// The SHA-256 of its token.
    pub digest: Digest,
    /// When it ends, wall microseconds.
    pub expires_us: i64,
}

const SELECT: &str = "SELECT l.id, l.tenant, t.name, l.email, l.role, l.consumers, l.created_by, l.created_us, \
                      l.expires_us, (SELECT COUNT(*) FROM accounts a WHERE a.login = l.email) \
                      FROM links l JOIN tenants t ON t.id = l.tenant WHERE l.kind = 0";

impl Store {
    /// Invites somebody; an earlier invitation of the same address into the same tenant ends. Needs
    /// `Action::ChangeMembers`, or `Action::ChangeOwners` for an owner.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], [`StoreError::Conflict`] when too many are open.
    pub async fn invite(
        &self,
        permit: &Permit,
        new: NewInvitation,
        now_us: i64,
    ) -> Result<Committed<InvitationId>, StoreError> {
        if let Some(problem) = email_problem(&new.email) {
            return Err(StoreError::invalid("email", problem));
        }
        let mut write = self.write(permit, now_us).await?;
        let consumers = checked_consumers(write.conn(), new.tenant, &new.consumers).await?;
        let again = sql("DELETE FROM links WHERE kind = 0 AND tenant = $1 AND email = $2");
        run(again.bind(new.tenant.to_sql()).bind(login_of(&new.email)), write.conn()).await?;
        let open = sql("SELECT COUNT(*) FROM links WHERE kind = 0 AND tenant = $1");
        let open = one(open.bind(new.tenant.to_sql()), write.conn()).await?;
        if open.map_or(Ok(0), |row| row.count(0))? >= INVITATIONS_MAX {
            return Err(StoreError::Conflict(format!(
                "{INVITATIONS_MAX} invitations are open; take some back first"
            )));
        }
        let id = InvitationId::from_random(random::id_bytes()?);
        let insert = "INSERT INTO links (id, digest, kind, tenant, email, role, consumers, created_by, created_us, \
                      expires_us) VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9)";
        let insert = sql(insert)
            .bind(id.to_sql())
            .bind(new.digest.0.to_vec())
            .bind(new.tenant.to_sql())
            .bind(login_of(&new.email))
            .bind(new.role.name())
            .bind(resources::to_json(&consumers)?)
            .bind(permit.actor().to_string())
            .bind(now_us)
            .bind(new.expires_us);
        run(insert, write.conn()).await?;
        let after = json!({
            "email": new.email, "role": new.role.name(), "consumers": consumers, "expires_us": new.expires_us,
        });
        let change = change("invitation.create", new.tenant, id, (None, Some(after)));
        write.record(Change { needs: needs(new.role, new.role), ..change })?;
        let seq = write.commit().await?;
        Ok(Committed { value: id, seq })
    }

    /// The open invitations into a tenant, the latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_invitations(
        &self,
        tenant: TenantId,
        now_us: i64,
    ) -> Result<Vec<InvitationView>, StoreError> {
        let mut conn = self.reader().await?;
        let text =
            format!("{SELECT} AND l.tenant = $1 AND l.expires_us > $2 ORDER BY l.created_us DESC, l.id");
        let rows = all(built(text).bind(tenant.to_sql()).bind(now_us), &mut conn).await?;
        rows.iter().map(view).collect()
    }

    /// Takes an invitation back. Needs `Action::ChangeMembers`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_invitation(
        &self,
        permit: &Permit,
        (tenant, id): (TenantId, InvitationId),
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let select = sql("SELECT email, role FROM links WHERE id = $1 AND tenant = $2 AND kind = 0");
        let row = one(select.bind(id.to_sql()).bind(tenant.to_sql()), write.conn())
            .await?
            .ok_or_else(|| StoreError::not_found(Entity::Invitation, id))?;
        let before = json!({ "email": row.text(0)?, "role": row.opt_text(1)? });
        delete(write.conn(), id).await?;
        write.record(change("invitation.revoke", tenant, id, (Some(before), None)))?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }

    /// The invitation behind a token's digest, if it is good.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn invitation(
        &self,
        digest: Digest,
        now_us: i64,
    ) -> Result<Option<InvitationView>, StoreError> {
        let mut conn = self.reader().await?;
        find_invitation(&mut conn, digest, now_us).await
    }

    /// Takes an invitation as somebody new: makes the account and the membership. `permit` is the new
    /// person's own, for `Action::ChangeOwnAccount`. `Ok(None)`: the link is not good.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an account signs in with the address already.
    pub async fn accept_invitation(
        &self,
        permit: &Permit,
        (digest, newcomer): (Digest, &Newcomer),
        now_us: i64,
    ) -> Result<Option<Committed<TenantId>>, StoreError> {
        own(permit, newcomer.id)?;
        if let Some(problem) = name_problem(&newcomer.name) {
            return Err(StoreError::invalid("name", problem));
        }
        let mut write = self.write(permit, now_us).await?;
        let Some(invitation) = find_invitation(write.conn(), digest, now_us).await? else {
            write.roll_back().await?;
            return Ok(None);
        };
        if invitation.has_account {
            return Err(StoreError::Conflict(
                "an account with this e-mail address exists; sign in with it, then open the link again"
                    .to_owned(),
            ));
        }
        let name = if newcomer.name.trim().is_empty() { &invitation.email } else { &newcomer.name };
        let account = NewAccount {
            id: newcomer.id,
            email: &invitation.email,
            is_local: true,
            name,
            password_hash: Some(&newcomer.password_hash),
            created_us: now_us,
        };
        insert_account(write.conn(), account).await?;
        let seen = json!({ "email": invitation.email, "name": name });
        record_user(&mut write, ("user.create", newcomer.id), invitation.tenant.id, seen)?;
        join(&mut write, newcomer.id, &invitation, now_us).await?;
        let seq = write.commit().await?;
        Ok(Some(Committed { value: invitation.tenant.id, seq }))
    }

    /// Takes an invitation as somebody who has an account. `permit` is their own, for
    /// `Action::ChangeOwnAccount`. `Ok(None)`: the link is not good.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the person is a member of the tenant already.
    pub async fn join_by_invitation(
        &self,
        permit: &Permit,
        (digest, account): (Digest, UserId),
        now_us: i64,
    ) -> Result<Option<Committed<TenantId>>, StoreError> {
        own(permit, account)?;
        let mut write = self.write(permit, now_us).await?;
        let Some(invitation) = find_invitation(write.conn(), digest, now_us).await? else {
            write.roll_back().await?;
            return Ok(None);
        };
        let member = sql("SELECT role FROM members WHERE account = $1 AND tenant = $2");
        let member = member.bind(account.to_sql()).bind(invitation.tenant.id.to_sql());
        if one(member, write.conn()).await?.is_some() {
            return Err(StoreError::Conflict("you belong to this tenant already".to_owned()));
        }
        join(&mut write, account, &invitation, now_us).await?;
        let seq = write.commit().await?;
        Ok(Some(Committed { value: invitation.tenant.id, seq }))
    }

    /// Keeps a link to set a new password; earlier ones of the person end. `permit` is the person's,
    /// for `Action::UseOwnAccount`, or somebody's for `Action::ChangeMembers` in a tenant that the person
    /// belongs to. Whoever asks for it, the link is for the person alone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] for an account without a password.
    pub async fn begin_reset(&self, permit: &Permit, new: NewReset, now_us: i64) -> Result<(), StoreError> {
        let administers = |tenant: &TenantId| permit.covers(Action::ChangeMembers, Some(*tenant));
        let (needs, tenant) = match permit.tenant().filter(administers) {
            Some(tenant) => (Action::ChangeMembers, Some(tenant)),
            None => {
                own(permit, new.account)?;
                (Action::UseOwnAccount, None)
            }
        };
        let mut write = self.write(permit, now_us).await?;
        if let Some(tenant) = tenant {
            load(write.conn(), tenant, new.account).await?;
        }
        let local = sql("SELECT id FROM accounts WHERE id = $1 AND login IS NOT NULL");
        if one(local.bind(new.account.to_sql()), write.conn()).await?.is_none() {
            return Err(StoreError::Conflict(
                "this account signs in at an identity provider; change the password there".to_owned(),
            ));
        }
        forget_resets_of(write.conn(), new.account).await?;
        let account = super::account::load_account(write.conn(), new.account).await?;
        let id = InvitationId::from_random(random::id_bytes()?);
        let insert = "INSERT INTO links (id, digest, kind, account, email, created_by, created_us, expires_us) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let insert = sql(insert)
            .bind(id.to_sql())
            .bind(new.digest.0.to_vec())
            .bind(RESET)
            .bind(new.account.to_sql())
            .bind(account.email)
            .bind(permit.actor().to_string())
            .bind(now_us)
            .bind(new.expires_us);
        run(insert, write.conn()).await?;
        write.record(user_change(UserChange {
            needs,
            tenant,
            action: "user.reset_begin",
            account: new.account,
            version: account.version,
            before: None,
            after: Some(json!({ "expires_us": new.expires_us })),
        }))?;
        write.commit().await?;
        Ok(())
    }

    /// Whose password a link may set, if it is good.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn reset(&self, digest: Digest, now_us: i64) -> Result<Option<UserId>, StoreError> {
        let mut conn = self.reader().await?;
        Ok(find_reset(&mut conn, digest, now_us).await?.map(|(account, _)| account))
    }

    /// Sets a new password by a link and ends all sessions of the person. `permit` is the person's,
    /// for `Action::ChangeOwnAccount`. `Ok(None)`: the link is not good.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for an account without a password.
    pub async fn complete_reset(
        &self,
        permit: &Permit,
        (digest, hash): (Digest, &Secret<String>),
        now_us: i64,
    ) -> Result<Option<Committed<UserId>>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let Some((account, id)) = find_reset(write.conn(), digest, now_us).await? else {
            write.roll_back().await?;
            return Ok(None);
        };
        delete(write.conn(), id).await?;
        let who = OwnChange { account, tenant: TenantId(0), session: None };
        let ended = put_password(&mut write, who, hash).await?;
        let version = super::account::load_account(write.conn(), account).await?.version + 1;
        let update = sql("UPDATE accounts SET version = $1 WHERE id = $2");
        run(update.bind(version as i64).bind(account.to_sql()), write.conn()).await?;
        write.record(user_change(UserChange {
            needs: Action::ChangeOwnAccount,
            tenant: None,
            action: "user.reset",
            account,
            version,
            before: None,
            after: Some(json!({ "sessions_ended": ended })),
        }))?;
        let seq = write.commit().await?;
        Ok(Some(Committed { value: account, seq }))
    }
}

/// Makes a person a member, and uses the invitation up.
async fn join(
    write: &mut Write<'_>,
    account: UserId,
    invitation: &InvitationView,
    now_us: i64,
) -> Result<(), StoreError> {
    let tenant = invitation.tenant.id;
    let new = NewMember { account, tenant, role: invitation.role, source: "local", created_us: now_us };
    insert_member(write.conn(), new).await?;
    forget_resets_of(write.conn(), account).await?;
    let consumers = those_left(write.conn(), &invitation.consumers).await?;
    set_consumers(write.conn(), (account, tenant), &consumers).await?;
    delete(write.conn(), invitation.id).await?;
    let seen = json!({
        "invitation": invitation.id, "invited_by": invitation.created_by, "role": invitation.role.name(),
        "consumers": consumers,
    });
    record_user(write, ("member.join", account), tenant, seen)
}

/// Consumers that were not deleted since somebody was invited to them.
async fn those_left(
    conn: &mut AnyConnection,
    consumers: &[ConsumerId],
) -> Result<Vec<ConsumerId>, StoreError> {
    let mut left = Vec::with_capacity(consumers.len());
    for consumer in consumers {
        let found = sql("SELECT id FROM consumers WHERE id = $1").bind(consumer.to_sql());
        if one(found, conn).await?.is_some() {
            left.push(*consumer);
        }
    }
    Ok(left)
}

fn record_user(
    write: &mut Write<'_>,
    (action, account): (&'static str, UserId),
    tenant: TenantId,
    after: serde_json::Value,
) -> Result<(), StoreError> {
    write.record(user_change(UserChange {
        // The invitation was the right; what is done with it is the person's own doing.
        needs: Action::ChangeOwnAccount,
        tenant: Some(tenant),
        action,
        account,
        version: 1,
        before: None,
        after: Some(after),
    }))
}

async fn find_invitation(
    conn: &mut AnyConnection,
    digest: Digest,
    now_us: i64,
) -> Result<Option<InvitationView>, StoreError> {
    let text = format!("{SELECT} AND l.digest = $1 AND l.expires_us > $2");
    let row = one(built(text).bind(digest.0.to_vec()).bind(now_us), conn).await?;
    let Some(found) = row.as_ref().map(view).transpose()? else { return Ok(None) };
    Ok(is_upheld(conn, &found).await?.then_some(found))
}

/// Whether who sent an invitation may send it still. Those that no member sent stay good.
async fn is_upheld(conn: &mut AnyConnection, invitation: &InvitationView) -> Result<bool, StoreError> {
    let Ok(user) = invitation.created_by.parse::<UserId>() else { return Ok(true) };
    let tenant = invitation.tenant.id;
    let sender = actor_now(conn, user, tenant).await?;
    let action = needs(invitation.role, invitation.role);
    Ok(authorise(&sender, action, Some(tenant)).is_ok_and(|permit| permit.covers(action, Some(tenant))))
}

async fn find_reset(
    conn: &mut AnyConnection,
    digest: Digest,
    now_us: i64,
) -> Result<Option<(UserId, InvitationId)>, StoreError> {
    let select = sql("SELECT account, id FROM links WHERE kind = $1 AND digest = $2 AND expires_us > $3");
    let row = one(select.bind(RESET).bind(digest.0.to_vec()).bind(now_us), conn).await?;
    row.map(|row| Ok((UserId::from_sql(row.int(0)?), InvitationId::from_sql(row.int(1)?)))).transpose()
}

async fn delete(conn: &mut AnyConnection, id: InvitationId) -> Result<(), StoreError> {
    run(sql("DELETE FROM links WHERE id = $1").bind(id.to_sql()), conn).await?;
    Ok(())
}

fn view(row: &Row) -> Result<InvitationView, StoreError> {
    Ok(InvitationView {
        id: InvitationId::from_sql(row.int(0)?),
        tenant: Named { id: TenantId::from_sql(row.int(1)?), name: row.text(2)?.to_owned() },
        email: row.text(3)?.to_owned(),
        role: role(row.opt_text(4)?.unwrap_or_default())?,
        consumers: resources::from_json(row.opt_text(5)?.unwrap_or("[]"))?,
        created_by: row.text(6)?.to_owned(),
        created_us: row.int(7)?,
        expires_us: row.int(8)?,
        has_account: row.int(9)? > 0,
    })
}

fn change(
    action: &'static str,
    tenant: TenantId,
    id: InvitationId,
    (before, after): (Option<serde_json::Value>, Option<serde_json::Value>),
) -> Change {
    Change {
        needs: Action::ChangeMembers,
        tenant: Some(tenant),
        action,
        entity: Entity::Invitation,
        id: id.to_sql(),
        version: 1,
        before: before.map(|value| value.to_string()),
        after: after.map(|value| value.to_string()),
    }
}
