//! The guard between socket and codec: reads are scanned in place, heads wait until they are whole.
//!
//! Invariants: the codec sees only accepted bytes, and a head only in one piece after it was accepted;
//! after a refusal it sees one substitute head and then nothing more. A head that arrives in one read is
//! not copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::guard::{HeadBounds, Next, Scanner, Step};
use crate::http::stream::Stream;
use crate::http::ticks::Deadline;

use super::state::{ConnState, Owes, UpgradeWait};

/// Stands for a refused head. Only its place in the order of requests says so; see `ConnState`.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// A client's stream, scanned.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: Stream,
    state: Rc<ConnState>,
    scanner: Option<Scanner>,
    /// Bytes read but not given to the codec: accepted ones first, then the beginning of a head.
    held: Vec<u8>,
    accepted: usize,
    /// `held` has bytes behind the accepted ones that were not scanned yet.
    unscanned: bool,
    end: End,
    write_deadline: Option<Deadline>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    No,
    /// A head was refused: the codec waits in vain for more, so earlier answers keep their order.
    Refused,
    /// A body was broken: reading fails.
    Broken,
}

impl Guarded {
    /// Scans `stream` as HTTP/1; `sniffed` was read from it already.
    pub(super) fn http1(stream: Stream, state: &Rc<ConnState>, sniffed: Vec<u8>) -> Self {
        let scanner = Some(Scanner::new(HeadBounds::from(&state.lane.bounds)));
        let unscanned = !sniffed.is_empty();
        Self { scanner, unscanned, accepted: 0, ..Self::raw(stream, state, sniffed) }
    }

    /// Hands everything on as it is: HTTP/2 and tunnels.
    pub(super) fn raw(stream: Stream, state: &Rc<ConnState>, sniffed: Vec<u8>) -> Self {
        Self {
            stream,
            state: Rc::clone(state),
            scanner: None,
            accepted: sniffed.len(),
            held: sniffed,
            unscanned: false,
            end: End::No,
            write_deadline: None,
        }
    }

    /// After a change of protocol: bytes go through unread.
    pub(super) fn into_raw(self) -> Self {
        let Self { stream, state, held, .. } = self;
        Self::raw(stream, &state, held)
    }

    /// Ready when there is something to read, without reading it. Plain sockets only: elsewhere it is ready
    /// at once.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.stream {
            Stream::Plain(tcp) => tcp.poll_read_ready(cx).map(|_| ()),
            Stream::Tls(_) => Poll::Ready(()),
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self.stream, Stream::Plain(_))
    }

    /// Moves accepted bytes into `buf`; whether there were any.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let len = self.accepted.min(buf.remaining());
        let Some(bytes) = self.held.get(..len).filter(|bytes| !bytes.is_empty()) else {
            return false;
        };
        buf.put_slice(bytes);
        self.held.drain(..len);
        self.accepted -= len;
        if self.held.is_empty() {
            // Idle connections keep no buffer.
            self.held = Vec::new();
        }
        true
    }

    /// Scans what is held behind the accepted bytes (there are none of those when this is called).
    fn scan_held(&mut self) {
        self.unscanned = false;
        let Some(scanner) = &mut self.scanner else { return };
        let step = scanner.advance(&self.held);
        self.accepted = step.accepted;
        self.note(step);
    }

    /// Scans what was just read into `buf` behind `before`, and leaves only accepted bytes there.
    fn scan_fresh(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Some(scanner) = &mut self.scanner else { return };
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let step = scanner.advance(fresh);
        let rest = fresh.get(step.accepted..).unwrap_or_default();
        if !rest.is_empty() {
            self.held.extend_from_slice(rest);
        }
        buf.set_filled(before + step.accepted);
        self.note(step);
    }

    fn note(&mut self, step: Step) {
        self.state.give_heads(step.heads);
        match step.next {
            Next::More => {}
            Next::Upgrade => self.state.ask_upgrade(),
            Next::HeadRefused(why) => {
                self.held.truncate(self.accepted);
                self.held.extend_from_slice(SUBSTITUTE);
                self.accepted = self.held.len();
                self.end = End::Refused;
                self.state.give_refused(why);
            }
            Next::BodyRefused(why) => {
                self.held.truncate(self.accepted);
                self.end = End::Broken;
                self.state.break_body(why);
            }
        }
    }

    /// Nothing to read: what the client owes us now, for whoever watches the time.
    fn owes(&self) -> Owes {
        match &self.scanner {
            Some(scanner) if scanner.is_between_requests() => Owes::Request,
            Some(_) if !self.held.is_empty() && self.end == End::No => Owes::RestOfHead,
            _ => Owes::Nothing,
        }
    }

    fn write_progress(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            if self.write_deadline.take().is_some() {
                self.state.set_write_blocked(false);
            }
            return wrote;
        }
        self.state.set_write_blocked(true);
        let lane = &self.state.lane;
        let deadline = self.write_deadline.get_or_insert_with(|| {
            let deadline = Deadline::new(&lane.ticks);
            deadline.arm(lane.bounds.write_idle);
            deadline
        });
        if deadline.poll_due(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.deliver(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.end {
                End::No => {}
                End::Refused => return Poll::Pending,
                End::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            match this.state.upgrade() {
                UpgradeWait::No => {}
                UpgradeWait::Asked if this.scanner.is_some() => {
                    this.state.wait_for_upgrade(cx);
                    return Poll::Pending;
                }
                UpgradeWait::Asked => {}
                UpgradeWait::Declined => {
                    this.state.resume_after_upgrade();
                    this.scanner.iter_mut().for_each(Scanner::resume);
                    this.unscanned = !this.held.is_empty();
                }
            }
            if this.unscanned {
                this.scan_held();
                continue;
            }
            let before = buf.filled().len();
            let read = Pin::new(&mut this.stream).poll_read(cx, buf);
            this.state.set_owes(if read.is_pending() { this.owes() } else { Owes::Nothing });
            ready!(read)?;
            if buf.filled().len() == before || this.scanner.is_none() {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                this.scan_fresh(buf, before);
                if buf.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
                buf.set_filled(before);
                this.scan_held();
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.write_progress(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.write_progress(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
