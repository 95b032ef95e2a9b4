//! The page to sign in, and signing out. What is configured is offered: the OpenID provider by its name, the
//! directory beside passwords; Firebase is for programs. The second factor has a step of its own.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::secret::Secret;

use super::{
    form::{Fields, encoded},
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Anybody, Posted},
};
use crate::{
    identity::{Login, by_directory},
    local_path::local,
    problem::Refused,
    session::{SessionToken, clear_cookie, session_cookie},
    sign_in::{account::end_session, caller::Caller, local::Attempt, steps, steps::Step},
    state::App,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    shell: Shell,
    host: String,
    provider: Option<Provider>,
    /// Whether people of a directory may sign in.
    has_directory: bool,
    /// Whether the form is for them.
    is_directory: bool,
    next: String,
    /// What was typed as address or login.
    name: String,
    problem: Option<String>,
    told: Option<&'static str>,
}

/// The step with the code of the second factor.
#[derive(Template)]
#[template(path = "sign_in_code.html")]
struct Code {
    shell: Shell,
    step: String,
    next: String,
    problem: Option<String>,
}

/// Another way to sign in.
pub(super) struct Provider {
    /// What people call it.
    pub(super) name: String,
    /// Where it begins.
    pub(super) href: String,
}

/// The OpenID provider, where one is configured. `is_fresh` asks it to prove the person anew.
pub(super) fn provider(app: &App, next: &str, is_fresh: bool) -> Option<Provider> {
    let options = app.options().providers.oidc.as_ref()?;
    let fresh = if is_fresh { "&fresh=1" } else { "" };
    let href = format!("/sign-in/oidc?next={}{fresh}", encoded(next));
    Some(Provider { name: provider_name(&options.issuer), href })
}

/// What people call a provider: by its name where it is well known, else by its host.
fn provider_name(issuer: &str) -> String {
    let host = issuer.split("://").nth(1).unwrap_or(issuer);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    let known = [
        ("accounts.google.com", "Google"),
        ("login.microsoftonline.com", "Microsoft"),
        ("sts.windows.net", "Microsoft"),
        ("gitlab.com", "GitLab"),
        ("appleid.apple.com", "Apple"),
    ];
    known.iter().find(|(own, _)| *own == host).map_or(host, |(_, name)| name).to_owned()
}

pub(crate) async fn show(State(app): State<App>, visitor: Anybody) -> Result<Response, Trouble> {
    let told = match visitor.query.text("done") {
        Some("reset") => {
            Some("Your password was changed, and all your sessions have ended. Sign in with the new one.")
        }
        _ => None,
    };
    let next = local(visitor.query.text("next").unwrap_or("/"));
    let is_directory = visitor.query.text("way") == Some("directory");
    let page = page(&app, &visitor, (next, String::new()), is_directory);
    let name = page.provider.as_ref().map_or("the provider", |provider| provider.name.as_str());
    let problem = visitor.query.text("refused").map(|code| turned_away(code, name));
    html(&Page { told, problem, ..page })
}

/// Why somebody who was sent to the provider is here again, by the code of the refusal.
fn turned_away(code: &str, name: &str) -> String {
    match code {
        "role_insufficient" => "You are who you say, and none of your groups has a role here. Ask an \
             administrator of your tenant."
            .to_owned(),
        "conflict" => "Your account belongs to no tenant. Ask an administrator for an invitation.".to_owned(),
        "too_many_attempts" => "There were too many attempts. Try again in a minute.".to_owned(),
        "unavailable" | "busy" => {
            format!("{name} does not answer as it should. Try again, or tell an administrator.")
        }
        _ => format!("The sign-in with {name} failed. Try again."),
    }
}

fn page(app: &App, visitor: &Anybody, (next, name): (String, String), is_directory: bool) -> Page {
    let has_directory = app.providers().ldap.is_some();
    Page {
        shell: Shell::alone(visitor.look.clone(), "Sign in", String::new()),
        host: visitor.host.clone(),
        provider: provider(app, &next, visitor.query.text("fresh").is_some()),
        has_directory,
        is_directory: has_directory && is_directory,
        next,
        name,
        problem: None,
        told: None,
    }
}

