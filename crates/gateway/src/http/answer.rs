//! What a handler gives back: status, fields, body, and the hook that runs before the last byte leaves.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::body::BodySource;
use super::field::{FieldName, FieldValue};
use super::lines::Lines;
use super::raw::RawFields;
use super::upstream::{Tunnel, UpstreamAnswer, UpstreamBody};

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Status and fields.
    pub head: AnswerHead,
    /// The body.
    pub body: AnswerBody,
    /// Runs before the last byte of the answer is handed to the socket.
    pub finish: Option<Finish>,
}

impl Answer {
    /// An empty answer. A `status` outside 100..=999 becomes 500.
    pub fn new(status: u16) -> Self {
        Self { head: AnswerHead::new(status), body: AnswerBody::Empty, finish: None }
    }

    /// The same answer with one field set.
    #[must_use]
    pub fn with(mut self, name: &FieldName, value: &FieldValue) -> Self {
        self.head.set(name, value);
        self
    }

    /// The same answer with these bytes as its body. `Content-Length` is added by the engine.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = AnswerBody::Bytes(body.into());
        self
    }

    /// The same answer with a finish hook.
    #[must_use]
    pub fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }
}

/// Passes an upstream answer on: body as a stream, or the tunnel when it is a 101.
impl From<UpstreamAnswer> for Answer {
    fn from(upstream: UpstreamAnswer) -> Self {
        let body = match upstream.tunnel {
            Some(tunnel) => AnswerBody::Tunnel(tunnel),
            None => AnswerBody::Upstream(upstream.body),
        };
        Self { head: upstream.head, body, finish: None }
    }
}

/// Status and fields of an answer. Connection and framing fields are the engine's: setting one of them
/// has no effect.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    pub(super) status: u16,
    /// What an upstream sent. Only fields of [`Kind::Plain`] are in it.
    pub(super) came: RawFields,
    /// What was set or added here.
    own: Lines,
    /// `Content-Length` of an upstream's answer to `HEAD`: it describes a body that is not there.
    pub(super) length_of_head: Option<u64>,
}

impl AnswerHead {
    /// No fields. A `status` outside 100..=999 becomes 500.
    pub fn new(status: u16) -> Self {
        let (came, own) = (RawFields::default(), Lines::default());
        Self { status: checked(status), came, own, length_of_head: None }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Sets the status code; one outside 100..=999 becomes 500.
    pub fn set_status(&mut self, status: u16) {
        self.status = checked(status);
    }

    /// The first value under `name` (lower-case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.came.first(name).or_else(|| self.own.first(name.as_bytes()))
    }

    /// Every field, name in lower case: the upstream's first.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers_raw().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    fn headers_raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.came.iter().map(|field| (field.name, field.value)).chain(self.own.iter())
    }

    /// Writes every field as a line.
    pub(super) fn push_lines(&self, out: &mut Vec<u8>) {
        self.came.push_lines(out, |_| true);
        out.extend_from_slice(self.own.as_bytes());
    }

    /// Makes this the only field of this name.
    pub fn set(&mut self, name: &FieldName, value: &FieldValue) {
        self.strip(name.as_str());
        self.add(name, value);
    }

    /// Adds one more field of this name.
    pub fn add(&mut self, name: &FieldName, value: &FieldValue) {
        self.own.add(name, value);
    }

    /// As [`AnswerHead::set`], with a text that `write` adds to what it is given. A text other than visible
    /// ASCII, spaces and tabs is not sent, and neither is what was there before.
    pub fn set_text(&mut self, name: &FieldName, write: impl FnOnce(&mut Vec<u8>)) {
        self.strip(name.as_str());
        self.own.add_text(name, write);
    }

    /// Adds fields that were made ready, whatever there is of these names.
    pub fn add_lines(&mut self, lines: Lines) {
        if self.own.is_empty() { self.own = lines } else { self.own.add_all(&lines) }
    }

    /// Removes every field named `name` (lower-case).
    pub fn strip(&mut self, name: &str) {
        self.came.remove(name);
        self.own.remove(name.as_bytes());
    }

    /// The fields as a codec wants them.
    pub(super) fn into_map(self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.came.len() + 8);
        for (name, value) in self.headers_raw() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }
}

