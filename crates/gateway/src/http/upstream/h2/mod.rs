//! HTTP/2 towards an upstream: `outgoing` writes requests, `incoming` checks answers, and the library does
//! the rest. This file is one call on one stream.

mod incoming;
mod outgoing;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::{Request, Response};
use hyper::body::Incoming as HyperIncoming;
use hyper::client::conn::TrySendError;

use crate::http::ticks::Deadline;

pub(super) use self::incoming::Incoming;
pub(super) use self::outgoing::OutgoingBody;

use self::outgoing::Outgoing;

use super::body::{BodyState, UpstreamBody};
use super::pool::StreamLease;
use super::{Origin, UpstreamAnswer, UpstreamError, UpstreamErrorKind, UpstreamRequest, Upstreams};

type Sent = Result<Response<HyperIncoming>, TrySendError<Request<OutgoingBody>>>;

pub(super) async fn send(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    mut lease: StreamLease,
) -> Result<UpstreamAnswer, UpstreamError> {
    let (body, outgoing) = OutgoingBody::take(request);
    let built = outgoing::build(origin, request, body);
    let sending = lease.sender.try_send_request(built);
    let response = wait(upstreams, request, outgoing.as_ref(), sending).await?;
    let (parts, body) = response.into_parts();
    let head = incoming::head(request.head.method() == "HEAD", parts)
        .map_err(|problem| UpstreamError::sent(UpstreamErrorKind::Garbage(problem)))?;
    let idle = Deadline::new(&upstreams.ticks);
    let body = Incoming::new(body, lease, idle, request.timeouts.body_idle);
    Ok(UpstreamAnswer { head, body: UpstreamBody(BodyState::Http2(Box::new(body))), tunnel: None })
}

/// Waits for the head of the answer. The clock runs while the upstream has the turn: not while the
/// request's body is still coming from the client, and anew whenever a piece of it was taken.
async fn wait(
    upstreams: &Upstreams,
    request: &mut UpstreamRequest<'_>,
    outgoing: Option<&Rc<Outgoing>>,
    sending: impl Future<Output = Sent>,
) -> Result<Response<HyperIncoming>, UpstreamError> {
    let limit = request.timeouts.response_head;
    let deadline = Deadline::new(&upstreams.ticks);
    deadline.arm(limit);
    let mut pace = None;
    let mut sending = pin!(sending);
    let sent = poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            return Poll::Ready(Some(sent));
        }
        if !deadline.poll_due(cx) {
            return Poll::Pending;
        }
        let now = outgoing.filter(|body| !body.is_ended()).map(|body| body.pace());
        if now.is_none() || (now == pace && now != Some(None)) {
            return Poll::Ready(None);
        }
        pace = now;
        deadline.arm(limit);
        if deadline.poll_due(cx) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    let failed = match sent {
        Some(Ok(response)) => return Ok(response),
        Some(Err(failed)) => failed,
        None => return Err(UpstreamError::sent(UpstreamErrorKind::ResponseTimeout)),
    };
    Err(classify(request, outgoing, failed))
}

fn classify(
    request: &mut UpstreamRequest<'_>,
    outgoing: Option<&Rc<Outgoing>>,
    mut failed: TrySendError<Request<OutgoingBody>>,
) -> UpstreamError {
    let nothing_sent = failed.take_message().is_some();
    if let Some(body) = outgoing.and_then(|outgoing| outgoing.reclaim())
        && !request.body.is_untouched()
    {
        request.body = body;
    }
    if let Some(fault) = outgoing.and_then(|outgoing| outgoing.fault()) {
        return UpstreamError { kind: UpstreamErrorKind::RequestBody(fault), nothing_sent };
    }
    let error = failed.error();
    let kind = if error.is_parse() {
        UpstreamErrorKind::Garbage(error.to_string())
    } else {
        UpstreamErrorKind::Reset
    };
    UpstreamError { kind, nothing_sent }
}
