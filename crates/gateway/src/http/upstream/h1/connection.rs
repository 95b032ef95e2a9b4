//! One HTTP/1.1 connection to an upstream: a socket and what was received but not read. No task runs for
//! it; whoever holds it polls it.
//!
//! Invariant: memory for receiving is taken when there is something to receive, so a connection that waits
//! holds none.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;

use crate::http::buffers;
use crate::http::stream::Stream;
use crate::http::upstream::Tunnel;
use crate::http::upstream::pool::Opened;

/// Bytes read at once, at first and when every read fills them.
const READ_BYTES_MIN: usize = buffers::READ_BYTES;
const READ_BYTES_MAX: usize = 64 * 1024;
/// With less room than this left, a new buffer is taken.
const ROOM_BYTES_MIN: usize = 4 * 1024;

/// An open connection. Boxed, for it moves from pool to call and back with every request.
#[derive(Debug)]
pub(in crate::http::upstream) struct Connection {
    stream: Stream,
    /// Received and not read yet.
    pub(super) received: BytesMut,
    read_bytes: usize,
    opened: Opened,
}

impl Connection {
    pub(in crate::http::upstream) fn new(stream: Stream, opened: Opened) -> Box<Self> {
        Box::new(Self { stream, received: BytesMut::new(), read_bytes: READ_BYTES_MIN, opened })
    }

    /// Between two requests: whether the upstream has neither closed it nor sent anything. Costs no system
    /// call while nothing happened: the runtime's readiness says so.
    pub(in crate::http::upstream) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        match &mut self.stream {
            Stream::Plain(tcp) => {
                matches!(tcp.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            // Session tickets may have come; they are read here and are no data. A task that has used up its
            // turn would be told to wait without a look at the socket: that proves nothing.
            Stream::Tls(tls) => {
                has_budget_remaining()
                    && Pin::new(tls.as_mut())
                        .poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte))
                        .is_pending()
            }
        }
    }

    /// Ready for its next request: forgets what belonged to the last one.
    pub(super) fn rest(&mut self) {
        self.received = BytesMut::new();
        self.read_bytes = READ_BYTES_MIN;
    }

    /// So many bytes are still to come: they are read in as few pieces as is allowed.
    pub(super) fn expect(&mut self, bytes: u64) {
        // One more, so that the runtime sees by a short read that there is nothing more.
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(1);
        self.read_bytes = bytes.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
    }

    /// Receives more. 0 at the end of the stream.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let polled = self.poll_receive_into(cx);
        if polled.is_pending() && self.received.is_empty() {
            self.received = BytesMut::new();
        }
        polled
    }

    fn poll_receive_into(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read_bytes <= buffers::READ_BYTES {
            let into = (&mut self.received, self.read_bytes);
            let len = ready!(buffers::poll_read(Pin::new(&mut self.stream), cx, into))?;
            self.note_read(len, self.read_bytes);
            return Poll::Ready(Ok(len));
        }
        if self.room() < ROOM_BYTES_MIN {
            ready!(self.poll_readable(cx))?;
            self.received.reserve(self.read_bytes);
        }
        let room = self.room();
        let len = ready!(pin!(self.stream.read_buf(&mut self.received)).poll(cx))?;
        self.note_read(len, room);
        Poll::Ready(Ok(len))
    }

    /// There may be much to come when a read fills its room.
    fn note_read(&mut self, len: usize, room: usize) {
        if len == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
    }

    fn room(&self) -> usize {
        self.received.capacity() - self.received.len()
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.poll_read_ready(cx),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_fill_buf(cx).map_ok(|_| ()),
        }
    }

    /// Writes some of `parts`, of which the first is not empty. Never 0.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, parts: [&[u8]; 3]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let sent = match parts {
            [first, [], []] => ready!(stream.poll_write(cx, first))?,
            parts => ready!(stream.poll_write_vectored(cx, &parts.map(IoSlice::new)))?,
        };
        Poll::Ready(if sent == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(sent) })
    }

    /// Sends what TLS has kept back.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// After a 101.
    pub(super) fn into_tunnel(self) -> Tunnel {
        Tunnel { stream: self.stream, ahead: Bytes::from(self.received), opened: self.opened }
    }
}
