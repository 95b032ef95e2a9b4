//! The kind `proxy`: forwards a request as it is to one of several upstreams, and the answer back.
//!
//! An attempt is repeated only where nothing can happen twice: nothing was sent, or the method is
//! idempotent (RFC 9110 §9.2.2) and no byte of an answer has come; and only while the body is still
//! whole. At most `retries` times.

pub(crate) mod heads;
pub(crate) mod health;

use std::rc::Rc;

use tollgate_core::{code::Code, counters::Counters, path};
use tollgate_journal::Flags;

use crate::{
    caller::Caller,
    denial::Denial,
    http::{
        answer::Answer,
        body::{BodyError, RequestBody},
        exchange::{Exchange, Upgrade},
        head::RequestHead,
        upstream::{Origin, UpstreamAnswer, UpstreamError, UpstreamErrorKind, UpstreamRequest},
    },
    lane::{Gateway, account::Account},
    meters::UpstreamFault,
    request::{
        Sender,
        credential::{Place, query_without},
    },
    service::{
        ProxyService,
        balance::{Condition, Load, choose},
    },
};

/// A request that may pass: whose it is and where it goes.
pub(crate) struct Passage {
    pub(crate) service: Rc<ProxyService>,
    pub(crate) caller: Caller,
    /// The path that was decided about.
    pub(crate) path: Rc<str>,
    pub(crate) sender: Sender,
}

/// Forwards a request and gives the upstream's answer, whose body is still on its way.
pub(crate) async fn forward<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &mut Exchange,
    passage: Passage,
) -> Result<Answer, Denial> {
    let Exchange { peer, head, body, upgrade } = exchange;
    write_target(head, &passage)?;
    heads::write_request(gateway, head, *peer, &passage, account.request_id());
    if let Some(llm) = &passage.service.llm {
        llm.log_in(head, 0, &gateway.tables().tables, &passage.service.service)?;
    }
    let service = passage.service.clone();
    let upgrade = upgrade.take().filter(|wish| service.service.spec.websocket && is_websocket(wish));
    let mut request = UpstreamRequest {
        head,
        body: std::mem::replace(body, RequestBody::empty()),
        timeouts: service.timeouts,
        upgrade,
    };
    let mut attempts = Attempts::of(&service, passage.caller.at_ns);
    let upstream = attempts.send(gateway, account, &mut request).await?;
    if upstream.tunnel.is_some() {
        account.note_flag(Flags::UPGRADED);
    }
    let mut answer = Answer::from(upstream);
    heads::write_answer(&mut answer.head, &passage.service, passage.caller.rate);
    Ok(answer)
}

fn is_websocket(wish: &Upgrade) -> bool {
    wish.protocol() == "websocket"
}

/// Writes path and query anew unless the client's spelling is the one that goes upstream.
fn write_target(head: &mut RequestHead, passage: &Passage) -> Result<(), Denial> {
    let wire = path::wire(head.path(), &passage.path);
    let path = passage.service.retarget.apply(&passage.path, &wire);
    write_path(head, &path, &passage.caller)
}

/// Writes this path, and the query without credentials.
pub(crate) fn write_path(head: &mut RequestHead, path: &str, caller: &Caller) -> Result<(), Denial> {
    let mut parameters = caller.strip.iter().filter_map(|place| match place {
        Place::Query(name) => Some(*name),
        Place::Authorization | Place::Field(_) => None,
    });
    let first = parameters.next();
    if first.is_none() && path == head.path() {
        return Ok(());
    }
    // Only where no key is asked for can there be several.
    let query = first
        .into_iter()
        .chain(parameters)
        .fold(head.query().map(str::to_owned), |left, name| query_without(&left?, name));
    head.set_target(path, query.as_deref()).map_err(|_| {
        Denial::new(Code::MalformedRequest, "the path or query has a character that must be percent-encoded")
    })
}

/// The attempts of one request.
struct Attempts<'s> {
    service: &'s ProxyService,
    /// When the present attempt began.
    since_ns: u64,
    /// A bit for each upstream that has failed.
    tried: u32,
    left: u8,
}

impl<'s> Attempts<'s> {
    fn of(service: &'s ProxyService, now_ns: u64) -> Self {
        Self { service, since_ns: now_ns, tried: 0, left: service.service.spec.retries }
    }

