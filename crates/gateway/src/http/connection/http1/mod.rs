//! HTTP/1 towards clients: heads in, answers out, one request after the other.
//!
//! What lives here: the life of a connection. `io` holds its bytes, `answer` writes answers. Invariants: a
//! request is looked at only after the answer to the one before it is out; after a refused head, an unread
//! body or a cut answer nothing more is read from the connection as HTTP.

mod answer;
pub(in crate::http) mod io;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::answer::Answer;
use crate::http::body::RequestBody;
use crate::http::exchange::{Exchange, Handler, Peer, Upgrade};
use crate::http::guard::Malformed;
use crate::http::guard::head::{Accepted, Framing};
use crate::http::head::{RequestHead, Version};
use crate::http::lane::LaneState;
use crate::http::raw::RawFields;
use crate::http::stream::Stream;
use crate::http::ticks::{Deadline, within};

use self::io::{Io, Next};
use super::ahead::Ahead;
use super::out_body::Cut;
use super::respond::{Terms, prepare};
use super::tunnel::TunnelJob;

/// Unread bytes taken from a refused client so that it gets to read the answer, and the time for it.
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// Serves a connection from its first head, of which `ahead` may be the beginning.
pub(super) async fn serve<H: Handler>(
    stream: Stream,
    ahead: Vec<u8>,
    (peer, lane): (Peer, &Rc<LaneState>),
    handler: &Rc<H>,
) {
    let io = Io::new(stream, &ahead, lane);
    drop(ahead);
    let silence = Deadline::new(&lane.ticks);
    let mut heads = 0;
    let after = loop {
        let next = next(&io, &silence, heads).await;
        heads += 1;
        // Boxed, so that a resting connection is small.
        let after = match next {
            Next::End => return,
            Next::Refused(why) => Box::pin(refuse(&io, peer, why, handler)).await,
            Next::Head(accepted, fields) => {
                let request = Request { peer, heads, accepted, fields };
                Box::pin(exchange(&io, request, handler)).await
            }
        };
        if !matches!(after, After::Next) {
            break after;
        }
    };
    let Some((stream, unused)) = io.take_stream() else { return };
    drop(io);
    match after {
        After::Next => {}
        After::Cut => abort(&stream),
        After::Tunnel(job) => Box::pin(job.run(Ahead::new(stream, unused, lane), lane)).await,
        After::Close => Box::pin(linger(stream, lane)).await,
    }
}

/// What becomes of the connection.
enum After {
    Next,
    /// All is said; the client may still be sending.
    Close,
    /// The answer was broken off.
    Cut,
    Tunnel(TunnelJob),
}

struct Request {
    peer: Peer,
    /// Which of the connection's requests it is, from 1.
    heads: u32,
    accepted: Accepted,
    fields: RawFields,
}

/// Waits for the next head. A client that is silent for too long is gone.
async fn next(io: &Io, silence: &Deadline, heads: u32) -> Next {
    let lane = io.lane();
    let mut began = None;
    poll_fn(|cx| {
        if let Poll::Ready(next) = io.poll_head(cx) {
            silence.disarm();
            return Poll::Ready(next);
        }
        let has_begun = io.has_begun();
        if lane.is_draining() && !has_begun {
            return Poll::Ready(Next::End);
        }
        if began != Some(has_begun) {
            began = Some(has_begun);
            if !has_begun {
                io.rest();
            }
            let is_resting = heads > 0 && !has_begun;
            silence.arm(if is_resting { lane.bounds.keep_alive_idle } else { lane.bounds.head_timeout });
        }
        if silence.poll_due(cx) { Poll::Ready(Next::End) } else { Poll::Pending }
    })
    .await
}

async fn refuse<H: Handler>(io: &Rc<Io>, peer: Peer, why: Malformed, handler: &Rc<H>) -> After {
    let terms = Terms { close: true, ..Terms::default() };
    match send(io, handler.refused(peer, why, None), terms, How::default()).await {
        Ok(_) => After::Close,
        Err(_) => After::Cut,
    }
}

/// How a request wants its answer written.
#[derive(Clone, Copy, Debug, Default)]
struct How {
    is_http10: bool,
    accepts_trailers: bool,
}

