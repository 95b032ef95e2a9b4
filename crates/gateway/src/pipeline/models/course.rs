//! The attempts of one call: each with its own reservation, written down before its first byte goes
//! upstream, and settled when it has ended. Goes on when the client leaves, as far as the present attempt.
//!
//! An attempt is made again, at another upstream or the next fallback, when the upstream could not be
//! reached or says that it cannot serve now, and never after a byte of an answer went to the client.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tollgate_core::{admit::afford::Wish, code::Code, counters::Counters, path};
use tollgate_journal::Flags;

use super::{
    answer::{self, Given},
    call::{Asked, Prepared, prepare_fallback},
};
use crate::{
    denial::Denial,
    http::{
        answer::Answer,
        body::RequestBody,
        exchange::Peer,
        head::RequestHead,
        upstream::{UpstreamAnswer, UpstreamRequest},
    },
    lane::{Gateway, account::Account, bill::Charged, detached::outlive},
    names,
    proxy::{self, denial_of, heads, write_path},
    service::{
        balance::{Load, choose},
        route::Route,
    },
};

/// Statuses that say: not now, or not here. Not those that say that a proxy did not wait for the answer:
/// the model may produce it, and another attempt would be paid for beside it.
const WORTH_ANOTHER: [u16; 5] = [429, 500, 502, 503, 529];

/// A call that goes upstream.
pub(super) struct Course<C: Counters + 'static> {
    pub(super) gateway: Rc<Gateway<C>>,
    /// As the client sent it.
    pub(super) head: RequestHead,
    pub(super) peer: Peer,
    pub(super) asked: Asked<C>,
}

/// What came of it, with the account that went with it.
struct Ended<C: Counters + 'static> {
    account: Box<Account<C>>,
    result: Result<Answer, Denial>,
}

/// Lets a call take its course. When the client leaves meanwhile, the call goes on without it.
pub(super) async fn launch<C: Counters + 'static>(
    account: &mut Account<C>,
    course: Course<C>,
    first: Prepared,
) -> Result<Answer, Denial> {
    let gateway = Rc::clone(&course.gateway);
    let left = Rc::new(Cell::new(false));
    let run = Run { account: account.hand_over(), course, left: Rc::clone(&left), since_ns: 0, retries: 0 };
    let outliving = Outliving { run: Some(Box::pin(run.take(first))), left, gateway };
    let Ended { account: mut own, result } = outliving.await;
    std::mem::swap(account, &mut own);
    result
}

type Running<C> = Pin<Box<dyn Future<Output = Ended<C>>>>;

/// A course that goes on when whoever waits for it is gone.
struct Outliving<C: Counters + 'static> {
    run: Option<Running<C>>,
    left: Rc<Cell<bool>>,
    gateway: Rc<Gateway<C>>,
}

impl<C: Counters + 'static> Future for Outliving<C> {
    type Output = Ended<C>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<C>> {
        let Some(run) = &mut self.run else { return Poll::Pending };
        let ended = ready!(run.as_mut().poll(cx));
        self.run = None;
        Poll::Ready(ended)
    }
}

impl<C: Counters + 'static> Drop for Outliving<C> {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        self.left.set(true);
        outlive(&self.gateway, async move {
            // The account is dropped with it, and writes what happened.
            drop(run.await);
        });
    }
}

/// A course under way.
struct Run<C: Counters + 'static> {
    account: Box<Account<C>>,
    course: Course<C>,
    /// The client has left.
    left: Rc<Cell<bool>>,
    /// When the present attempt began.
    since_ns: u64,
    /// Attempts after the first.
    retries: u8,
}

/// What one attempt came to.
enum Attempted<C: Counters + 'static> {
    /// An answer for the client.
    Answered(Given<C>),
    /// No answer, or one that is worth another attempt; it is given when there is none.
    Failed(Result<Given<C>, Denial>),
}

