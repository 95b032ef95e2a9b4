//! One HTTP/1 connection's socket with what was read from it and what is to be written to it.
//!
//! The connection's task, the body of the request and nobody else share it. Invariants: a head is handed
//! out only whole and accepted; of a body exactly its bytes are handed out, whoever asks; bytes behind a
//! request stay here until it is answered. While a connection rests it holds no buffer.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::http::buffers;
use crate::http::guard::chunked::{ChunkScan, Piece};
use crate::http::guard::head::{Accepted, Framing, HeadScan};
use crate::http::guard::{HeadBounds, Malformed};
use crate::http::lane::LaneState;
use crate::http::raw::RawFields;
use crate::http::stream::Stream;

use super::super::pace::WritePace;

/// Room for one read of a head; a usual head fits.
const HEAD_READ_BYTES: usize = 4 * 1024;
/// Room for one read of a body: grows with what is still to come, up to this.
const BODY_READ_BYTES: usize = 64 * 1024;
/// What a client may send ahead while it is being answered.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// A piece of an answer up to this size is copied behind the head; a larger one is written from where it is.
const COPY_BYTES_MAX: usize = 8 * 1024;
/// No more is gathered for one write than this and one piece.
const GATHER_BYTES: usize = 16 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What comes next on a connection.
#[derive(Debug)]
pub(super) enum Next {
    /// A request: its head, and whether it is well formed is settled.
    Head(Accepted, RawFields),
    /// A head that must not be believed; nothing behind it can be.
    Refused(Malformed),
    /// The client is gone.
    End,
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum BodyFault {
    Malformed(Malformed),
    Gone,
}

/// What is still to come of the present request's body.
#[derive(Debug)]
enum Body {
    Ended,
    Length(u64),
    Chunked(ChunkScan),
    Broken(BodyFault),
}

/// See the module.
#[derive(Debug)]
pub(in crate::http) struct Io {
    lane: Rc<LaneState>,
    bounds: HeadBounds,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// `None` once the connection was given away or is over.
    stream: Option<Stream>,
    input: BytesMut,
    /// The client sends nothing more.
    is_over: bool,
    head: HeadScan,
    body: Body,
    /// The client waits for a 100 before it sends the body.
    owes_continue: bool,
    output: Vec<u8>,
    /// How much of `output` is written.
    written: usize,
    /// Written after `output`, and `behind` after it.
    large: Bytes,
    behind: &'static [u8],
    pace: WritePace,
}

impl Io {
    /// `ahead` was read from `stream` already.
    pub(super) fn new(stream: Stream, ahead: &[u8], lane: &Rc<LaneState>) -> Rc<Self> {
        let inner = Inner {
            stream: Some(stream),
            input: BytesMut::from(ahead),
            is_over: false,
            head: HeadScan::default(),
            body: Body::Ended,
            owes_continue: false,
            output: Vec::new(),
            written: 0,
            large: Bytes::new(),
            behind: &[],
            pace: WritePace::default(),
        };
        Rc::new(Self {
            lane: Rc::clone(lane),
            bounds: HeadBounds::from(&lane.bounds),
            inner: RefCell::new(inner),
        })
    }

    pub(in crate::http) fn lane(&self) -> &Rc<LaneState> {
        &self.lane
    }

