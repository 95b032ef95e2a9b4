//! Signing in with e-mail address, password and second factor.

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::{SessionId, TenantId, UserId},
    key::Digest,
    secret::Secret,
};
use tollgate_store::{Account, Membership, NewSession, SessionChange, StoreError};

use super::{caller::Caller, totp};
use crate::{
    problem::Refused,
    session::{SessionToken, SignedIn},
    state::{App, random},
    throttle::Door,
};

/// What somebody shows to sign in.
pub(crate) struct Attempt {
    /// The e-mail address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: Secret<String>,
    /// The code of the second factor, or a recovery code.
    pub(crate) code: Option<Secret<String>>,
    /// The tenant to act in, by name or id; the first one when not said.
    pub(crate) tenant: Option<String>,
}

/// Signs somebody in; the token of the new session.
///
/// What is wrong is not said, an account that does not exist takes as long as one that does, and
/// every attempt counts until it proves to be the person's own.
pub(crate) async fn sign_in(app: &App, caller: &Caller, attempt: Attempt) -> Result<SessionToken, Refused> {
    let tenant = attempt.tenant.clone();
    let (account, method) = prove(app, caller, attempt).await?;
    start(app, caller, (account.id, Some(account.version), tenant.as_deref()), (method, app.now_us())).await
}

/// Who somebody is, by password and second factor, and how they proved it.
pub(super) async fn prove(
    app: &App,
    caller: &Caller,
    attempt: Attempt,
) -> Result<(Account, &'static str), Refused> {
    let account = prove_password(app, caller, (&attempt.email, attempt.password)).await?;
    let method = prove_factor(app, caller, (&account, &attempt.email), attempt.code.as_ref()).await?;
    Ok((account, method))
}

/// Whose password it is. The attempt counts until the second factor fits as well.
pub(super) async fn prove_password(
    app: &App,
    caller: &Caller,
    (email, password): (&str, Secret<String>),
) -> Result<Account, Refused> {
    let door = (Door::Password, email);
    app.throttle().take(door, caller.address, app.mono_ns()).await?;
    let account = app.store().account_by_login(email).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let fits = app.passwords().verify(caller.address, password, hash).await?;
    account.filter(|_| fits).ok_or_else(|| {
        tracing::warn!(address = %caller.address, "sign-in failed: e-mail address or password");
        Refused::SignInFailed
    })
}

/// How somebody whose password fits proved who they are. The attempt, at an e-mail address as it was typed,
/// is given back.
pub(super) async fn prove_factor(
    app: &App,
    caller: &Caller,
    (account, email): (&Account, &str),
    code: Option<&Secret<String>>,
) -> Result<&'static str, Refused> {
    let method = second_factor(app, account, code).await.inspect_err(|refused| {
        if *refused == Refused::SignInFailed {
            tracing::warn!(address = %caller.address, user = %account.id, "sign-in failed: second factor");
        }
    })?;
    app.throttle().give_back((Door::Password, email), caller.address);
    Ok(method)
}

/// Begins a session of somebody who proved who they are: with a local account at this version, which is
/// refused like a wrong password if password or second factor were changed since.
pub(crate) async fn start(
    app: &App,
    caller: &Caller,
    (account, proven, tenant): (UserId, Option<u64>, Option<&str>),
    (method, signed_in_us): (&str, i64),
) -> Result<SessionToken, Refused> {
    let memberships = app.store().memberships(account).await?;
    let token = SessionToken::new(random()?);
    let new = NewSession {
        digest: token.digest(),
        account,
        proven,
        tenant: chosen(&memberships, tenant)?,
        method: method.to_owned(),
        signed_in_us,
        address: caller.address,
        user_agent: caller.user_agent.clone(),
    };
    let permit = person(account, Action::UseOwnAccount)?;
    let begun = app.store().start_session(&permit, new, app.options().limits(), app.now_us()).await;
    begun.map_err(|error| match error {
        StoreError::Outdated { .. } => Refused::SignInFailed,
        other => other.into(),
    })?;
    tracing::info!(user = %account, method, address = %caller.address, "signed in");
    Ok(token)
}

