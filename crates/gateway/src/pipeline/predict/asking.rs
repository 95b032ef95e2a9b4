//! One question, from its body to its answer.

use std::{rc::Rc, sync::Arc};

use tokio::sync::oneshot;
use tollgate_core::{
    code::Code,
    counters::Counters,
    predict_spec::{ModelSpec, PREDICT_BYTES_DEFAULT},
    serving::{Engine, NotRun, Place, Ran, Served},
    tensor::Tensor,
};
use tollgate_wire::predict::{Answered, InputMistake, infer_body, question_body};

use super::{
    Of, decide, events, json,
    reading::{Body, Outline, Reply, invalid},
    remote, unserved,
};
use crate::{
    caller::Caller,
    denial::Denial,
    http::{answer::Answer, exchange::Exchange, head::RequestHead},
    ingest::read_body,
    lane::{Gateway, account::Account},
    pipeline::{
        admission::{Request, check_declared_length},
        models::call::{BELIEVED_NS, Entered, enter},
    },
    proxy::body_denial,
    service::ProxyService,
};

/// Asks a model; `of` says which where the path does.
pub(super) async fn ask<C: Counters + 'static>(
    account: &mut Account<C>,
    exchange: &mut Exchange,
    (request, service, entered): (Request<'_>, &Rc<ProxyService>, Entered),
    of: Option<Of<'_>>,
) -> Result<Answer, Denial> {
    let gateway = Rc::clone(account.gateway());
    check_content(&exchange.head)?;
    check_declared_length(exchange, service.body_bytes_max(&gateway.shared.options))?;
    let bytes_max = service.service.spec.body_bytes_max.unwrap_or(PREDICT_BYTES_DEFAULT);
    exchange.body.limit(bytes_max).map_err(body_denial)?;
    // Held until the answer: what is under way counts, not only what is read.
    let body = Body::new(read_body(exchange, bytes_max, &gateway.shared.ingest_room).await?);
    let now = gateway.now();
    let request = Request { now, ..request };
    let entered = if now.mono_ns.saturating_sub(entered.known.now.mono_ns) < BELIEVED_NS {
        entered
    } else {
        // The body took its time: who calls, and what they may, is looked at again (I3).
        gateway.check_fresh(now)?;
        enter(&gateway, account, exchange, request, service).await?
    };
    let asked = Outline::read(&gateway, &body, of).await?;
    let caller =
        decide(&gateway, account, exchange, (request, service, &entered), Some(asked.of().model)).await?;
    let of = asked.of();
    let found = gateway.shared.models.find(service.service.project, of.model, of.version);
    let served = found.map_err(|why| unserved(why, of))?;
    account.note_model(&served.model.spec);
    let outcome = answer(&gateway, account, service, (asked, caller, &served)).await;
    if let Err(denial) = &outcome {
        match denial.code() {
            Code::Overloaded => served.tally.refused(),
            Code::InputsInvalid => {}
            _ => served.tally.failed(),
        }
    }
    outcome
}

async fn answer<C: Counters + 'static>(
    gateway: &Rc<Gateway<C>>,
    account: &mut Account<C>,
    service: &Rc<ProxyService>,
    (asked, caller, served): (Outline<'_>, Caller, &Arc<Served>),
) -> Result<Answer, Denial> {
    let spec = &*served.model.spec;
    let Some(place) = served.places.take() else {
        let most = spec.concurrency_max();
        let detail = format!("{most} requests of model `{}` are under way, which is its bound", spec.name);
        return Err(Denial::new(Code::Overloaded, detail).wait_ns(1_000_000_000));
    };
    let (inputs, reply) = asked.inputs(gateway, served).await?;
    if served.engine.is_some() {
        check_open(served, &inputs)?;
    }
    let rows = inputs.first().map(Tensor::rows);
    let kept = spec.record_inputs.then(|| inputs.clone());
    let begun_ns = gateway.mono_ns();
    let outputs = match &served.engine {
        Some(_) => run_here(gateway, served, inputs, place).await?,
        None => {
            let id = account.request_id();
            let outputs = remote::ask(gateway, (service, served), &inputs, id).await;
            drop(place);
            outputs?
        }
    };
    let latency_ns = gateway.mono_ns().saturating_sub(begun_ns);
    served.tally.answered(latency_ns);
    account.note_outcome(Code::Valid, "");
    if let Some(identity) = &caller.identity {
        let told = events::Told {
            served,
            service: &service.service,
            record: &identity.record,
            decision: account.request_id(),
            rows,
            latency_ns,
            inputs: kept.as_deref(),
            outputs: &outputs,
        };
        events::tell(gateway, &told);
    }
    let mut answer = written(&reply, spec, outputs, latency_ns)?;
    caller.rate.write(&mut answer.head);
    Ok(answer)
}

