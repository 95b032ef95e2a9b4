//! Any bytes as a question to a model, in both wire forms. What is accepted fits what the model takes, has as many
//! elements as its shape says, and is read the same from what is written of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tollgate_core::tensor::{DataType, Tensor, TensorSpec, elements};
use tollgate_wire::predict::{Infer, Question, infer_request, push_inputs, read_inputs};

fn specs(mode: u8) -> [TensorSpec; 2] {
    let kind = |number: usize| DataType::ALL[number % DataType::ALL.len()];
    let spec = |name: &str, kind, shape: &[Option<usize>]| TensorSpec {
        name: name.into(),
        kind,
        shape: shape.into(),
    };
    [
        spec("a", kind(usize::from(mode)), &[None, Some(2)]),
        spec("b", kind(usize::from(mode) / DataType::ALL.len()), &[None]),
    ]
}

fn check(specs: &[TensorSpec], inputs: &[Tensor]) {
    assert_eq!(specs.len(), inputs.len());
    for (spec, tensor) in specs.iter().zip(inputs) {
        assert!(spec.fits(&tensor.shape));
        assert_eq!(tensor.data.kind(), spec.kind);
        assert_eq!(elements(&tensor.shape), Some(tensor.data.len()));
    }
}

fuzz_target!(|data: &[u8]| {
    let [mode, body @ ..] = data else { return };
    let specs = specs(*mode);
    if let Ok(question) = Question::read(body)
        && let Ok(inputs) = read_inputs(question.inputs, &specs)
    {
        check(&specs, &inputs);
        let mut written = Vec::new();
        push_inputs(&mut written, &specs, &inputs);
        let written = RawValue::from_string(String::from_utf8(written).expect("text")).expect("JSON");
        assert_eq!(read_inputs(&written, &specs).expect("what was written is refused"), inputs);
    }
    if let Ok(infer) = Infer::read(body)
        && let Ok(inputs) = infer.inputs(&specs)
    {
        check(&specs, &inputs);
        let written = infer_request(&specs, &inputs, "1");
        let again = Infer::read(&written).expect("what was written is refused");
        assert_eq!(again.inputs(&specs).expect("what was written is refused"), inputs);
    }
});
