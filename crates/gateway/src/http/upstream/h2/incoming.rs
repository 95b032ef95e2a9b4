//! Checks an HTTP/2 upstream's answer and reads its body.
//!
//! The library forgives what a proxy must not: framing fields that contradict each other (reliability §7).
//! Such an answer is refused.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, SET_COOKIE, TRANSFER_ENCODING};
use hyper::body::Body;

use crate::http::answer::AnswerHead;
use crate::http::body::{Frame, SourceFailed};
use crate::http::field::{FieldName, FieldValue, Fields, is_engine_field, named_by_connection};
use crate::http::raw::Kind;
use crate::http::ticks::Deadline;

use crate::http::upstream::pool::StreamLease;

/// The body of an answer on its way in.
#[derive(Debug)]
pub(in crate::http::upstream) struct Incoming {
    body: hyper::body::Incoming,
    /// Until the body has ended; dropped early, it resets the stream.
    held: Option<StreamLease>,
    idle: Deadline,
    idle_timeout: Duration,
    is_waiting: bool,
}

impl Incoming {
    pub(super) fn new(
        body: hyper::body::Incoming,
        held: StreamLease,
        idle: Deadline,
        idle_timeout: Duration,
    ) -> Self {
        let mut incoming = Self { body, held: Some(held), idle, idle_timeout, is_waiting: false };
        if incoming.body.is_end_stream() {
            incoming.settle();
        }
        incoming
    }

    pub(in crate::http::upstream) fn is_end(&self) -> bool {
        self.held.is_none()
    }

    pub(in crate::http::upstream) fn declared_len(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    pub(in crate::http::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, SourceFailed>>> {
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
        self.held = None;
    }
}

/// Refuses an answer whose framing is in doubt; otherwise status and fields for the client, without
/// connection and framing fields.
pub(super) fn head(is_head: bool, parts: http::response::Parts) -> Result<AnswerHead, String> {
    let mut fields = parts.headers;
    let found = survey(&fields);
    let length = check(&fields, &found)?;
    if found.connection {
        for name in named_by_connection(&fields) {
            fields.remove(name);
        }
    }
    if found.lengths > 0 {
        fields.remove(CONTENT_LENGTH);
    }
    if found.others {
        let engine: Vec<HeaderName> = fields.keys().filter(|name| is_engine_field(name)).cloned().collect();
        for name in engine {
            fields.remove(name);
        }
    }
    let mut head = AnswerHead::new(parts.status.as_u16());
    head.length_of_head = if is_head { length } else { None };
    let mut name = None;
    for (next, value) in fields {
        name = next.or(name);
        // As of an answer in HTTP/1, only fields that mean nothing to a proxy go on.
        if let Some(name) = name.clone().map(FieldName::from)
            && name.kind() == Kind::Plain
        {
            head.add(&name, &FieldValue(value));
        }
    }
    Ok(head)
}

/// Which engine fields an answer has, found in one pass: most have one length and nothing else.
#[derive(Default)]
struct Found {
    lengths: usize,
    encodings: usize,
    connection: bool,
    /// Any other than a length.
    others: bool,
}

fn survey(fields: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in fields.iter().map(|(name, _)| name) {
        if *name == CONTENT_LENGTH {
            found.lengths += 1;
        } else if is_engine_field(name) {
            found.others = true;
            found.connection |= *name == CONNECTION;
            found.encodings += usize::from(*name == TRANSFER_ENCODING);
        }
    }
    found
}

/// The declared length, if there is one.
fn check(fields: &HeaderMap, found: &Found) -> Result<Option<u64>, String> {
    if found.encodings > 0 {
        let chunked =
            fields.get(TRANSFER_ENCODING).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if found.encodings > 1 || !chunked {
            return Err("Transfer-Encoding is not \"chunked\" alone, once".to_owned());
        }
        if found.lengths > 0 {
            return Err("Content-Length and Transfer-Encoding exclude each other".to_owned());
        }
    }
    match (found.lengths, fields.get(CONTENT_LENGTH)) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(length)) => match length.to_str().ok().and_then(plain_number) {
            Some(length) => Ok(Some(length)),
            None => Err("Content-Length is not a decimal number".to_owned()),
        },
        _ => Err("Content-Length occurs twice".to_owned()),
    }
}

fn plain_number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn answer_trailers(mut trailers: HeaderMap) -> HeaderMap {
    let engine: Vec<HeaderName> =
        trailers.keys().filter(|name| is_engine_field(name) || **name == SET_COOKIE).cloned().collect();
    for name in engine {
        trailers.remove(name);
    }
    trailers
}
