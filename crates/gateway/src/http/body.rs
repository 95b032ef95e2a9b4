//! Bodies as frames: what a client sends, and what a handler may send back.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};

use super::connection::http1::io::{BodyFault, Io};
use super::field::{Fields, safe_trailers};
use super::guard::Malformed;
use super::lane::LaneState;
use super::ticks::Deadline;

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Bytes, never empty.
    Data(Bytes),
    /// Trailing fields; nothing follows them.
    Trailers(Fields),
}

/// Why the body of a request could not be read to its end. The client's connection is closed after any of
/// these (HTTP/2: the stream is reset).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than [`RequestBody::limit`] allows: answer 413.
    #[error("the request body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// Nothing came for the idle time-out.
    #[error("the request body stopped arriving")]
    Idle,
    /// Came slower than the least rate.
    #[error("the request body arrives too slowly")]
    TooSlow,
    /// Is held whole, and was not all there in the time that such a body has.
    #[error("the request body took too long to arrive")]
    Late,
    /// Framing that can be read in more than one way: answer 400.
    #[error("the framing of the request body is malformed: {0}")]
    Malformed(Malformed),
    /// The client went away or reset the stream.
    #[error("the client went away before the request body was complete")]
    Disconnected,
}

/// The body of a request.
pub struct RequestBody {
    source: Source,
}

enum Source {
    Empty,
    Bytes(Bytes),
    Client(Box<ClientBody>),
    Failed(BodyError),
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { source: Source::Empty }
    }

    /// A body that is all there.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { source: if bytes.is_empty() { Source::Empty } else { Source::Bytes(bytes) } }
    }

    /// The body of an HTTP/1 request, and what the engine wants to know about it later.
    pub(super) fn from_http1(io: &Rc<Io>) -> (Self, Rc<BodyFacts>) {
        Self::from_client(ClientSource::Http1(Rc::clone(io)), io.lane())
    }

    /// As [`RequestBody::from_http1`]; `is_expected` says whether the method may have a body at all.
    pub(super) fn from_http2(
        incoming: Incoming,
        lane: &Rc<LaneState>,
        is_expected: bool,
    ) -> (Self, Rc<BodyFacts>) {
        Self::from_client(ClientSource::Http2 { incoming, is_expected }, lane)
    }

    fn from_client(source: ClientSource, lane: &Rc<LaneState>) -> (Self, Rc<BodyFacts>) {
        let facts = Rc::new(BodyFacts::default());
        let client = ClientBody {
            source,
            lane: Rc::clone(lane),
            facts: Rc::clone(&facts),
            limit_bytes: u64::MAX,
            pace: Pace {
                deadline: Deadline::new(&lane.ticks),
                waiting_since_ms: None,
                waited_ms: 0,
                is_held: false,
            },
        };
        (Self { source: Source::Client(Box::new(client)) }, facts)
    }

    /// The length in bytes, when known: 0 without a body, `None` for chunked and for HTTP/2 without
    /// `content-length`. Counts the whole body until reading begins, then what is left.
    pub fn declared_len(&self) -> Option<u64> {
        match &self.source {
            Source::Empty => Some(0),
            Source::Bytes(bytes) => Some(bytes.len() as u64),
            // The connection's next body is another request's.
            Source::Client(client) if client.facts.ended.get() => Some(0),
            Source::Client(client) => client.source.len(),
            Source::Failed(_) => None,
        }
    }

    /// Whether there is nothing (more) to read.
    pub fn is_end(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Client(client) => client.facts.ended.get(),
            Source::Bytes(_) | Source::Failed(_) => false,
        }
    }

    /// Bounds the whole body, what was read already included. Reading past it gives
    /// [`BodyError::TooLarge`].
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] at once when the declared length is already beyond it.
    pub fn limit(&mut self, bytes: u64) -> Result<(), BodyError> {
        let mut read = 0;
        if let Source::Client(client) = &mut self.source {
            client.limit_bytes = bytes;
            read = client.facts.received.get();
        }
        match self.declared_len() {
            Some(left) if left.saturating_add(read) > bytes => {
                Err(self.fail(BodyError::TooLarge { limit_bytes: bytes }))
            }
            _ => Ok(()),
        }
    }

    /// Says that what is read is kept until the whole body is there. It then has to be there in time, however steadily
    /// it comes ([`Bounds::held_body_timeout`]): what was read of it takes memory for as long.
    ///
    /// [`Bounds::held_body_timeout`]: super::bounds::Bounds::held_body_timeout
    pub fn hold(&mut self) {
        if let Source::Client(client) = &mut self.source {
            client.pace.is_held = true;
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`BodyError`]; it is given again whenever the body is read after that.
    pub async fn frame(&mut self) -> Option<Result<Frame, BodyError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Reads the whole body, at most `bytes_max` bytes, without trailers.
    ///
    /// # Errors
    /// [`BodyError`]; [`BodyError::TooLarge`] beyond `bytes_max`.
    pub async fn collect(&mut self, bytes_max: u64) -> Result<Bytes, BodyError> {
        self.limit(bytes_max)?;
        self.hold();
        let mut whole = Vec::new();
        while let Some(frame) = self.frame().await {
            let Frame::Data(data) = frame? else { continue };
            if whole.is_empty() && self.is_end() {
                return Ok(data);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Bytes::from(whole))
    }

    /// Poll form of [`RequestBody::frame`].
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let polled = match &mut self.source {
            Source::Empty => return Poll::Ready(None),
            Source::Failed(error) => return Poll::Ready(Some(Err(*error))),
            Source::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Empty;
                return Poll::Ready(Some(Ok(Frame::Data(bytes))));
            }
            Source::Client(client) => ready!(client.poll_frame(cx)),
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => {
                self.source = Source::Empty;
                None
            }
        })
    }

    /// A second value of the same body, when that needs no reading.
    pub(super) fn replica(&self) -> Option<Self> {
        match &self.source {
            Source::Empty => Some(Self::empty()),
            Source::Bytes(bytes) => Some(Self::from_bytes(bytes.clone())),
            Source::Client(_) | Source::Failed(_) => None,
        }
    }

    /// Whether it is the client's and nothing was read from it.
    pub(super) fn is_untouched(&self) -> bool {
        match &self.source {
            Source::Client(client) => !client.facts.touched.get(),
            Source::Empty | Source::Bytes(_) => true,
            Source::Failed(_) => false,
        }
    }

    /// What is left where a body was taken away and used.
    pub(super) fn used_up() -> Self {
        Self { source: Source::Failed(BodyError::Disconnected) }
    }

    /// Lets go of the client's body, so that the codec stops reading it.
    fn fail(&mut self, error: BodyError) -> BodyError {
        self.source = Source::Failed(error);
        error
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestBody({:?})", self.declared_len())
    }
}

