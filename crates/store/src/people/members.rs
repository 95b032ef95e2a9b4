//! Who belongs to a tenant, with which role, and which consumers developers are mapped to. A tenant
//! that has an owner keeps one (I21): mutations run one at a time, and each counts inside its own
//! transaction.

use std::sync::Arc;

use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit, Role},
    id::{ConsumerId, TenantId, UserId},
};

use super::{
    account::role,
    change::{UserChange, user_change},
    sessions::{consumers_of, end_sessions_of},
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, all, built, one, run, sql},
    write::{Committed, Write},
};

/// Consumers that a person may be mapped to in a tenant.
pub const CONSUMERS_MAX: usize = 200;

/// A member as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who it is.
    pub account: UserId,
    /// The e-mail address.
    pub email: String,
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// `local`, or the identity provider whose groups decide on the role.
    pub source: String,
    /// Whether a second factor is asked for at sign-in with a password.
    pub has_second_factor: bool,
    /// The consumers they are mapped to.
    pub consumers: Arc<[ConsumerId]>,
    /// When they became a member, wall microseconds.
    pub created_us: i64,
    /// The version of the membership.
    pub version: u64,
}

/// Which membership is changed.
#[derive(Clone, Copy, Debug)]
pub struct MemberRef {
    /// The tenant.
    pub tenant: TenantId,
    /// The person.
    pub account: UserId,
    /// The version the caller saw; another one is refused. `None` takes any.
    pub version: Option<u64>,
}

const SELECT: &str = "SELECT m.account, a.email, a.name, m.role, m.source, a.totp_secret, m.created_us, m.version \
                      FROM members m JOIN accounts a ON a.id = m.account WHERE m.tenant = $1";

impl Store {
    /// The members of a tenant, by their ids.
    ///
    /// # Errors
    /// When the database cannot be read; [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_members(
        &self,
        tenant: TenantId,
        page: &PageRequest,
    ) -> Result<Page<MemberView>, StoreError> {
        let after = match page.cursor.as_deref() {
            None => -1,
            Some(cursor) => {
                cursor.parse().map_err(|_| StoreError::invalid("cursor", "it is none of this list"))?
            }
        };
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let text = format!("{SELECT} AND m.account > $2 ORDER BY m.account LIMIT {}", limit + 1);
        let mut conn = self.reader().await?;
        let rows = all(built(text).bind(tenant.to_sql()).bind(after), &mut conn).await?;
        let mut items = Vec::with_capacity(limit);
        for row in rows.iter().take(limit) {
            items.push(view(&mut conn, tenant, row).await?);
        }
        let next = (rows.len() > limit).then(|| items.last().map(|item| item.account.to_sql().to_string()));
        Ok(Page { items, next: next.flatten() })
    }

    /// A member of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn member(&self, tenant: TenantId, account: UserId) -> Result<MemberView, StoreError> {
        let mut conn = self.reader().await?;
        load(&mut conn, tenant, account).await
    }

    /// Gives a member another role, and ends their sessions in the tenant. Needs
    /// `Action::ChangeMembers`, or `Action::ChangeOwners` where owners are made or unmade.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Conflict`] for the last owner.
    pub async fn set_member_role(
        &self,
        permit: &Permit,
        member: MemberRef,
        role: Role,
        now_us: i64,
    ) -> Result<Committed<MemberView>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let old = load_version(&mut write, member).await?;
        if old.role != role {
            keep_an_owner(write.conn(), &old, member.tenant, role).await?;
            set_role(&mut write, (&old, member.tenant), role).await?;
        }
        let value = load(write.conn(), member.tenant, member.account).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }

    /// Maps a member to exactly these consumers of the tenant. Needs `Action::ChangeMembers`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`] for consumers that
    /// are none of the tenant's.
    pub async fn map_member(
        &self,
        permit: &Permit,
        member: MemberRef,
        consumers: &[ConsumerId],
        now_us: i64,
    ) -> Result<Committed<MemberView>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let old = load_version(&mut write, member).await?;
        let wanted = checked_consumers(write.conn(), member.tenant, consumers).await?;
        if *old.consumers != *wanted {
            set_consumers(write.conn(), (member.account, member.tenant), &wanted).await?;
            let version = next_version(&mut write, &old, member.tenant).await?;
            write.record(user_change(UserChange {
                needs: Action::ChangeMembers,
                tenant: Some(member.tenant),
                action: "member.map",
                account: member.account,
                version,
                before: Some(json!({ "consumers": old.consumers.as_ref() })),
                after: Some(json!({ "consumers": wanted })),
            }))?;
        }
        let value = load(write.conn(), member.tenant, member.account).await?;
        let seq = write.commit().await?;
        Ok(Committed { value, seq })
    }

    /// Removes a member from a tenant and ends their sessions there; the account stays. Needs
    /// `Action::ChangeMembers`, or `Action::ChangeOwners` for an owner.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Conflict`] for the last owner.
    pub async fn remove_member(
        &self,
        permit: &Permit,
        member: MemberRef,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let old = load_version(&mut write, member).await?;
        // To go is to be no owner any more, whatever else one were then.
        keep_an_owner(write.conn(), &old, member.tenant, Role::Auditor).await?;
        let ended = end_sessions_of(write.conn(), member.account, (Some(member.tenant), None)).await?;
        set_consumers(write.conn(), (member.account, member.tenant), &[]).await?;
        forget_invitations_by(write.conn(), member.account, member.tenant).await?;
        let delete = sql("DELETE FROM members WHERE account = $1 AND tenant = $2");
        run(delete.bind(member.account.to_sql()).bind(member.tenant.to_sql()), write.conn()).await?;
        write.record(user_change(UserChange {
            needs: needs(old.role, old.role),
            tenant: Some(member.tenant),
            action: "member.remove",
            account: member.account,
            version: old.version + 1,
            before: Some(json!({ "email": old.email, "role": old.role.name() })),
            after: Some(json!({ "sessions_ended": ended })),
        }))?;
        let seq = write.commit().await?;
        Ok(Committed { value: (), seq })
    }
}

