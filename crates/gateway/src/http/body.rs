//! Bodies as frames: what a client sends, and what a handler may send back.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::field::Fields;
use super::guard::Malformed;

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

    /// The length in bytes, when known before reading: 0 without a body, `None` for chunked and for HTTP/2
    /// without `content-length`.
    pub fn declared_len(&self) -> Option<u64> {
        match &self.source {
            Source::Empty => Some(0),
            Source::Bytes(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Whether there is nothing (more) to read.
    pub fn is_end(&self) -> bool {
        matches!(self.source, Source::Empty)
    }

    /// Bounds the whole body, what was read already included. Reading past it gives
    /// [`BodyError::TooLarge`].
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] at once when the declared length is already beyond it.
    pub fn limit(&mut self, bytes: u64) -> Result<(), BodyError> {
        match self.declared_len() {
            Some(len) if len > bytes => Err(BodyError::TooLarge { limit_bytes: bytes }),
            _ => Ok(()),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`BodyError`]; nothing can be read after it.
    pub async fn frame(&mut self) -> Option<Result<Frame, BodyError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Reads the whole body, at most `bytes_max` bytes, without trailers.
    ///
    /// # Errors
    /// [`BodyError`]; [`BodyError::TooLarge`] beyond `bytes_max`.
    pub async fn collect(&mut self, bytes_max: u64) -> Result<Bytes, BodyError> {
        self.limit(bytes_max)?;
        let mut whole = Vec::new();
        while let Some(frame) = self.frame().await {
            if let Frame::Data(data) = frame? {
                whole.extend_from_slice(&data);
            }
        }
        Ok(Bytes::from(whole))
    }

    /// Poll form of [`RequestBody::frame`].
    pub fn poll_frame(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Empty => Poll::Ready(None),
            Source::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::Data(bytes)))),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestBody({:?})", self.declared_len())
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