/// Proves once more that it is the person, who then may do what needs a fresh sign-in. The session gets
/// a new token.
pub(crate) async fn refresh(
    app: &App,
    caller: &Caller,
    who: &SignedIn,
    (password, code): (Secret<String>, Option<Secret<String>>),
) -> Result<SessionToken, Refused> {
    app.throttle().take_own(who.user, caller.address, app.mono_ns())?;
    let account = app.store().account(who.user).await?;
    if account.password_hash.is_none() {
        return Err(Refused::Conflict(
            "this account signs in at an identity provider; sign in there again".to_owned(),
        ));
    }
    if !app.passwords().verify(caller.address, password, account.password_hash.clone()).await? {
        tracing::warn!(address = %caller.address, user = %account.id, "fresh sign-in failed: password");
        return Err(Refused::SignInFailed);
    }
    let method = second_factor(app, &account, code.as_ref()).await?;
    app.throttle().give_back_own(who.user, caller.address);
    let session = who.session.as_ref().ok_or(Refused::SignInMissing)?;
    rotate(app, (who.user, session.id), who.tenant.id, (method, app.now_us())).await
}

/// Acts in another tenant from now on. The session gets a new token.
pub(crate) async fn switch_tenant(app: &App, who: &SignedIn, tenant: &str) -> Result<SessionToken, Refused> {
    let memberships = app.store().memberships(who.user).await?;
    let tenant = chosen(&memberships, Some(tenant))?;
    let session = who.session.as_ref().ok_or(Refused::SignInMissing)?;
    rotate(app, (who.user, session.id), tenant, (&who.method, who.signed_in_us)).await
}

/// Gives a session of a person a new token.
pub(crate) async fn rotate(
    app: &App,
    (user, session): (UserId, SessionId),
    tenant: TenantId,
    (method, signed_in_us): (&str, i64),
) -> Result<SessionToken, Refused> {
    let token = SessionToken::new(random()?);
    let change = SessionChange { digest: token.digest(), tenant, method: method.to_owned(), signed_in_us };
    let permit = person(user, Action::UseOwnAccount)?;
    app.store().rotate_session(&permit, (user, session), &change, app.now_us()).await?;
    Ok(token)
}

/// Asks for the second factor of an account that has one; how the person proved who they are. The password
/// was right, so wrong codes count for the account, wherever they come from.
pub(super) async fn second_factor(
    app: &App,
    account: &Account,
    code: Option<&Secret<String>>,
) -> Result<&'static str, Refused> {
    if !account.has_second_factor {
        return Ok("password");
    }
    let code = code.filter(|code| !code.expose().is_empty()).ok_or(Refused::SecondFactorNeeded)?;
    app.throttle().take_code(account.id, app.mono_ns())?;
    let method = prove_code(app, account, code).await?;
    app.throttle().give_back_code(account.id);
    Ok(method)
}

async fn prove_code(app: &App, account: &Account, code: &Secret<String>) -> Result<&'static str, Refused> {
    let factor = app.store().second_factor(account.id).await?;
    let step = factor
        .secret
        .as_ref()
        .and_then(|secret| totp::matching_step(secret, code.expose(), factor.last_step, app.now_us()));
    if let Some(step) = step {
        // Of two who show one code at once, one is first.
        let is_first = app.store().use_code_step(account.id, step).await?;
        return if is_first { Ok("password+totp") } else { Err(Refused::SignInFailed) };
    }
    let permit = person(account.id, Action::UseOwnAccount)?;
    let digest = recovery_digest(code.expose());
    if app.store().use_recovery_code(&permit, (account.id, digest), app.now_us()).await? {
        return Ok("password+recovery");
    }
    Err(Refused::SignInFailed)
}

/// What is stored of a recovery code, however it was typed.
pub(super) fn recovery_digest(code: &str) -> Digest {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Digest::of(plain.to_ascii_lowercase().as_bytes())
}

/// The right of a person to their own account.
pub(crate) fn person(user: UserId, action: Action) -> Result<Permit, Refused> {
    Ok(authorise(&Actor::Person(user), action, None)?)
}

/// The tenant that is meant. Tenants that one does not belong to look absent.
fn chosen(memberships: &[Membership], wanted: Option<&str>) -> Result<TenantId, Refused> {
    let found = match wanted {
        None => memberships.first(),
        Some(wanted) => memberships.iter().find(|membership| {
            membership.tenant.name == wanted || membership.tenant.id.to_string() == wanted
        }),
    };
    match (found, wanted) {
        (Some(membership), _) => Ok(membership.tenant.id),
        (None, None) => Err(Refused::Conflict(
            "this account belongs to no tenant; ask an administrator for an invitation".to_owned(),
        )),
        (None, Some(_)) => {
            Err(Refused::NotFound("you belong to no such tenant; correct the name".to_owned()))
        }
    }
}