    /// Tries upstreams until one answers.
    async fn send<C: Counters + 'static>(
        &mut self,
        gateway: &Gateway<C>,
        account: &mut Account<C>,
        request: &mut UpstreamRequest<'_>,
    ) -> Result<UpstreamAnswer, Denial> {
        let ProxyService { origins, conditions, .. } = self.service;
        loop {
            let chosen = choose(conditions, self.tried, self.service.turn(), self.since_ns);
            let place = chosen.and_then(|index| Some((index, origins.get(index)?, conditions.get(index)?)));
            let Some((index, origin, condition)) = place else {
                return Err(Denial::new(
                    Code::UpstreamUnreachable,
                    "the service has no upstream that can be used",
                ));
            };
            let load = Load::of(condition);
            let outcome = gateway.upstreams.send(origin, request).await;
            let now_ns = gateway.mono_ns();
            account.note_upstream(now_ns, now_ns.saturating_sub(self.since_ns), load);
            self.since_ns = now_ns;
            let error = match outcome {
                Ok(answer) => {
                    condition.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.tried |= 1 << (index % 32);
            note_failure(gateway, (self.service, origin, condition), &error, now_ns);
            if self.left == 0 || !may_repeat(request, &error) {
                return Err(denial_of(&error.kind));
            }
            self.left -= 1;
            gateway.meters.retries.increment(1);
            account.note_flag(Flags::RETRIED);
        }
    }
}

/// Counts a failure of an upstream; one of the client is none.
pub(crate) fn note_failure<C: Counters + 'static>(
    gateway: &Gateway<C>,
    (service, origin, condition): (&ProxyService, &Origin, &Condition),
    error: &UpstreamError,
    now_ns: u64,
) {
    let Some(fault) = fault_of(&error.kind) else { return };
    gateway.meters.upstream_failed(fault);
    // That we have too many connections says nothing of the upstream.
    if fault != UpstreamFault::Saturated {
        condition.failed(now_ns);
    }
    gateway.upstream_fault.report(now_ns, |left_out| {
        let service = service.service.name();
        let (host, port) = (origin.host(), origin.port());
        tracing::warn!(service, host, port, left_out, %error, "an upstream failed");
    });
}

/// Whether sending a request again can do no harm.
fn may_repeat(request: &UpstreamRequest<'_>, error: &UpstreamError) -> bool {
    let worth_it = match error.kind {
        UpstreamErrorKind::Unreachable(_)
        | UpstreamErrorKind::ConnectTimeout
        | UpstreamErrorKind::Tls(_)
        | UpstreamErrorKind::Saturated
        | UpstreamErrorKind::Reset => true,
        // Of these an answer byte has come, or the time is used up, or it is the client's fault.
        UpstreamErrorKind::Garbage(_)
        | UpstreamErrorKind::ResponseTimeout
        | UpstreamErrorKind::RequestBody(_) => false,
    };
    worth_it && request.is_replayable() && (error.nothing_sent || is_idempotent(request.head.method()))
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

fn fault_of(kind: &UpstreamErrorKind) -> Option<UpstreamFault> {
    match kind {
        UpstreamErrorKind::Unreachable(_) => Some(UpstreamFault::Unreachable),
        UpstreamErrorKind::ConnectTimeout => Some(UpstreamFault::ConnectTimeout),
        UpstreamErrorKind::Tls(_) => Some(UpstreamFault::Tls),
        UpstreamErrorKind::ResponseTimeout => Some(UpstreamFault::ResponseTimeout),
        UpstreamErrorKind::Reset => Some(UpstreamFault::Reset),
        UpstreamErrorKind::Garbage(_) => Some(UpstreamFault::Garbage),
        UpstreamErrorKind::Saturated => Some(UpstreamFault::Saturated),
        UpstreamErrorKind::RequestBody(_) => None,
    }
}

/// What the client is told: what happened, and nothing of where.
pub(crate) fn denial_of(kind: &UpstreamErrorKind) -> Denial {
    match kind {
        UpstreamErrorKind::Unreachable(_) | UpstreamErrorKind::Tls(_) => {
            Denial::new(Code::UpstreamUnreachable, "the service behind the gateway could not be reached")
        }
        UpstreamErrorKind::Reset => Denial::new(
            Code::UpstreamUnreachable,
            "the service behind the gateway ended the connection before it answered",
        ),
        UpstreamErrorKind::Garbage(_) => Denial::new(
            Code::UpstreamUnreachable,
            "the service behind the gateway answered with something that is not HTTP",
        ),
        UpstreamErrorKind::ConnectTimeout => Denial::new(
            Code::UpstreamTimeout,
            "the service behind the gateway took too long to accept a connection",
        ),
        UpstreamErrorKind::ResponseTimeout => {
            Denial::new(Code::UpstreamTimeout, "the service behind the gateway took too long to answer")
        }
        UpstreamErrorKind::Saturated => Denial::new(Code::Overloaded, ""),
        UpstreamErrorKind::RequestBody(error) => body_denial(*error),
    }
}

/// The refusal of a request whose body failed.
pub(crate) fn body_denial(error: BodyError) -> Denial {
    let code = match error {
        BodyError::TooLarge { .. } => Code::BodyTooLarge,
        BodyError::Idle
        | BodyError::TooSlow
        | BodyError::Late
        | BodyError::Malformed(_)
        | BodyError::Disconnected => Code::MalformedRequest,
    };
    Denial::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_may_happen_twice_are_idempotent() {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert!(is_idempotent(method), "{method}");
        }
        for method in ["POST", "PATCH", "LOCK"] {
            assert!(!is_idempotent(method), "{method}");
        }
    }
}