fn checked(status: u16) -> u16 {
    if (100..=999).contains(&status) { status } else { 500 }
}

/// The body of an answer. To a `HEAD` request, and with status 204 and 304, no body goes out whatever is
/// given here.
pub enum AnswerBody {
    /// Nothing.
    Empty,
    /// All of it, known now.
    Bytes(Bytes),
    /// What an upstream sends, streamed with back-pressure.
    Upstream(UpstreamBody),
    /// What the handler makes as it goes: an event stream, a rewritten upstream body.
    Source(Box<dyn BodySource>),
    /// After a 101: bytes go to and fro until one side ends.
    Tunnel(Tunnel),
}

impl AnswerBody {
    /// Whether it is an upstream's that came with its head, or had nothing to come.
    pub fn came_whole(&self) -> bool {
        matches!(self, Self::Upstream(body) if body.is_whole())
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Upstream(_) => f.write_str("Upstream"),
            Self::Source(_) => f.write_str("Source"),
            Self::Tunnel(_) => f.write_str("Tunnel"),
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishInfo {
    /// Bytes of the request body that were read from the client; in a tunnel, all bytes it sent.
    pub bytes_in: u64,
    /// Bytes of the answer's body handed to the connection, the last piece included; without fields and
    /// framing. In a tunnel, all bytes sent to the client.
    pub bytes_out: u64,
    /// The last byte will never be sent: the client or the upstream went away, or a bound was hit.
    pub aborted: bool,
}

/// The hook said no: the answer must not be completed. The connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer could not be accounted for")]
pub struct FinishRefused;

/// What runs at the end of an answer; see [`Finish`].
pub trait FinishHook {
    /// Runs once.
    ///
    /// # Errors
    /// [`FinishRefused`]: the answer must not be completed.
    fn run(self: Box<Self>, info: FinishInfo) -> Result<(), FinishRefused>;
}

impl<F: FnOnce(FinishInfo) -> Result<(), FinishRefused>> FinishHook for F {
    fn run(self: Box<Self>, info: FinishInfo) -> Result<(), FinishRefused> {
        self(info)
    }
}

/// A hook that runs exactly once: from the engine before the last byte of the answer leaves, or, wherever
/// the value is dropped before that, with [`FinishInfo::aborted`] set.
///
/// "Before the last byte" means: with no body, before the head; with a known length, before the frame that
/// completes it; chunked and HTTP/2, before the end of the stream; in a tunnel, before the client's side is
/// closed. If the hook fails, the connection is cut instead (HTTP/2: the stream is reset), so the client
/// never holds a whole answer that was not accounted for.
pub struct Finish(Option<Box<dyn FinishHook>>);

impl Finish {
    /// Wraps `hook`.
    pub fn new(hook: impl FnOnce(FinishInfo) -> Result<(), FinishRefused> + 'static) -> Self {
        Self::of(Box::new(hook))
    }

    /// The same of a hook that is in memory of its own already.
    pub fn of(hook: Box<dyn FinishHook>) -> Self {
        Self(Some(hook))
    }

    /// Runs the hook now.
    ///
    /// # Errors
    /// What the hook says.
    pub(super) fn run(mut self, info: FinishInfo) -> Result<(), FinishRefused> {
        match self.0.take() {
            Some(hook) => hook.run(info),
            None => Ok(()),
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if let Some(hook) = self.0.take() {
            // Nobody is left to hear a refusal: the answer is already cut.
            let _ = hook.run(FinishInfo { bytes_in: 0, bytes_out: 0, aborted: true });
        }
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finish")
    }
}
