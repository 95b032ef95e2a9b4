//! Members of the tenant, and invitations into it. Whatever concerns owners needs the right over them.

use tollgate_core::{
    authz::{Action, Permit, Role},
    id::{ConsumerId, InvitationId, UserId},
};
use tollgate_store::{InvitationView, MemberRef, MemberView};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, moment::rfc3339, view::SHOWN_ONCE};
use crate::{
    problem::Refused,
    sign_in::{
        Invite, invite,
        links::{ResetMade, reset_for},
    },
};

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let page = call.store().list_members(call.tenant(), &call.page()).await?;
    let items = page.items.into_iter().map(member).collect();
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let found = call.store().member(call.tenant(), call.id()?).await?;
    shown(found)
}

fn shown(found: MemberView) -> Result<Answer, Refused> {
    let version = found.version;
    Ok(Answer::ok(&member(found))?.version(version))
}

pub(crate) async fn change(call: Call) -> Result<Answer, Refused> {
    let at = at(&call)?;
    let asked: wire::MemberChange = call.body()?;
    let role = core_role(asked.role);
    let present = call.store().member(at.tenant, at.account).await?;
    let permit = right_over(&call, [role, present.role])?;
    shown(call.store().set_member_role(&permit, at, role, call.now_us).await?.value)
}

pub(crate) async fn map(call: Call) -> Result<Answer, Refused> {
    let at = at(&call)?;
    let asked: wire::MemberConsumers = call.body()?;
    let consumers = consumer_ids(&asked.consumers)?;
    shown(call.store().map_member(&call.permit, at, &consumers, call.now_us).await?.value)
}

pub(crate) async fn remove(call: Call) -> Result<Answer, Refused> {
    let at = at(&call)?;
    let present = call.store().member(at.tenant, at.account).await?;
    let permit = right_over(&call, [present.role, present.role])?;
    call.store().remove_member(&permit, at, call.now_us).await?;
    Ok(Answer::nothing())
}

/// Makes a member a link to set a new password: mailed, or in this answer where no mail is set up.
pub(crate) async fn reset(call: Call) -> Result<Answer, Refused> {
    let id: UserId = call.id()?;
    let location = format!("{BASE}/members/{id}");
    let mailed = wire::CreatedReset { link: None, expires_at: None, mailed: true, notice: None };
    let made = reset_for(call.app(), &call.caller, &call.who, id).await?;
    let ResetMade::Shown { link, expires_us } = made else { return Answer::created(&mailed, location) };
    let expires_at = Some(rfc3339(expires_us));
    let notice = Some(SHOWN_ONCE.to_owned());
    let kept = wire::CreatedReset { expires_at, notice, mailed: false, ..mailed };
    let shown = wire::CreatedReset { link: Some(link.expose().clone()), notice: None, ..kept.clone() };
    Answer::created(&shown, location)?.shown_once(&kept)
}

fn at(call: &Call) -> Result<MemberRef, Refused> {
    let version = call.expected_version()?;
    Ok(MemberRef { tenant: call.tenant(), account: call.id::<UserId>()?, version })
}

/// The right to give or take these roles.
fn right_over(call: &Call, roles: [Role; 2]) -> Result<Permit, Refused> {
    if roles.contains(&Role::Owner) { call.right(Action::ChangeOwners) } else { Ok(call.permit.clone()) }
}

pub(crate) async fn list_invitations(call: Call) -> Result<Answer, Refused> {
    // There are a thousand at most, so that all of them are one page.
    let open = call.store().list_invitations(call.tenant(), call.now_us).await?;
    let items = open.into_iter().map(invitation).collect();
    Answer::ok(&wire::List { items, next: None })
}

pub(crate) async fn create_invitation(call: Call) -> Result<Answer, Refused> {
    let asked: wire::NewInvitation = call.body()?;
    let consumers = consumer_ids(&asked.consumers)?;
    let new = Invite { email: asked.email, role: core_role(asked.role), consumers };
    let made = invite(call.app(), &call.who, new).await?;
    let location = format!("{BASE}/invitations/{}", made.id);
    let kept = wire::CreatedInvitation {
        id: made.id.to_string(),
        link: None,
        expires_at: rfc3339(made.expires_us),
        mailed: made.is_mailed,
        notice: Some(SHOWN_ONCE.to_owned()),
    };
    let link = Some(made.link.expose().clone());
    let shown = wire::CreatedInvitation { link, notice: None, ..kept.clone() };
    Answer::created(&shown, location)?.shown_once(&kept)
}

pub(crate) async fn revoke_invitation(call: Call) -> Result<Answer, Refused> {
    let id: InvitationId = call.id()?;
    call.store().revoke_invitation(&call.permit, (call.tenant(), id), call.now_us).await?;
    Ok(Answer::nothing())
}

fn consumer_ids(texts: &[String]) -> Result<Vec<ConsumerId>, Refused> {
    let parse = |(index, text): (usize, &String)| {
        text.parse().map_err(|error| Refused::invalid(&format!("consumers[{index}]"), error))
    };
    texts.iter().enumerate().map(parse).collect()
}

fn member(view: MemberView) -> wire::Member {
    wire::Member {
        id: view.account.to_string(),
        version: view.version,
        email: view.email,
        name: view.name,
        role: wire_role(view.role),
        source: view.source,
        second_factor: view.has_second_factor,
        consumers: view.consumers.iter().map(ToString::to_string).collect(),
        created_at: rfc3339(view.created_us),
    }
}

fn invitation(view: InvitationView) -> wire::Invitation {
    wire::Invitation {
        id: view.id.to_string(),
        email: view.email,
        role: wire_role(view.role),
        consumers: view.consumers.iter().map(ToString::to_string).collect(),
        created_by: view.created_by,
        created_at: rfc3339(view.created_us),
        expires_at: rfc3339(view.expires_us),
    }
}

const fn core_role(role: wire::MemberRole) -> Role {
    match role {
        wire::MemberRole::Owner => Role::Owner,
        wire::MemberRole::Admin => Role::Admin,
        wire::MemberRole::Developer => Role::Developer,
        wire::MemberRole::Auditor => Role::Auditor,
        wire::MemberRole::Member => Role::Member,
    }
}

const fn wire_role(role: Role) -> wire::MemberRole {
    match role {
        Role::Owner => wire::MemberRole::Owner,
        Role::Admin => wire::MemberRole::Admin,
        Role::Developer => wire::MemberRole::Developer,
        Role::Auditor => wire::MemberRole::Auditor,
        Role::Member => wire::MemberRole::Member,
    }
}
