//! Answers, written straight into one buffer.

use tollgate_core::tensor::{Data, Tensor, TensorSpec};

use crate::text::{push_json_string, push_number};

/// What a model answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The model.
    pub model: &'a str,
    /// The version that answered.
    pub version: &'a str,
    /// Names of outputs, and what they are.
    pub outputs: &'a [(Box<str>, Tensor)],
    /// How long it took, waiting included, nanoseconds.
    pub latency_ns: u64,
}

/// The answer of `POST /api/v1/predict`.
#[must_use]
pub fn question_body(answered: &Answered<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"model\":");
    push_json_string(&mut out, answered.model);
    out.extend_from_slice(b",\"version\":");
    push_json_string(&mut out, answered.version);
    out.extend_from_slice(b",\"outputs\":");
    push_outputs(&mut out, answered.outputs);
    out.extend_from_slice(b",\"latency_ms\":");
    push_millis(&mut out, answered.latency_ns);
    out.push(b'}');
    out
}

/// Writes outputs as an object of nested arrays.
pub fn push_outputs(out: &mut Vec<u8>, outputs: &[(Box<str>, Tensor)]) {
    push_members(out, outputs.iter().map(|(name, tensor)| (&**name, tensor)));
}

/// Writes inputs as an object of nested arrays.
pub fn push_inputs(out: &mut Vec<u8>, specs: &[TensorSpec], inputs: &[Tensor]) {
    push_members(out, specs.iter().map(|spec| &*spec.name).zip(inputs));
}

fn push_members<'t>(out: &mut Vec<u8>, tensors: impl Iterator<Item = (&'t str, &'t Tensor)>) {
    out.push(b'{');
    for (index, (name, tensor)) in tensors.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(out, name);
        out.push(b':');
        push_nested(out, tensor);
    }
    out.push(b'}');
}

/// Nanoseconds as milliseconds with three decimals.
fn push_millis(out: &mut Vec<u8>, nanos: u64) {
    let micros = nanos / 1_000;
    push_number(out, micros / 1_000);
    let rest = micros % 1_000;
    out.push(b'.');
    for digit in [rest / 100, rest / 10 % 10, rest % 10] {
        out.push(b'0' + digit as u8);
    }
}

/// The answer of `POST /v2/models/{model}/infer`.
#[must_use]
pub fn infer_body(answered: &Answered<'_>, id: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"model_name\":");
    push_json_string(&mut out, answered.model);
    out.extend_from_slice(b",\"model_version\":");
    push_json_string(&mut out, answered.version);
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        push_json_string(&mut out, id);
    }
    out.extend_from_slice(b",\"outputs\":[");
    for (index, (name, tensor)) in answered.outputs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_infer_tensor(&mut out, name, tensor);
    }
    out.extend_from_slice(b"]}");
    out
}

/// A question to a server of the protocol.
#[must_use]
pub fn infer_request(specs: &[TensorSpec], inputs: &[Tensor], id: &str) -> Vec<u8> {
    let mut out = b"{\"id\":".to_vec();
    push_json_string(&mut out, id);
    out.extend_from_slice(b",\"inputs\":[");
    for (index, (spec, tensor)) in specs.iter().zip(inputs).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_infer_tensor(&mut out, &spec.name, tensor);
    }
    out.extend_from_slice(b"]}");
    out
}

/// Writes a tensor as the protocol has it, with its elements flat.
fn push_infer_tensor(out: &mut Vec<u8>, name: &str, tensor: &Tensor) {
    out.extend_from_slice(b"{\"name\":");
    push_json_string(out, name);
    out.extend_from_slice(b",\"shape\":[");
    for (index, length) in tensor.shape.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_number(out, *length as u64);
    }
    out.extend_from_slice(b"],\"datatype\":");
    push_json_string(out, tensor.data.kind().name());
    out.extend_from_slice(b",\"data\":[");
    for index in 0..tensor.data.len() {
        if index > 0 {
            out.push(b',');
        }
        push_element(out, &tensor.data, index);
    }
    out.extend_from_slice(b"]}");
}

