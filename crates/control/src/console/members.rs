//! Who belongs to the tenant, with which role.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::{Action, Role},
    id::UserId,
};
use tollgate_store::{MemberRef, MemberView};

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};

#[derive(Template)]
#[template(path = "members.html")]
struct Page {
    shell: Shell,
    members: Vec<MemberView>,
    older: Option<String>,
    may_change: bool,
    may_owners: bool,
    own_id: UserId,
    is_fresh: bool,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ReadMembers)?;
    let found = visit.store().list_members(visit.tenant(), &visit.rows()).await?;
    html(&Page {
        members: found.items,
        older: visit.older(found.next.as_deref()),
        may_change: visit.may_all(Action::ChangeMembers),
        may_owners: visit.may_all(Action::ChangeOwners),
        own_id: visit.who.user,
        is_fresh: visit.who.is_fresh,
        shell: visit.shell("Members"),
    })
}

/// Gives a member another role.
pub(crate) async fn change(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let account: UserId = id.parse().map_err(|_| Trouble::absent("member"))?;
    let role: Role = fields
        .exact("role")
        .parse()
        .map_err(|error: tollgate_core::authz::RoleError| crate::problem::Refused::invalid("role", error))?;
    let present = visit.store().member(visit.tenant(), account).await?;
    let about_owners = role == Role::Owner || present.role == Role::Owner;
    let action = if about_owners { Action::ChangeOwners } else { Action::ChangeMembers };
    let permit = visit.permit(action)?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let member = MemberRef { tenant: visit.tenant(), account, version };
    let done = visit.store().set_member_role(&permit, member, role, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/settings/members?done=saved").into_response())
}