impl<C: Counters + 'static> Run<C> {
    async fn take(mut self, first: Prepared) -> Ended<C> {
        self.since_ns = self.course.gateway.mono_ns();
        let result = self.routes(first).await;
        let result = result.and_then(Given::into_answer).map(|mut answer| {
            let passage = &mut self.course.asked.passage;
            let rate = std::mem::take(&mut passage.caller.rate);
            heads::write_answer(&mut answer.head, &passage.service, rate);
            answer
        });
        Ended { account: self.account, result }
    }

    /// Goes through the routes until one answers.
    async fn routes(&mut self, first: Prepared) -> Result<Given<C>, Denial> {
        let service = Rc::clone(&self.course.asked.passage.service);
        let routes = service.llm.as_deref().map_or(&[][..], |llm| &llm.routes);
        let mut first = Some(first);
        let mut last =
            Err(Denial::new(Code::UpstreamUnreachable, "the service has no upstream that can be used"));
        for (place, route) in routes.iter().enumerate() {
            let prepared = match first.take() {
                Some(first) => first,
                None if self.left.get() || !self.may_use(route) => continue,
                None => match self.prepared(place).await {
                    Some(prepared) => prepared,
                    // What an upstream said before is more to the point.
                    None => continue,
                },
            };
            match self.route(place, route, prepared).await {
                Attempted::Answered(given) => return Ok(given),
                Attempted::Failed(outcome) => last = outcome,
            }
        }
        last
    }

    /// Whether the key may use the model of a fallback.
    fn may_use(&self, route: &Route) -> bool {
        let models = self.course.asked.entered.policy().and_then(|policy| policy.models.as_deref());
        let model = route.model.as_deref().unwrap_or(&self.course.asked.model);
        models.is_none_or(|models| models.iter().any(|pattern| pattern.matches(model)))
    }

    async fn prepared(&mut self, place: usize) -> Option<Prepared> {
        self.note_retry();
        prepare_fallback(&self.course.gateway, &mut self.account, &self.course.asked, place).await
    }

    /// Tries the upstreams of one route.
    async fn route(&mut self, place: usize, route: &Route, prepared: Prepared) -> Attempted<C> {
        let retries = self.course.asked.passage.service.service.spec.retries;
        let mut tried = 0u32;
        loop {
            let now_ns = self.course.gateway.mono_ns();
            let Some(index) = choose(&route.conditions, tried, route.turn(), now_ns) else {
                self.account.charge(Charged::default());
                let denial = Denial::new(Code::UpstreamUnreachable, "a route of the service has no upstream");
                return Attempted::Failed(Err(denial));
            };
            tried |= 1 << (index % 32);
            let outcome = self.attempt(place, route, index, &prepared).await;
            let is_last = tried.count_ones() as usize >= route.origins.len() || self.retries >= retries;
            match outcome {
                Attempted::Failed(_) if !is_last && !self.left.get() && self.pay_again(&prepared).await => {
                    self.note_retry();
                }
                outcome => return outcome,
            }
        }
    }

    fn note_retry(&mut self) {
        self.retries = self.retries.saturating_add(1);
        self.course.gateway.meters.retries.increment(1);
        self.account.note_flag(Flags::RETRIED);
    }

    /// Takes the funds for one more attempt of what was prepared already; whether that was possible.
    async fn pay_again(&mut self, prepared: &Prepared) -> bool {
        let terms = &prepared.terms;
        let wish = match (&terms.price, terms.ask) {
            // Its limit is written in the body and cannot be lowered any more.
            (Some(price), Some(ask)) => Wish::Priced { price, ask, is_limitable: false },
            _ => Wish::Unpriced("nobody knows what it costs"),
        };
        let paid = self.course.asked.budgets.pay(&self.course.gateway, wish).await;
        let (Ok(grant), Some(call)) = (paid, &mut self.account.call) else { return false };
        call.hold(grant.hold, Rc::clone(terms));
        true
    }

    /// One attempt at one upstream. What it holds is settled when this returns, unless its answer streams.
    async fn attempt(
        &mut self,
        place: usize,
        route: &Route,
        index: usize,
        prepared: &Prepared,
    ) -> Attempted<C> {
        let gateway = Rc::clone(&self.course.gateway);
        let chosen = route.origins.get(index).zip(route.conditions.get(index));
        let head = self.head_for(place, prepared);
        let (Some((origin, condition)), Ok(head)) = (chosen, head) else {
            self.account.charge(Charged::default());
            let denial = Denial::new(
                Code::UpstreamUnreachable,
                "the provider's credential is not at hand on this node; an administrator has to set it",
            );
            return Attempted::Failed(Err(denial));
        };
        if self.account.send().is_err() {
            return Attempted::Answered(Given::Refused(Denial::new(Code::Overloaded, "")));
        }
        let load = Load::of(condition);
        let mut request = UpstreamRequest {
            head: &head,
            body: RequestBody::from_bytes(prepared.body.clone()),
            timeouts: self.course.asked.passage.service.timeouts,
            upgrade: None,
        };
        let outcome = gateway.upstreams.send(origin, &mut request).await;
        drop(request);
        let now_ns = gateway.mono_ns();
        self.account.note_upstream(now_ns, now_ns.saturating_sub(self.since_ns), load);
        self.since_ns = now_ns;
        match outcome {
            Ok(upstream) => {
                condition.succeeded();
                self.answered(upstream, prepared).await
            }
            Err(error) => {
                let service = &self.course.asked.passage.service;
                proxy::note_failure(&gateway, (service, origin, condition), &error, now_ns);
                let charged = if error.nothing_sent { Charged::default() } else { prepared.terms.unknown() };
                self.account.charge(charged);
                let denial = denial_of(&error.kind);
                if error.nothing_sent {
                    Attempted::Failed(Err(denial))
                } else {
                    // It may have been served, and been paid for.
                    Attempted::Answered(Given::Refused(denial))
                }
            }
        }
    }

    async fn answered(&mut self, upstream: UpstreamAnswer, prepared: &Prepared) -> Attempted<C> {
        let status = upstream.head.status();
        let given =
            answer::take(&mut self.account, &self.course.asked, prepared, upstream, self.left.get()).await;
        match given {
            Ok(given) if WORTH_ANOTHER.contains(&status) && given.is_whole() => Attempted::Failed(Ok(given)),
            Ok(given) => Attempted::Answered(given),
            Err(denial) => Attempted::Answered(Given::Refused(denial)),
        }
    }

    /// The head of an attempt: the client's, without its credential, with the provider's.
    fn head_for(&self, place: usize, prepared: &Prepared) -> Result<RequestHead, Denial> {
        let Course { gateway, head, peer, asked } = &self.course;
        let passage = &asked.passage;
        let mut head = head.clone();
        // In the provider's own spelling, for the model may have to be found and replaced in it.
        let wire = path::encode(&passage.path);
        let path = passage.service.retarget.apply(&passage.path, &wire);
        let other = if *prepared.terms.model == *asked.model {
            None
        } else {
            answer::with_model(&path, asked.api, &prepared.terms.model)
        };
        write_path(&mut head, other.as_deref().unwrap_or(&path), &passage.caller)?;
        heads::write_request(gateway, &mut head, *peer, passage, self.account.request_id());
        if let Some(llm) = &passage.service.llm {
            llm.log_in(&mut head, place, &gateway.tables().tables, &passage.service.service)?;
        }
        // What is compressed cannot be read in passing.
        head.set(&names::ACCEPT_ENCODING, &names::IDENTITY);
        Ok(head)
    }
}

/// Pieces of an answer that were read before it was given on.
pub(super) type Ahead = VecDeque<Bytes>;
