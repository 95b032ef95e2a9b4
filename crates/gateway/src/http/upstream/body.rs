//! The body of an answer, whichever protocol brings it.
//!
//! Invariant: once it has ended or failed nothing of its connection is held here.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::http::body::{BodySource, Frame, SourceFailed};

use super::{h1, h2};

/// The body of an upstream answer.
pub struct UpstreamBody(pub(super) BodyState);

/// Where a body stands.
pub(super) enum BodyState {
    /// Read, cut off, or never there.
    Ended,
    /// It came with its head.
    Whole(Bytes),
    Http1(Box<h1::Download>),
    Http2(Box<h2::Incoming>),
}

impl UpstreamBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`SourceFailed`] when the upstream breaks off or falls silent.
    pub async fn frame(&mut self) -> Option<Result<Frame, SourceFailed>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Whether there is nothing (more) to read: after a piece, whether it was the last one, as far as that
    /// is known.
    pub fn is_end(&self) -> bool {
        match &self.0 {
            BodyState::Ended => true,
            BodyState::Whole(_) | BodyState::Http1(_) => false,
            BodyState::Http2(incoming) => incoming.is_end(),
        }
    }

    /// Whether all of it is here.
    pub(in crate::http) fn is_whole(&self) -> bool {
        matches!(self.0, BodyState::Ended | BodyState::Whole(_))
    }

    fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        let BodyState::Http1(download) = &mut self.0 else { return Poll::Ready(None) };
        let polled = ready!(download.poll_frame(cx));
        let is_cut = matches!(polled, Some(Err(_)));
        if is_cut || download.is_done() {
            let before = std::mem::replace(&mut self.0, BodyState::Ended);
            if let (BodyState::Http1(download), false) = (before, is_cut) {
                download.settle();
            }
        }
        Poll::Ready(polled)
    }
}

impl BodySource for UpstreamBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        match &mut self.0 {
            BodyState::Ended => Poll::Ready(None),
            BodyState::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = BodyState::Ended;
                Poll::Ready(Some(Ok(Frame::Data(bytes))))
            }
            BodyState::Http1(_) => self.poll_download(cx),
            BodyState::Http2(incoming) => incoming.poll_frame(cx),
        }
    }

    fn declared_len(&self) -> Option<u64> {
        match &self.0 {
            BodyState::Ended => Some(0),
            BodyState::Whole(bytes) => Some(bytes.len() as u64),
            BodyState::Http1(download) => download.left(),
            BodyState::Http2(incoming) => incoming.declared_len(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamBody")
    }
}
