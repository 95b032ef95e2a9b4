//! Whether a file is a model that can take requests: read, and tried on its sample.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tollgate_core::{
    each_data,
    predict_spec::SampleSpec,
    tensor::{Data, DataType, Tensor, TensorSpec, elements, shape_words},
};
use tollgate_wire::predict::read_inputs;

use crate::{onnx::Onnx, unusable::Unusable};

/// What was found out of a file that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What it takes.
    pub inputs: Box<[TensorSpec]>,
    /// What it gives.
    pub outputs: Box<[TensorSpec]>,
    /// Whether requests can be joined.
    pub is_joinable: bool,
    /// Whether it runs without tract.
    pub is_native: bool,
    /// What it gave for its sample; nothing when it could not be tried.
    pub sample: Vec<(Box<str>, Tensor)>,
}

/// Reads a model and tries it: on its sample, or where it has none and its shapes are known, on zeros.
///
/// # Errors
/// When it cannot be read or run, or its sample gives other shapes than were said.
pub fn check(bytes: &[u8], sample: Option<&SampleSpec>) -> Result<Checked, Unusable> {
    let onnx = Onnx::read(bytes)?;
    let outputs = warm_up(&onnx, sample)?;
    let names = onnx.outputs.iter().map(|spec| spec.name.clone());
    Ok(Checked {
        sample: names.zip(outputs).collect(),
        is_joinable: onnx.is_joinable(),
        is_native: onnx.is_native(),
        inputs: onnx.inputs,
        outputs: onnx.outputs,
    })
}

/// Runs a model again and again on its sample and gives how long each run took, in nanoseconds of `now_ns`.
///
/// # Errors
/// As [`check`], and when there is nothing to run it on.
pub fn rehearse(
    bytes: &[u8],
    sample: Option<&SampleSpec>,
    times: u32,
    now_ns: impl Fn() -> u64,
) -> Result<Vec<u64>, Unusable> {
    let onnx = Onnx::read(bytes)?;
    warm_up(&onnx, sample)?;
    let inputs = match sample {
        Some(sample) => written(sample, &onnx.inputs)?,
        None => zeros(&onnx.inputs).ok_or_else(|| Unusable::new("say a sample to run it on"))?,
    };
    let once = |_| {
        let inputs = inputs.clone();
        let begun = now_ns();
        onnx.run(inputs).map_err(Unusable::new)?;
        Ok(now_ns().saturating_sub(begun))
    };
    (0..times).map(once).collect()
}

/// Runs a model that needs no tract on inputs that are made for it, as often as there are some; `None` for every other
/// file. Whatever the file holds, this ends and does not panic.
///
/// # Errors
/// What is wrong with the file, or what a run said.
pub fn run_native(
    bytes: &[u8],
    inputs: impl FnOnce(&[TensorSpec]) -> Vec<Tensor>,
) -> Option<Result<Vec<Tensor>, Unusable>> {
    let onnx = Onnx::read_native(bytes)?;
    Some(onnx.and_then(|onnx| onnx.run(inputs(&onnx.inputs)).map_err(Unusable::new)))
}

/// Runs a model once, so that it is known to run and what it makes at its first run is made.
pub(crate) fn warm_up(onnx: &Onnx, sample: Option<&SampleSpec>) -> Result<Vec<Tensor>, Unusable> {
    let inputs = match sample {
        Some(sample) => written(sample, &onnx.inputs)?,
        None => match zeros(&onnx.inputs) {
            Some(inputs) => inputs,
            // Which lengths belong together is not known: a model may take none that we make up.
            None => return Ok(Vec::new()),
        },
    };
    let outputs = onnx.run(inputs).map_err(|problem| {
        let remedy = if sample.is_some() { "" } else { "; say a `sample` that it takes" };
        Unusable::new(format_args!("it was tried and failed: {problem}{remedy}"))
    })?;
    let nothing = BTreeMap::new();
    for (name, wanted) in sample.map_or(&nothing, |sample| &sample.shapes) {
        let place = onnx.outputs.iter().position(|spec| *spec.name == **name);
        let Some(found) = place.and_then(|place| outputs.get(place)) else {
            let names: Vec<&str> = onnx.outputs.iter().map(|spec| &*spec.name).collect();
            return Err(Unusable::new(format_args!(
                "its sample speaks of an output `{name}`; it has {}",
                names.join(", ")
            )));
        };
        if found.shape != *wanted {
            let words = |shape: &[usize]| shape_words(shape.iter().copied().map(Some));
            return Err(Unusable::new(format_args!(
                "its sample gives `{name}` in the shape {}, and {} was said",
                words(&found.shape),
                words(wanted)
            )));
        }
    }
    Ok(outputs)
}

fn written(sample: &SampleSpec, specs: &[TensorSpec]) -> Result<Vec<Tensor>, Unusable> {
    let json: &RawValue = serde_json::from_str(&sample.inputs)
        .map_err(|error| Unusable::new(format_args!("its sample is not JSON: {error}")))?;
    read_inputs(json, specs)
        .map_err(|mistake| Unusable::new(format_args!("its sample does not fit: {mistake}")))
}

/// One row of zeros; `None` where more than the number of rows is open.
pub(crate) fn zeros(specs: &[TensorSpec]) -> Option<Vec<Tensor>> {
    let one = |spec: &TensorSpec| {
        let shape = spec.shape.iter().enumerate().map(|(axis, length)| length.or((axis == 0).then_some(1)));
        let shape: Vec<usize> = shape.collect::<Option<_>>()?;
        let count = elements(&shape)?;
        let mut data = Data::none_of(spec.kind);
        if spec.kind == DataType::Text {
            return None;
        }
        each_data!(&mut data, own => own.resize_with(count, Default::default));
        Some(Tensor { shape, data })
    };
    specs.iter().map(one).collect()
}
