//! What went wrong with a page, as a page: what failed, what still works, what to do.

use askama::Template;
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use tollgate_core::field_error::FieldError;
use tollgate_store::StoreError;

use super::{form::encoded, look::Look, shell::Shell};
use crate::{
    local_path::local,
    problem::{Refused, wants_page},
};

/// What went wrong.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// It was turned away.
    Refused(Refused),
    /// Nobody is signed in.
    SignIn {
        /// Where to go on afterwards.
        next: String,
        /// Whether a part of a page was asked for.
        is_part: bool,
    },
}

impl Trouble {
    /// Nobody is signed in.
    pub(crate) const fn sign_in(next: String, is_part: bool) -> Self {
        Self::SignIn { next, is_part }
    }

    /// There is no such thing, or none that this person may see.
    pub(crate) fn absent(what: &str) -> Self {
        Refused::NotFound(format!("there is no such {what} here; look for it in the list")).into()
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<askama::Error> for Trouble {
    fn from(error: askama::Error) -> Self {
        tracing::error!(%error, "a page could not be written");
        Self::Refused(Refused::Unavailable("the page could not be written; the log has the cause".to_owned()))
    }
}

impl IntoResponse for Trouble {
    /// The refusal travels with the response; [`frame`] makes a page of it, for it knows the browser.
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { next, is_part } => {
                let address = format!("/sign-in?next={}", encoded(&next));
                if !is_part {
                    return Redirect::to(&address).into_response();
                }
                let mut response = StatusCode::UNAUTHORIZED.into_response();
                if let Ok(address) = HeaderValue::try_from(address) {
                    response.headers_mut().insert("hx-redirect", address);
                }
                response
            }
            Self::Refused(refused) => {
                let mut response = refused.clone().into_response();
                response.extensions_mut().insert(refused);
                response
            }
        }
    }
}

/// The page of a refusal.
#[derive(Template)]
#[template(path = "trouble.html")]
struct Page {
    shell: Shell,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    still: &'static str,
    again: bool,
}

/// Makes pages of refusals.
pub(super) async fn frame(request: Request, next: Next) -> Response {
    let look = Look::of(request.headers());
    let path = if request.method().is_safe() {
        request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned()
    } else {
        back(request.headers())
    };
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refused>() {
        Some(refused) => page(&refused, look, path, response),
        None => response,
    }
}

/// The page of a path that leads nowhere, for browsers; programs get the refusal itself.
pub(crate) fn nothing(headers: &HeaderMap, refused: &Refused) -> Response {
    let response = refused.clone().into_response();
    if wants_page(headers) { page(refused, Look::of(headers), String::new(), response) } else { response }
}

/// The path that a form was posted from.
fn back(headers: &HeaderMap) -> String {
    let from = headers.get("hx-current-url").or_else(|| headers.get(header::REFERER));
    let from = from.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = from.splitn(4, '/').nth(3).map(|rest| format!("/{rest}"));
    path.map_or_else(String::new, |path| local(&path))
}

fn page(refused: &Refused, look: Look, path: String, plain: Response) -> Response {
    let status = plain.status();
    let errors = match refused {
        Refused::Invalid(errors) => errors.clone(),
        _ => Vec::new(),
    };
    let again = matches!(refused, Refused::SignInNotFresh | Refused::CsrfTokenWrong);
    let page = Page {
        title: refused.title(),
        status: status.as_u16(),
        code: refused.code(),
        detail: sentence(&refused.detail()),
        errors,
        still: still(status),
        again,
        shell: Shell::alone(look, refused.title(), path),
    };
    let Ok(text) = page.render() else { return plain };
    let mut response = (status, Html(text)).into_response();
    if let Some(wait) = plain.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    response
}

/// What still works.
fn still(status: StatusCode) -> &'static str {
    if status.is_server_error() {
        "The gateway goes on deciding by what it knows; only this page is affected."
    } else {
        "Nothing was changed."
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut signs = text.chars();
    let Some(first) = signs.next() else { return String::new() };
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), signs.as_str())
}

/// A page as an answer.
pub(crate) fn html(page: &impl Template) -> Result<Response, Trouble> {
    Ok(Html(page.render()?).into_response())
}
