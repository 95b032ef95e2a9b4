//! What every call passes through before its handler and after it.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequestParts as _, RawPathParams, Request},
    http::{HeaderMap, Method as HttpMethod, header, request::Parts},
    response::{IntoResponse as _, Response},
};

use super::{
    Shared,
    answer::Answer,
    call::Call,
    endpoint::{Endpoint, Method, Precondition},
    query::Query,
    repetition,
};
use crate::{problem::Refused, session::SignedIn, sign_in::Caller};

/// Bytes of a body; whole documents for `apply` are the largest.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Answers a request to an endpoint.
pub(crate) async fn dispatch(endpoint: &'static Endpoint, shared: Arc<Shared>, request: Request) -> Response {
    match answer(endpoint, shared, request).await {
        Ok(answer) => answer.into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn answer(
    endpoint: &'static Endpoint,
    shared: Arc<Shared>,
    request: Request,
) -> Result<Answer, Refused> {
    let (mut parts, body) = request.into_parts();
    let who = SignedIn::from_request_parts(&mut parts, &shared.app).await?;
    let permit = who.permit(endpoint.action)?;
    let query = Query::read(endpoint, parts.uri.query().unwrap_or_default())?;
    let subject = subject(&mut parts, &shared).await;
    if endpoint.precondition == Precondition::Required && !parts.headers.contains_key(header::IF_MATCH) {
        return Err(Refused::PreconditionMissing);
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refused::TooLarge)?;
    check_body(endpoint, &parts.headers, &body)?;
    let now_us = shared.app.now_us();
    let caller = Caller::of(&parts, &shared.app);
    let call = Call { shared, caller, who, permit, query, subject, headers: parts.headers, body, now_us };
    if endpoint.method == Method::Post && parts.method == HttpMethod::POST {
        return repetition::once(endpoint, call, &parts.uri).await;
    }
    (endpoint.handler)(call).await
}

/// The variable part of the path; no endpoint has two.
async fn subject(parts: &mut Parts, shared: &Shared) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &shared.app).await.ok()?;
    params.iter().next().map(|(_, value)| value.to_owned())
}

/// A body where one is taken, and of the type that is taken.
fn check_body(endpoint: &Endpoint, headers: &HeaderMap, body: &Bytes) -> Result<(), Refused> {
    if body.is_empty() {
        return Ok(());
    }
    if endpoint.body.is_none() {
        return Err(Refused::Malformed("this call takes no body; leave it away".to_owned()));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refused::UnsupportedContent("application/json"))
    }
}