/// Takes the first step. The password is in no answer, whatever is wrong.
pub(crate) async fn enter(
    State(app): State<App>,
    caller: Caller,
    visitor: Anybody,
    fields: Fields,
) -> Result<Response, Trouble> {
    let next = local(fields.text("next").unwrap_or("/"));
    let is_directory = fields.text("way") == Some("directory");
    let name = fields.owned(if is_directory { "login" } else { "email" }).unwrap_or_default();
    let password = Secret::new(fields.exact("password").to_owned());
    let outcome = if is_directory {
        by_directory(&app, &caller, Login { login: name.clone(), password }).await.map(Step::In)
    } else {
        let code = fields.owned("code").map(Secret::new);
        let attempt = Attempt { email: name.clone(), password, code, tenant: None };
        steps::first(&app, &caller, attempt).await
    };
    match outcome {
        Ok(Step::In(token)) => signed_in(&token, &next),
        Ok(Step::Code(step)) => code_page(&visitor, (step.expose().clone(), next), None),
        Err(refused) => {
            let wrong = if is_directory {
                "That login or password is wrong."
            } else {
                "That address, password or code is wrong."
            };
            let problem = problem(&refused, wrong)?;
            let page = Page { problem: Some(problem), ..page(&app, &visitor, (next, name), is_directory) };
            Ok(with_status(html(&page)?, &refused))
        }
    }
}

/// Takes the second step: the code of the second factor, or a recovery code.
pub(crate) async fn code(
    State(app): State<App>,
    caller: Caller,
    visitor: Anybody,
    fields: Fields,
) -> Result<Response, Trouble> {
    let next = local(fields.text("next").unwrap_or("/"));
    let step = Secret::new(fields.exact("step").to_owned());
    let code = Secret::new(fields.text("code").unwrap_or_default().to_owned());
    let refused = match steps::second(&app, &caller, (&step, code)).await {
        Ok(token) => return signed_in(&token, &next),
        Err(refused) => refused,
    };
    if refused == Refused::LinkUnusable {
        let words = "That took too long, or too many codes were wrong, so begin again.".to_owned();
        let page = Page { problem: Some(words), ..page(&app, &visitor, (next, String::new()), false) };
        return Ok(with_status(html(&page)?, &Refused::SignInFailed));
    }
    let problem = problem(&refused, "That code is wrong, or was used already.")?;
    Ok(with_status(code_page(&visitor, (step.expose().clone(), next), Some(problem))?, &refused))
}

fn code_page(
    visitor: &Anybody,
    (step, next): (String, String),
    problem: Option<String>,
) -> Result<Response, Trouble> {
    let shell = Shell::alone(visitor.look.clone(), "Second factor", String::new());
    html(&Code { shell, step, next, problem })
}

/// What is said on the page; everything else is a page of its own.
pub(super) fn problem(refused: &Refused, wrong: &str) -> Result<String, Trouble> {
    Ok(match refused {
        Refused::SignInFailed => wrong.to_owned(),
        Refused::SecondFactorNeeded => "This account has a second factor; type its code too.".to_owned(),
        Refused::TooManyAttempts { retry_after_s } => {
            let wait = super::words::span(wait_us(*retry_after_s));
            format!("There were too many attempts. Try again in {wait}.")
        }
        Refused::Conflict(problem) | Refused::RoleInsufficient(problem) => super::trouble::sentence(problem),
        other => return Err(other.clone().into()),
    })
}

fn wait_us(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// A page with the status of what was wrong.
pub(super) fn with_status(mut response: Response, refused: &Refused) -> Response {
    *response.status_mut() = refused.clone().into_response().status();
    response
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

#[cfg(test)]
mod tests {
    use super::{provider_name, turned_away};

    #[test]
    fn a_provider_is_called_what_people_call_it() {
        for (issuer, name) in [
            ("https://accounts.google.com", "Google"),
            ("https://login.microsoftonline.com/0000/v2.0", "Microsoft"),
            ("https://accounts.google.com.evil.example", "accounts.google.com.evil.example"),
            ("https://id.example.com:8443/realms/a", "id.example.com"),
        ] {
            assert_eq!(provider_name(issuer), name);
        }
    }

    #[test]
    fn whoever_is_turned_away_is_told_in_words_of_ours() {
        for code in ["role_insufficient", "unavailable", "sign_in_failed", "<script>"] {
            let words = turned_away(code, "Google");
            assert!(words.ends_with('.') && !words.contains(code), "{words}");
        }
    }
}
