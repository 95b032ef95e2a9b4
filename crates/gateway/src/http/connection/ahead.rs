//! A stream some bytes of which were read already, with a bound on how slowly it may take bytes of ours.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::lane::LaneState;
use crate::http::stream::Stream;

use super::pace::WritePace;

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    stream: Stream,
    /// Read first.
    unused: Bytes,
    lane: Rc<LaneState>,
    pace: WritePace,
    written: Rc<Cell<u64>>,
}

impl Ahead {
    pub(super) fn new(stream: Stream, unused: Bytes, lane: &Rc<LaneState>) -> Self {
        let (pace, written) = (WritePace::default(), Rc::default());
        Self { stream, unused, lane: Rc::clone(lane), pace, written }
    }

    /// Bytes that the stream has taken.
    pub(super) fn written(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.written)
    }

    /// What became of a write, of which `bytes` were taken; an error when they wait for too long.
    fn paced<T>(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &wrote {
            Poll::Ready(Ok(done)) => {
                let taken = bytes(done) as u64;
                self.written.set(self.written.get() + taken);
                self.pace.took(taken, &self.lane);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending if self.pace.poll_overdue(cx, 0, &self.lane) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => {}
        }
        wrote
    }
}

impl AsyncRead for Ahead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let len = this.unused.len().min(buf.remaining());
        if len == 0 {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        buf.put_slice(this.unused.get(..len).unwrap_or_default());
        this.unused.advance(len);
        if this.unused.is_empty() {
            this.unused = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ahead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.paced(cx, wrote, |bytes| *bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.paced(cx, wrote, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS has taken bytes that the socket has not.
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.paced(cx, flushed, |()| 0)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
