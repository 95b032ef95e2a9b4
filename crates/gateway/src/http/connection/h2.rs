//! HTTP/2 towards clients: what the codec does not check, and streams that a client leaves standing.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::Method;
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::request::Parts;

use crate::http::bounds::Bounds;
use crate::http::guard::Malformed;
use crate::http::lane::LaneState;

use super::out_body::Progress;
use super::pace::WritePace;

/// The checks of the HTTP/1 guard that apply to a decoded head (RFC 9113 §8). Connection fields,
/// upper-case names, `TE` and lengths that do not match are refused by the codec with a stream reset.
pub(super) fn check(parts: &Parts, bounds: &Bounds) -> Result<(), Malformed> {
    if parts.headers.len() > bounds.fields_max {
        return Err(Malformed::TooManyFields);
    }
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > bounds.target_bytes_max) {
        return Err(Malformed::TargetTooLong);
    }
    if parts.method == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if parts.method.as_str().bytes().any(|byte| !byte.is_ascii_uppercase() && byte != b'-') {
        return Err(Malformed::Method);
    }
    host(parts)?;
    fields(parts)
}

fn host(parts: &Parts) -> Result<(), Malformed> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::HostRepeated);
    }
    match (parts.uri.authority(), host) {
        (None, None) => Err(Malformed::HostMissing),
        (Some(authority), _) if authority.as_str().contains('@') => Err(Malformed::HostInvalid),
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Malformed::HostMismatch)
        }
        _ => Ok(()),
    }
}

fn fields(parts: &Parts) -> Result<(), Malformed> {
    for (name, value) in &parts.headers {
        if matches!(name.as_str(), "content_length" | "transfer_encoding") {
            return Err(Malformed::FramingLookAlike);
        }
        if value.as_bytes().iter().any(|&byte| byte >= 0x80) {
            return Err(Malformed::NotAscii);
        }
    }
    if parts.headers.get_all(TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(Malformed::ConnectionField);
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        if lengths.next().is_some() {
            return Err(Malformed::LengthRepeated);
        }
        let digits = length.as_bytes();
        if !matches!(digits, [b'0'] | [b'1'..=b'9', ..]) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Malformed::LengthInvalid);
        }
    }
    Ok(())
}

/// Runs the streams of one connection as tasks of the lane, and ends one whose client takes too little of its
/// answer ([`WritePace`]): it would hold an upstream connection for ever.
#[derive(Debug)]
pub(super) struct Streams {
    lane: Rc<LaneState>,
    /// Handed from the service to the task that the codec starts right after calling it.
    begun: RefCell<Option<Rc<Progress>>>,
}

impl Streams {
    pub(super) fn new(lane: &Rc<LaneState>) -> Rc<Self> {
        Rc::new(Self { lane: Rc::clone(lane), begun: RefCell::new(None) })
    }

    pub(super) fn begin(&self) -> Rc<Progress> {
        let progress = Rc::new(Progress::default());
        *self.begun.borrow_mut() = Some(Rc::clone(&progress));
        progress
    }
}

/// The codec's executor.
#[derive(Clone, Debug)]
pub(super) struct Executor(pub(super) Rc<Streams>);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        let progress = self.0.begun.borrow_mut().take();
        match progress {
            None => tokio::task::spawn_local(stream),
            Some(progress) => tokio::task::spawn_local(Watched {
                stream: Box::pin(stream),
                progress,
                taken: 0,
                pace: WritePace::default(),
                lane: Rc::clone(&self.0.lane),
            }),
        };
    }
}

/// A client is slow that has let bytes wait for this part of the time that it may.
const SLOW_PART: u8 = 64;

struct Watched<F> {
    stream: Pin<Box<F>>,
    progress: Rc<Progress>,
    /// Bytes that the client had taken when it was looked at last.
    taken: u64,
    pace: WritePace,
    lane: Rc<LaneState>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let (progress, pace, lane) = (&this.progress, &mut this.pace, &this.lane);
        let slow_ms = lane.bounds.write_idle.as_millis() / u128::from(SLOW_PART);
        progress.is_slow.set(u128::from(pace.waited_ms(lane)) > slow_ms);
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let taken = progress.taken();
        if taken > this.taken {
            pace.took(taken - this.taken, lane);
            this.taken = taken;
        }
        if !progress.begun.get() || progress.starved.get() {
            pace.rest(lane);
            return Poll::Pending;
        }
        // Dropping the stream resets it.
        if pace.poll_overdue(cx, progress.on_their_way(), lane) { Poll::Ready(()) } else { Poll::Pending }
    }
}
