//! One client connection from accept to close: TLS, choice of protocol, the codec, and the end.

mod guarded;
mod h2;
mod respond;
mod service;
pub(super) mod state;
mod tunnel;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use self::guarded::Guarded;
use self::h2::{Executor, Streams};
use self::service::Service;
use self::state::ConnState;
use super::exchange::{Handler, Peer};
use super::lane::LaneState;
use super::stream::Stream;
use super::ticks::{Deadline, within};

/// Largest read and write buffer of one HTTP/1 connection.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// After so much idleness a plain HTTP/1 connection gives its codec and buffers back (20 KiB).
const FOLD_AFTER: std::time::Duration = std::time::Duration::from_secs(2);
/// Unread bytes taken from a refused client so that it gets to read the answer, and the time for it.
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);
/// What an HTTP/2 client may send ahead on one stream and on the whole connection.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Room for the first read of a connection; a usual head fits.
const SNIFF_BYTES: usize = 2048;

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves one accepted connection to its end.
///
/// This future lives as long as the connection, so what an idle HTTP/1 connection does not need is boxed:
/// it would count for every one of them.
pub(super) async fn run<H: Handler>(
    tcp: TcpStream,
    peer: Peer,
    tls: Option<TlsAcceptor>,
    lane: &Rc<LaneState>,
    handler: &Rc<H>,
) {
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(acceptor) => {
            let handshake = within(&lane.ticks, lane.bounds.handshake_timeout, acceptor.accept(tcp));
            let Some(Ok(tls)) = Box::pin(handshake).await else {
                tracing::debug!(peer = %peer.addr, "TLS handshake failed");
                return;
            };
            Stream::Tls(Box::new(TlsStream::Server(tls)))
        }
    };
    let state = ConnState::new(peer, lane);
    if stream.is_h2() {
        return Box::pin(http2(stream, Vec::new(), &state, handler)).await;
    }
    match Box::pin(sniff(stream, &state)).await {
        None => {}
        Some((stream, sniffed, true)) => Box::pin(http2(stream, sniffed, &state, handler)).await,
        Some((stream, sniffed, false)) => http1(stream, sniffed, &state, handler).await,
    }
}

/// Reads until HTTP/1 and HTTP/2 can be told apart; `true` for HTTP/2. `None` when the connection ends or
/// says nothing in time.
async fn sniff(mut stream: Stream, state: &Rc<ConnState>) -> Option<(Stream, Vec<u8>, bool)> {
    let lane = &state.lane;
    let silence = Deadline::new(&lane.ticks);
    silence.arm(lane.bounds.head_timeout);
    let mut sniffed = Vec::with_capacity(SNIFF_BYTES);
    loop {
        let read = {
            let mut reading = pin!(stream.read_buf(&mut sniffed));
            poll_fn(|cx| match reading.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(read.ok()),
                Poll::Pending if silence.poll_due(cx) || lane.is_draining() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await?
        };
        if read == 0 {
            return None;
        }
        let common = sniffed.len().min(PREFACE.len());
        if sniffed.get(..common) != PREFACE.get(..common) {
            return Some((stream, sniffed, false));
        }
        if common == PREFACE.len() {
            return Some((stream, sniffed, true));
        }
    }
}

/// How a stretch of HTTP/1 ended.
enum Stretch {
    Closed,
    Idle,
}

async fn http1<H: Handler>(stream: Stream, sniffed: Vec<u8>, state: &Rc<ConnState>, handler: &Rc<H>) {
    let mut io = Guarded::http1(stream, state, sniffed);
    let foldable = io.is_plain();
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES_MAX).half_close(false).keep_alive(true);
    loop {
        let service = Service::http1(handler, state);
        let mut codec = Box::pin(builder.serve_connection(TokioIo::new(io), service));
        let stretch = stretch(&mut codec, state, foldable).await;
        // The codec is `Unpin`; taking it out of its box gives the stream back.
        io = Pin::into_inner(codec).into_parts().io.into_inner();
        if let Some(job) = state.take_tunnel() {
            return Box::pin(job.run(io.into_raw(), &state.lane)).await;
        }
        match stretch {
            Stretch::Closed if !state.has_leftovers() => return,
            Stretch::Closed => return Box::pin(linger(io, state)).await,
            Stretch::Idle => {
                let is_readable = poll_fn(|cx| match io.poll_readable(cx) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending if state.is_overdue(cx) || state.lane.is_draining() => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                })
                .await;
                if !is_readable {
                    return;
                }
            }
        }
    }
}

