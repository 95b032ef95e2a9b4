//! Confirming that it is still the person: what needs a fresh sign-in leads here and back. The session stays,
//! with a new token; so does the tenant.

use askama::Template;
use axum::response::Response;
use tollgate_core::secret::Secret;

use super::{
    shell::Shell,
    sign_in::{Provider, problem, provider, signed_in, with_status},
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::{local_path::local, sign_in::caller::Caller, sign_in::local::refresh};

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    shell: Shell,
    next: String,
    has_password: bool,
    has_second_factor: bool,
    provider: Option<Provider>,
    has_directory: bool,
    problem: Option<String>,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let next = local(visit.query.text("next").unwrap_or("/"));
    page(&visit, next, None).await
}

async fn page(visit: &Visit, next: String, problem: Option<String>) -> Result<Response, Trouble> {
    let account = visit.store().account(visit.who.user).await?;
    let is_elsewhere = account.password_hash.is_none();
    html(&Page {
        shell: visit.shell("Confirm it is you"),
        provider: provider(&visit.app, &next, true).filter(|_| is_elsewhere),
        has_directory: is_elsewhere && visit.app.providers().ldap.is_some(),
        next,
        has_password: !is_elsewhere,
        has_second_factor: account.has_second_factor,
        problem,
    })
}

/// Takes password and code, and leads back.
pub(crate) async fn prove(caller: Caller, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let next = local(fields.text("next").unwrap_or("/"));
    let password = Secret::new(fields.exact("password").to_owned());
    let code = fields.owned("code").map(Secret::new);
    match refresh(&visit.app, &caller, &visit.who, (password, code)).await {
        Ok(token) => signed_in(&token, &next),
        Err(refused) => {
            let words = problem(&refused, "That password or code is wrong.")?;
            Ok(with_status(page(&visit, next, Some(words)).await?, &refused))
        }
    }
}
