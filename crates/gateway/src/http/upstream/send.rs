//! One upstream call: find or make a connection, send, wait for the head of the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming as HyperIncoming;
use hyper::client::conn::TrySendError;

use crate::http::ticks::{Deadline, within};

use super::connect::{self, Http1};
use super::incoming::{self, Held, Incoming};
use super::outgoing::{self, Outgoing, OutgoingBody, Wire};
use super::pool::{Lease, Pool, StreamLease};
use super::{
    Origin, Scheme, Tunnel, UpstreamAnswer, UpstreamBody, UpstreamError, UpstreamErrorKind, UpstreamRequest,
    Upstreams,
};

type Sent = Result<Response<HyperIncoming>, TrySendError<Request<OutgoingBody>>>;

/// A connection that can take one request.
enum Connection {
    Http1(Http1),
    Http2(StreamLease),
}

pub(super) async fn send(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
) -> Result<UpstreamAnswer, UpstreamError> {
    let pool = upstreams.pools.of(origin, &upstreams.ticks);
    if request.upgrade.is_some() && origin.scheme() != Scheme::H2c {
        return Box::pin(send_upgrade(upstreams, origin, request, &pool)).await;
    }
    let reused = match origin.scheme() {
        Scheme::Http => pool.take_idle().map(Connection::Http1),
        Scheme::H2c => pool.take_stream().map(Connection::Http2),
        Scheme::Https => {
            pool.take_stream().map(Connection::Http2).or_else(|| pool.take_idle().map(Connection::Http1))
        }
    };
    let connection = match reused {
        Some(connection) => connection,
        // Boxed: it is the rare case, and its future is large.
        None => Box::pin(connect(upstreams, origin, request, &pool)).await?,
    };
    match connection {
        Connection::Http1(sender) => send_http1(upstreams, origin, request, (sender, pool)).await,
        Connection::Http2(lease) => Box::pin(send_http2(upstreams, origin, request, lease)).await,
    }
}

async fn connect(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &UpstreamRequest<'_>,
    pool: &Rc<Pool>,
) -> Result<Connection, UpstreamError> {
    let made = within(&upstreams.ticks, request.timeouts.connect, async {
        let shared = match origin.scheme() {
            Scheme::Http => false,
            Scheme::H2c => true,
            Scheme::Https => pool.speaks_h2() != Some(false),
        };
        // One at a time makes a connection that all can use; the others wait and then share it.
        let _turn = if shared { Some(pool.dialling.lock().await) } else { None };
        if let Some(lease) = pool.take_stream() {
            return Ok(Connection::Http2(lease));
        }
        let opened = pool.open()?;
        let stream = connect::dial(origin).await?;
        let is_h2 = origin.scheme() == Scheme::H2c || stream.is_h2();
        pool.set_speaks_h2(is_h2);
        if is_h2 {
            let sender = connect::http2(stream, &pool.bounds, opened).await?;
            return Ok(Connection::Http2(pool.share(sender)));
        }
        connect::http1(stream, &pool.bounds, opened).await.map(Connection::Http1)
    })
    .await;
    made.unwrap_or(Err(UpstreamErrorKind::ConnectTimeout)).map_err(UpstreamError::unsent)
}

async fn send_http1(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    (mut sender, pool): (Http1, Rc<Pool>),
) -> Result<UpstreamAnswer, UpstreamError> {
    let (body, outgoing) = OutgoingBody::take(request);
    let built = outgoing::build(origin, request, Wire::Http1, body);
    let sending = sender.try_send_request(built);
    let response = wait(upstreams, request, outgoing.as_ref(), sending).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(garbage("it changed the protocol without being asked"));
    }
    let held = Held::Http1(Lease { sender, pool, request_body: outgoing });
    answer(upstreams, request, response, (Wire::Http1, held))
}

async fn send_http2(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    mut lease: StreamLease,
) -> Result<UpstreamAnswer, UpstreamError> {
    let (body, outgoing) = OutgoingBody::take(request);
    let built = outgoing::build(origin, request, Wire::Http2, body);
    let sending = lease.sender.try_send_request(built);
    let response = wait(upstreams, request, outgoing.as_ref(), sending).await?;
    answer(upstreams, request, response, (Wire::Http2, Held::Http2 { _stream: lease }))
}

/// A request that may change the protocol gets a connection of its own, which is never kept.
async fn send_upgrade(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    pool: &Rc<Pool>,
) -> Result<UpstreamAnswer, UpstreamError> {
    let made = within(&upstreams.ticks, request.timeouts.connect, async {
        let opened = pool.open()?;
        let stream = connect::dial_http1(origin).await?;
        connect::http1_upgradable(stream, &pool.bounds, opened).await
    })
    .await;
    let made = made.unwrap_or(Err(UpstreamErrorKind::ConnectTimeout));
    let (mut sender, upgraded) = made.map_err(UpstreamError::unsent)?;
    let (body, outgoing) = OutgoingBody::take(request);
    let built = outgoing::build(origin, request, Wire::Http1, body);
    let sending = sender.try_send_request(built);
    let response = wait(upstreams, request, outgoing.as_ref(), sending).await?;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let mut answer = answer(upstreams, request, response, (Wire::Http1, Held::Once))?;
    if switches {
        let tunnel: Option<Tunnel> =
            within(&upstreams.ticks, request.timeouts.response_head, upgraded).await.flatten();
        answer.tunnel = Some(tunnel.ok_or_else(|| UpstreamError::sent(UpstreamErrorKind::Reset))?);
    }
    Ok(answer)
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

fn answer(
    upstreams: &Upstreams,
    request: &UpstreamRequest<'_>,
    response: Response<HyperIncoming>,
    (wire, held): (Wire, Held),
) -> Result<UpstreamAnswer, UpstreamError> {
    let (parts, body) = response.into_parts();
    let head =
        incoming::head(request.head.method() == "HEAD", wire, parts).map_err(|problem| garbage(&problem))?;
    let idle = Deadline::new(&upstreams.ticks);
    let body = Incoming::new(body, held, idle, request.timeouts.body_idle);
    Ok(UpstreamAnswer { head, body: UpstreamBody(body), tunnel: None })
}

fn garbage(problem: &str) -> UpstreamError {
    UpstreamError::sent(UpstreamErrorKind::Garbage(problem.to_owned()))
}
