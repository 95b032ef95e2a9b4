//! An answer on its way to the client, read in passing; and read to its end when the client has left.
//!
//! The body and the account of a call end apart: the engine lets go of one and then of the other. They meet
//! in a [`Flow`]. Whichever comes last goes on: with the record when the answer has ended, else with
//! reading the rest, so that what it used is known.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tollgate_core::counters::Counters;

use super::{
    account::Account,
    bill::{Charged, Terms},
    detached::outlive,
};
use crate::{
    http::{
        answer::FinishRefused,
        body::{BodySource, Frame, SourceFailed},
        field::{FieldValue, Fields},
        upstream::UpstreamBody,
    },
    llm::{usage::UsageReader, usage_chunk::UsageChunkFilter},
    names,
};

/// Bytes of an answer that are read after its client has left.
pub(crate) const REST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where body and account of one answer meet.
pub(crate) struct Flow<C: Counters + 'static> {
    reader: Option<UsageReader>,
    terms: Rc<Terms>,
    is_free: bool,
    charged: Option<Charged>,
    state: State<C>,
}

enum State<C: Counters + 'static> {
    /// Both are there.
    Flowing,
    /// The body was let go before its end.
    Rest(UpstreamBody),
    /// The account was let go before the end of the body.
    Waiting(Box<Account<C>>),
    /// The body has ended, by itself or because the upstream broke off.
    Ended,
}

impl<C: Counters + 'static> Flow<C> {
    /// An answer whose bytes go through `reader`; `is_free` when it costs nothing by itself.
    pub(crate) fn new(reader: UsageReader, terms: Rc<Terms>, is_free: bool) -> Rc<RefCell<Self>> {
        let state = State::Flowing;
        Rc::new(RefCell::new(Self { reader: Some(reader), terms, is_free, charged: None, state }))
    }

    fn feed(&mut self, bytes: &[u8]) {
        if let Some(reader) = &mut self.reader {
            reader.feed(bytes);
        }
    }

    /// What the answer is charged, now that no more of it comes.
    fn charge(&mut self) -> Charged {
        if let Some(reader) = self.reader.take() {
            let reading = reader.finish();
            let charged =
                if self.is_free { self.terms.charge_error(&reading) } else { self.terms.charge(&reading) };
            self.charged = Some(charged);
        }
        self.charged.clone().unwrap_or_default()
    }

    /// The engine is done with the answer: its last byte is about to go out, or never will.
    pub(crate) fn closed(
        flow: &Rc<RefCell<Self>>,
        mut account: Box<Account<C>>,
        aborted: bool,
    ) -> Result<(), FinishRefused> {
        let mut own = flow.borrow_mut();
        if aborted {
            match std::mem::replace(&mut own.state, State::Ended) {
                State::Ended => {}
                State::Rest(rest) => {
                    drop(own);
                    read_rest(flow, account, rest);
                    return Ok(());
                }
                State::Flowing | State::Waiting(_) => {
                    own.state = State::Waiting(account);
                    return Ok(());
                }
            }
        }
        own.state = State::Ended;
        let charged = own.charge();
        drop(own);
        account.charge(charged);
        account.end(aborted)
    }
}

/// Reads what is left of an answer whose client has left.
fn read_rest<C: Counters + 'static>(
    flow: &Rc<RefCell<Flow<C>>>,
    mut account: Box<Account<C>>,
    mut rest: UpstreamBody,
) {
    let (flow, gateway) = (Rc::clone(flow), Rc::clone(account.gateway()));
    outlive(&gateway, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            let Frame::Data(data) = frame else { break };
            read += data.len() as u64;
            flow.borrow_mut().feed(&data);
            if read > REST_BYTES_MAX {
                break;
            }
        }
        let charged = flow.borrow_mut().charge();
        account.charge(charged);
        // Nobody is left to hear a refusal.
        let _ = account.end(true);
    });
}