/// Takes back what somebody has invited to: who loses a role must not come back by an open invitation.
pub(crate) async fn forget_invitations_by(
    conn: &mut AnyConnection,
    account: UserId,
    tenant: TenantId,
) -> Result<(), StoreError> {
    let delete = sql("DELETE FROM links WHERE kind = 0 AND tenant = $1 AND created_by = $2");
    run(delete.bind(tenant.to_sql()).bind(account.to_string()), conn).await.map(|_| ())
}

/// Ends the links to set a new password of somebody whose rights change: whoever asked for one, or read the
/// mail it went to, did so for what the person was before.
pub(crate) async fn forget_resets_of(conn: &mut AnyConnection, account: UserId) -> Result<(), StoreError> {
    let delete = sql("DELETE FROM links WHERE kind = 1 AND account = $1");
    run(delete.bind(account.to_sql()), conn).await.map(|_| ())
}

/// What is needed where a role becomes another one.
pub(crate) fn needs(before: Role, after: Role) -> Action {
    if before == Role::Owner || after == Role::Owner { Action::ChangeOwners } else { Action::ChangeMembers }
}

/// Refuses to take the role from the last owner.
pub(crate) async fn keep_an_owner(
    conn: &mut AnyConnection,
    old: &MemberView,
    tenant: TenantId,
    role: Role,
) -> Result<(), StoreError> {
    if old.role != Role::Owner || role == Role::Owner {
        return Ok(());
    }
    let other =
        sql("SELECT account FROM members WHERE tenant = $1 AND role = 'owner' AND account <> $2 LIMIT 1");
    if one(other.bind(tenant.to_sql()).bind(old.account.to_sql()), conn).await?.is_some() {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "{} is the last owner of the tenant; make another owner first",
        old.email
    )))
}

