//! The page to sign in, and signing out.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::secret::Secret;

use super::{
    form::Fields,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Anybody, Posted, local},
};
use crate::{
    problem::Refused,
    session::{SessionToken, clear_cookie, session_cookie},
    sign_in::{
        account::end_session,
        caller::Caller,
        local::{Attempt, sign_in},
    },
    state::App,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    shell: Shell,
    host: String,
    providers: Vec<Provider>,
    next: String,
    email: String,
    needs_code: bool,
    problem: Option<String>,
}

/// Another way to sign in.
struct Provider {
    name: String,
    href: String,
}

pub(crate) async fn show(visitor: Anybody) -> Result<Response, Trouble> {
    let next = local(visitor.query.text("next").unwrap_or("/"));
    html(&page(&visitor, next, String::new()))
}

fn page(visitor: &Anybody, next: String, email: String) -> Page {
    Page {
        shell: Shell::alone(visitor.look.clone(), "Sign in", String::new()),
        host: visitor.host.clone(),
        providers: Vec::new(),
        next,
        email,
        needs_code: false,
        problem: None,
    }
}

/// Signs somebody in. The password is in no answer, whatever is wrong.
pub(crate) async fn enter(
    State(app): State<App>,
    caller: Caller,
    visitor: Anybody,
    fields: Fields,
) -> Result<Response, Trouble> {
    let next = local(fields.text("next").unwrap_or("/"));
    let email = fields.owned("email").unwrap_or_default();
    let attempt = Attempt {
        email: email.clone(),
        password: Secret::new(fields.exact("password").to_owned()),
        code: fields.owned("code").map(Secret::new),
        tenant: None,
    };
    let refused = match sign_in(&app, &caller, attempt).await {
        Ok(token) => return signed_in(&token, &next),
        Err(refused) => refused,
    };
    let problem = match &refused {
        Refused::SignInFailed => "That address, password or code is wrong.".to_owned(),
        Refused::SecondFactorNeeded => "This account has a second factor.".to_owned(),
        Refused::TooManyAttempts { retry_after_s } => {
            format!(
                "There were too many attempts. Try again in {}.",
                super::words::span(wait_us(*retry_after_s))
            )
        }
        Refused::Conflict(problem) => super::trouble::sentence(problem),
        _ => return Err(refused.into()),
    };
    let status = refused.clone().into_response().status();
    let needs_code = refused == Refused::SecondFactorNeeded;
    let page = Page { needs_code, problem: Some(problem), ..page(&visitor, next, email) };
    let mut response = html(&page)?;
    *response.status_mut() = status;
    Ok(response)
}

fn wait_us(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// The cookie of a session, and the way on.
pub(super) fn signed_in(token: &SessionToken, next: &str) -> Result<Response, Trouble> {
    let cookie = session_cookie(token)
        .ok_or_else(|| Refused::Unavailable("the session could not be handed over".to_owned()))?;
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Ends the session, and lets the browser forget what it was shown.
pub(crate) async fn leave(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    if let Some(session) = &visit.who.session {
        end_session(&visit.app, &visit.who, session.id).await?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().insert(header::SET_COOKIE, clear_cookie());
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}