/// One request and its answer.
async fn exchange<H: Handler>(io: &Rc<Io>, request: Request, handler: &Rc<H>) -> After {
    let Request { peer, heads, accepted, fields } = request;
    let version = if accepted.is_http11 { Version::Http11 } else { Version::Http10 };
    let head = RequestHead::new(accepted.line, version, fields);
    let upgrade = upgrade(&head, accepted.framing);
    let (body, facts) = match accepted.framing {
        Framing::None | Framing::Upgrade => (RequestBody::empty(), None),
        Framing::Length(_) | Framing::Chunked => {
            let (body, facts) = RequestBody::from_http1(io);
            (body, Some(facts))
        }
    };
    let lane = io.lane();
    let heads_max = lane.bounds.requests_per_connection_max;
    let mut terms = Terms {
        is_head: head.method() == "HEAD",
        upgrade: upgrade.as_ref().map(|upgrade| upgrade.protocol.clone()),
        request_body: facts,
        close: !stays(&head) || (heads_max > 0 && heads >= heads_max),
        ..Terms::default()
    };
    let how = How {
        is_http10: !accepted.is_http11,
        accepts_trailers: head.fields.all("te").any(|te| te.eq_ignore_ascii_case(b"trailers")),
    };
    let exchange = Exchange { peer, head, body, upgrade };
    let Some(answer) = handle(io, exchange, handler).await else { return After::Cut };
    terms.close |= lane.is_draining();
    match send(io, answer, terms, how).await {
        Ok(after) => after,
        Err(cut) => {
            tracing::debug!(peer = %peer.addr, %cut, "an answer was cut");
            After::Cut
        }
    }
}

/// Runs the handler for as long as the client is there.
async fn handle<H: Handler>(io: &Rc<Io>, exchange: Exchange, handler: &Rc<H>) -> Option<Answer> {
    let mut handling = pin!(Rc::clone(handler).handle(exchange));
    poll_fn(|cx| match handling.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if io.poll_gone(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn send(io: &Rc<Io>, answer: Answer, terms: Terms, how: How) -> Result<After, Cut> {
    let prepared = prepare(answer, terms)?;
    Ok(match answer::send(io, prepared, how).await? {
        answer::Sent::Tunnel(job) => After::Tunnel(job),
        answer::Sent::Close => After::Close,
        answer::Sent::Keep => After::Next,
    })
}

/// Whether the client wants to keep the connection (RFC 9112 §9.3).
fn stays(head: &RequestHead) -> bool {
    let mut stays = head.version() != Version::Http10;
    for token in head.fields.all("connection").flat_map(|value| value.split(|&byte| byte == b',')) {
        match token.trim_ascii() {
            token if token.eq_ignore_ascii_case(b"close") => return false,
            token if token.eq_ignore_ascii_case(b"keep-alive") => stays = true,
            _ => {}
        }
    }
    stays
}

/// The wish to change the protocol. `Connection` must name `Upgrade`, or it was meant for another hop
/// (RFC 9110 §7.8).
fn upgrade(head: &RequestHead, framing: Framing) -> Option<Upgrade> {
    if framing != Framing::Upgrade || head.method() != "GET" {
        return None;
    }
    let mut wishes = head.fields.all("upgrade");
    let protocol = std::str::from_utf8(wishes.next()?).ok()?.trim().to_ascii_lowercase();
    let is_one = wishes.next().is_none() && !protocol.contains(',');
    let is_named = head
        .fields
        .all("connection")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    (is_one && protocol != "h2c" && is_named).then_some(Upgrade { protocol })
}

/// Ends a connection with a reset: its end must not be taken for the end of the answer.
fn abort(stream: &Stream) {
    let tcp = match stream {
        Stream::Plain(tcp) => tcp,
        Stream::Tls(tls) => tls.get_ref().0,
    };
    // Where it cannot be set the client is already gone.
    let _ = tcp.set_zero_linger();
}

/// Ends a connection. Bytes of the client may be left unread: the operating system would answer them with a
/// reset, which may overtake our last answer; so a bounded amount is read and thrown away after our FIN.
async fn linger(mut stream: Stream, lane: &Rc<LaneState>) {
    let linger = async {
        let _ = stream.shutdown().await;
        let mut left = LINGER_BYTES_MAX;
        let mut piece = vec![0; 8 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            let Some(less) = left.checked_sub(read) else { return };
            left = less;
        }
    };
    let _ = within(&lane.ticks, LINGER_TIME, linger).await;
}
