//! A new password for who forgot theirs: asking for a link, and using it. Whoever asks gets the same answer,
//! whether or not an account is there. The secret of the link stands in the fragment, as with invitations.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::secret::Secret;

use super::{
    consumer_form::Errors,
    form::Fields,
    invitation::secret_of,
    shell::Shell,
    trouble::{Trouble, html},
    visit::Anybody,
};
use crate::{
    problem::Refused,
    sign_in::{caller::Caller, links},
    state::App,
};

#[derive(Template)]
#[template(path = "forgot.html")]
struct Forgot {
    shell: Shell,
    /// Whether links are mailed from here at all.
    has_mail: bool,
    is_asked: bool,
}

#[derive(Template)]
#[template(path = "reset.html")]
struct Page {
    shell: Shell,
    token: String,
    errors: Errors,
}

/// The page that asks for a link.
pub(crate) async fn ask(State(app): State<App>, visitor: Anybody) -> Result<Response, Trouble> {
    forgot(&app, visitor, false)
}

fn forgot(app: &App, visitor: Anybody, is_asked: bool) -> Result<Response, Trouble> {
    let shell = Shell::alone(visitor.look, "Forgot your password?", String::new());
    html(&Forgot { shell, has_mail: app.options().courier.is_some(), is_asked })
}

/// Asks for a link; the answer is the same for everybody.
pub(crate) async fn send(
    State(app): State<App>,
    caller: Caller,
    visitor: Anybody,
    fields: Fields,
) -> Result<Response, Trouble> {
    let email = fields.owned("email").unwrap_or_default();
    links::request_reset(&app, &caller, email)?;
    forgot(&app, visitor, true)
}

/// The page that a link leads to.
pub(crate) async fn show(visitor: Anybody) -> Result<Response, Trouble> {
    page(visitor, String::new(), Errors::default())
}

fn page(visitor: Anybody, token: String, errors: Errors) -> Result<Response, Trouble> {
    let shell = Shell::alone(visitor.look, "New password", String::new());
    html(&Page { shell, token, errors })
}

/// Sets the new password.
pub(crate) async fn complete(
    State(app): State<App>,
    caller: Caller,
    visitor: Anybody,
    fields: Fields,
) -> Result<Response, Trouble> {
    let token = secret_of(fields.exact("token"));
    let password = Secret::new(fields.exact("password").to_owned());
    match links::complete_reset(&app, &caller, (&token, password)).await {
        Ok(()) => Ok(Redirect::to("/sign-in?done=reset").into_response()),
        Err(Refused::Invalid(errors)) => page(visitor, token.expose().clone(), Errors(errors)),
        Err(refused) => Err(refused.into()),
    }
}