/// What the engine keeps of a client's body while others hold the body itself.
#[derive(Debug, Default)]
pub(super) struct BodyFacts {
    /// Bytes read so far.
    pub(super) received: Cell<u64>,
    /// Read to its end.
    pub(super) ended: Cell<bool>,
    /// Anything was read.
    pub(super) touched: Cell<bool>,
}

/// Where the body of a client comes from.
enum ClientSource {
    Http1(Rc<Io>),
    Http2 {
        incoming: Incoming,
        /// Whether the method may have a body at all; HTTP/1 was judged by the guard.
        is_expected: bool,
    },
}

impl ClientSource {
    fn len(&self) -> Option<u64> {
        match self {
            Self::Http1(io) => io.body_len(),
            Self::Http2 { incoming, .. } => incoming.size_hint().exact(),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Http1(io) => io.is_body_ended(),
            Self::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    /// Trailers of HTTP/1 are discarded: the reader in front of us may not have seen them.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let (incoming, is_expected) = match self {
            Self::Http1(io) => {
                return io.poll_body(cx).map_ok(Frame::Data).map_err(|fault| match fault {
                    BodyFault::Malformed(why) => BodyError::Malformed(why),
                    BodyFault::Gone => BodyError::Disconnected,
                });
            }
            Self::Http2 { incoming, is_expected } => (incoming, *is_expected),
        };
        Poll::Ready(match ready!(Pin::new(incoming).poll_frame(cx)) {
            None => None,
            Some(Err(_)) => Some(Err(BodyError::Disconnected)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !is_expected && !data.is_empty() => {
                    Some(Err(BodyError::Malformed(Malformed::BodyNotExpected)))
                }
                Ok(data) => Some(Ok(Frame::Data(data))),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    Some(Ok(Frame::Trailers(Fields(safe_trailers(trailers)))))
                }
            },
        })
    }
}

