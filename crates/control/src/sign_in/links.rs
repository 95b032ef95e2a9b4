//! Invitations and resets: links with a token that is good once.

use tollgate_core::{
    authz::{Action, Permit, Role},
    id::{ConsumerId, InvitationId, UserId},
    secret::Secret,
};
use tollgate_store::{Account, InvitationView, NewInvitation, NewReset, Newcomer};

use super::{
    caller::Caller,
    local::{self, Attempt, person},
};
use crate::{
    mail::Mail,
    problem::Refused,
    session::{SessionToken, SignedIn},
    state::{App, random},
};

const HOUR_US: i64 = 3_600_000_000;
/// How long an invitation is good.
const INVITATION_US: i64 = 7 * 24 * HOUR_US;
/// How long a link to set a password is good.
const RESET_US: i64 = HOUR_US;

/// Whom to invite, and as what.
pub(crate) struct Invite {
    /// The e-mail address.
    pub(crate) email: String,
    /// The role.
    pub(crate) role: Role,
    /// The consumers to map to.
    pub(crate) consumers: Vec<ConsumerId>,
}

/// An invitation just made: the only place where its link is.
pub(crate) struct Invited {
    /// Its id.
    pub(crate) id: InvitationId,
    /// The link to hand over.
    pub(crate) link: Secret<String>,
    /// When it ends, wall microseconds.
    pub(crate) expires_us: i64,
    /// Whether it was given to a courier.
    pub(crate) is_mailed: bool,
}

/// Invites somebody into the tenant of who asks.
pub(crate) async fn invite(app: &App, who: &SignedIn, invite: Invite) -> Result<Invited, Refused> {
    let owners = invite.role == Role::Owner;
    let permit = who.permit(if owners { Action::ChangeOwners } else { Action::ChangeMembers })?;
    let token = SessionToken::new(random()?);
    let expires_us = app.now_us().saturating_add(INVITATION_US);
    let new = NewInvitation {
        tenant: who.tenant.id,
        email: invite.email.clone(),
        role: invite.role,
        consumers: invite.consumers,
        digest: token.digest(),
        expires_us,
    };
    let id = app.store().invite(&permit, new, app.now_us()).await?.value;
    let link = link(app, "invitation", &token);
    let is_mailed = match &app.options().courier {
        Some(courier) if app.throttle().take_invitation(&invite.email, app.mono_ns()) => {
            let text = format!(
                "{} invites you to {} on Tollgate, as {}.\n\nOpen this link within seven days:\n{}\n",
                who.name,
                who.tenant.name,
                invite.role,
                link.expose()
            );
            let subject = format!("Invitation to {} on Tollgate", who.tenant.name);
            courier.send(Mail { to: invite.email, subject, text: Secret::new(text) });
            true
        }
        Some(_) => {
            tracing::warn!(user = %who.user, "many invitations went to one e-mail address; this one was not mailed");
            false
        }
        None => false,
    };
    Ok(Invited { id, link, expires_us, is_mailed })
}

/// The invitation behind a token.
pub(crate) async fn invitation(
    app: &App,
    caller: &Caller,
    token: &Secret<String>,
) -> Result<InvitationView, Refused> {
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    app.store().invitation(token.digest(), app.now_us()).await?.ok_or(Refused::LinkUnusable)
}

/// Takes an invitation as somebody new, and signs them in.
pub(crate) async fn accept(
    app: &App,
    caller: &Caller,
    token: &Secret<String>,
    (name, password): (String, Secret<String>),
) -> Result<SessionToken, Refused> {
    // Before the password is hashed: nothing slow is done for a link that is none.
    let invitation = invitation(app, caller, token).await?;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    let password_hash = app.passwords().hash(caller.address, ("password", password)).await?;
    let bytes: Secret<[u8; 8]> = random()?;
    let newcomer = Newcomer { id: UserId::from_random(*bytes.expose()), name, password_hash };
    let permit = person(newcomer.id, Action::ChangeOwnAccount)?;
    let joined = app.store().accept_invitation(&permit, (token.digest(), &newcomer), app.now_us()).await?;
    joined.ok_or(Refused::LinkUnusable)?;
    let tenant = invitation.tenant.id.to_string();
    local::start(app, caller, (newcomer.id, None, Some(&tenant)), ("password", app.now_us())).await
}

/// Takes an invitation as somebody who has an account and proves it here and now, and signs them in. It
/// need not belong to any tenant yet, so this is not the same as to sign in and then to join.
pub(crate) async fn join_with_password(
    app: &App,
    caller: &Caller,
    token: &Secret<String>,
    (password, code): (Secret<String>, Option<Secret<String>>),
) -> Result<SessionToken, Refused> {
    let email = invitation(app, caller, token).await?.email;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    let attempt = Attempt { email, password, code, tenant: None };
    let (account, method) = local::prove(app, caller, attempt).await?;
    let permit = person(account.id, Action::ChangeOwnAccount)?;
    let joined = app.store().join_by_invitation(&permit, (token.digest(), account.id), app.now_us()).await?;
    let tenant = joined.ok_or(Refused::LinkUnusable)?.value.to_string();
    local::start(app, caller, (account.id, Some(account.version), Some(&tenant)), (method, app.now_us()))
        .await
}

/// Takes an invitation as the person who is signed in, and acts in its tenant from now on.
pub(crate) async fn join(
    app: &App,
    caller: &Caller,
    who: &SignedIn,
    token: &Secret<String>,
) -> Result<SessionToken, Refused> {
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    let permit = person(who.user, Action::ChangeOwnAccount)?;
    let joined = app.store().join_by_invitation(&permit, (token.digest(), who.user), app.now_us()).await?;
    let tenant = joined.ok_or(Refused::LinkUnusable)?.value;
    local::switch_tenant(app, who, &tenant.to_string()).await
}

