//! HTTP/1.1 towards an upstream, without a task and without a header map.
//!
//! `connection` is the socket; `request` and `upload` write what goes out; `head`, `framing`, `chunks`
//! and `body` read what comes in, as pure functions of bytes; `download` gives the body to the client. This file joins them:
//! one [`Call`] is one request on one connection, and it is over when its connection goes back to the pool
//! or is closed.
//!
//! Invariants: no byte of one answer is ever read as part of another: a connection goes back only when the
//! request was sent and the answer read to their ends and nothing was received behind it. Nothing is sent
//! twice.

mod body;
mod chunks;
mod connection;
mod dissect;
mod download;
mod framing;
mod head;
mod request;
mod upload;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::http::answer::AnswerHead;
use crate::http::body::RequestBody;
use crate::http::ticks::Deadline;

pub(super) use self::connection::Connection;
pub use self::dissect::{Dissected, Ending, dissect};
pub(super) use self::download::Download;

use self::body::Decoder;
use self::head::{Asked, Head, HeadReader};
use self::request::Framing;
use self::upload::{Stuck, Upload};

use super::body::{BodyState, UpstreamBody};
use super::pool::Pool;
use super::{Origin, UpstreamAnswer, UpstreamError, UpstreamErrorKind, UpstreamRequest};

/// Sends `request` on `connection`, which may go to `pool` when both bodies have ended if `is_kept`.
pub(super) async fn send(
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    connection: Box<Connection>,
    (pool, is_kept): (Rc<Pool>, bool),
) -> Result<UpstreamAnswer, UpstreamError> {
    let mut call = Call::new(origin, request, connection, &pool);
    match poll_fn(|cx| call.poll_head(cx)).await {
        Ok(head) => {
            let home = Some(pool).filter(|_| is_kept && head.keeps);
            Ok(call.into_answer(head, home, request.timeouts.body_idle))
        }
        Err(error) => {
            call.give_back(request);
            Err(error)
        }
    }
}

/// One request on one connection, until the head of its answer is there.
#[derive(Debug)]
struct Call {
    connection: Box<Connection>,
    upload: Upload,
    reader: HeadReader,
    /// When the upstream's time for the head is up.
    due: Deadline,
    limit: Duration,
    /// How far the upload was when the clock was last started.
    pace: u64,
    is_armed: bool,
}

impl Call {
    /// Takes the body out of `request`, or copies it where that needs no reading.
    fn new(
        origin: &Origin,
        request: &mut UpstreamRequest<'_>,
        connection: Box<Connection>,
        pool: &Pool,
    ) -> Self {
        let framing = Framing::of(&request.body);
        let head = request::head(origin, request, framing);
        let body = match request.body.replica() {
            Some(copy) => copy,
            None => std::mem::replace(&mut request.body, RequestBody::used_up()),
        };
        let asked = Asked { head_only: request.head.method() == "HEAD", upgrade: request.upgrade.is_some() };
        Self {
            connection,
            upload: Upload::new(head, body, framing),
            reader: HeadReader::new(asked, pool.bounds.head_bytes_max),
            due: Deadline::new(&pool.ticks),
            limit: request.timeouts.response_head,
            pace: 0,
            is_armed: false,
        }
    }

    /// Sends, and receives the head of the answer, both at once: an upstream may answer before it has read
    /// the whole request, and also when it does not take the rest of it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, UpstreamError>> {
        let polled = self.poll_exchange(cx);
        if polled.is_pending() && self.is_overdue(cx) {
            return Poll::Ready(Err(UpstreamError::sent(UpstreamErrorKind::ResponseTimeout)));
        }
        polled
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, UpstreamError>> {
        if !self.upload.is_over()
            && let Poll::Ready(Err(stuck)) = self.upload.poll_send(cx, &mut self.connection)
        {
            match stuck {
                Stuck::Body(error) => return self.failed(UpstreamErrorKind::RequestBody(error)),
                // What comes now was not an answer to this request.
                Stuck::Connection(_) if !self.upload.has_sent() => {
                    return self.failed(UpstreamErrorKind::Reset);
                }
                Stuck::Connection(error) => {
                    tracing::debug!(%error, "an upstream does not take the rest of a request");
                    self.upload.give_up();
                }
            }
        }
        loop {
            match ready!(self.connection.poll_receive(cx)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return self.failed(UpstreamErrorKind::Reset),
            }
            match self.reader.advance(&mut self.connection.received) {
                Ok(None) => {}
                Ok(Some(head)) if head.switches_protocol() && !self.upload.is_complete() => {
                    let problem = "it changed the protocol before it had the whole request";
                    return self.failed(UpstreamErrorKind::Garbage(problem.to_owned()));
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(problem) => return self.failed(UpstreamErrorKind::Garbage(problem.to_owned())),
            }
        }
    }

    fn failed(&self, kind: UpstreamErrorKind) -> Poll<Result<Head, UpstreamError>> {
        Poll::Ready(Err(UpstreamError { kind, nothing_sent: !self.upload.has_sent() }))
    }

    /// The clock runs while the upstream has the turn: not while the request's body is still coming from the
    /// client, and anew whenever a piece of it was taken.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_armed {
            self.is_armed = true;
            self.due.arm(self.limit);
        }
        if !self.due.poll_due(cx) {
            return false;
        }
        match self.upload.pace() {
            Some(pace) if pace == self.pace => return true,
            pace => self.pace = pace.unwrap_or(self.pace),
        }
        self.due.arm(self.limit);
        self.due.poll_due(cx)
    }

    /// After a failure: gives the body back, if nothing was read from it.
    fn give_back(self, request: &mut UpstreamRequest<'_>) {
        let body = self.upload.into_body();
        if body.is_untouched() && !request.body.is_untouched() {
            request.body = body;
        }
    }

    /// The answer whose head has come. `home` is where the connection goes when all is done.
    fn into_answer(self, head: Head, home: Option<Rc<Pool>>, idle_timeout: Duration) -> UpstreamAnswer {
        let mut answer = AnswerHead::new(head.status);
        answer.length_of_head = head.length_of_head;
        let switches = head.switches_protocol();
        answer.came = head.fields;
        if switches {
            let tunnel = Some(self.connection.into_tunnel());
            return UpstreamAnswer { head: answer, body: UpstreamBody(BodyState::Ended), tunnel };
        }
        let Self { mut connection, upload, due, .. } = self;
        let mut decoder = Decoder::new(head.framing);
        let body = match decoder.left() {
            // The whole body is here, so the connection is free already.
            Some(left) if left <= connection.received.len() as u64 => {
                let whole = decoder.piece(&mut connection.received).ok().flatten();
                settle(connection, &upload, home);
                whole.map_or(BodyState::Ended, BodyState::Whole)
            }
            left => {
                due.disarm();
                if let Some(left) = left {
                    connection.expect(left - connection.received.len() as u64);
                }
                let download = Download::new((connection, upload), decoder, home, (due, idle_timeout));
                BodyState::Http1(Box::new(download))
            }
        };
        UpstreamAnswer { head: answer, body: UpstreamBody(body), tunnel: None }
    }
}

/// The answer was read to its end: the connection goes home, if the request was sent to its end as well and
/// nothing came behind the answer.
fn settle(mut connection: Box<Connection>, upload: &Upload, home: Option<Rc<Pool>>) {
    if let Some(pool) = home
        && upload.is_complete()
        && connection.received.is_empty()
    {
        connection.rest();
        pool.give_back(connection);
    }
}
