//! A stream some bytes of which were read already, with a bound on how long it may take no bytes of ours.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::lane::LaneState;
use crate::http::stream::Stream;
use crate::http::ticks::Deadline;

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    stream: Stream,
    /// Read first.
    unused: Bytes,
    lane: Rc<LaneState>,
    write_deadline: Option<Deadline>,
}

impl Ahead {
    pub(super) fn new(stream: Stream, unused: Bytes, lane: &Rc<LaneState>) -> Self {
        Self { stream, unused, lane: Rc::clone(lane), write_deadline: None }
    }

    fn write_progress(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.write_deadline = None;
            return wrote;
        }
        let lane = &self.lane;
        let deadline = self.write_deadline.get_or_insert_with(|| {
            let deadline = Deadline::new(&lane.ticks);
            deadline.arm(lane.bounds.write_idle);
            deadline
        });
        if deadline.poll_due(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
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
        this.write_progress(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.write_progress(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
