//! Asking the server that has a model, through this lane's own upstream pools: KServe's Open Inference Protocol v2
//! (`/v2/models/{model}[/versions/{version}]/infer`) and TensorFlow Serving's REST
//! (`/v1/models/{model}[/versions/{version}]:predict`, columns).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::{
    code::Code,
    counters::Counters,
    predict_spec::{PREDICT_BYTES_MAX, RemoteProtocol, RemoteSpec},
    serving::Served,
    tensor::Tensor,
};
use tollgate_wire::{
    predict::{InferOutputs, infer_request, push_inputs, read_nested, typed_guess},
    text::DecisionText,
};

use crate::{
    denial::Denial,
    http::{
        body::{Frame, RequestBody},
        bounds::Timeouts,
        head::RequestHead,
        upstream::{UpstreamAnswer, UpstreamErrorKind, UpstreamRequest},
    },
    lane::Gateway,
    names,
    proxy::{denial_of, note_failure},
    service::ProxyService,
};

/// How long a connection may take, within the time that the model has.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Asks.
pub(super) async fn ask<C: Counters + 'static>(
    gateway: &Gateway<C>,
    (service, served): (&ProxyService, &Arc<Served>),
    inputs: &[Tensor],
    id: DecisionText,
) -> Result<Vec<(Box<str>, Tensor)>, Denial> {
    let Some(remote) = &served.model.spec.remote else { return Err(Denial::new(Code::ModelUnavailable, "")) };
    let timeout = served.model.spec.timeout();
    let asked = exchange(gateway, (service, served, remote), inputs, id);
    let late = || Denial::new(Code::UpstreamTimeout, format!("the model did not answer within {timeout}"));
    let body = tokio::time::timeout(timeout.to_std(), asked).await.map_err(|_| late())??;
    read(remote.protocol, &body).map_err(|cause| garbage(gateway, served, &cause))
}

async fn exchange<C: Counters + 'static>(
    gateway: &Gateway<C>,
    (service, served, remote): (&ProxyService, &Served, &RemoteSpec),
    inputs: &[Tensor],
    id: DecisionText,
) -> Result<Vec<u8>, Denial> {
    let tenants = gateway.tables().tables.tenants.len();
    let (origin, condition) =
        gateway.remotes.of(&gateway.shared.registry, service.service.id, (remote, tenants))?;
    let name = remote.model.as_deref().unwrap_or(&served.model.spec.name);
    let id_text = std::str::from_utf8(id.as_bytes()).unwrap_or_default();
    let body = Bytes::from(match remote.protocol {
        RemoteProtocol::KserveV2 => infer_request(&served.inputs, inputs, id_text),
        RemoteProtocol::TfServing => {
            let mut body = b"{\"inputs\":".to_vec();
            push_inputs(&mut body, &served.inputs, inputs);
            body.push(b'}');
            body
        }
    });
    let mut head = RequestHead::originate("POST", &path_of(remote, name))
        .map_err(|_| Denial::new(Code::ModelUnavailable, ""))?;
    head.set(&names::CONTENT_TYPE, &names::APPLICATION_JSON);
    head.set(&names::ACCEPT_ENCODING, &names::IDENTITY);
    head.set_text(&names::X_REQUEST_ID, |out| out.extend_from_slice(id.as_bytes()));
    let whole = served.model.spec.timeout().to_std();
    let timeouts = Timeouts { connect: whole.min(CONNECT_MAX), response_head: whole, body_idle: whole };
    let mut may_repeat = true;
    loop {
        let body = RequestBody::from_bytes(body.clone());
        let mut request = UpstreamRequest { head: &head, body, timeouts, upgrade: None };
        match gateway.upstreams.send(&origin, &mut request).await {
            Ok(answer) => {
                condition.succeeded();
                return take(gateway, served, answer).await;
            }
            Err(error) => {
                note_failure(gateway, (service, &origin, &condition), &error, gateway.mono_ns());
                // A question changes nothing, so that asking it twice does no harm.
                let worth_it = error.nothing_sent || matches!(error.kind, UpstreamErrorKind::Reset);
                if !(worth_it && std::mem::replace(&mut may_repeat, false)) {
                    return Err(denial_of(&error.kind));
                }
                gateway.meters.retries.increment(1);
            }
        }
    }
}

