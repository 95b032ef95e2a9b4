//! A request on its way out: its head and then its body, as fast as the client sends and the upstream takes.
//!
//! Invariants: with a declared length exactly so many bytes go out, or the request never ends; trailers of a
//! request end here, because a server that folds them into the head could be fed identity fields with them
//! (reliability §7.1).

use std::io::{self, Write};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::http::body::{BodyError, Frame, RequestBody};
use crate::http::buffers;

use super::connection::Connection;
use super::request::Framing;

/// Pieces up to this size are copied behind what is to be sent before them; larger ones are sent from where
/// they are.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Why a request could not be sent to its end.
#[derive(Debug)]
pub(super) enum Stuck {
    /// The client's body failed.
    Body(BodyError),
    /// The connection failed.
    Connection(io::Error),
}

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Upload {
    /// To be sent, from `sent` on; then `piece`, then `tail`.
    out: Vec<u8>,
    sent: usize,
    piece: Bytes,
    tail: &'static [u8],
    body: RequestBody,
    framing: Framing,
    state: State,
    /// Waiting for the client's next bytes.
    starved: bool,
    /// Pieces taken from the body.
    pieces: u64,
    has_sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There may be more of the body.
    Body,
    /// All of the body was taken.
    Ended,
    /// All was sent.
    Over,
    /// The upstream does not take the rest.
    GivenUp,
}

impl Upload {
    pub(super) fn new(head: Vec<u8>, body: RequestBody, framing: Framing) -> Self {
        let state = if framing == Framing::None { State::Ended } else { State::Body };
        Self {
            out: head,
            sent: 0,
            piece: Bytes::new(),
            tail: b"",
            body,
            framing,
            state,
            starved: false,
            pieces: 0,
            has_sent: false,
        }
    }

