//! Checks an upstream's answer and reads its body.
//!
//! The codec forgives what a proxy must not: an answer with both `Content-Length` and
//! `Transfer-Encoding`, or with the same length twice, can be cut in two ways (reliability §7). Such an
//! answer is refused and its connection closed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Response};
use hyper::body::Body;

use crate::http::answer::AnswerHead;
use crate::http::body::{Frame, SourceFailed};
use crate::http::field::{Fields, is_engine_field, named_by_connection};
use crate::http::ticks::Deadline;

use super::outgoing::Wire;
use super::pool::{Lease, StreamLease};

/// What keeps the connection of an answer; dropped early, it closes the connection or resets the stream.
#[derive(Debug)]
pub(super) enum Held {
    Http1(Lease),
    Http2 {
        _stream: StreamLease,
    },
    /// A connection of its own that is not kept.
    Once,
}

/// The body of an answer on its way in.
#[derive(Debug)]
pub(super) struct Incoming {
    body: hyper::body::Incoming,
    held: Option<Held>,
    idle: Deadline,
    idle_timeout: Duration,
    is_waiting: bool,
}

impl Incoming {
    pub(super) fn new(
        body: hyper::body::Incoming,
        held: Held,
        idle: Deadline,
        idle_timeout: Duration,
    ) -> Self {
        let mut incoming = Self { body, held: Some(held), idle, idle_timeout, is_waiting: false };
        if incoming.body.is_end_stream() {
            incoming.settle();
        }
        incoming
    }

    pub(super) fn is_end(&self) -> bool {
        self.held.is_none()
    }

    pub(super) fn declared_len(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        loop {
            if self.held.is_none() {
                return Poll::Ready(None);
            }
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            if polled.is_pending() {
                if !self.is_waiting {
                    self.is_waiting = true;
                    self.idle.arm(self.idle_timeout);
                }
                if self.idle.poll_due(cx) {
                    self.held = None;
                    return Poll::Ready(Some(Err(SourceFailed::Idle)));
                }
                return Poll::Pending;
            }
            if self.is_waiting {
                self.is_waiting = false;
                self.idle.disarm();
            }
            match ready!(polled) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if self.body.is_end_stream() {
                            self.settle();
                        }
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::Data(data))));
                        }
                    }
                    Err(frame) => {
                        self.settle();
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return Poll::Ready(Some(Ok(Frame::Trailers(Fields(answer_trailers(trailers))))));
                    }
                },
                Some(Err(_)) => {
                    self.held = None;
                    return Poll::Ready(Some(Err(SourceFailed::Broken)));
                }
                None => self.settle(),
            }
        }
    }

    fn settle(&mut self) {
        if let Some(Held::Http1(lease)) = self.held.take() {
            lease.settle();
        }
    }
}

/// Refuses an answer whose framing is in doubt.
pub(super) fn check<B>(response: &Response<B>, wire: Wire) -> Result<(), String> {
    let fields = response.headers();
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Err("Content-Length occurs twice".to_owned());
        }
        let digits = length.as_bytes();
        if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
            return Err("Content-Length is not a decimal number".to_owned());
        }
        if fields.contains_key(TRANSFER_ENCODING) {
            return Err("Content-Length and Transfer-Encoding exclude each other".to_owned());
        }
    }
    let mut encodings = fields.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let old = wire == Wire::Http1 && response.version() == http::Version::HTTP_10;
        if encodings.next().is_some() || !chunked || old {
            return Err("Transfer-Encoding is not \"chunked\" alone, once, in HTTP/1.1".to_owned());
        }
    }
    Ok(())
}

/// Status and fields for the client: without connection and framing fields.
pub(super) fn head(method: &Method, parts: http::response::Parts) -> AnswerHead {
    let mut fields = parts.headers;
    let length_of_head =
        (method == Method::HEAD).then(|| fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()).flatten();
    let named = if fields.contains_key(CONNECTION) { named_by_connection(&fields) } else { Vec::new() };
    let engine: Vec<HeaderName> = fields.keys().filter(|name| is_engine_field(name)).cloned().collect();
    for name in engine.iter().chain(&named) {
        fields.remove(name);
    }
    AnswerHead { status: parts.status, fields, length_of_head }
}

fn answer_trailers(mut trailers: HeaderMap) -> HeaderMap {
    let engine: Vec<HeaderName> =
        trailers.keys().filter(|name| is_engine_field(name) || **name == SET_COOKIE).cloned().collect();
    for name in engine {
        trailers.remove(name);
    }
    trailers
}