/// The body of an answer that is read as it passes.
pub(crate) struct Metered<C: Counters + 'static> {
    flow: Rc<RefCell<Flow<C>>>,
    /// What was read before it was known that there is more than is kept.
    ahead: VecDeque<Bytes>,
    upstream: Option<UpstreamBody>,
    /// Takes out what the client did not ask for.
    filter: Option<UsageChunkFilter>,
    /// What is sent when all else has been: the rest of the filter, then the trailers.
    last: Option<Frame>,
}

impl<C: Counters + 'static> Metered<C> {
    /// The body `upstream`, behind what was read `ahead` of it and has gone through the reader already.
    pub(crate) fn new(
        flow: Rc<RefCell<Flow<C>>>,
        ahead: VecDeque<Bytes>,
        upstream: UpstreamBody,
        filter: Option<UsageChunkFilter>,
    ) -> Self {
        Self { flow, ahead, upstream: Some(upstream), filter, last: None }
    }

    fn data(&mut self, data: Bytes) -> Option<Frame> {
        self.flow.borrow_mut().feed(&data);
        let Some(filter) = &mut self.filter else { return Some(Frame::Data(data)) };
        let mut passed = Vec::with_capacity(data.len());
        filter.feed(&data, &mut passed);
        (!passed.is_empty()).then(|| Frame::Data(passed.into()))
    }

    /// The upstream's body has ended: tells what it cost behind it.
    fn end(&mut self, mut trailers: Fields) -> Frame {
        self.upstream = None;
        let mut flow = self.flow.borrow_mut();
        flow.state = State::Ended;
        if let Some((cost, currency)) = flow.charge().cost {
            let add = |trailers: &mut Fields, name, text: String| {
                if let Ok(value) = FieldValue::parse(text) {
                    trailers.set(name, value);
                }
            };
            add(&mut trailers, names::X_TOLLGATE_COST.clone(), cost.to_text(currency));
            add(&mut trailers, names::X_TOLLGATE_CURRENCY.clone(), currency.to_string());
        }
        let mut held = Vec::new();
        if let Some(mut filter) = self.filter.take() {
            filter.finish(&mut held);
        }
        if held.is_empty() {
            return Frame::Trailers(trailers);
        }
        self.last = Some(Frame::Trailers(trailers));
        Frame::Data(held.into())
    }
}

impl<C: Counters + 'static> BodySource for Metered<C> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        if let Some(data) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(Frame::Data(data))));
        }
        loop {
            let Some(upstream) = &mut self.upstream else {
                return Poll::Ready(self.last.take().map(Ok));
            };
            match ready!(upstream.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => {
                    if let Some(frame) = self.data(data) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Some(Ok(Frame::Trailers(trailers))) => return Poll::Ready(Some(Ok(self.end(trailers)))),
                None => return Poll::Ready(Some(Ok(self.end(Fields::new())))),
                Some(Err(failed)) => {
                    self.upstream = None;
                    self.flow.borrow_mut().state = State::Ended;
                    return Poll::Ready(Some(Err(failed)));
                }
            }
        }
    }

    fn declared_len(&self) -> Option<u64> {
        if self.filter.is_some() {
            return None;
        }
        let ahead: u64 = self.ahead.iter().map(|data| data.len() as u64).sum();
        Some(ahead + self.upstream.as_ref()?.declared_len()?)
    }
}

impl<C: Counters + 'static> Drop for Metered<C> {
    /// The engine lets go of the body, perhaps before its end.
    fn drop(&mut self) {
        let Some(rest) = self.upstream.take() else { return };
        let mut own = self.flow.borrow_mut();
        match std::mem::replace(&mut own.state, State::Ended) {
            // The answer was closed as a whole one: its last byte was the last of its declared length.
            State::Ended => {}
            State::Waiting(account) => {
                drop(own);
                read_rest(&self.flow, account, rest);
            }
            State::Flowing | State::Rest(_) => own.state = State::Rest(rest),
        }
    }
}