struct ClientBody {
    source: ClientSource,
    lane: Rc<LaneState>,
    facts: Rc<BodyFacts>,
    limit_bytes: u64,
    pace: Pace,
}

impl ClientBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            // The connection's next body is another request's.
            if self.facts.ended.get() {
                return Poll::Ready(None);
            }
            let polled = self.source.poll_frame(cx);
            if polled.is_pending() {
                return match self.pace.poll_overdue(cx, self.facts.received.get(), &self.lane) {
                    Some(error) => Poll::Ready(Some(Err(error))),
                    None => Poll::Pending,
                };
            }
            self.pace.moved();
            self.facts.touched.set(true);
            match ready!(polled) {
                Some(Ok(Frame::Data(data))) if data.is_empty() => {}
                Some(Ok(Frame::Data(data))) => return Poll::Ready(Some(self.data(data))),
                Some(Ok(trailers)) => {
                    self.facts.ended.set(true);
                    return Poll::Ready(Some(Ok(trailers)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.facts.ended.set(true),
            }
        }
    }

    fn data(&mut self, data: Bytes) -> Result<Frame, BodyError> {
        let received = self.facts.received.get() + data.len() as u64;
        self.facts.received.set(received);
        if received > self.limit_bytes {
            return Err(BodyError::TooLarge { limit_bytes: self.limit_bytes });
        }
        if self.source.is_end() {
            self.facts.ended.set(true);
        }
        Ok(Frame::Data(data))
    }
}

/// Watches that a body keeps arriving. Only time spent waiting for the client counts: a slow upstream is
/// not the client's fault.
struct Pace {
    deadline: Deadline,
    waiting_since_ms: Option<u64>,
    waited_ms: u64,
    /// The whole body is kept before anything is done with it.
    is_held: bool,
}

impl Pace {
    fn moved(&mut self) {
        if let Some(since) = self.waiting_since_ms.take() {
            self.waited_ms += self.deadline.ticks().now_ms().saturating_sub(since);
            self.deadline.disarm();
        }
    }

    fn poll_overdue(&mut self, cx: &mut Context<'_>, received: u64, lane: &LaneState) -> Option<BodyError> {
        let bounds = &lane.bounds;
        let left = |may_wait: Duration| may_wait.saturating_sub(Duration::from_millis(self.waited_ms));
        let at_rate = left(may_wait(received, bounds.body_rate_min, bounds.body_grace));
        let whole = if self.is_held { left(bounds.held_body_timeout) } else { Duration::MAX };
        let (patience, error) =
            [(bounds.body_idle, BodyError::Idle), (at_rate, BodyError::TooSlow), (whole, BodyError::Late)]
                .into_iter()
                .min_by_key(|(patience, _)| *patience)?;
        if self.waiting_since_ms.is_none() {
            self.waiting_since_ms = Some(self.deadline.ticks().now_ms());
            self.deadline.arm(patience);
        }
        self.deadline.poll_due(cx).then_some(error)
    }
}

/// How long so many bytes may take.
fn may_wait(received: u64, rate_min: u64, grace: Duration) -> Duration {
    match received.saturating_mul(1000).checked_div(rate_min) {
        Some(ms) => grace.saturating_add(Duration::from_millis(ms)),
        None => Duration::MAX,
    }
}

/// Something that makes the body of an answer piece by piece. It is polled only when the connection has
/// room for more.
pub trait BodySource {
    /// The next piece; `None` at the end. An error cuts the connection (HTTP/2: resets the stream).
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>>;

    /// The exact number of bytes still to come, when known. The engine then sends `Content-Length` and
    /// cuts the connection when the source turns out to be shorter or longer.
    fn declared_len(&self) -> Option<u64> {
        None
    }
}

/// The body of an answer cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceFailed {
    /// The upstream went away, or sent broken framing, in the middle.
    #[error("the upstream ended in the middle of its answer")]
    Broken,
    /// The upstream was silent for the idle time-out.
    #[error("the upstream fell silent in the middle of its answer")]
    Idle,
}