type Codec<H> = http1::Connection<TokioIo<Guarded>, Service<H>>;

/// Runs the codec until the connection is over, or has been idle for a while.
async fn stretch<H: Handler>(
    codec: &mut Pin<Box<Codec<H>>>,
    state: &Rc<ConnState>,
    foldable: bool,
) -> Stretch {
    let lane = &state.lane;
    let fold = Deadline::new(&lane.ticks);
    let mut told = false;
    let mut seen = None;
    let mut polled_again = false;
    poll_fn(|cx| {
        loop {
            if lane.is_draining() && !told {
                told = true;
                codec.as_mut().graceful_shutdown();
            }
            match codec.as_mut().poll(cx) {
                // A request that asked for an upgrade and did not get it leaves the codec thinking that the
                // stream is handed over: it ends without writing the rest. Asked again, it does.
                Poll::Ready(Ok(())) if state.asked_upgrade_ever() && !polled_again && !state.has_tunnel() => {
                    polled_again = true;
                }
                Poll::Ready(_) => return Poll::Ready(Stretch::Closed),
                Poll::Pending => break,
            }
        }
        if state.is_overdue(cx) {
            return Poll::Ready(Stretch::Closed);
        }
        if polled_again || !foldable || !state.is_quiet() {
            return Poll::Pending;
        }
        if seen != Some(state.heads_seen()) {
            seen = Some(state.heads_seen());
            fold.arm(FOLD_AFTER);
        }
        if fold.poll_due(cx) { Poll::Ready(Stretch::Idle) } else { Poll::Pending }
    })
    .await
}

/// Ends a connection with bytes of the client left unread: the operating system would answer them with a
/// reset, which may overtake our last answer; so a bounded amount is read and thrown away after our FIN.
async fn linger(io: Guarded, state: &Rc<ConnState>) {
    let mut io = io.into_raw();
    let linger = async {
        let _ = io.shutdown().await;
        let mut left = LINGER_BYTES_MAX;
        let mut piece = vec![0; 8 * 1024];
        while let Ok(read @ 1..) = io.read(&mut piece).await {
            let Some(less) = left.checked_sub(read) else { return };
            left = less;
        }
    };
    let _ = within(&state.lane.ticks, LINGER_TIME, linger).await;
}

async fn http2<H: Handler>(stream: Stream, sniffed: Vec<u8>, state: &Rc<ConnState>, handler: &Rc<H>) {
    let lane = &state.lane;
    let bounds = &lane.bounds;
    let streams = Streams::new(lane);
    let mut builder = http2::Builder::new(Executor(Rc::clone(&streams)));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(bounds.h2_streams_max)
        .max_header_list_size(u32::try_from(bounds.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(bounds.h2_pending_resets_max)
        .max_local_error_reset_streams(bounds.h2_local_resets_max)
        .max_send_buf_size(bounds.h2_send_buffer_bytes)
        .keep_alive_interval(bounds.h2_ping_every)
        .keep_alive_timeout(bounds.h2_ping_timeout);
    let service = Service::http2(handler, state, &streams);
    let io = TokioIo::new(Guarded::raw(stream, state, sniffed));
    let mut codec = pin!(builder.serve_connection(io, service));

    let idle = Deadline::new(&lane.ticks);
    let mut was_busy = true;
    let mut told = false;
    poll_fn(|cx| {
        if lane.is_draining() && !told {
            told = true;
            codec.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(done) = codec.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if state.is_busy() != was_busy {
            was_busy = state.is_busy();
            if was_busy { idle.disarm() } else { idle.arm(bounds.keep_alive_idle) }
        }
        if idle.poll_due(cx) && !state.is_busy() && !told {
            told = true;
            idle.arm(bounds.head_timeout);
            codec.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
        } else if idle.poll_due(cx) && told && !state.is_busy() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await
    .unwrap_or_else(|error| tracing::debug!(peer = %state.peer.addr, %error, "HTTP/2 connection failed"));
}
