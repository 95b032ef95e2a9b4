//! Between the HTTP/2 codec and the handler: makes an [`Exchange`] of each request, and a response of each
//! answer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use http::{Method, Request, Response};
use hyper::body::{Body, Incoming};

use crate::http::body::{BodyFacts, RequestBody};
use crate::http::exchange::{Exchange, Handler};
use crate::http::guard::Malformed;
use crate::http::head::RequestHead;

use super::h2::{self, Streams};
use super::out_body::{Cut, OutBody};
use super::respond::{Prepared, Terms, prepare};
use super::state::{ConnState, InFlight};

/// The codec's service for one connection.
pub(super) struct Service<H> {
    handler: Rc<H>,
    state: Rc<ConnState>,
    streams: Rc<Streams>,
}

type Responding = Pin<Box<dyn Future<Output = Result<Response<OutBody>, Cut>>>>;

impl<H: Handler> Service<H> {
    pub(super) fn new(handler: &Rc<H>, state: &Rc<ConnState>, streams: &Rc<Streams>) -> Self {
        Self { handler: Rc::clone(handler), state: Rc::clone(state), streams: Rc::clone(streams) }
    }

    fn terms(&self, method: &Method, request_body: Option<Rc<BodyFacts>>) -> Terms {
        Terms {
            is_head: method == Method::HEAD,
            request_body,
            flight: Some(InFlight::new(&self.state)),
            progress: Some(self.streams.begin()),
            ..Terms::default()
        }
    }

    fn refuse(&self, why: Malformed, head: &RequestHead, terms: Terms) -> Responding {
        let answer = self.handler.refused(self.state.peer, why, Some(head));
        let response = prepare(answer, terms).map(Prepared::into_response);
        Box::pin(std::future::ready(response))
    }

    fn answer(&self, exchange: Exchange, terms: Terms) -> Responding {
        let answer = Rc::clone(&self.handler).handle(exchange);
        Box::pin(async move { prepare(answer.await, terms).map(Prepared::into_response) })
    }
}

impl<H: Handler> hyper::service::Service<Request<Incoming>> for Service<H> {
    type Response = Response<OutBody>;
    type Error = Cut;
    type Future = Responding;

    fn call(&self, request: Request<Incoming>) -> Responding {
        let (parts, incoming) = request.into_parts();
        let expects_body =
            !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
        let mut body = RequestBody::empty();
        let mut facts = None;
        if !incoming.is_end_stream() {
            let made = RequestBody::from_http2(incoming, &self.state.lane, expects_body);
            facts = Some(made.1);
            body = made.0;
        }
        let terms = self.terms(&parts.method, facts);
        let head = RequestHead::decoded(&parts);
        match h2::check(&parts, &self.state.lane.bounds) {
            Err(why) => self.refuse(why, &head, terms),
            Ok(()) => self.answer(Exchange { peer: self.state.peer, head, body, upgrade: None }, terms),
        }
    }
}
