//! Who is signed in with a request: by the cookie of a session, or by an ID token sent with it.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use crate::{
    identity::{bearer as bearer_of, is_id_token},
    problem::Refused,
    session::{SignedIn, session_token},
    sign_in::Caller,
    state::App,
};

impl SignedIn {
    /// Looks who is signed in with a request; `None` when it says nothing about it.
    pub(crate) async fn find(parts: &Parts, app: &App) -> Result<Option<Self>, Refused> {
        if let Some(bearer) = parts.headers.get(header::AUTHORIZATION) {
            // Whoever sends one means it: a cookie beside it does not count.
            let text = bearer.to_str().ok().and_then(|text| text.split_once(' '));
            let text =
                text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, text)| text.trim());
            let text = text.filter(|text| is_id_token(text)).ok_or(Refused::SignInMissing)?;
            return by_bearer(parts, app, text).await.map(Some);
        }
        let Some(token) = session_token(&parts.headers) else { return Ok(None) };
        Self::of_token(app, &token).await.map(Some)
    }
}

/// Who an ID token is. Only tokens that do not hold count as attempts of their address, so that a script that
/// sends a good one with many requests at once is never kept waiting by itself.
async fn by_bearer(parts: &Parts, app: &App, text: &str) -> Result<SignedIn, Refused> {
    let address = Caller::of(parts, app).address;
    app.throttle().look_at_address(address, app.mono_ns())?;
    let found = bearer_of(app, text).await;
    if matches!(found, Err(Refused::SignInMissing)) {
        tracing::warn!(%address, "an ID token that came with a request does not hold");
        app.throttle().take_address(address, app.mono_ns())?;
    }
    found
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        Self::find(parts, app).await?.ok_or(Refused::SignInMissing)
    }
}