async fn set_role(
    write: &mut Write<'_>,
    (old, tenant): (&MemberView, TenantId),
    role: Role,
) -> Result<(), StoreError> {
    let update = sql("UPDATE members SET role = $1 WHERE account = $2 AND tenant = $3");
    let update = update.bind(role.name()).bind(old.account.to_sql()).bind(tenant.to_sql());
    run(update, write.conn()).await?;
    let version = next_version(write, old, tenant).await?;
    forget_invitations_by(write.conn(), old.account, tenant).await?;
    forget_resets_of(write.conn(), old.account).await?;
    // Privileges changed: what was signed in before is signed in no more.
    let ended = end_sessions_of(write.conn(), old.account, (Some(tenant), None)).await?;
    write.record(user_change(UserChange {
        needs: needs(old.role, role),
        tenant: Some(tenant),
        action: "member.role",
        account: old.account,
        version,
        before: Some(json!({ "role": old.role.name() })),
        after: Some(json!({ "role": role.name(), "sessions_ended": ended })),
    }))
}

async fn next_version(write: &mut Write<'_>, old: &MemberView, tenant: TenantId) -> Result<u64, StoreError> {
    let version = old.version + 1;
    let update = sql("UPDATE members SET version = $1 WHERE account = $2 AND tenant = $3");
    let update = update.bind(version as i64).bind(old.account.to_sql()).bind(tenant.to_sql());
    run(update, write.conn()).await?;
    Ok(version)
}

/// Consumers of the tenant, sorted, each once.
pub(crate) async fn checked_consumers(
    conn: &mut AnyConnection,
    tenant: TenantId,
    consumers: &[ConsumerId],
) -> Result<Vec<ConsumerId>, StoreError> {
    if consumers.len() > CONSUMERS_MAX {
        let problem = format!("there are {} of them; at most {CONSUMERS_MAX} are allowed", consumers.len());
        return Err(StoreError::invalid("consumers", problem));
    }
    let mut wanted = consumers.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    for (index, consumer) in wanted.iter().enumerate() {
        let text = "SELECT c.id FROM consumers c JOIN projects p ON p.id = c.project \
                    WHERE c.id = $1 AND p.tenant = $2";
        let found = one(sql(text).bind(consumer.to_sql()).bind(tenant.to_sql()), conn).await?;
        if found.is_none() {
            let problem = format!("there is no consumer `{consumer}` in this tenant");
            return Err(StoreError::invalid(format!("consumers[{index}]"), problem));
        }
    }
    Ok(wanted)
}

pub(crate) async fn set_consumers(
    conn: &mut AnyConnection,
    (account, tenant): (UserId, TenantId),
    consumers: &[ConsumerId],
) -> Result<(), StoreError> {
    let delete = sql("DELETE FROM member_consumers WHERE account = $1 AND tenant = $2");
    run(delete.bind(account.to_sql()).bind(tenant.to_sql()), conn).await?;
    for consumer in consumers {
        let insert = sql("INSERT INTO member_consumers (account, tenant, consumer) VALUES ($1, $2, $3)");
        let insert = insert.bind(account.to_sql()).bind(tenant.to_sql()).bind(consumer.to_sql());
        run(insert, conn).await?;
    }
    Ok(())
}

async fn load_version(write: &mut Write<'_>, member: MemberRef) -> Result<MemberView, StoreError> {
    let old = load(write.conn(), member.tenant, member.account).await?;
    match member.version {
        Some(seen) if seen != old.version => {
            Err(StoreError::Outdated { kind: Entity::User, version: old.version })
        }
        _ => Ok(old),
    }
}

pub(crate) async fn load(
    conn: &mut AnyConnection,
    tenant: TenantId,
    account: UserId,
) -> Result<MemberView, StoreError> {
    let text = format!("{SELECT} AND m.account = $2");
    let row = one(built(text).bind(tenant.to_sql()).bind(account.to_sql()), conn).await?;
    let row = row.ok_or_else(|| StoreError::not_found(Entity::User, account))?;
    view(conn, tenant, &row).await
}

async fn view(conn: &mut AnyConnection, tenant: TenantId, row: &Row) -> Result<MemberView, StoreError> {
    let account = UserId::from_sql(row.int(0)?);
    Ok(MemberView {
        account,
        email: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        role: role(row.text(3)?)?,
        source: row.text(4)?.to_owned(),
        has_second_factor: row.opt_blob(5)?.is_some(),
        consumers: consumers_of(conn, account, tenant).await?,
        created_us: row.int(6)?,
        version: row.count(7)?,
    })
}
