//! Sign-in in two steps, as pages do it: e-mail address and password first, the code of the second factor
//! on a page of its own. Between the two the browser holds a token that says the first step was taken, and
//! the password is nowhere.

use tollgate_core::secret::Secret;

use super::{
    caller::Caller,
    local::{Attempt, prove_factor, prove_password, second_factor, start},
};
use crate::{
    problem::Refused,
    session::SessionToken,
    state::{App, random},
    throttle::Door,
};

/// How long the second step may take, microseconds.
const STEP_US: i64 = 5 * 60_000_000;

/// What the first step came to.
pub(crate) enum Step {
    /// The person is signed in.
    In(SessionToken),
    /// The code of the second factor is asked for, with this token.
    Code(Secret<String>),
}

/// Takes the first step, or with a code both at once.
pub(crate) async fn first(app: &App, caller: &Caller, attempt: Attempt) -> Result<Step, Refused> {
    let Attempt { email, password, code, tenant } = attempt;
    let account = prove_password(app, caller, (&email, password)).await?;
    match prove_factor(app, caller, (&account, &email), code.as_ref()).await {
        Ok(method) => {
            let who = (account.id, Some(account.version), tenant.as_deref());
            return start(app, caller, who, (method, app.now_us())).await.map(Step::In);
        }
        // Only whoever knows the password hears of it.
        Err(Refused::SecondFactorNeeded) => {}
        Err(refused) => return Err(refused),
    }
    let token = SessionToken::new(random()?);
    let now_us = app.now_us();
    let times = (now_us, now_us.saturating_add(STEP_US));
    if !app.store().begin_step((account.id, account.version, token.digest()), times).await? {
        return Err(Refused::SignInFailed);
    }
    Ok(Step::Code(token.text()))
}

/// Takes the second step. [`Refused::LinkUnusable`]: the first one was too long ago, or too many codes were
/// wrong since; take it again.
pub(crate) async fn second(
    app: &App,
    caller: &Caller,
    (token, code): (&Secret<String>, Secret<String>),
) -> Result<SessionToken, Refused> {
    app.throttle().take_address(caller.address, app.mono_ns())?;
    let token = SessionToken::parse(token.expose()).ok_or(Refused::LinkUnusable)?;
    let account = app.store().step(token.digest(), app.now_us()).await?.ok_or(Refused::LinkUnusable)?;
    let account = app.store().account(account).await?;
    let door = (Door::Password, account.email.as_str());
    app.throttle().take(door, caller.address, app.mono_ns()).await?;
    let method = match second_factor(app, &account, Some(&code)).await {
        Ok(method) => method,
        Err(Refused::SecondFactorNeeded) => return Err(Refused::SignInFailed),
        Err(Refused::SignInFailed) => {
            tracing::warn!(address = %caller.address, user = %account.id, "sign-in failed: second factor");
            if app.throttle().is_last_code(token.digest(), app.mono_ns()) {
                app.store().end_step(token.digest()).await?;
                return Err(Refused::LinkUnusable);
            }
            return Err(Refused::SignInFailed);
        }
        Err(refused) => return Err(refused),
    };
    if !app.store().end_step(token.digest()).await? {
        return Err(Refused::LinkUnusable);
    }
    // Both steps counted as attempts.
    app.throttle().give_back(door, caller.address);
    app.throttle().give_back(door, caller.address);
    start(app, caller, (account.id, Some(account.version), None), (method, app.now_us())).await
}
