//! One client connection from accept to close: TLS, and the choice of protocol.

mod ahead;
mod h2;
pub(super) mod http1;
mod out_body;
mod pace;
mod respond;
mod service;
mod state;
mod tunnel;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use self::ahead::Ahead;
use self::h2::{Executor, Streams};
use self::service::Service;
use self::state::ConnState;
use super::bounds::Bounds;
use super::exchange::{Handler, Peer};
use super::lane::LaneState;
use super::stream::Stream;
use super::ticks::{Deadline, within};

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
    let whose = (peer, lane);
    if stream.is_h2() {
        return Box::pin(http2(stream, Vec::new(), whose, handler)).await;
    }
    match Box::pin(sniff(stream, lane)).await {
        None => {}
        Some((stream, sniffed, true)) => Box::pin(http2(stream, sniffed, whose, handler)).await,
        Some((stream, sniffed, false)) => http1::serve(stream, sniffed, whose, handler).await,
    }
}

/// Reads until HTTP/1 and HTTP/2 can be told apart; `true` for HTTP/2. `None` when the connection ends or
/// says nothing in time.
async fn sniff(mut stream: Stream, lane: &Rc<LaneState>) -> Option<(Stream, Vec<u8>, bool)> {
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

async fn http2<H: Handler>(
    stream: Stream,
    sniffed: Vec<u8>,
    (peer, lane): (Peer, &Rc<LaneState>),
    handler: &Rc<H>,
) {
    let state = &ConnState::new(peer, lane);
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
    let service = Service::new(handler, state, &streams);
    let stream = Ahead::new(stream, Bytes::from(sniffed), lane);
    let written = stream.written();
    let mut codec = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let idle = Deadline::new(&lane.ticks);
    let mut was_busy = true;
    let mut told = false;
    let mut written_before = 0;
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
            written_before = written.get();
            if was_busy { idle.disarm() } else { idle.arm(bounds.keep_alive_idle) }
        }
        if !idle.poll_due(cx) || state.is_busy() {
            return Poll::Pending;
        }
        let patience = if told { bounds.head_timeout } else { bounds.keep_alive_idle };
        if takes(written.get() - written_before, patience, bounds) {
            // The end of an answer is on its way still.
            idle.arm(patience);
        } else if told {
            return Poll::Ready(Ok(()));
        } else {
            told = true;
            idle.arm(bounds.head_timeout);
            codec.as_mut().graceful_shutdown();
        }
        written_before = written.get();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
    .unwrap_or_else(|error| tracing::debug!(peer = %state.peer.addr, %error, "HTTP/2 connection failed"));
}

/// Bytes in the time that a connection may rest which are no sign that its client takes an answer: pings, settings.
const CHATTER_BYTES: u64 = 1024;

/// Whether a client of HTTP/2 that took so many bytes in this time is taking the end of an answer, which the codec
/// has been handed whole.
fn takes(bytes: u64, time: Duration, bounds: &Bounds) -> bool {
    let least = u128::from(bounds.write_rate_min) * time.as_millis() / 1000;
    u128::from(bytes) >= least.max(u128::from(CHATTER_BYTES))
}