/// The whole body of a good answer.
async fn take<C: Counters + 'static>(
    gateway: &Gateway<C>,
    served: &Served,
    mut answer: UpstreamAnswer,
) -> Result<Vec<u8>, Denial> {
    let mut body = Vec::new();
    while let Some(frame) = answer.body.frame().await {
        let Ok(frame) = frame else { return Err(denial_of(&UpstreamErrorKind::Reset)) };
        let Frame::Data(data) = frame else { continue };
        if body.len() as u64 + data.len() as u64 > PREDICT_BYTES_MAX {
            return Err(garbage(gateway, served, "its answer is too large"));
        }
        body.extend_from_slice(&data);
    }
    let status = answer.head.status();
    if status == 200 {
        return Ok(body);
    }
    let words: String = String::from_utf8_lossy(&body).chars().take(300).collect();
    let (model, version) = (&*served.model.spec.name, &*served.model.spec.version);
    gateway.predict_fault.report(gateway.mono_ns(), |left_out| {
        tracing::warn!(model, version, status, left_out, "the server of a model refused: {words}");
    });
    Err(match status {
        400 | 422 => Denial::new(
            Code::InputsInvalid,
            "the server of the model refused these inputs; the node's log says what it said",
        ),
        429 | 503 => Denial::new(Code::Overloaded, "the server of the model has too much to do"),
        404 => Denial::new(Code::ModelUnavailable, "the server of the model does not have it"),
        _ => Denial::new(Code::UpstreamUnreachable, format!("the server of the model answered {status}")),
    })
}

fn garbage<C: Counters + 'static>(gateway: &Gateway<C>, served: &Served, cause: &str) -> Denial {
    let (model, version) = (&*served.model.spec.name, &*served.model.spec.version);
    gateway.predict_fault.report(gateway.mono_ns(), |left_out| {
        tracing::warn!(model, version, left_out, "the server of a model answered nonsense: {cause}");
    });
    Denial::new(Code::UpstreamUnreachable, "the server of the model sent an answer that cannot be read")
}

fn path_of(remote: &RemoteSpec, name: &str) -> String {
    let version = remote.version.as_ref().map(|version| format!("/versions/{version}")).unwrap_or_default();
    match remote.protocol {
        RemoteProtocol::KserveV2 => format!("/v2/models/{name}{version}/infer"),
        RemoteProtocol::TfServing => format!("/v1/models/{name}{version}:predict"),
    }
}

/// What TensorFlow Serving answers to columns: an object of them, or the only one alone.
#[derive(Deserialize)]
struct Columns<'a> {
    #[serde(borrow)]
    outputs: &'a RawValue,
}

fn read(protocol: RemoteProtocol, body: &[u8]) -> Result<Vec<(Box<str>, Tensor)>, String> {
    match protocol {
        RemoteProtocol::KserveV2 => {
            let outputs = InferOutputs::read(body).map_err(|mistake| mistake.to_string())?;
            outputs.tensors().map_err(|mistake| mistake.to_string())
        }
        RemoteProtocol::TfServing => {
            let Columns { outputs } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let column = |name: &str, json: &RawValue| {
                let tensor =
                    read_nested(json, typed_guess(json), name).map_err(|mistake| mistake.to_string())?;
                Ok((Box::from(name), tensor))
            };
            if !outputs.get().starts_with('{') {
                return Ok(vec![column("outputs", outputs)?]);
            }
            let named: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(outputs.get()).map_err(|error| error.to_string())?;
            named.into_iter().map(|(name, json)| column(&name, json)).collect()
        }
    }
}
