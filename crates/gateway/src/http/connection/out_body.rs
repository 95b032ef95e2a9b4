//! The body of an answer on its way out; runs the finish hook at the right moment.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame as HyperFrame, SizeHint};

use crate::http::answer::{AnswerBody, Finish, FinishInfo};
use crate::http::body::{BodyFacts, BodySource, Frame, SourceFailed};
use crate::http::upstream::UpstreamBody;

use super::respond::Terms;
use super::state::InFlight;

/// The connection (HTTP/2: the stream) is cut instead of completing the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum Cut {
    #[error("the finish hook refused the answer")]
    Refused,
    #[error("the answer's body broke off: {0}")]
    Source(SourceFailed),
    #[error("the answer's body is not as long as declared")]
    Length,
    #[error("the client went away or takes too little")]
    Client,
}

/// How much of the body of an HTTP/2 answer is handed over at once: as much as fits into a frame, and less to a client
/// that is slow. Only once all of a piece has left is it seen that the client takes anything.
const PIECE_BYTES_MAX: usize = 16 * 1024;
const SLOW_PIECE_BYTES_MAX: usize = 1024;

/// Where the body of an HTTP/2 answer stands, for whoever watches that it moves.
///
/// The codec asks for a piece, keeps it until the client's flow control has room for its first byte, sends as much of
/// it as there is room for, keeps the rest, and asks for the next. So while it does not ask, the last piece waits for
/// room, some of the one before it may, and everything before those two has left. The last two pieces of an answer are
/// watched by nobody: the codec has all of them. They are at most 32 KiB for each stream that may be open at once.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The answer has begun.
    pub(super) begun: Cell<bool>,
    /// The body is waiting for its source, not for the client.
    pub(super) starved: Cell<bool>,
    /// The client is slow.
    pub(super) is_slow: Cell<bool>,
    /// Bytes handed over.
    handed_over: Cell<u64>,
    /// Of which in the last piece, and in the one before it.
    last: Cell<u64>,
    before: Cell<u64>,
}

impl Progress {
    /// Bytes that the client has taken, at least.
    pub(super) fn taken(&self) -> u64 {
        let waiting = if self.starved.get() { 0 } else { self.last.get() + self.before.get() };
        self.handed_over.get() - waiting
    }

    /// Bytes that it has to take before it is seen that it took any, at most.
    pub(super) fn on_their_way(&self) -> u64 {
        self.before.get()
    }

    fn piece_bytes_max(&self) -> usize {
        if self.is_slow.get() { SLOW_PIECE_BYTES_MAX } else { PIECE_BYTES_MAX }
    }

    fn hand_over(&self, bytes: u64) {
        self.handed_over.set(self.handed_over.get() + bytes);
        self.before.set(self.last.replace(bytes));
    }
}

/// The body of one answer on its way out.
pub(in crate::http) struct OutBody {
    source: Source,
    /// What the source gave beyond one piece (HTTP/2).
    rest: Bytes,
    /// Bytes still to come, when the length is known.
    left: Option<u64>,
    sent: u64,
    finish: Option<Finish>,
    request_body: Option<Rc<BodyFacts>>,
    progress: Option<Rc<Progress>>,
    _flight: Option<InFlight>,
}

enum Source {
    Done,
    Whole(Bytes),
    Upstream(UpstreamBody),
    Made(Box<dyn BodySource>),
}

impl OutBody {
    pub(super) fn new(body: AnswerBody, finish: Option<Finish>, terms: Terms) -> Result<Self, Cut> {
        let mut out = Self::done(terms);
        out.finish = finish;
        (out.left, out.source) = match body {
            AnswerBody::Bytes(bytes) if !bytes.is_empty() => (Some(bytes.len() as u64), Source::Whole(bytes)),
            AnswerBody::Upstream(upstream) => (upstream.declared_len(), Source::Upstream(upstream)),
            AnswerBody::Source(made) => (made.declared_len(), Source::Made(made)),
            AnswerBody::Empty | AnswerBody::Bytes(_) | AnswerBody::Tunnel(_) => (Some(0), Source::Done),
        };
        if out.left == Some(0) {
            out.source = Source::Done;
            out.finish(0)?;
        } else if let Source::Whole(bytes) = &out.source {
            let len = bytes.len() as u64;
            out.finish(len)?;
        }
        if let Some(progress) = &out.progress {
            progress.begun.set(true);
        }
        Ok(out)
    }

