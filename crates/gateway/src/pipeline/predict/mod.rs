//! The kind `predict`: questions to models, in both wire forms of CONTRACT §4.
//!
//! Who may ask which model is decided by `core::admit` before the model is looked for. A version is found through a
//! port ([`tollgate_core::serving::Models`]); files run on threads off the lanes, or where that is known to cost little
//! on the lane; remote models are asked through this lane's own upstream pools. What must never be here: a rule of its own, and anything that blocks a lane.
//!
//! | module | holds |
//! | --- | --- |
//! | `target` | what a path asks for |
//! | `asking` | a question, from its body to its answer |
//! | `reading` | what a body asks for, and its inputs |
//! | `remote` | asking the server that has a model |
//! | `events` | one event for each prediction |

mod asking;
mod events;
mod reading;
mod remote;
mod target;

use std::{rc::Rc, sync::Arc};

use tollgate_core::{
    code::Code,
    counters::Counters,
    serving::{Served, Unserved},
};
use tollgate_wire::predict::{metadata_body, name_ready_body};

use self::target::{Of, Target};
use crate::{
    denial::Denial,
    http::{answer::Answer, exchange::Exchange},
    lane::{Gateway, account::Account},
    names,
    pipeline::{
        admission::{Judged, Request},
        models::call::{Entered, enter},
    },
    service::ProxyService,
};

/// Serves one request.
pub(super) async fn serve<C: Counters + 'static>(
    account: &mut Account<C>,
    exchange: &mut Exchange,
    request: Request<'_>,
    service: Rc<ProxyService>,
) -> Result<Answer, Denial> {
    let prefix = service.service.spec.matches.path_prefix.clone().unwrap_or_default();
    let Some(target) = Target::of(request.path, prefix.trim_end_matches('/')) else {
        let detail = "questions are posted to the path of the service itself, or below `/v2`";
        return Err(Denial::new(Code::NoService, detail));
    };
    match answer(account, exchange, (request, &service), target).await {
        Err(denial) if target.is_protocol() => {
            account.note_outcome(denial.code(), denial.detail());
            Ok(denial.into_infer_answer(account.id()))
        }
        outcome => outcome,
    }
}

async fn answer<C: Counters + 'static>(
    account: &mut Account<C>,
    exchange: &mut Exchange,
    (request, service): (Request<'_>, &Rc<ProxyService>),
    target: Target<'_>,
) -> Result<Answer, Denial> {
    let gateway = Rc::clone(account.gateway());
    let wanted = if target.is_question() { "POST" } else { "GET" };
    if exchange.head.method() != wanted {
        return Err(Denial::new(Code::MalformedRequest, format!("this path is asked with {wanted}")));
    }
    let entered = enter(&gateway, account, exchange, request, service).await?;
    match target {
        Target::Question => asking::ask(account, exchange, (request, service, entered), None).await,
        Target::Infer(of) => asking::ask(account, exchange, (request, service, entered), Some(of)).await,
        Target::Live | Target::Ready | Target::Server => {
            let caller = decide(&gateway, account, exchange, (request, service, &entered), None).await?;
            account.note_outcome(Code::Valid, "");
            let is_ready = gateway.shared.models.is_ready(service.service.project);
            let mut answer = match target {
                Target::Live => json(200, &b"{\"live\":true}"[..]),
                Target::Ready if is_ready => json(200, &b"{\"ready\":true}"[..]),
                Target::Ready => json(503, &b"{\"ready\":false}"[..]),
                _ => json(200, SERVER.as_bytes()),
            };
            caller.rate.write(&mut answer.head);
            Ok(answer)
        }
        Target::Model(of) | Target::ModelReady(of) => {
            let asked = (request, &**service, &entered);
            let caller = decide(&gateway, account, exchange, asked, Some(of.model)).await?;
            account.note_outcome(Code::Valid, "");
            let found = gateway.shared.models.find(service.service.project, of.model, of.version);
            let mut answer = described(found, of, matches!(target, Target::ModelReady(_)))?;
            caller.rate.write(&mut answer.head);
            Ok(answer)
        }
    }
}

/// What a model is, or whether it takes requests.
fn described(found: Result<Arc<Served>, Unserved>, of: Of<'_>, asks_ready: bool) -> Result<Answer, Denial> {
    match found {
        Ok(_) if asks_ready => Ok(json(200, name_ready_body(of.model, true))),
        Err(Unserved::NotLoaded) if asks_ready => Ok(json(503, name_ready_body(of.model, false))),
        Ok(served) => {
            let platform = if served.engine.is_some() { "onnx" } else { "remote" };
            let (spec, inputs, outputs) = (&served.model.spec, &served.inputs, &served.outputs);
            Ok(json(200, metadata_body((&spec.name, &[&spec.version]), platform, inputs, outputs)))
        }
        Err(why) => Err(unserved(why, of)),
    }
}

/// What this server is (Open Inference Protocol v2, server metadata).
const SERVER: &str =
    concat!("{\"name\":\"tollgate\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\",\"extensions\":[]}");

/// Asks `core`, and notes what it says.
async fn decide<C: Counters + 'static>(
    gateway: &Gateway<C>,
    account: &mut Account<C>,
    exchange: &Exchange,
    (request, service, entered): (Request<'_>, &ProxyService, &Entered),
    model: Option<&str>,
) -> Result<crate::caller::Caller, Denial> {
    let policy = entered.policy();
    let judged = Judged { known: &entered.known, policy, service: Some(service), model, tokens: None };
    let mut decision = gateway.judge(&exchange.head, request, judged, 1);
    if decision.is_open() {
        decision = gateway.judge_beyond(&exchange.head, request, judged, (1, decision)).await;
    }
    account.note_decision(&decision, policy);
    if !decision.is_allowed() {
        return Err(Denial::of_decision(&decision, policy, service.service.spec.headers));
    }
    Ok(entered.caller(&decision, service))
}

/// Why no model answers.
fn unserved(why: Unserved, of: Of<'_>) -> Denial {
    let shown: String = of.model.chars().take(64).collect();
    match why {
        Unserved::NoModel => {
            Denial::new(Code::NoModel, format!("there is no model `{shown}` in this project"))
        }
        Unserved::NoVersion => {
            let version: String = of.version.unwrap_or_default().chars().take(64).collect();
            Denial::new(Code::NoModel, format!("model `{shown}` has no version or alias `{version}`"))
        }
        Unserved::NotLoaded => {
            Denial::new(Code::ModelUnavailable, format!("model `{shown}` cannot be used on this node now"))
        }
    }
}

fn json(status: u16, body: impl Into<bytes::Bytes>) -> Answer {
    Answer::new(status)
        .with(&names::CONTENT_TYPE, &names::APPLICATION_JSON)
        .with(&names::CACHE_CONTROL, &names::NO_STORE)
        .with_body(body)
}
