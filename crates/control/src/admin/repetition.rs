//! `Idempotency-Key`: a POST that is sent twice is done once, and answered twice.
//!
//! | the key was sent before | answer |
//! | --- | --- |
//! | never, or more than a day ago | the call is done |
//! | with the same request, which was answered | that answer, with `Idempotent-Replayed: true` and without secrets |
//! | with the same request, which is under way or whose process died | 409 `idempotency_under_way` |
//! | with another request | 422 `idempotency_conflict` |
//!
//! A call that was refused gives its key back, for nothing was done. One of which it is not known
//! whether it took effect keeps it.

use axum::http::{HeaderMap, Uri};
use tollgate_core::key::Digest;
use tollgate_store::{AnswerKept, Claim, RequestName};

use super::{answer::Answer, call::Call, endpoint::Endpoint};
use crate::problem::Refused;

/// The header.
const HEADER: &str = "idempotency-key";
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 255;

/// Does a call at most once, where it asks for that.
pub(crate) async fn once(endpoint: &Endpoint, call: Call, uri: &Uri) -> Result<Answer, Refused> {
    let Some(name) = name_of(&call, uri)? else { return (endpoint.handler)(call).await };
    let app = call.app().clone();
    let now_us = call.now_us;
    match app.store().claim_request(&name, now_us).await? {
        Claim::New => {}
        Claim::Answered(kept) => return Ok(Answer::replayed(kept)),
        Claim::UnderWay => return Err(Refused::RepetitionUnderWay),
        Claim::Other => return Err(Refused::RepetitionDiffers),
        Claim::Full => return Err(Refused::TooManyAttempts { retry_after_s: 3600 }),
    }
    // In a task of its own: a caller who goes away does not leave the key claimed without an answer.
    let handler = endpoint.handler;
    let done = tokio::spawn(async move {
        let outcome = handler(call).await;
        let noted = match &outcome {
            Ok(answer) => {
                let body = answer.kept.as_ref().unwrap_or(&answer.json).clone();
                app.store().keep_answer(&name, AnswerKept { status: answer.status.as_u16(), body }).await
            }
            // Whether it took effect is not known.
            Err(Refused::Unavailable(_)) => Ok(()),
            Err(_) => app.store().release_request(&name).await,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, cause = error.cause(), "the answer of a request could not be kept");
        }
        outcome
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call ended badly");
        Err(Refused::Unavailable("the call ended badly; the log has the cause".to_owned()))
    })
}

fn name_of(call: &Call, uri: &Uri) -> Result<Option<RequestName>, Refused> {
    let Some(key) = key_of(&call.headers)? else { return Ok(None) };
    let asked = format!("{}\n{}\n", uri.path(), uri.query().unwrap_or_default());
    let mut request = asked.into_bytes();
    request.extend_from_slice(&call.body);
    Ok(Some(RequestName {
        tenant: call.tenant(),
        actor: call.who.user.to_string(),
        name: Digest::of(key),
        request: Digest::of(&request),
    }))
}

fn key_of(headers: &HeaderMap) -> Result<Option<&[u8]>, Refused> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.as_bytes();
    let is_good = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if values.next().is_some() || !is_good {
        let problem =
            format!("send it once, with 1 to {KEY_BYTES_MAX} printable ASCII characters and no space");
        return Err(Refused::invalid("Idempotency-Key", problem));
    }
    Ok(Some(key))
}