    /// Reads the next head. The body of the request before it must have been read.
    pub(super) fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            if !inner.input.is_empty() {
                match inner.head.advance(&inner.input, &self.bounds) {
                    Ok(None) => {}
                    Ok(Some(accepted)) => return Poll::Ready(inner.take_head(accepted)),
                    Err(why) => return Poll::Ready(Next::Refused(why)),
                }
            }
            if inner.is_over {
                return Poll::Ready(Next::End);
            }
            ready!(inner.poll_fill(cx, HEAD_READ_BYTES));
        }
    }

    /// Whether the beginning of a head is here.
    pub(super) fn has_begun(&self) -> bool {
        !self.inner.borrow().input.is_empty()
    }

    /// Gives back what a resting connection does not need.
    pub(super) fn rest(&self) {
        let inner = &mut *self.inner.borrow_mut();
        if inner.input.is_empty() {
            inner.input = BytesMut::new();
        }
        inner.give_output();
    }

    /// The next piece of the present body; `None` at its end.
    pub(in crate::http) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        let inner = &mut *self.inner.borrow_mut();
        loop {
            match inner.body_piece(&self.bounds) {
                Ok(Found::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Found::End) => return Poll::Ready(None),
                Ok(Found::More) => {}
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
            if inner.is_over {
                inner.body = Body::Broken(BodyFault::Gone);
                continue;
            }
            if std::mem::take(&mut inner.owes_continue) {
                inner.output().extend_from_slice(CONTINUE);
            }
            if !inner.output.is_empty() && matches!(inner.poll_flush(cx, &self.lane), Poll::Ready(Err(_))) {
                inner.is_over = true;
                continue;
            }
            let room = inner.body_room();
            ready!(inner.poll_fill(cx, room));
        }
    }

    /// Whether the present body was read to its end.
    pub(in crate::http) fn is_body_ended(&self) -> bool {
        matches!(self.inner.borrow().body, Body::Ended)
    }

    /// Bytes still to come of the present body, when the client has said so.
    pub(in crate::http) fn body_len(&self) -> Option<u64> {
        match self.inner.borrow().body {
            Body::Ended => Some(0),
            Body::Length(left) => Some(left),
            Body::Chunked(_) | Body::Broken(_) => None,
        }
    }

    /// Whether the client went away while it is being answered. What it sends ahead is read, within bounds.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> bool {
        let inner = &mut *self.inner.borrow_mut();
        // Whoever reads the body finds out.
        while matches!(inner.body, Body::Ended) && inner.input.len() < AHEAD_BYTES_MAX && !inner.is_over {
            if inner.poll_fill(cx, HEAD_READ_BYTES).is_pending() {
                break;
            }
        }
        inner.is_over
    }

    /// Adds to what is to be written, behind all that was added before.
    pub(super) fn write(&self, with: impl FnOnce(&mut Vec<u8>)) {
        with(self.inner.borrow_mut().output());
    }

    /// Adds a piece of a body, framed as a chunk if wished. There must be room ([`Io::has_room`]).
    pub(super) fn write_piece(&self, data: Bytes, is_chunk: bool) {
        if data.is_empty() {
            // An empty chunk would end the body.
            return;
        }
        let inner = &mut *self.inner.borrow_mut();
        if is_chunk {
            let output = inner.output();
            push_hex(output, data.len());
            output.extend_from_slice(b"\r\n");
        }
        let behind: &[u8] = if is_chunk { b"\r\n" } else { b"" };
        if data.len() <= COPY_BYTES_MAX {
            let output = inner.output();
            output.extend_from_slice(&data);
            output.extend_from_slice(behind);
        } else {
            inner.large = data;
            inner.behind = behind;
        }
    }

    /// Whether another piece may be added before all is written.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.inner.borrow();
        inner.large.is_empty() && inner.behind.is_empty() && inner.output.len() < GATHER_BYTES
    }

    /// The answer begins: an interim answer would come too late.
    pub(super) fn begin_answer(&self) {
        self.inner.borrow_mut().owes_continue = false;
    }

    /// Writes all that was added.
    ///
    /// # Errors
    /// When the client is gone or takes too little for too long.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.borrow_mut().poll_flush(cx, &self.lane)
    }

    /// Ends the connection here: the stream, and what was read from it and not used.
    pub(super) fn take_stream(&self) -> Option<(Stream, Bytes)> {
        let inner = &mut *self.inner.borrow_mut();
        inner.is_over = true;
        inner.stream.take().map(|stream| (stream, std::mem::take(&mut inner.input).freeze()))
    }
}

enum Found {
    Data(Bytes),
    More,
    End,
}

impl Inner {
    /// Where to add what is to be written.
    fn output(&mut self) -> &mut Vec<u8> {
        if self.output.capacity() == 0 {
            self.output = buffers::take();
        }
        &mut self.output
    }

    /// Nothing is left to be written.
    fn give_output(&mut self) {
        buffers::give(std::mem::take(&mut self.output));
        self.written = 0;
    }

    fn take_head(&mut self, accepted: Accepted) -> Next {
        self.head = HeadScan::default();
        self.body = match accepted.framing {
            Framing::None | Framing::Upgrade => Body::Ended,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(ChunkScan::default()),
        };
        self.owes_continue = accepted.expects_continue && self.input.len() == accepted.len;
        let mut accepted = accepted;
        let places = std::mem::take(&mut accepted.places);
        // Usually all that was read: taking it as a whole needs no counting of who shares it.
        let head = match self.input.len() == accepted.len {
            true => std::mem::take(&mut self.input),
            false => self.input.split_to(accepted.len),
        };
        let fields = RawFields::received(head, places);
        Next::Head(accepted, fields)
    }

