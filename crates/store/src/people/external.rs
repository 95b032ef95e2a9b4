//! People who prove who they are elsewhere: at an OpenID provider, with Firebase, in a directory. Who
//! somebody is there is a provider and a subject, never an e-mail address; what they may do here is
//! decided by their groups, each time they sign in.

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit, Role},
    id::{TenantId, UserId},
};

use super::{
    account::{EMAIL_BYTES_MAX, NewAccount, NewMember, insert_account, insert_member, name_problem, role},
    change::{UserChange, user_change},
    members::{forget_invitations_by, forget_resets_of, keep_an_owner, load, set_consumers},
    sessions::{end_sessions_of, own},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, one, run, sql},
    write::{Committed, Write},
};

/// Bytes of a provider's name and of a subject.
const NAME_BYTES_MAX: usize = 255;

/// Somebody as an identity provider knows them.
#[derive(Clone, Debug)]
pub struct ExternalPerson {
    /// The provider: `oidc:https://accounts.example`, `firebase:project`, `ldap:ldaps://…`.
    pub provider: String,
    /// Who it is there.
    pub subject: String,
    /// The e-mail address, to show; empty where there is none that anybody verified.
    pub email: String,
    /// The name, to show.
    pub name: String,
    /// The tenant that the provider decides about.
    pub tenant: TenantId,
    /// The role that the person's groups give; `None` when none of them gives any.
    pub role: Option<Role>,
    /// When the provider said so, wall microseconds: the `iat` of a token, or now.
    pub issued_us: i64,
}

/// What is known here of somebody elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// The account.
    pub account: UserId,
    /// Their role in the provider's tenant, and whether the provider decides on it.
    pub member: Option<(Role, bool)>,
    /// When their membership or role there was last decided on, by the provider or by a person; wall
    /// microseconds, `None` when it never was.
    pub decided_us: Option<i64>,
}

impl ExternalAccount {
    /// Whether what the provider said is older than what was decided since: such a token changes nothing,
    /// or one from before a demotion would give the old role back.
    #[must_use]
    pub fn is_past(&self, person: &ExternalPerson) -> bool {
        self.decided_us.is_some_and(|decided_us| person.issued_us < decided_us)
    }
}

impl Store {
    /// The account of somebody elsewhere, if they were here before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn external_account(
        &self,
        person: &ExternalPerson,
    ) -> Result<Option<ExternalAccount>, StoreError> {
        let mut conn = self.reader().await?;
        find(&mut conn, person).await
    }

    /// The tenant of this name; without a name the only one there is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] when there are several and none is named.
    pub async fn tenant_for(&self, name: Option<&str>) -> Result<TenantId, StoreError> {
        let mut conn = self.reader().await?;
        let rows = match name {
            Some(name) => {
                all(sql("SELECT id FROM tenants WHERE name = $1").bind(name.to_owned()), &mut conn).await?
            }
            None => all(sql("SELECT id FROM tenants LIMIT 2"), &mut conn).await?,
        };
        match rows.as_slice() {
            [row] => Ok(TenantId::from_sql(row.int(0)?)),
            [] => Err(StoreError::not_found(crate::error::Entity::Tenant, name.unwrap_or_default())),
            _ => Err(StoreError::invalid("tenant", "there are several tenants; name the one that is meant")),
        }
    }

    /// Brings the account and membership of somebody elsewhere to what the provider says: makes them
    /// where they are missing, follows the role, and takes the membership away from whom no group gives
    /// a role. Memberships that were made here are left alone, what is past changes nothing
    /// ([`ExternalAccount::is_past`]), and the last owner stays one. `permit` is for
    /// `Action::UseOwnAccount` of the known account, or of the new one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a provider or subject that is none; [`StoreError::NotCovered`] when
    /// the account is another one than the permit's.
    pub async fn settle_external(
        &self,
        permit: &Permit,
        (account, person): (UserId, &ExternalPerson),
        now_us: i64,
    ) -> Result<Committed<ExternalAccount>, StoreError> {
        for (field, text) in [("provider", &person.provider), ("subject", &person.subject)] {
            if text.is_empty() || text.len() > NAME_BYTES_MAX || text.contains('\0') {
                return Err(StoreError::invalid(field, "it is empty, too long, or no text"));
            }
        }
        if let Some(problem) = name_problem(&person.name) {
            return Err(StoreError::invalid("name", problem));
        }
        if person.email.len() > EMAIL_BYTES_MAX || person.email.contains(char::is_control) {
            return Err(StoreError::invalid("email", "it is too long, or no text"));
        }
        own(permit, account)?;
        let mut write = self.write(permit, now_us).await?;
        let known = find(write.conn(), person).await?;
        if known.is_some_and(|known| known.account != account) {
            return Err(StoreError::NotCovered { kind: crate::error::Entity::User });
        }
        if known.is_none() {
            make(&mut write, account, person, now_us).await?;
        }
        let member = known.and_then(|known| known.member);
        let is_past = known.is_some_and(|known| known.is_past(person));
        match (member, person.role) {
            _ if is_past => {}
            (None, Some(role)) => join(&mut write, account, person, (role, now_us)).await?,
            (Some((present, true)), wanted) if wanted != Some(present) => {
                follow(&mut write, account, person).await?;
            }
            _ => {}
        }
        let value = find(write.conn(), person).await?.unwrap_or(ExternalAccount {
            account,
            member: None,
            decided_us: None,
        });
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }
}