    /// Nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over | State::GivenUp)
    }

    /// The upstream has been sent the whole request.
    pub(super) fn is_complete(&self) -> bool {
        match self.state {
            State::Over => true,
            State::Body => self.framing == Framing::Length(0) && self.first().is_empty(),
            State::Ended | State::GivenUp => false,
        }
    }

    /// Some byte of the request left.
    pub(super) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// How far the body is; `None` while the upstream waits for the client.
    pub(super) fn pace(&self) -> Option<u64> {
        let waits = self.starved && self.framing != Framing::Length(0);
        (!waits).then_some(self.pieces)
    }

    /// Gives the body back.
    pub(super) fn into_body(self) -> RequestBody {
        self.body
    }

    /// The upstream takes no more; it may still answer.
    pub(super) fn give_up(&mut self) {
        self.starved = false;
        self.state = State::GivenUp;
    }

    /// Sends until all is sent.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Stuck>> {
        while !self.is_over() {
            self.gather(cx).map_err(Stuck::Body)?;
            if self.first().is_empty() {
                let flushed = connection.poll_flush(cx).map_err(Stuck::Connection)?;
                if self.state == State::Body {
                    return Poll::Pending;
                }
                ready!(flushed);
                self.state = State::Over;
                buffers::give(std::mem::take(&mut self.out));
                break;
            }
            let parts = self.parts();
            let sent = ready!(connection.poll_send(cx, parts)).map_err(Stuck::Connection)?;
            self.has_sent = true;
            self.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what there is of the body, as long as it is little.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        // What stands behind a large piece goes out before anything else is added.
        let is_clear = |upload: &Self| upload.piece.is_empty() && upload.tail.is_empty();
        while self.state == State::Body && is_clear(self) && self.out.len() < COPIED_BYTES_MAX {
            let polled = self.body.poll_frame(cx);
            self.starved = polled.is_pending();
            let Poll::Ready(frame) = polled else { break };
            self.pieces += 1;
            match frame.transpose()? {
                Some(Frame::Data(data)) => {
                    self.frame(data)?;
                    if self.body.is_end() {
                        self.end()?;
                    }
                }
                Some(Frame::Trailers(_)) | None => self.end()?,
            }
        }
        Ok(())
    }

    fn frame(&mut self, data: Bytes) -> Result<(), BodyError> {
        let is_chunked = self.framing == Framing::Chunked;
        match &mut self.framing {
            Framing::Chunked => {
                // Writing to a `Vec` does not fail.
                let _ = write!(self.out, "{:x}\r\n", data.len());
            }
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(BodyError::Disconnected)?;
            }
            Framing::None => return Err(BodyError::Disconnected),
        }
        if data.len() <= COPIED_BYTES_MAX {
            self.out.extend_from_slice(&data);
            if is_chunked {
                self.out.extend_from_slice(b"\r\n");
            }
        } else {
            self.piece = data;
            self.tail = if is_chunked { b"\r\n" } else { b"" };
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyError> {
        self.state = State::Ended;
        match self.framing {
            Framing::Length(1..) => return Err(BodyError::Disconnected),
            Framing::Chunked if self.piece.is_empty() => self.out.extend_from_slice(b"0\r\n\r\n"),
            Framing::Chunked => self.tail = b"\r\n0\r\n\r\n",
            Framing::Length(0) | Framing::None => {}
        }
        Ok(())
    }

    /// What is to be sent, in order, without gaps.
    fn parts(&self) -> [&[u8]; 3] {
        let out = self.out.get(self.sent..).unwrap_or_default();
        match (out, &*self.piece) {
            ([], []) => [self.tail, b"", b""],
            ([], piece) => [piece, self.tail, b""],
            (out, piece) => [out, piece, self.tail],
        }
    }

    fn first(&self) -> &[u8] {
        self.parts()[0]
    }

    fn advance(&mut self, mut sent: usize) {
        let of_out = sent.min(self.out.len() - self.sent);
        self.sent += of_out;
        sent -= of_out;
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        let of_piece = sent.min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail = self.tail.get(sent - of_piece..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes out when the connection takes `most` bytes at a time.
    fn sent(body: &[u8], framing: Framing, most: usize) -> Result<Vec<u8>, BodyError> {
        let body = RequestBody::from_bytes(Bytes::copy_from_slice(body));
        let mut upload = Upload::new(b"head ".to_vec(), body, framing);
        let mut there = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            upload.gather(&mut cx)?;
            let whole = upload.parts().concat();
            if whole.is_empty() {
                return Ok(there);
            }
            let some = whole.len().min(most);
            there.extend_from_slice(&whole[..some]);
            upload.advance(some);
        }
    }

    #[test]
    fn a_body_is_framed_the_same_however_much_the_socket_takes() {
        for len in [1, 100, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 100_000] {
            let body: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let chunked = [format!("head {len:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            for most in [1, 7, 4096, usize::MAX] {
                assert!(sent(&body, Framing::Chunked, most).unwrap() == chunked, "{len} {most}");
                let plain = sent(&body, Framing::Length(len as u64), most).unwrap();
                assert!(plain == [b"head ", &*body].concat(), "{len} {most}");
            }
        }
    }

    /// What goes out of a chunked body that comes in `pieces`, when the connection takes first `cut` bytes
    /// and then all.
    fn sent_in_pieces(pieces: &[&[u8]], cut: usize) -> Vec<u8> {
        let mut upload = Upload::new(Vec::new(), RequestBody::empty(), Framing::Chunked);
        let mut there = Vec::new();
        let mut pieces = pieces.iter();
        let mut most = cut;
        loop {
            while upload.state == State::Body && upload.piece.is_empty() && upload.tail.is_empty() {
                match pieces.next() {
                    Some(piece) => upload.frame(Bytes::copy_from_slice(piece)).unwrap(),
                    None => upload.end().unwrap(),
                }
            }
            let whole = upload.parts().concat();
            if whole.is_empty() {
                return there;
            }
            let some = whole.len().min(most);
            most = usize::MAX;
            there.extend_from_slice(&whole[..some]);
            upload.advance(some);
        }
    }

    #[test]
    fn large_pieces_keep_their_ends_wherever_the_socket_stops() {
        let (large, small) = (vec![b'l'; COPIED_BYTES_MAX + 1], b"small".as_slice());
        let head = format!("{:x}\r\n", large.len());
        let framed = [head.as_bytes(), &large, b"\r\n"].concat();
        let whole = [&framed[..], &framed, b"5\r\nsmall\r\n", &framed, b"0\r\n\r\n"].concat();
        let ends = framed.len() - 4..framed.len() + 3;
        for cut in [1, 5].into_iter().chain(ends) {
            let sent = sent_in_pieces(&[&large, &large, small, &large], cut);
            assert!(sent == whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_that_is_not_as_long_as_declared_never_ends_as_if_it_were() {
        for declared in [2, 4] {
            assert_eq!(sent(b"abc", Framing::Length(declared), 9), Err(BodyError::Disconnected));
        }
    }
}