/// Refuses what is longer than a file is asked on one axis; the server of a remote model has bounds of its own.
fn check_open(served: &Served, inputs: &[Tensor]) -> Result<(), Denial> {
    let spec = &*served.model.spec;
    for (input, tensor) in served.inputs.iter().zip(inputs) {
        let axes = input.shape.iter().zip(&tensor.shape).enumerate();
        let mut open = axes.filter(|(_, (wanted, _))| wanted.is_none());
        let Some((axis, (_, length))) = open.find(|(axis, (_, length))| **length > spec.open_axis_max(*axis))
        else {
            continue;
        };
        let most = spec.open_axis_max(axis);
        let problem =
            format!("its axis {axis} has {length}, over the bound of {most}; ask in several requests");
        return Err(invalid(InputMistake::new(format!("inputs.{}", input.name), problem)));
    }
    Ok(())
}

fn written(
    reply: &Reply,
    spec: &ModelSpec,
    mut outputs: Vec<(Box<str>, Tensor)>,
    latency_ns: u64,
) -> Result<Answer, Denial> {
    let (model, version) = (&*spec.name, &*spec.version);
    match reply {
        Reply::Question => {
            Ok(json(200, question_body(&Answered { model, version, outputs: &outputs, latency_ns })))
        }
        Reply::Infer(wanted) => {
            if let Some(name) = wanted.unknown_output(outputs.iter().map(|(name, _)| &**name)) {
                let known = outputs.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join("`, `");
                let shown: String = name.chars().take(64).collect();
                let problem = format!("the model has no output `{shown}`; it has `{known}`");
                return Err(invalid(InputMistake::new("outputs", problem)));
            }
            outputs.retain(|(name, _)| wanted.wants(name));
            let answered = Answered { model, version, outputs: &outputs, latency_ns };
            Ok(json(200, infer_body(&answered, wanted.id())))
        }
    }
}

/// Runs a model of this process: at once where that costs little, else off the lane. The place is given back when the
/// model is done with it, whether or not somebody still waits.
async fn run_here<C: Counters + 'static>(
    gateway: &Gateway<C>,
    served: &Arc<Served>,
    inputs: Vec<Tensor>,
    place: Place,
) -> Result<Vec<(Box<str>, Tensor)>, Denial> {
    let Some(engine) = &served.engine else { return Err(Denial::new(Code::ModelUnavailable, "")) };
    let outcome = match engine.run_here(inputs) {
        Ok(ran) => {
            drop(place);
            ran
        }
        Err(inputs) => run_aside(gateway, (&**engine, served), inputs, place).await,
    };
    match outcome {
        Ok(outputs) => Ok(served.outputs.iter().map(|spec| spec.name.clone()).zip(outputs).collect()),
        Err(NotRun::Late) => {
            let timeout = served.model.spec.timeout();
            Err(Denial::new(Code::UpstreamTimeout, format!("the model did not answer within {timeout}")))
        }
        Err(NotRun::Failed(cause)) => {
            let (model, version) = (&*served.model.spec.name, &*served.model.spec.version);
            gateway.predict_fault.report(gateway.mono_ns(), |left_out| {
                tracing::warn!(model, version, left_out, "a model failed on its inputs: {cause}");
            });
            Err(Denial::new(Code::InputsInvalid, "the model failed on these inputs; the node's log says why"))
        }
    }
}

/// Runs a model on its threads.
async fn run_aside<C: Counters + 'static>(
    gateway: &Gateway<C>,
    (engine, served): (&dyn Engine, &Served),
    inputs: Vec<Tensor>,
    place: Place,
) -> Ran {
    let timeout = served.model.spec.timeout();
    let deadline_ns = gateway.mono_ns().saturating_add(timeout.as_nanos());
    let (tell, told) = oneshot::channel();
    let done = Box::new(move |outcome| {
        drop(place);
        // Who asked may have left.
        let _heard = tell.send(outcome);
    });
    engine.submit(inputs, deadline_ns, done);
    match tokio::time::timeout(timeout.to_std(), told).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_gone)) => Err(NotRun::Failed("the thread that ran the model ended".to_owned())),
        Err(_late) => Err(NotRun::Late),
    }
}

/// Refuses what is not JSON.
fn check_content(head: &RequestHead) -> Result<(), Denial> {
    if head.header("inference-header-content-length").is_some() {
        let detail = "the binary extension is not spoken here; send tensors as JSON (`binary_data=False`)";
        return Err(Denial::new(Code::UnsupportedContent, detail));
    }
    let Some(value) = head.header("content-type") else { return Ok(()) };
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if matches!(kind, "" | "application/json" | "text/json") || kind.ends_with("+json") {
        return Ok(());
    }
    Err(Denial::new(Code::UnsupportedContent, "send `Content-Type: application/json`"))
}
