//! Refusals of the control listener (RFC 9457). They are not decisions about keys, so they have
//! names of their own beside the catalogue of `wire`.

use axum::{
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a call was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It carried an API key or a service token.
    KeysCannotManageKeys,
    /// It carried no sign-in.
    SignInMissing,
    /// There is nothing at this path.
    NotFound,
    /// The path does not answer this method.
    MethodNotAllowed,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, code, title, detail) = match self {
            Self::KeysCannotManageKeys => (
                StatusCode::FORBIDDEN,
                "keys_cannot_manage_keys",
                "Keys cannot manage keys",
                "the request carries an API key or a service token; management needs a person, leave the key away",
            ),
            Self::SignInMissing => (
                StatusCode::UNAUTHORIZED,
                "sign_in_missing",
                "Sign-in is missing",
                "the admin API needs a signed-in person; in this version manage keys with the command line on the host",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "Nothing here",
                "this listener has /, /livez, /readyz and /metrics",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                "use GET or HEAD",
            ),
        };
        let body = json!({
            "type": format!("urn:tollgate:code:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        let more: (HeaderName, &str) = match self {
            Self::SignInMissing => (header::WWW_AUTHENTICATE, "Bearer"),
            Self::MethodNotAllowed => (header::ALLOW, "GET, HEAD"),
            Self::KeysCannotManageKeys | Self::NotFound => (header::CACHE_CONTROL, "no-store"),
        };
        (status, [kind, more], body.to_string()).into_response()
    }
}
