//! The way of a request: ticket, address, path, freshness, service, key, decision, forwarding,
//! record. One file a step; this one holds the order.
//!
//! Decisions come from `core` alone: nothing here allows what `admit` refuses. Every request gets a
//! ticket before any work, and with it the id that is journalled, answered as `X-Request-Id` and
//! sent upstream; without a ticket it is refused, for it could not be counted (I12).

pub(crate) mod admission;
pub(crate) mod models;
mod own;
mod predict;
pub(crate) mod recognition;
mod signed;

use std::rc::Rc;

use tollgate_core::{
    code::Code, counters::Counters, id::DecisionId, resource::ServiceKind, signature::SignatureFact,
    time::Now,
};
use tollgate_wire::text::DecisionText;

use crate::{
    caller::Caller,
    denial::Denial,
    http::{
        answer::Answer,
        exchange::{Exchange, Handler, Peer},
        guard::Malformed,
        head::RequestHead,
    },
    ingest,
    lane::{Gateway, account::Account, gathered},
    metrics, names,
    proxy::{self, body_denial},
    request::{self, Sender},
    service::cors,
};

impl<C: Counters + 'static> Gateway<C> {
    async fn answer(&self, account: &mut Account<C>, exchange: &mut Exchange, now: Now) -> Answer {
        let mut grant = None;
        let mut answer = match self.pass(account, exchange, now, &mut grant).await {
            Ok(answer) => answer,
            Err(denial) => {
                account.note_outcome(denial.code(), denial.detail());
                match account.shape() {
                    None => denial.into_answer(account.id()),
                    Some(provider) => denial.into_answer_of(provider, account.id()),
                }
            }
        };
        if let Some(grant) = grant {
            cors::Grant::write(grant, &mut answer.head);
        }
        account.write_request_id(&mut answer.head);
        answer
    }

    async fn pass(
        &self,
        account: &mut Account<C>,
        exchange: &mut Exchange,
        now: Now,
        grant: &mut Option<cors::Grant>,
    ) -> Result<Answer, Denial> {
        let head = &exchange.head;
        let sender = Sender::of(exchange.peer, head, &self.shared.options.trusted_proxies);
        account.note_address(sender.address);
        let path: Rc<str> = match request::path(head) {
            Ok(path) => Rc::from(&*path),
            Err(error) => return Err(Denial::new(Code::MalformedRequest, error.to_string())),
        };
        account.note_path(&path);
        let request = admission::Request { path: &path, sender, now, signature: SignatureFact::Unknown };
        if let Some(endpoint) = own::endpoint(head.method(), &path) {
            // Boxed, as it is rare: every request carries the room that this function needs.
            return Box::pin(self.serve_own(endpoint, account, exchange, request)).await;
        }
        self.check_fresh(now)?;
        let preflight = cors::preflight_method(head);
        let Some(service) = self.tables().route(head, &path, preflight, &self.shared.registry) else {
            return Err(Denial::new(Code::NoService, ""));
        };
        account.note_service(&service.service);
        if let Some(cors) = &service.cors {
            if preflight.is_some() {
                account.note_outcome(Code::Valid, "");
                return Ok(cors.preflight(head));
            }
            *grant = Some(cors.grant(head));
        }
        if service.llm.is_some() {
            // Boxed, so that other requests carry no room for it.
            return Box::pin(models::call::serve(account, exchange, request, service)).await;
        }
        if service.signing.is_some() {
            // Boxed, as it is rare.
            return Box::pin(signed::serve(self, account, exchange, request, service)).await;
        }
        if service.service.spec.kind == ServiceKind::Predict {
            // Boxed, so that other requests carry no room for it.
            return Box::pin(predict::serve(account, exchange, request, service)).await;
        }
        let caller = if service.service.spec.public {
            account.note_outcome(Code::Valid, "");
            Caller::public(head, &service.places, now.mono_ns)
        } else {
            self.admit(account, exchange, request, &service).await?
        };
        if service.service.spec.kind == ServiceKind::Metrics {
            exchange.body.limit(service.body_bytes_max(&self.shared.options)).map_err(body_denial)?;
            let delivery = ingest::Delivery { service, caller, path };
            return Box::pin(metrics::take(self, account, exchange, delivery)).await;
        }
        if service.service.spec.kind == ServiceKind::Ingest {
            exchange.body.limit(service.body_bytes_max(&self.shared.options)).map_err(body_denial)?;
            // Boxed: every request carries the room that this function needs.
            let delivery = ingest::Delivery { service, caller, path };
            return Box::pin(ingest::take(self, account, exchange, delivery)).await;
        }
        exchange.body.limit(service.body_bytes_max(&self.shared.options)).map_err(body_denial)?;
        proxy::forward(self, account, exchange, proxy::Passage { service, caller, path, sender }).await
    }
}

/// What the engine hands requests to.
pub(crate) struct Gate<C>(pub(crate) Rc<Gateway<C>>);

impl<C: Counters + 'static> Handler for Gate<C> {
    async fn handle(self: Rc<Self>, mut exchange: Exchange) -> Answer {
        let gateway = &self.0;
        let now = gateway.now();
        let ticket = match gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => return unrecorded(id),
        };
        let mut account = Account::open(gateway, ticket, now);
        account.note_head(&exchange.head);
        let answer = gateway.answer(&mut account, &mut exchange, now).await;
        account.seal(answer)
    }

    async fn settled(&self) {
        self.0.detached.emptied().await;
        gathered::settle(&self.0).await;
    }

    fn close(&self) {
        self.0.detached.close();
    }

    fn refused(&self, peer: Peer, why: Malformed, head: Option<&RequestHead>) -> Answer {
        let gateway = &self.0;
        let ticket = match gateway.ticket() {
            Ok(ticket) => ticket,
            Err(id) => return unrecorded(id),
        };
        let mut account = Account::open(gateway, ticket, gateway.now());
        account.note_address(peer.addr.ip().to_canonical());
        if let Some(head) = head {
            account.note_head(head);
        }
        let code = if why.is_too_large() { Code::HeadTooLarge } else { Code::MalformedRequest };
        let detail = why.to_string();
        account.note_outcome(code, &detail);
        let mut answer = Denial::new(code, detail).into_answer(account.id());
        set_request_id(&mut answer, account.id());
        account.seal(answer)
    }
}

/// The answer to a request that could not be counted.
fn unrecorded(id: DecisionId) -> Answer {
    let mut answer = Denial::new(Code::Overloaded, "").into_answer(id);
    set_request_id(&mut answer, id);
    answer
}

/// Puts the id of its decision on an answer.
pub(crate) fn set_request_id(answer: &mut Answer, id: DecisionId) {
    let text = DecisionText::of(id);
    answer.head.set_text(&names::X_REQUEST_ID, |out| out.extend_from_slice(text.as_bytes()));
}
