//! Who is signed in with a request. A handler that takes [`SignedIn`] is reached by nobody else; what
//! the person may do is asked of `core::authz` for every single act, with the role of this moment.

mod cookie;
mod token;

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::{SessionId, TenantId, UserId},
};
use tollgate_store::{Named, SessionLookup, SignedInSession};

pub(crate) use cookie::{clear_cookie, session_cookie, session_token};
pub(crate) use token::{SessionToken, csrf_token, is_csrf_token};

use crate::{
    problem::Refused,
    state::{App, micros},
};

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    /// Who acts: the person with their role in the tenant, and the consumers they are mapped to.
    pub(crate) actor: Actor,
    /// The person.
    pub(crate) user: UserId,
    /// Their e-mail address.
    pub(crate) email: String,
    /// Their name.
    pub(crate) name: String,
    /// The tenant they act in.
    pub(crate) tenant: Named<TenantId>,
    /// Their role in it.
    pub(crate) role: tollgate_core::authz::Role,
    /// How they proved who they are.
    pub(crate) method: String,
    /// When they last did, wall microseconds.
    pub(crate) signed_in_us: i64,
    /// The session; `None` for who sends an ID token with each request.
    pub(crate) session: Option<SessionOf>,
    /// Whether the sign-in is a short while ago.
    pub(crate) is_fresh: bool,
}

/// The session that a request belongs to.
#[derive(Clone, Debug)]
pub(crate) struct SessionOf {
    /// Its id.
    pub(crate) id: SessionId,
    /// When it ends at the latest, wall microseconds.
    pub(crate) ends_us: i64,
    /// The token that requests which change something must carry, as header or field of a form.
    pub(crate) csrf_token: String,
}

impl SignedIn {
    /// The right to do something in the person's tenant.
    ///
    /// Actions that need a fresh sign-in are refused with `sign_in_not_fresh` without one.
    pub(crate) fn permit(&self, action: Action) -> Result<Permit, Refused> {
        let permit = authorise(&self.actor, action, Some(self.tenant.id))?;
        if action.row().fresh_sign_in && !self.is_fresh {
            return Err(Refused::SignInNotFresh);
        }
        if action == Action::ChangeResources && self.is_fresh {
            // Of resources, where a service sends a secret needs more than the right to change resources.
            let more = authorise(&self.actor, Action::ChangeProviderCredentials, Some(self.tenant.id));
            return Ok(more.map(|more| permit.clone().along_with(&more)).unwrap_or(permit));
        }
        Ok(permit)
    }

    /// The right to do something with the person's own account, wherever it is a member.
    pub(crate) fn own_permit(&self, action: Action) -> Result<Permit, Refused> {
        self.permit(action)?;
        Ok(authorise(&Actor::Person(self.user), action, None)?)
    }

    /// Looks whose session a token is.
    pub(crate) async fn of_token(app: &App, token: &SessionToken) -> Result<Self, Refused> {
        let now_us = app.now_us();
        match app.store().session(token.digest(), app.options().limits(), now_us).await? {
            SessionLookup::Good(session) => {
                let fresh_us = micros(app.options().fresh);
                Ok(Self::of_session(*session, token, now_us.saturating_sub(fresh_us)))
            }
            SessionLookup::Expired => Err(Refused::SignInExpired),
            SessionLookup::Unknown => Err(Refused::SignInMissing),
        }
    }

    fn of_session(session: SignedInSession, token: &SessionToken, fresh_since_us: i64) -> Self {
        let SignedInSession { account: user, tenant, role, consumers, .. } = session;
        Self {
            actor: Actor::Member { user, tenant: tenant.id, role, consumers },
            user,
            email: session.email,
            name: session.name,
            tenant,
            role,
            method: session.method,
            signed_in_us: session.signed_in_us,
            session: Some(SessionOf {
                id: session.id,
                ends_us: session.ends_us,
                csrf_token: csrf_token(token),
            }),
            is_fresh: session.signed_in_us >= fresh_since_us,
        }
    }
}
