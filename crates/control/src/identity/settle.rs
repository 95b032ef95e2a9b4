//! What becomes of somebody whom a provider proved: their account, membership and role here.

use std::sync::Arc;

use tollgate_core::{
    authz::{Action, Actor, Role},
    id::{SessionId, TenantId, UserId},
};
use tollgate_store::{ExternalAccount, ExternalPerson, Named};

use crate::providers::Proven;
use crate::{
    problem::Refused,
    session::{SessionToken, SignedIn},
    sign_in::{Caller, person, rotate, start},
    state::{App, micros, random},
};

/// Whether a bearer credential looks like an ID token: three parts, the first of them a JSON object.
pub(crate) fn is_id_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// Begins a session of somebody proven. Whoever proved themselves anew for a session that they have goes on
/// with that one, in the tenant that it acts in; one that is somebody else's or has ended does not count.
pub(super) async fn sign_in(
    app: &App,
    caller: &Caller,
    proven: Proven,
    present: Option<SessionId>,
) -> Result<SessionToken, Refused> {
    let proven = proven.shown();
    let method = proven.provider.split(':').next().unwrap_or_default().to_owned();
    let (account, tenant, _) = settle(app, &proven).await?;
    let sessions = match present {
        Some(_) => app.store().sessions_of(account, app.options().limits(), app.now_us()).await?,
        None => Vec::new(),
    };
    if let Some(session) = sessions.into_iter().find(|session| Some(session.id) == present) {
        let proof = (method.as_str(), proven.signed_in_us);
        return rotate(app, (account, session.id), session.tenant, proof).await;
    }
    start(app, caller, (account, None, Some(&tenant.to_string())), (&method, proven.signed_in_us)).await
}

/// Who is signed in with an ID token that comes with the request itself.
pub(crate) async fn bearer(app: &App, text: &str) -> Result<SignedIn, Refused> {
    let now_us = app.now_us();
    let mut proven = None;
    for attempt in [
        match &app.providers().oidc {
            Some(oidc) => Some(oidc.prove(text, now_us).await),
            None => None,
        },
        match &app.providers().firebase {
            Some(firebase) => Some(firebase.prove(text, now_us).await),
            None => None,
        },
    ]
    .into_iter()
    .flatten()
    {
        match attempt {
            Ok(found) => proven = proven.or(Some(found)),
            Err(why) => tracing::debug!(why, "an ID token does not hold"),
        }
    }
    let proven = proven.ok_or(Refused::SignInMissing)?.shown();
    let (user, tenant, role) = settle(app, &proven).await?;
    let memberships = app.store().memberships(user).await?;
    let name = memberships.into_iter().find(|membership| membership.tenant.id == tenant);
    let tenant = name.map_or(Named { id: tenant, name: String::new() }, |membership| membership.tenant);
    let consumers = app.store().member(tenant.id, user).await?.consumers;
    let fresh_since_us = now_us.saturating_sub(micros(app.options().fresh));
    Ok(SignedIn {
        actor: Actor::Member { user, tenant: tenant.id, role, consumers: Arc::clone(&consumers) },
        user,
        email: proven.email,
        name: proven.name,
        tenant,
        role,
        method: proven.provider.split(':').next().unwrap_or_default().to_owned(),
        signed_in_us: proven.signed_in_us,
        session: None,
        is_fresh: proven.signed_in_us >= fresh_since_us,
    })
}

/// The account, tenant and role of somebody proven. Nothing is written where all is as it was.
async fn settle(app: &App, proven: &Proven) -> Result<(UserId, TenantId, Role), Refused> {
    let tenant = app.store().tenant_for(proven.tenant.as_deref()).await.map_err(|error| {
        tracing::error!(%error, provider = proven.provider, "the provider's tenant cannot be found");
        Refused::Unavailable("the identity provider is not set up rightly; tell an administrator".to_owned())
    })?;
    let them = ExternalPerson {
        provider: proven.provider.clone(),
        subject: proven.subject.clone(),
        email: proven.email.clone(),
        name: proven.name.clone(),
        tenant,
        role: proven.role,
        issued_us: proven.issued_us,
    };
    let known = app.store().external_account(&them).await?;
    let as_it_was = known.is_some_and(|known| match known.member {
        // What the provider said before the role was last decided on is past.
        _ if known.is_past(&them) => true,
        Some((role, by_provider)) => !by_provider || them.role == Some(role),
        None => them.role.is_none(),
    });
    let settled = match known {
        Some(known) if as_it_was => known,
        // Who was never here and may do nothing leaves no trace.
        None if them.role.is_none() => return Err(nobody(proven)),
        known => {
            let account = match known {
                Some(known) => known.account,
                None => UserId::from_random(*random()?.expose()),
            };
            let permit = person(account, Action::UseOwnAccount)?;
            app.store().settle_external(&permit, (account, &them), app.now_us()).await?.value
        }
    };
    let ExternalAccount { account, member, .. } = settled;
    let (role, _) = member.ok_or_else(|| nobody(proven))?;
    Ok((account, tenant, role))
}

fn nobody(proven: &Proven) -> Refused {
    tracing::warn!(
        provider = proven.provider,
        subject = proven.subject,
        "proven, and no group gives a role here"
    );
    Refused::RoleInsufficient(
        "you are who you say, and none of your groups has a role here; ask an administrator".to_owned(),
    )
}
