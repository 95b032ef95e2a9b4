//! Between codec and handler: makes an [`Exchange`] of each request, and a response of each answer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::{Body, Incoming};

use crate::http::body::{BodyFacts, RequestBody};
use crate::http::exchange::{Exchange, Handler, Upgrade};
use crate::http::guard::Malformed;
use crate::http::head::RequestHead;

use super::h2::{self, Streams};
use super::respond::{Cut, OutBody, Terms, respond};
use super::state::{ConnState, InFlight, UpgradeWait};

/// The codec's service for one connection.
pub(super) struct Service<H> {
    handler: Rc<H>,
    state: Rc<ConnState>,
    /// The streams of an HTTP/2 connection; `None` for HTTP/1.
    streams: Option<Rc<Streams>>,
}

type Responding = Pin<Box<dyn Future<Output = Result<Response<OutBody>, Cut>>>>;

impl<H: Handler> Service<H> {
    pub(super) fn http1(handler: &Rc<H>, state: &Rc<ConnState>) -> Self {
        Self { handler: Rc::clone(handler), state: Rc::clone(state), streams: None }
    }

    pub(super) fn http2(handler: &Rc<H>, state: &Rc<ConnState>, streams: &Rc<Streams>) -> Self {
        Self { streams: Some(Rc::clone(streams)), ..Self::http1(handler, state) }
    }

    fn terms(&self, method: &Method, request_body: Option<Rc<BodyFacts>>) -> Terms {
        let max = self.state.lane.bounds.requests_per_connection_max;
        Terms {
            flight: InFlight::new(&self.state),
            is_head: method == Method::HEAD,
            is_http2: self.streams.is_some(),
            upgrade: None,
            request_body,
            close: max > 0 && self.state.heads_seen() >= max,
            progress: self.streams.as_ref().map(|streams| streams.begin()),
        }
    }

    /// Answers a refused request and closes the connection.
    fn refuse(&self, why: Malformed, head: Option<&RequestHead>, terms: Terms) -> Responding {
        let answer = self.handler.refused(self.state.peer, why, head);
        let response = respond(answer, Terms { close: true, ..terms });
        Box::pin(std::future::ready(response))
    }

    fn answer(&self, exchange: Exchange, terms: Terms) -> Responding {
        let answer = Rc::clone(&self.handler).handle(exchange);
        Box::pin(async move { respond(answer.await, terms) })
    }
}

impl<H: Handler> hyper::service::Service<Request<Incoming>> for Service<H> {
    type Response = Response<OutBody>;
    type Error = Cut;
    type Future = Responding;

    fn call(&self, request: Request<Incoming>) -> Responding {
        let refused = self.state.see_head();
        let (parts, incoming) = request.into_parts();
        let is_http2 = self.streams.is_some();
        let expects_body =
            !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);

        let mut body = RequestBody::empty();
        let mut facts = None;
        if !incoming.is_end_stream() {
            let made = RequestBody::from_client(incoming, &self.state, is_http2, expects_body);
            facts = Some(made.1);
            body = made.0;
        }
        let mut terms = self.terms(&parts.method, facts);
        if let Some(why) = refused {
            return self.refuse(why, None, terms);
        }
        let verdict = if is_http2 { h2::check(&parts, &self.state.lane.bounds) } else { Ok(()) };
        let upgrade = if is_http2 { None } else { self.upgrade(&parts) };
        terms.upgrade = upgrade.as_ref().map(|upgrade| upgrade.protocol.clone());
        let head = RequestHead::decoded(&parts);
        if let Err(why) = verdict {
            return self.refuse(why, Some(&head), terms);
        }
        self.answer(Exchange { peer: self.state.peer, head, body, upgrade }, terms)
    }
}

impl<H> Service<H> {
    fn upgrade(&self, parts: &Parts) -> Option<Upgrade> {
        if self.state.upgrade() != UpgradeWait::Asked {
            return None;
        }
        let protocol = parts.headers.get(UPGRADE)?.to_str().ok()?.trim().to_ascii_lowercase();
        let is_one = parts.headers.get_all(UPGRADE).iter().count() == 1 && !protocol.contains(',');
        let offered = is_one && protocol != "h2c" && parts.method == Method::GET;
        (offered && names_upgrade(&parts.headers)).then_some(Upgrade { protocol })
    }
}

/// `Connection` must name `Upgrade`, or it was meant for another hop (RFC 9110 §7.8).
fn names_upgrade(fields: &HeaderMap) -> bool {
    fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}
