//! One member: role, consumers, sessions, a link for a new password, and an end to it. Giving and taking
//! rights asks for a fresh sign-in; the page leads through it and back.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::{Action, Permit, Role},
    id::{SessionId, UserId},
};
use tollgate_store::{MemberRef, MemberView, ResourceId, Scope, SessionView, StoreError};

use super::{
    consumer_form::Errors,
    members::{consumers, role, roles},
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Anybody, Posted, Visit},
};
use crate::sign_in::{
    caller::Caller,
    links::{ResetMade, reset_for},
};

#[derive(Template)]
#[template(path = "member.html")]
struct Page {
    shell: Shell,
    /// The address, or the name where no address is known.
    title: String,
    own: MemberView,
    roles: Vec<Role>,
    /// The consumers as they are typed, one a line.
    consumers: String,
    sessions: Vec<SessionView>,
    may_change: bool,
    may_see_sessions: bool,
    may_end_sessions: bool,
    has_password: bool,
    has_mail: bool,
    is_self: bool,
    is_fresh: bool,
    errors: Errors,
    once: String,
}

#[derive(Template)]
#[template(path = "member_remove.html")]
struct Ask {
    shell: Shell,
    title: String,
    own: MemberView,
    is_fresh: bool,
    problem: Option<String>,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let own = seen(&visit, &id).await?;
    page(&visit, own, Errors::default()).await
}

async fn seen(visit: &Visit, id: &str) -> Result<MemberView, Trouble> {
    visit.permit(Action::ReadMembers)?;
    let account: UserId = id.parse().map_err(|_| Trouble::absent("member"))?;
    Ok(visit.store().member(visit.tenant(), account).await?)
}

async fn page(visit: &Visit, own: MemberView, errors: Errors) -> Result<Response, Trouble> {
    let may_see_sessions = visit.may_all(Action::ReadSessions);
    let limits = visit.app.options().limits();
    let sessions = if may_see_sessions {
        visit.store().sessions_in((visit.tenant(), own.account), limits, visit.now_us).await?
    } else {
        Vec::new()
    };
    html(&Page {
        roles: roles(visit),
        consumers: names(visit, &own).await?.join("\n"),
        sessions,
        may_change: may_change(visit, &own),
        may_see_sessions,
        may_end_sessions: visit.may_all(Action::EndSessions),
        has_password: visit.store().account(own.account).await?.password_hash.is_some(),
        has_mail: visit.app.options().courier.is_some(),
        is_self: own.account == visit.who.user,
        is_fresh: visit.who.is_fresh,
        errors,
        once: once::name()?,
        shell: visit.shell(format!("{}, member", title(&own))),
        title: title(&own),
        own,
    })
}

/// What people call a member.
fn title(own: &MemberView) -> String {
    if own.email.is_empty() { own.name.clone() } else { own.email.clone() }
}

fn may_change(visit: &Visit, own: &MemberView) -> bool {
    let action = if own.role == Role::Owner { Action::ChangeOwners } else { Action::ChangeMembers };
    visit.may_all(action)
}

/// The consumers of a member as people write them, of those that there still are.
async fn names(visit: &Visit, own: &MemberView) -> Result<Vec<String>, Trouble> {
    let scope = Scope::whole(visit.tenant());
    let mut names = Vec::with_capacity(own.consumers.len());
    for id in own.consumers.iter() {
        let found = match visit.store().resource(&scope, ResourceId::Consumer(*id)).await {
            Err(StoreError::NotFound { .. }) => continue,
            found => found?,
        };
        names.push(format!("{}/{}", found.project.name, found.spec.name()));
    }
    Ok(names)
}

/// The right to change a member, where these roles are given or taken.
fn right_over(visit: &Visit, roles: [Role; 2]) -> Result<Permit, Trouble> {
    let owners = roles.contains(&Role::Owner);
    visit.permit(if owners { Action::ChangeOwners } else { Action::ChangeMembers })
}

/// Gives a member another role.
pub(crate) async fn change(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let own = seen(&visit, &id).await?;
    let role = role(fields.exact("role"))?;
    let permit = right_over(&visit, [role, own.role])?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let member = MemberRef { tenant: visit.tenant(), account: own.account, version };
    match visit.store().set_member_role(&permit, member, role, visit.now_us).await {
        Ok(_) => Ok(back(own.account, "saved")),
        Err(error) => page(&visit, own, Errors::from(error.into())?).await,
    }
}