async fn find(
    conn: &mut AnyConnection,
    person: &ExternalPerson,
) -> Result<Option<ExternalAccount>, StoreError> {
    let identity = sql("SELECT account FROM identities WHERE provider = $1 AND subject = $2");
    let identity = identity.bind(person.provider.clone()).bind(person.subject.clone());
    let Some(row) = one(identity, conn).await? else { return Ok(None) };
    let account = UserId::from_sql(row.int(0)?);
    let member = sql("SELECT role, source FROM members WHERE account = $1 AND tenant = $2");
    let member = one(member.bind(account.to_sql()).bind(person.tenant.to_sql()), conn).await?;
    let member = match member {
        Some(row) => Some((role(row.text(0)?)?, row.text(1)? == person.provider)),
        None => None,
    };
    let decided =
        sql("SELECT MAX(at_us) FROM changes WHERE entity_id = $1 AND entity = 'user' AND tenant = $2 \
                       AND action IN ('member.join', 'member.role', 'member.remove')");
    let decided = one(decided.bind(account.to_sql()).bind(person.tenant.to_sql()), conn).await?;
    let decided_us = decided.map(|row| row.opt_int(0)).transpose()?.flatten();
    Ok(Some(ExternalAccount { account, member, decided_us }))
}

async fn make(
    write: &mut Write<'_>,
    account: UserId,
    person: &ExternalPerson,
    now_us: i64,
) -> Result<(), StoreError> {
    let names = [&person.name, &person.email, &person.subject];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or(&person.subject);
    let new = NewAccount {
        id: account,
        email: &person.email,
        is_local: false,
        name,
        password_hash: None,
        created_us: now_us,
    };
    insert_account(write.conn(), new).await?;
    let insert = sql("INSERT INTO identities (provider, subject, account) VALUES ($1, $2, $3)");
    let insert = insert.bind(person.provider.clone()).bind(person.subject.clone()).bind(account.to_sql());
    run(insert, write.conn()).await?;
    let after = json!({ "email": person.email, "provider": person.provider, "subject": person.subject });
    record(write, (account, person), "user.create", (None, Some(after)))
}

async fn join(
    write: &mut Write<'_>,
    account: UserId,
    person: &ExternalPerson,
    (role, now_us): (Role, i64),
) -> Result<(), StoreError> {
    let new =
        NewMember { account, tenant: person.tenant, role, source: &person.provider, created_us: now_us };
    insert_member(write.conn(), new).await?;
    forget_resets_of(write.conn(), account).await?;
    let after = json!({ "role": role.name(), "provider": person.provider });
    record(write, (account, person), "member.join", (None, Some(after)))
}

/// Gives the membership the role that the provider says, or takes it away.
async fn follow(write: &mut Write<'_>, account: UserId, person: &ExternalPerson) -> Result<(), StoreError> {
    let old = load(write.conn(), person.tenant, account).await?;
    let goal = person.role.unwrap_or(Role::Auditor);
    if keep_an_owner(write.conn(), &old, person.tenant, goal).await.is_err() {
        tracing::warn!(user = %account, provider = person.provider, "the last owner stays one, whatever the groups say");
        return Ok(());
    }
    let member = |text| sql(text).bind(account.to_sql()).bind(person.tenant.to_sql());
    let action = match person.role {
        Some(role) => {
            let update =
                "UPDATE members SET role = $3, version = version + 1 WHERE account = $1 AND tenant = $2";
            run(member(update).bind(role.name()), write.conn()).await?;
            "member.role"
        }
        None => {
            run(member("DELETE FROM members WHERE account = $1 AND tenant = $2"), write.conn()).await?;
            set_consumers(write.conn(), (account, person.tenant), &[]).await?;
            "member.remove"
        }
    };
    forget_invitations_by(write.conn(), account, person.tenant).await?;
    forget_resets_of(write.conn(), account).await?;
    let ended = end_sessions_of(write.conn(), account, (Some(person.tenant), None)).await?;
    let before = json!({ "role": old.role.name() });
    let after = json!({
        "role": person.role.map(Role::name), "provider": person.provider, "sessions_ended": ended,
    });
    record(write, (account, person), action, (Some(before), Some(after)))
}

fn record(
    write: &mut Write<'_>,
    (account, person): (UserId, &ExternalPerson),
    action: &'static str,
    (before, after): (Option<serde_json::Value>, Option<serde_json::Value>),
) -> Result<(), StoreError> {
    write.record(user_change(UserChange {
        // The provider decided; what is done with it is the person's own doing.
        needs: Action::UseOwnAccount,
        tenant: Some(person.tenant),
        action,
        account,
        version: 1,
        before,
        after,
    }))
}