/// Sends a link to set a new password to whom an e-mail address belongs, if it is anybody's. The answer
/// is the same and comes at once; the rest is done apart, a few at a time.
pub(crate) fn request_reset(app: &App, caller: &Caller, email: String) -> Result<(), Refused> {
    if !app.throttle().take_mail(&email, caller.address, app.mono_ns())? {
        tracing::warn!(address = %caller.address, "many links were asked for by one e-mail address; none was sent");
        return Ok(());
    }
    let Ok(place) = app.resets().try_acquire_owned() else {
        return Err(Refused::Busy("many links are being made right now; try again in a moment".to_owned()));
    };
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(refused) = send_reset(&app, &email).await {
            tracing::warn!(code = refused.code(), "a link to set a new password could not be sent");
        }
        drop(place);
    });
    Ok(())
}

async fn send_reset(app: &App, email: &str) -> Result<(), Refused> {
    let Some(account) = app.store().account_by_login(email).await? else { return Ok(()) };
    if app.options().courier.is_none() {
        tracing::warn!(user = %account.id, "a new password was asked for, and no mail can be sent: set smtp.*");
        return Ok(());
    }
    let permit = person(account.id, Action::UseOwnAccount)?;
    mail_reset(app, &permit, account, "Somebody asked").await
}

/// A link for a member to set a new password.
pub(crate) enum ResetMade {
    /// It was mailed to the member and is shown to nobody else: whoever could read it would be them.
    Mailed,
    /// No mail is set up: it is shown once to whoever asked for it, who hands it over.
    Shown {
        /// The link.
        link: Secret<String>,
        /// When it ends, wall microseconds.
        expires_us: i64,
    },
}

/// Makes a link for a member to set a new password. Where mail is set up it goes to the member and to nobody
/// else. Where none is, whoever administers members hands it over: not for owners unless they are one, and not
/// for who belongs to other tenants too, for whoever has the link could be them there.
pub(crate) async fn reset_for(
    app: &App,
    caller: &Caller,
    who: &SignedIn,
    member: UserId,
) -> Result<ResetMade, Refused> {
    who.permit(Action::ChangeMembers)?;
    // Nobody's mailbox is filled, not by administrators either.
    app.throttle().take_own(who.user, caller.address, app.mono_ns())?;
    let found = app.store().member(who.tenant.id, member).await?;
    let account = app.store().account(member).await?;
    if app.options().courier.is_some() {
        let permit = who.permit(Action::ChangeMembers)?;
        mail_reset(app, &permit, account, "An administrator of your tenant asked").await?;
        return Ok(ResetMade::Mailed);
    }
    let owners = found.role == Role::Owner;
    let permit = who.permit(if owners { Action::ChangeOwners } else { Action::ChangeMembers })?;
    if member == who.user {
        return Err(Refused::Conflict(
            "this is your own account; change the password under Account".to_owned(),
        ));
    }
    let elsewhere = app.store().memberships(member).await?;
    if elsewhere.iter().any(|membership| membership.tenant.id != who.tenant.id) {
        return Err(Refused::Conflict(
            "this account belongs to other tenants too, so its link is only ever mailed; set smtp.* in the \
             configuration"
                .to_owned(),
        ));
    }
    let (link, expires_us) = begin_reset(app, &permit, member).await?;
    tracing::warn!(user = %who.user, %member, "a link to set a new password was shown, to be handed over");
    Ok(ResetMade::Shown { link, expires_us })
}

/// Makes the link; earlier ones of the account end.
async fn begin_reset(app: &App, permit: &Permit, account: UserId) -> Result<(Secret<String>, i64), Refused> {
    let token = SessionToken::new(random()?);
    let expires_us = app.now_us().saturating_add(RESET_US);
    let new = NewReset { account, digest: token.digest(), expires_us };
    app.store().begin_reset(permit, new, app.now_us()).await?;
    Ok((link(app, "reset", &token), expires_us))
}

async fn mail_reset(app: &App, permit: &Permit, account: Account, whose: &str) -> Result<(), Refused> {
    let courier = app.options().courier.as_ref().ok_or_else(|| {
        Refused::Conflict("no mail can be sent from here; set smtp.* in the configuration".to_owned())
    })?;
    let (link, _) = begin_reset(app, permit, account.id).await?;
    let text = format!(
        "{whose} for a new password for your account on Tollgate.\n\nTo set one, open this link within \
         an hour:\n{}\n\nIf you do not expect this, do nothing.\n",
        link.expose()
    );
    let subject = "A new password for Tollgate".to_owned();
    courier.send(Mail { to: account.email, subject, text: Secret::new(text) });
    Ok(())
}

/// Sets a new password by a link. All sessions of the person end.
pub(crate) async fn complete_reset(
    app: &App,
    caller: &Caller,
    (token, password): (&Secret<String>, Secret<String>),
) -> Result<(), Refused> {
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    let account = app.store().reset(token.digest(), app.now_us()).await?.ok_or(Refused::LinkUnusable)?;
    let hash = app.passwords().hash(caller.address, ("password", password)).await?;
    let permit = person(account, Action::ChangeOwnAccount)?;
    let done = app.store().complete_reset(&permit, (token.digest(), &hash), app.now_us()).await?;
    done.map(|_| ()).ok_or(Refused::LinkUnusable)
}

/// A link into the console; without a configured address only its path, which whoever is asked for it
/// completes. The secret stands in the fragment, which browsers send to nobody: it is in no log and in no
/// `Referer`.
fn link(app: &App, page: &str, token: &SessionToken) -> Secret<String> {
    let base = app.options().public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    Secret::new(format!("{base}/{page}#{}", token.text().expose()))
}
