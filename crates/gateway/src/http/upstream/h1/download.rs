//! The body of an answer on its way to the client. Polled only when the client has room, which is all the
//! back-pressure there is; what is left of the request keeps going out meanwhile.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::http::body::{Frame, SourceFailed};
use crate::http::ticks::Deadline;
use crate::http::upstream::pool::Pool;

use super::body::Decoder;
use super::connection::Connection;
use super::settle;
use super::upload::{Stuck, Upload};

/// A body that is not all there yet. Dropping it closes the connection.
#[derive(Debug)]
pub(in crate::http::upstream) struct Download {
    connection: Box<Connection>,
    upload: Upload,
    decoder: Decoder,
    home: Option<Rc<Pool>>,
    idle: Deadline,
    idle_timeout: Duration,
    is_waiting: bool,
}

impl Download {
    /// `idle` is not armed.
    pub(super) fn new(
        (connection, upload): (Box<Connection>, Upload),
        decoder: Decoder,
        home: Option<Rc<Pool>>,
        (idle, idle_timeout): (Deadline, Duration),
    ) -> Self {
        Self { connection, upload, decoder, home, idle, idle_timeout, is_waiting: false }
    }

    /// The exact number of bytes to come, when known.
    pub(in crate::http::upstream) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// There is nothing more to poll: time for [`Download::settle`].
    pub(in crate::http::upstream) fn is_done(&self) -> bool {
        self.decoder.is_done() && !self.decoder.has_trailers()
    }

    /// Gives the connection back.
    pub(in crate::http::upstream) fn settle(self) {
        settle(self.connection, &self.upload, self.home);
    }

    /// The next piece. After an error the connection must be dropped.
    pub(in crate::http::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, SourceFailed>>> {
        let polled = self.poll_piece(cx);
        if polled.is_pending() {
            if !self.is_waiting {
                self.is_waiting = true;
                self.idle.arm(self.idle_timeout);
            }
            if self.idle.poll_due(cx) {
                return Poll::Ready(Some(Err(SourceFailed::Idle)));
            }
        } else if self.is_waiting {
            self.is_waiting = false;
            self.idle.disarm();
        }
        polled.map(Result::transpose)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, SourceFailed>> {
        self.send_on(cx)?;
        loop {
            if let Some(piece) = self.decoder.piece(&mut self.connection.received)? {
                return Poll::Ready(Ok(Some(Frame::Data(piece))));
            }
            if self.decoder.is_done() {
                return Poll::Ready(Ok(self.decoder.take_trailers().map(Frame::Trailers)));
            }
            match ready!(self.connection.poll_receive(cx)) {
                Ok(0) => self.decoder.closed()?,
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(SourceFailed::Broken)),
            }
        }
    }

    /// Goes on sending the request. An upstream that takes no more of it may still answer to the end; a
    /// client whose body fails may not.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), SourceFailed> {
        if self.upload.is_over() {
            return Ok(());
        }
        match self.upload.poll_send(cx, &mut self.connection) {
            Poll::Ready(Err(Stuck::Body(_))) => Err(SourceFailed::Broken),
            Poll::Ready(Err(Stuck::Connection(_))) => {
                self.upload.give_up();
                Ok(())
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}
