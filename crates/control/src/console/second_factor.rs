//! The own second factor: a secret for the authenticator as picture and as text, the code that confirms it,
//! and the recovery codes, which are in that one answer and nowhere else.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tollgate_core::secret::Secret;

use super::{
    consumer_form::Errors,
    pieces::Html,
    qr,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::{
    problem::Refused,
    sign_in::{
        account::{self, Enrolment},
        caller::Caller,
    },
};

#[derive(Template)]
#[template(path = "second_factor.html")]
struct Page {
    shell: Shell,
    /// The secret in groups of four, as people type it.
    secret: String,
    picture: Html,
    errors: Errors,
}

/// The one page with the recovery codes.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct Codes<'a> {
    shell: Shell,
    codes: Vec<&'a str>,
}

/// Makes a secret and shows it. It counts once a code of it came back.
pub(crate) async fn begin(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let enrolment = account::begin_second_factor(&visit.app, &visit.who).await?;
    page(&visit, &enrolment, Errors::default())
}

fn page(visit: &Visit, enrolment: &Enrolment, errors: Errors) -> Result<Response, Trouble> {
    let secret: Vec<char> = enrolment.secret.expose().chars().collect();
    let groups: Vec<String> = secret.chunks(4).map(|group| group.iter().collect()).collect();
    html(&Page {
        shell: visit.shell("Second factor"),
        secret: groups.join(" "),
        picture: qr::picture(enrolment.otpauth_url.expose(), "QR code with the secret below")?,
        errors,
    })
}

/// Takes the first code and shows the recovery codes.
pub(crate) async fn confirm(caller: Caller, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let code = Secret::new(fields.text("code").unwrap_or_default().to_owned());
    match account::confirm_second_factor(&visit.app, &caller, &visit.who, &code).await {
        Ok(codes) => html(&Codes {
            shell: visit.shell("Recovery codes"),
            codes: codes.iter().map(|code| code.expose().as_str()).collect(),
        }),
        Err(Refused::Invalid(errors)) => {
            match account::pending_second_factor(&visit.app, &visit.who).await? {
                Some(enrolment) => page(&visit, &enrolment, Errors(errors)),
                None => Ok(Redirect::to("/account").into_response()),
            }
        }
        // A reload of the page with the codes: they are shown once.
        Err(Refused::Conflict(_)) => Ok(Redirect::to("/account").into_response()),
        Err(refused) => Err(refused.into()),
    }
}

/// Takes the second factor away.
pub(crate) async fn remove(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    account::remove_second_factor(&visit.app, &visit.who).await?;
    Ok(Redirect::to("/account?done=factor-off").into_response())
}
