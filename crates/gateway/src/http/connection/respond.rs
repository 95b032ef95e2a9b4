//! Turns an [`Answer`] into what the codec writes, and runs the finish hook at the right moment.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::body::{Frame as HyperFrame, SizeHint};

use crate::http::answer::{Answer, AnswerBody, AnswerHead, Finish, FinishInfo};
use crate::http::body::{BodyFacts, BodySource, Frame, SourceFailed};
use crate::http::upstream::UpstreamBody;

use super::state::{ConnState, InFlight};
use super::tunnel::TunnelJob;

const SWITCHING_PROTOCOLS: u16 = 101;

/// The connection (HTTP/2: the stream) is cut instead of completing the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::http) enum Cut {
    #[error("the finish hook refused the answer")]
    Refused,
    #[error("the answer's body broke off: {0}")]
    Source(SourceFailed),
    #[error("the answer's body is not as long as declared")]
    Length,
}

/// What the request says about how it may be answered.
pub(super) struct Terms {
    pub(super) flight: InFlight,
    pub(super) is_head: bool,
    pub(super) is_http2: bool,
    /// The protocol the client asks to change to, while that is possible.
    pub(super) upgrade: Option<String>,
    /// Facts about the request's body; `None` when it had none.
    pub(super) request_body: Option<Rc<BodyFacts>>,
    /// Close the connection after this answer.
    pub(super) close: bool,
    pub(super) progress: Option<Rc<Progress>>,
}

/// Where the body of an HTTP/2 answer stands, for whoever watches that it moves.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The answer has begun.
    pub(super) begun: Cell<bool>,
    /// Pieces handed over.
    pub(super) pieces: Cell<u64>,
    /// The body is waiting for its source, not for the client.
    pub(super) starved: Cell<bool>,
}

/// Builds the response. Runs the finish hook at once when no body goes out or all of it is here.
pub(super) fn respond(answer: Answer, terms: Terms) -> Result<Response<OutBody>, Cut> {
    let Answer { head, body, finish } = answer;
    if let AnswerBody::Tunnel(tunnel) = body {
        return match &terms.upgrade {
            Some(protocol) if head.status == SWITCHING_PROTOCOLS => {
                let protocol = protocol.clone();
                terms.flight.state().set_tunnel(TunnelJob::new(tunnel, finish));
                Ok(switch(head, &protocol, terms))
            }
            _ => respond(Answer { head: AnswerHead::new(500), body: AnswerBody::Empty, finish }, terms),
        };
    }
    let status = status_code(head.status);
    let bodyless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let state = Rc::clone(terms.flight.state());
    state.decline_upgrade();

    let close = terms.close || is_unread(&terms, &state);
    let (is_head, is_http2) = (terms.is_head, terms.is_http2);
    let told_length = if is_head && !bodyless { length_told(&head, &body) } else { None };
    let body = if bodyless || is_head { AnswerBody::Empty } else { body };
    let out = OutBody::new(body, finish, terms)?;
    let mut response = Response::new(out);
    *response.status_mut() = status;
    *response.headers_mut() = head.into_map();
    if let Some(length) = told_length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if close && !is_http2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// An interim status cannot end an exchange.
fn status_code(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if !status.is_informational() => status,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// To `HEAD`, the length that the body would have had (RFC 9110 §9.3.2).
fn length_told(head: &AnswerHead, body: &AnswerBody) -> Option<u64> {
    match body {
        AnswerBody::Bytes(bytes) => Some(bytes.len() as u64),
        AnswerBody::Source(made) => made.declared_len(),
        AnswerBody::Upstream(_) => head.length_of_head,
        AnswerBody::Empty | AnswerBody::Tunnel(_) => None,
    }
}

/// An HTTP/1 request body that was not read to its end: the connection is closed rather than drained.
fn is_unread(terms: &Terms, state: &ConnState) -> bool {
    let unread = terms.request_body.as_ref().is_some_and(|facts| !facts.ended.get());
    if unread && !terms.is_http2 {
        state.note_leftovers();
    }
    unread
}

fn switch(head: AnswerHead, protocol: &str, terms: Terms) -> Response<OutBody> {
    let mut response = Response::new(OutBody::done(terms));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = head.into_map();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(protocol) = HeaderValue::from_str(protocol) {
        response.headers_mut().insert(UPGRADE, protocol);
    }
    response
}

/// The body of one answer on its way out.
pub(in crate::http) struct OutBody {
    source: Source,
    /// Bytes still to come, when the length is known.
    left: Option<u64>,
    sent: u64,
    finish: Option<Finish>,
    request_body: Option<Rc<BodyFacts>>,
    progress: Option<Rc<Progress>>,
    _flight: InFlight,
}

enum Source {
    Done,
    Whole(Bytes),
    Upstream(UpstreamBody),
    Made(Box<dyn BodySource>),
}

impl OutBody {
    fn new(body: AnswerBody, finish: Option<Finish>, terms: Terms) -> Result<Self, Cut> {
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

    fn done(terms: Terms) -> Self {
        Self {
            source: Source::Done,
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
        match &mut self.source {
            Source::Done => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::Data(std::mem::take(bytes))))),
            Source::Upstream(upstream) => upstream.poll_frame(cx),
            Source::Made(made) => made.poll_frame(cx),
        }
    }

    /// The source has no more after what it just gave.
    fn is_source_at_end(&self) -> bool {
        match &self.source {
            Source::Upstream(upstream) => upstream.is_end(),
            Source::Done | Source::Whole(_) => true,
            Source::Made(_) => false,
        }
    }

    fn data(&mut self, data: Bytes) -> Result<HyperFrame<Bytes>, Cut> {
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
        Ok(HyperFrame::data(data))
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
        let this = self.get_mut();
        if matches!(this.source, Source::Done) {
            return Poll::Ready(None);
        }
        let polled = this.poll_source(cx);
        if let Some(progress) = &this.progress {
            progress.starved.set(polled.is_pending());
            progress.pieces.set(progress.pieces.get() + u64::from(polled.is_ready()));
        }
        let piece = match ready!(polled) {
            Some(Ok(Frame::Data(data))) => this.data(data),
            Some(Ok(Frame::Trailers(trailers))) => this.end().map(|()| HyperFrame::trailers(trailers.0)),
            Some(Err(failed)) => Err(Cut::Source(failed)),
            None => match this.end() {
                Ok(()) => return Poll::Ready(None),
                Err(cut) => Err(cut),
            },
        };
        if piece.is_err() {
            this.source = Source::Done;
        }
        Poll::Ready(Some(piece))
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