    /// Takes from what was read.
    fn body_piece(&mut self, bounds: &HeadBounds) -> Result<Found, BodyFault> {
        match &mut self.body {
            Body::Ended => Ok(Found::End),
            Body::Broken(fault) => Err(*fault),
            Body::Length(_) | Body::Chunked(_) if self.input.is_empty() => Ok(Found::More),
            Body::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
                *left -= len as u64;
                if *left == 0 {
                    self.body = Body::Ended;
                }
                Ok(Found::Data(self.input.split_to(len).freeze()))
            }
            Body::Chunked(scan) => {
                let (taken, piece) = scan.next(&self.input, bounds);
                match piece {
                    Ok(Piece::Data { len }) => {
                        self.input.advance(taken - len);
                        Ok(Found::Data(self.input.split_to(len).freeze()))
                    }
                    Ok(Piece::More) => {
                        self.input.clear();
                        Ok(Found::More)
                    }
                    Ok(Piece::End) => {
                        self.input.advance(taken);
                        self.body = Body::Ended;
                        Ok(Found::End)
                    }
                    Err(why) => {
                        let fault = BodyFault::Malformed(why);
                        self.body = Body::Broken(fault);
                        Err(fault)
                    }
                }
            }
        }
    }

    /// A small body is read into little room; a large one in large pieces.
    fn body_room(&self) -> usize {
        match self.body {
            Body::Length(left) => {
                usize::try_from(left).unwrap_or(usize::MAX).clamp(HEAD_READ_BYTES, BODY_READ_BYTES)
            }
            _ => BODY_READ_BYTES / 4,
        }
    }

    /// Reads once. Ready also when that shows that nothing more will come.
    fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<()> {
        let Some(stream) = &mut self.stream else {
            self.is_over = true;
            return Poll::Ready(());
        };
        let read = if room < buffers::READ_BYTES {
            buffers::poll_read(Pin::new(stream), cx, (&mut self.input, room))
        } else {
            // Asked first, so that a connection that waits needs no buffer.
            if let Stream::Plain(tcp) = stream {
                let _ = ready!(tcp.poll_read_ready(cx));
            }
            self.input.reserve(room);
            pin!(stream.read_buf(&mut self.input)).poll(cx)
        };
        if read.is_pending() && self.input.is_empty() {
            // It may hold on to the head that was taken out of it.
            self.input = BytesMut::new();
        }
        if !matches!(ready!(read), Ok(1..)) {
            self.is_over = true;
        }
        Poll::Ready(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, lane: &LaneState) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let rest = self.output.get(self.written..).unwrap_or_default();
            let wrote = match (rest.is_empty(), self.large.is_empty() && self.behind.is_empty()) {
                (true, true) => Pin::new(&mut *stream).poll_flush(cx).map_ok(|()| 0),
                (false, true) => Pin::new(&mut *stream).poll_write(cx, rest),
                _ => {
                    let parts = [IoSlice::new(rest), IoSlice::new(&self.large), IoSlice::new(self.behind)];
                    Pin::new(&mut *stream).poll_write_vectored(cx, &parts)
                }
            };
            let Poll::Ready(wrote) = wrote else {
                return match self.pace.poll_overdue(cx, 0, lane) {
                    true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    false => Poll::Pending,
                };
            };
            self.pace.took(wrote.as_ref().map_or(0, |len| *len as u64), lane);
            let is_done = rest.is_empty() && self.large.is_empty() && self.behind.is_empty();
            match wrote {
                Ok(_) if is_done => {
                    self.give_output();
                    return Poll::Ready(Ok(()));
                }
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(len) => {
                    advance(len, (&mut self.written, self.output.len()), &mut self.large, &mut self.behind)
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Counts `len` bytes as written, first of the output, then of what stands behind it.
fn advance(
    len: usize,
    (written, output_len): (&mut usize, usize),
    large: &mut Bytes,
    behind: &mut &'static [u8],
) {
    let of_output = len.min(output_len - *written);
    *written += of_output;
    let of_large = (len - of_output).min(large.len());
    large.advance(of_large);
    if large.is_empty() {
        *large = Bytes::new();
    }
    *behind = behind.get(len - of_output - of_large..).unwrap_or_default();
}

/// A chunk size.
fn push_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
}