/// Maps a member to consumers.
pub(crate) async fn map(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeMembers)?;
    let own = seen(&visit, &id).await?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let member = MemberRef { tenant: visit.tenant(), account: own.account, version };
    let mapped = async {
        let wanted = consumers(&visit, &fields).await?;
        visit.store().map_member(&permit, member, &wanted, visit.now_us).await?;
        Ok::<_, Trouble>(())
    };
    match mapped.await {
        Ok(()) => Ok(back(own.account, "saved")),
        Err(trouble) => page(&visit, own, Errors::from(trouble)?).await,
    }
}

/// Ends one session of a member in the tenant, or all of them.
pub(crate) async fn end_sessions(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::EndSessions)?;
    let own = seen(&visit, &id).await?;
    let wanted: Option<SessionId> = match fields.text("session") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Trouble::absent("session"))?),
    };
    let limits = visit.app.options().limits();
    let open = visit.store().sessions_in((visit.tenant(), own.account), limits, visit.now_us).await?;
    for session in open.iter().filter(|session| wanted.is_none_or(|wanted| wanted == session.id)) {
        match visit.store().end_session(&permit, (own.account, session.id), visit.now_us).await {
            // It ended by itself meanwhile.
            Ok(_) | Err(tollgate_store::StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(back(own.account, "sessions-ended"))
}

/// The one page with a link to set a new password.
#[derive(Template)]
#[template(path = "member_reset.html")]
struct ResetLink {
    shell: Shell,
    id: UserId,
    title: String,
    link: String,
    expires_us: i64,
}

/// Makes a member a link to set a new password: it is mailed, or shown this once where no mail is set up.
pub(crate) async fn reset(
    Path(id): Path<String>,
    (caller, visitor): (Caller, Anybody),
    posted: Posted,
) -> Result<Response, Trouble> {
    once::whole(reset_whole(id, (caller, visitor), posted)).await
}

async fn reset_whole(
    id: String,
    (caller, visitor): (Caller, Anybody),
    posted: Posted,
) -> Result<Response, Trouble> {
    posted.visit.permit(Action::ChangeMembers)?;
    let own = seen(&posted.visit, &id).await?;
    let first = match once::take(&posted, &format!("reset {}", own.account)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    match reset_for(&visit.app, &caller, &visit.who, own.account).await {
        Ok(made) => {
            first.done(visit, format!("/settings/members/{}", own.account)).await;
            let ResetMade::Shown { link, expires_us } = made else {
                return Ok(back(own.account, "reset-mailed"));
            };
            let link = visitor.whole(link.expose());
            let shell = visit.shell("Link for a new password");
            html(&ResetLink { shell, id: own.account, title: title(&own), link, expires_us })
        }
        Err(refused) => {
            let trouble = refused.into();
            first.undone(visit, &trouble).await;
            page(visit, own, Errors::from(trouble)?).await
        }
    }
}

/// Asks before a member is removed.
pub(crate) async fn ask_remove(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let own = seen(&visit, &id).await?;
    if !may_change(&visit, &own) {
        // The refusal that doing it would meet.
        right_over(&visit, [own.role, own.role])?;
    }
    ask(&visit, own, None)
}

fn ask(visit: &Visit, own: MemberView, problem: Option<String>) -> Result<Response, Trouble> {
    let title = title(&own);
    let shell = visit.shell(format!("Remove {title}"));
    html(&Ask { shell, title, is_fresh: visit.who.is_fresh, own, problem })
}

/// Removes a member from the tenant.
pub(crate) async fn remove(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let own = seen(&visit, &id).await?;
    let permit = right_over(&visit, [own.role, own.role])?;
    let member = MemberRef { tenant: visit.tenant(), account: own.account, version: None };
    match visit.store().remove_member(&permit, member, visit.now_us).await {
        Ok(_) => Ok(Redirect::to("/settings/members?done=removed").into_response()),
        Err(error) => {
            let problem = super::trouble::sentence(&error.to_string());
            // What is no contradiction is a page of its own.
            Errors::from(error.into())?;
            ask(&visit, own, Some(problem))
        }
    }
}

fn back(id: UserId, told: &str) -> Response {
    Redirect::to(&format!("/settings/members/{id}?done={told}")).into_response()
}