/// What a model is, as `GET /v2/models/{model}` tells it.
#[must_use]
pub fn metadata_body(
    (model, versions): (&str, &[&str]),
    platform: &str,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"name\":");
    push_json_string(&mut out, model);
    out.extend_from_slice(b",\"versions\":[");
    for (index, version) in versions.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(&mut out, version);
    }
    out.extend_from_slice(b"],\"platform\":");
    push_json_string(&mut out, platform);
    for (name, specs) in [("inputs", inputs), ("outputs", outputs)] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":[");
        for (index, spec) in specs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_spec(&mut out, spec);
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}

fn push_spec(out: &mut Vec<u8>, spec: &TensorSpec) {
    out.extend_from_slice(b"{\"name\":");
    push_json_string(out, &spec.name);
    out.extend_from_slice(b",\"datatype\":");
    push_json_string(out, spec.kind.name());
    out.extend_from_slice(b",\"shape\":[");
    for (index, length) in spec.shape.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match length {
            Some(length) => push_number(out, *length as u64),
            None => out.extend_from_slice(b"-1"),
        }
    }
    out.extend_from_slice(b"]}");
}

/// Whether a model takes requests, as `GET /v2/models/{model}/ready` tells it.
#[must_use]
pub fn name_ready_body(model: &str, is_ready: bool) -> Vec<u8> {
    let mut out = b"{\"name\":".to_vec();
    push_json_string(&mut out, model);
    out.extend_from_slice(if is_ready { b",\"ready\":true}" } else { b",\"ready\":false}" });
    out
}

/// An error as the protocol has it, with the code and the decision beside.
#[must_use]
pub fn error_body(message: &str, code: &str, decision: &str) -> Vec<u8> {
    let mut out = b"{\"error\":".to_vec();
    push_json_string(&mut out, message);
    out.extend_from_slice(b",\"code\":");
    push_json_string(&mut out, code);
    out.extend_from_slice(b",\"decision_id\":");
    push_json_string(&mut out, decision);
    out.push(b'}');
    out
}

/// Writes a tensor as nested arrays.
pub fn push_nested(out: &mut Vec<u8>, tensor: &Tensor) {
    push_axis(out, tensor, 0, &mut 0);
}

fn push_axis(out: &mut Vec<u8>, tensor: &Tensor, axis: usize, next: &mut usize) {
    let Some(length) = tensor.shape.get(axis) else {
        push_element(out, &tensor.data, *next);
        *next += 1;
        return;
    };
    out.push(b'[');
    for index in 0..*length {
        if index > 0 {
            out.push(b',');
        }
        push_axis(out, tensor, axis + 1, next);
    }
    out.push(b']');
}

/// Writes one element; what is not a number in JSON (infinite, not a number) is `null`.
fn push_element(out: &mut Vec<u8>, data: &Data, index: usize) {
    macro_rules! display {
        ($own:expr) => {
            if let Some(value) = $own.get(index) {
                out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
            }
        };
    }
    let written = match data {
        Data::I8(own) => return display!(own),
        Data::I16(own) => return display!(own),
        Data::I32(own) => return display!(own),
        Data::I64(own) => return display!(own),
        Data::U8(own) => return display!(own),
        Data::U16(own) => return display!(own),
        Data::U32(own) => return display!(own),
        Data::U64(own) => return display!(own),
        Data::Bool(own) => {
            let truth: &[u8] = if own.get(index) == Some(&true) { b"true" } else { b"false" };
            return out.extend_from_slice(truth);
        }
        Data::Text(own) => return push_json_string(out, own.get(index).map_or("", String::as_str)),
        Data::F32(own) => serde_json::to_writer(&mut *out, &own.get(index)),
        Data::F64(own) => serde_json::to_writer(&mut *out, &own.get(index)),
    };
    // Writing a number into memory does not fail.
    let _written = written;
}
