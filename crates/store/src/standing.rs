//! What somebody may do at this moment: their role and their consumers, read inside the transaction that
//! acts on it. A permit says what was so when it was asked for, and a mutation may wait for the writer since
//! then; so whoever lost a role meanwhile changes nothing any more (I21). Nothing here changes rows.

use std::{borrow::Cow, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Actor, Permit, authorise},
    id::{ConsumerId, TenantId, UserId},
};

use crate::{
    error::StoreError,
    sql::{Columns as _, all, sql},
};

/// The permit with the rights that its actor has now. Other actors than members have no rows to be asked.
///
/// # Errors
/// [`StoreError::NotAuthorised`] when they may not any more.
pub(crate) async fn renewed<'p>(
    conn: &mut AnyConnection,
    permit: &'p Permit,
) -> Result<Cow<'p, Permit>, StoreError> {
    let Actor::Member { user, tenant, .. } = permit.actor() else { return Ok(Cow::Borrowed(permit)) };
    let actor = actor_now(conn, *user, *tenant).await?;
    let renewed = authorise(&actor, permit.action(), permit.tenant())?;
    let also = permit.also().and_then(|also| authorise(&actor, also, permit.tenant()).ok());
    Ok(Cow::Owned(match also {
        Some(also) => renewed.along_with(&also),
        None => renewed,
    }))
}

/// Somebody as what they are in a tenant now: a member, or else a person who acts in none.
pub(crate) async fn actor_now(
    conn: &mut AnyConnection,
    user: UserId,
    tenant: TenantId,
) -> Result<Actor, StoreError> {
    let select = "SELECT m.role, c.consumer FROM members m LEFT JOIN member_consumers c \
                  ON c.account = m.account AND c.tenant = m.tenant \
                  WHERE m.account = $1 AND m.tenant = $2 ORDER BY c.consumer";
    let rows = all(sql(select).bind(user.to_sql()).bind(tenant.to_sql()), conn).await?;
    let Some(first) = rows.first() else { return Ok(Actor::Person(user)) };
    let role = first.text(0)?.parse();
    let role =
        role.map_err(|_| StoreError::corrupt("a member has a role that this version does not know"))?;
    let mut consumers = Vec::new();
    for row in &rows {
        consumers.extend(row.opt_int(1)?.map(ConsumerId::from_sql));
    }
    Ok(Actor::Member { user, tenant, role, consumers: Arc::from(consumers) })
}