    /// No body.
    pub(super) fn done(terms: Terms) -> Self {
        Self {
            source: Source::Done,
            rest: Bytes::new(),
            left: Some(0),
            sent: 0,
            finish: None,
            request_body: terms.request_body,
            progress: terms.progress,
            _flight: terms.flight,
        }
    }

    /// The next piece is the last one: with it, `sent + more` bytes have gone out.
    fn finish(&mut self, more: u64) -> Result<(), Cut> {
        let info = self.info(self.sent + more, false);
        match self.finish.take() {
            Some(finish) => finish.run(info).map_err(|_| Cut::Refused),
            None => Ok(()),
        }
    }

    fn info(&self, bytes_out: u64, aborted: bool) -> FinishInfo {
        let bytes_in = self.request_body.as_ref().map_or(0, |facts| facts.received.get());
        FinishInfo { bytes_in, bytes_out, aborted }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::Data(std::mem::take(&mut self.rest)))));
        }
        match &mut self.source {
            Source::Done => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::Data(std::mem::take(bytes))))),
            Source::Upstream(upstream) => upstream.poll_frame(cx),
            Source::Made(made) => made.poll_frame(cx),
        }
    }

    /// The source has no more after what it just gave.
    fn is_source_at_end(&self) -> bool {
        if !self.rest.is_empty() {
            return false;
        }
        match &self.source {
            Source::Upstream(upstream) => upstream.is_end(),
            Source::Done | Source::Whole(_) => true,
            Source::Made(_) => false,
        }
    }

    fn data(&mut self, mut data: Bytes) -> Result<Frame, Cut> {
        if let Some(progress) = &self.progress {
            if data.len() > progress.piece_bytes_max() {
                self.rest = data.split_off(progress.piece_bytes_max());
            }
            progress.hand_over(data.len() as u64);
        }
        let len = data.len() as u64;
        let last = match &mut self.left {
            Some(left) => {
                *left = left.checked_sub(len).ok_or(Cut::Length)?;
                *left == 0
            }
            None => self.is_source_at_end(),
        };
        if last {
            self.finish(len)?;
            self.source = Source::Done;
        }
        self.sent += len;
        Ok(Frame::Data(data))
    }

    /// The next piece; `None` at the end. The finish hook has run when it is the last one.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Cut>>> {
        if matches!(self.source, Source::Done) {
            return Poll::Ready(None);
        }
        let polled = self.poll_source(cx);
        if let Some(progress) = &self.progress {
            progress.starved.set(polled.is_pending());
        }
        let piece = match ready!(polled) {
            Some(Ok(Frame::Data(data))) => self.data(data),
            Some(Ok(Frame::Trailers(trailers))) => self.end().map(|()| Frame::Trailers(trailers)),
            Some(Err(failed)) => Err(Cut::Source(failed)),
            None => match self.end() {
                Ok(()) => return Poll::Ready(None),
                Err(cut) => Err(cut),
            },
        };
        if piece.is_err() {
            self.source = Source::Done;
        }
        Poll::Ready(Some(piece))
    }

    /// Whether there is nothing (more) to come.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// Bytes still to come, when that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    fn end(&mut self) -> Result<(), Cut> {
        self.source = Source::Done;
        if self.left.is_some_and(|left| left > 0) {
            return Err(Cut::Length);
        }
        self.finish(0)
    }
}

impl hyper::body::Body for OutBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HyperFrame<Bytes>, Cut>>> {
        self.get_mut().poll_piece(cx).map_ok(|frame| match frame {
            Frame::Data(data) => HyperFrame::data(data),
            Frame::Trailers(trailers) => HyperFrame::trailers(trailers.0),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done) && self.left.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for OutBody {
    fn drop(&mut self) {
        let info = self.info(self.sent, true);
        if let Some(finish) = self.finish.take() {
            // Nobody is left to hear a refusal: the answer is already cut.
            let _ = finish.run(info);
        }
    }
}

impl fmt::Debug for OutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutBody({:?} to come)", self.left)
    }
}
