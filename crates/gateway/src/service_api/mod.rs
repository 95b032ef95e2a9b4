//! The service API: the decision of the gateway for who only wants the answer.
//!
//! A service asks `POST /v1/keys/verify` (or many at once, `/v1/keys/verify-batch`); another proxy
//! asks `/authz/forward` (Traefik, Caddy) or `/authz/nginx` before it forwards a request itself.
//! All run on the same engine, the same recognition and the same `core::admit` as the gateway, and
//! every decision is journalled like a request, marked as verified. Nothing is forwarded here.
//!
//! Invariants kept here:
//! - who asks holds a service token, and learns nothing of another tenant: a key of another tenant
//!   is answered exactly like one that does not exist, a service of another tenant like none;
//! - an answer that could not be journalled is a refusal (I12);
//! - a decision holds nothing after its answer: concurrency is asked and given back at once.
//!
//! | module | holds |
//! | --- | --- |
//! | `token` | whose question it is, and which services it may be about |
//! | `names` | services by name |
//! | `ask` | the way from a credential and facts to a decision |
//! | `verify` | JSON questions and answers |
//! | `usage` | reports of requests that services served themselves |
//! | `original` | the client's request, as a proxy describes it |
//! | `authz` | answers that proxies understand |
//! | `mistake` | questions that cannot be answered |

mod ask;
mod authz;
mod mistake;
mod names;
mod original;
mod token;
mod usage;
mod verify;

use std::rc::Rc;

use tollgate_core::counters::Counters;
use tollgate_wire::codes::{METHOD_NOT_ALLOWED, NO_ENDPOINT};

use self::{mistake::Mistake, names::ServiceNames};
use crate::{
    http::{
        answer::Answer,
        exchange::{Exchange, Handler, Peer},
        guard::Malformed,
        head::RequestHead,
        serve::{Listener, Serving},
    },
    lane::Gateway,
    options::GatewayOptions,
    ports::Ports,
    serve::{StartError, serve_with},
};

/// Serves the service API until the returned value is drained or dropped, with one lane for each
/// of [`Ports::writers`]. Returns when all lanes accept.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub fn serve<C: Counters + Send + Sync + 'static>(
    listener: Listener,
    options: GatewayOptions,
    ports: Ports<C>,
) -> Result<Serving, StartError> {
    serve_with(listener, options, ports, |gateway, _lane| {
        Rc::new(ServiceApi { gateway, names: ServiceNames::default() })
    })
}

/// The service API on one lane.
struct ServiceApi<C> {
    gateway: Rc<Gateway<C>>,
    names: ServiceNames,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Verify,
    VerifyBatch,
    Usage,
    Forward,
    Nginx,
}

impl Endpoint {
    /// The endpoint at a path.
    fn of(method: &str, path: &str) -> Result<Self, Mistake> {
        let endpoint = match path {
            "/v1/keys/verify" => Self::Verify,
            "/v1/keys/verify-batch" => Self::VerifyBatch,
            "/v1/usage" => Self::Usage,
            "/authz/forward" => return Ok(Self::Forward),
            "/authz/nginx" => return Ok(Self::Nginx),
            _ => return Err(Mistake::new(&NO_ENDPOINT, "")),
        };
        if method == "POST" {
            Ok(endpoint)
        } else {
            Err(Mistake::new(&METHOD_NOT_ALLOWED, "this endpoint is asked with POST").allow("POST"))
        }
    }
}

impl<C: Counters + 'static> ServiceApi<C> {
    async fn pass(&self, exchange: Exchange) -> Result<Answer, Mistake> {
        let endpoint = Endpoint::of(exchange.head.method(), exchange.head.path())?;
        match endpoint {
            Endpoint::Verify => self.verify(exchange).await,
            Endpoint::VerifyBatch => self.verify_batch(exchange).await,
            Endpoint::Usage => self.usage(exchange).await,
            Endpoint::Forward => self.forward(&exchange.head).await,
            Endpoint::Nginx => Ok(self.nginx(&exchange.head).await),
        }
    }
}

impl<C: Counters + 'static> Handler for ServiceApi<C> {
    async fn handle(self: Rc<Self>, exchange: Exchange) -> Answer {
        match self.pass(exchange).await {
            Ok(answer) => answer,
            Err(mistake) => mistake.into_answer(),
        }
    }

    fn refused(&self, _peer: Peer, why: Malformed, _head: Option<&RequestHead>) -> Answer {
        Mistake::of_head(why).into_answer()
    }
}
