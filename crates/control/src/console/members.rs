//! Who belongs to the tenant, with which role; who is invited.

use askama::Template;
use axum::response::Response;
use tollgate_core::{
    authz::{Action, Role},
    field_error::FieldError,
    id::{ConsumerId, UserId},
};
use tollgate_store::{InvitationView, MemberView, StoreError};

use super::{
    consumer_form::Errors,
    form::Fields,
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};
use crate::problem::Refused;

#[derive(Template)]
#[template(path = "members.html")]
struct Page {
    shell: Shell,
    members: Vec<MemberView>,
    older: Option<String>,
    invitations: Vec<InvitationView>,
    /// The roles that may be given.
    roles: Vec<Role>,
    may_change: bool,
    may_see_invitations: bool,
    has_mail: bool,
    own_id: UserId,
    is_fresh: bool,
    once: String,
    draft: Draft,
    errors: Errors,
}

/// Whom to invite, as it was typed.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) email: String,
    pub(super) role: String,
    pub(super) consumers: String,
}

impl Draft {
    pub(super) fn read(fields: &Fields) -> Self {
        Self {
            email: fields.owned("email").unwrap_or_default(),
            role: fields.owned("role").unwrap_or_default(),
            consumers: fields.exact("consumers").to_owned(),
        }
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    // From the page of a consumer, with its name filled in.
    let draft = Draft::read(&visit.query);
    page(&visit, draft, Errors::default()).await
}

pub(super) async fn page(visit: &Visit, draft: Draft, errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadMembers)?;
    let found = visit.store().list_members(visit.tenant(), &visit.rows()).await?;
    let may_see_invitations = visit.may_all(Action::ReadInvitations);
    html(&Page {
        members: found.items,
        older: visit.older(found.next.as_deref()),
        invitations: if may_see_invitations {
            visit.store().list_invitations(visit.tenant(), visit.now_us).await?
        } else {
            Vec::new()
        },
        roles: roles(visit),
        may_change: visit.may_all(Action::ChangeMembers),
        may_see_invitations,
        has_mail: visit.app.options().courier.is_some(),
        own_id: visit.who.user,
        is_fresh: visit.who.is_fresh,
        once: once::name()?,
        draft,
        errors,
        shell: visit.shell("Members"),
    })
}

/// The roles that whoever visits may give.
pub(super) fn roles(visit: &Visit) -> Vec<Role> {
    let may_owners = visit.may_all(Action::ChangeOwners);
    Role::ALL.into_iter().filter(|role| may_owners || *role != Role::Owner).collect()
}

/// A role as it was chosen.
pub(super) fn role(text: &str) -> Result<Role, Refused> {
    text.parse().map_err(|error: tollgate_core::authz::RoleError| Refused::invalid("role", error))
}

/// Consumers as they were typed: names, `project/name` or ids, one a line.
pub(super) async fn consumers(visit: &Visit, fields: &Fields) -> Result<Vec<ConsumerId>, Trouble> {
    let mut found = Vec::new();
    for name in fields.lines("consumers") {
        let consumer = visit.store().consumer_of(visit.tenant(), &name).await;
        let consumer = consumer.map_err(|error| match error {
            error @ (StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => {
                Refused::Invalid(vec![FieldError::new("consumers", error)]).into()
            }
            error => Trouble::from(error),
        })?;
        found.push(consumer.id);
    }
    Ok(found)
}

impl Shell {
    /// What a role is for, in a few words.
    pub(crate) const fn role_words(&self, role: &Role) -> &'static str {
        match role {
            Role::Owner => "everything",
            Role::Admin => "everything but owners and identity providers",
            Role::Developer => "the keys of their consumers",
            Role::Auditor => "reads everything, changes nothing",
            Role::Member => "a partner: sees and rotates own keys",
        }
    }
}
