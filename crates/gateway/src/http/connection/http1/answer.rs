//! Writes answers: head, framing, body, in as few writes as they come in pieces.
//!
//! Framing is made here from what is known of the body: a length, else chunks, else (HTTP/1.0) the end of
//! the connection (RFC 9112 §6). The finish hook has run before the last byte is added to a write.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tollgate_wire::text::push_number;

use crate::http::body::Frame;
use crate::http::field::Fields;
use crate::http::lane::LaneState;
use crate::http::raw::push_line;

use super::super::out_body::{Cut, OutBody};
use super::super::respond::Prepared;
use super::super::tunnel::TunnelJob;
use super::How;
use super::io::Io;

/// A usual head with its identity and rate fields, and a small body.
const OUTPUT_BYTES_USUAL: usize = 1024;

/// What follows an answer that is out.
pub(super) enum Sent {
    Keep,
    Close,
    Tunnel(TunnelJob),
}

/// Sends one answer.
pub(super) async fn send(io: &Io, prepared: Prepared, how: How) -> Result<Sent, Cut> {
    let Prepared { head, body, length_told, close, is_bodyless, switch, .. } = prepared;
    let framing = match (&switch, body.left()) {
        (Some(_), _) => Framing::None,
        _ if is_bodyless => length_told.map_or(Framing::None, Framing::Length),
        (None, Some(left)) => Framing::Length(left),
        (None, None) if how.is_http10 => Framing::UntilClose,
        (None, None) => Framing::Chunked,
    };
    let closes = close || framing == Framing::UntilClose;
    io.begin_answer();
    io.write(|out| {
        out.reserve(OUTPUT_BYTES_USUAL);
        let version: &[u8] = if how.is_http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        out.extend_from_slice(version);
        write_status(out, head.status());
        head.push_lines(out);
        if head.header("date").is_none() {
            push_line(out, b"date", &io.lane().date());
        }
        framing.write(out);
        match &switch {
            Some((protocol, _)) => {
                push_line(out, b"connection", b"upgrade");
                push_line(out, b"upgrade", protocol.as_bytes());
            }
            None if closes => push_line(out, b"connection", b"close"),
            None if how.is_http10 => push_line(out, b"connection", b"keep-alive"),
            None => {}
        }
        out.extend_from_slice(b"\r\n");
    });
    let mut sending = Sending { io, body, is_chunked: framing == Framing::Chunked, how, is_done: false };
    let outcome = poll_fn(|cx| sending.poll(cx)).await;
    if outcome.is_err() {
        // What was there before the break may still go out; the client then sees how far it came.
        poll_fn(|cx| {
            let _ = io.poll_flush(cx);
            Poll::Ready(())
        })
        .await;
    }
    outcome?;
    Ok(match switch {
        Some((_, job)) => Sent::Tunnel(job),
        None if closes => Sent::Close,
        None => Sent::Keep,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::None | Self::UntilClose => {}
            Self::Length(length) => {
                out.extend_from_slice(b"content-length: ");
                push_number(out, length);
                out.extend_from_slice(b"\r\n");
            }
            Self::Chunked => push_line(out, b"transfer-encoding", b"chunked"),
        }
    }
}

struct Sending<'a> {
    io: &'a Io,
    body: OutBody,
    is_chunked: bool,
    how: How,
    /// All of the body was added to what is written.
    is_done: bool,
}

impl Sending<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cut>> {
        loop {
            let is_starved = self.gather(cx)?;
            ready!(self.io.poll_flush(cx)).map_err(|_| Cut::Client)?;
            if self.is_done {
                return Poll::Ready(Ok(()));
            }
            if is_starved {
                return if self.io.poll_gone(cx) { Poll::Ready(Err(Cut::Client)) } else { Poll::Pending };
            }
        }
    }

    /// Takes pieces of the body while there are some and there is room; whether it waits for more.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, Cut> {
        while !self.is_done && self.io.has_room() {
            if self.body.is_end() {
                self.end(None);
                break;
            }
            match self.body.poll_piece(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(None) => self.end(None),
                Poll::Ready(Some(piece)) => match piece? {
                    Frame::Data(data) => self.io.write_piece(data, self.is_chunked),
                    Frame::Trailers(trailers) => self.end(Some(trailers)),
                },
            }
        }
        Ok(false)
    }

    fn end(&mut self, trailers: Option<Fields>) {
        self.is_done = true;
        if !self.is_chunked {
            return;
        }
        self.io.write(|out| {
            out.extend_from_slice(b"0\r\n");
            // A client that did not ask for them may take them for something else (RFC 9110 §6.5.1).
            if let Some(trailers) = trailers.filter(|_| self.how.accepts_trailers) {
                for (name, value) in trailers.iter() {
                    push_line(out, name.as_bytes(), value);
                }
            }
            out.extend_from_slice(b"\r\n");
        });
    }
}

fn write_status(out: &mut Vec<u8>, status: u16) {
    push_number(out, u64::from(status));
    out.push(b' ');
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(reason.unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl LaneState {
    /// The time as `Date` says it (RFC 9110 §6.6.1), at most a second and a tick old.
    #[expect(clippy::disallowed_methods, reason = "tells the client the time; decides nothing")]
    fn date(&self) -> [u8; 29] {
        self.date_as_of_tick(|| {
            let mut text = [b' '; 29];
            let written = httpdate::fmt_http_date(std::time::SystemTime::now());
            for (to, from) in text.iter_mut().zip(written.bytes()) {
                *to = from;
            }
            text
        })
    }
}
