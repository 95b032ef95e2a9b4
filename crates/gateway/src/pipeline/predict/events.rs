//! One event for each prediction, of the type `tollgate.prediction`: what it says. How it gets to the intake of records
//! is in `lane::gathered`.

use std::rc::Rc;

use tollgate_core::{
    counters::Counters, event::Sender, ingest_spec::RECORD_BYTES_DEFAULT, keyring::KeyRecord,
    service::Service, serving::Served, tensor::Tensor,
};
use tollgate_wire::{
    predict::{push_inputs, push_outputs},
    text::{DecisionText, push_json_string, push_number},
};

use crate::lane::{Gateway, gathered::gather};

/// Bytes of one event, as of every record.
const BYTES_MAX: usize = RECORD_BYTES_DEFAULT as usize;

/// What is told of a prediction.
pub(super) struct Told<'a> {
    pub(super) served: &'a Served,
    pub(super) service: &'a Service,
    pub(super) record: &'a KeyRecord,
    pub(super) decision: DecisionText,
    pub(super) rows: Option<usize>,
    pub(super) latency_ns: u64,
    /// Where the model says that they are recorded.
    pub(super) inputs: Option<&'a [Tensor]>,
    pub(super) outputs: &'a [(Box<str>, Tensor)],
}

/// Tells of a prediction.
pub(super) fn tell<C: Counters + 'static>(gateway: &Rc<Gateway<C>>, told: &Told<'_>) {
    let sender = Sender {
        tenant: told.service.tenant,
        project: told.service.project,
        service: told.service.id,
        consumer: told.record.consumer,
        key: told.record.id,
    };
    gather(gateway, sender, |out| write(out, told));
}

fn write(out: &mut Vec<u8>, told: &Told<'_>) {
    let start = out.len();
    let spec = &told.served.model.spec;
    out.extend_from_slice(b"{\"model\":");
    push_json_string(out, &spec.name);
    out.extend_from_slice(b",\"version\":");
    push_json_string(out, &spec.version);
    out.extend_from_slice(b",\"decision_id\":\"");
    out.extend_from_slice(told.decision.as_bytes());
    out.extend_from_slice(b"\",\"latency_us\":");
    push_number(out, told.latency_ns / 1_000);
    if let Some(rows) = told.rows {
        out.extend_from_slice(b",\"rows\":");
        push_number(out, rows as u64);
    }
    if let Some(inputs) = told.inputs {
        push_ends(out, start, told, inputs);
    }
    out.push(b'}');
}

/// Inputs and outputs, where the record that begins at `start` stays within what a record may have.
fn push_ends(out: &mut Vec<u8>, start: usize, told: &Told<'_>, inputs: &[Tensor]) {
    let before = out.len();
    let tensors = inputs.iter().chain(told.outputs.iter().map(|(_, output)| output));
    // An element and what stands behind it are two bytes at least: what cannot fit is not written at all.
    let elements: usize = tensors.map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    if elements <= BYTES_MAX / 2 {
        out.extend_from_slice(b",\"inputs\":");
        push_inputs(out, &told.served.inputs, inputs);
        out.extend_from_slice(b",\"outputs\":");
        push_outputs(out, told.outputs);
        if out.len() - start < BYTES_MAX {
            return;
        }
    }
    out.truncate(before);
    out.extend_from_slice(b",\"truncated\":true");
}
