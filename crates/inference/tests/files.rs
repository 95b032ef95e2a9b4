//! Files that scikit-learn exports, run here and by onnxruntime (`models/make.py`).

use std::path::PathBuf;

use serde_json::Value;
use tollgate_core::{predict_spec::SampleSpec, tensor::Data};
use tollgate_inference::check;

pub(crate) fn path(name: &str) -> PathBuf {
    let folder = if name == "fraud" { "../tollgate/src/demo" } else { "tests/models" };
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.onnx"))
}

fn sample(expected: &Value) -> SampleSpec {
    SampleSpec { inputs: expected["rows"].to_string(), ..SampleSpec::default() }
}

fn numbers(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(own) => own.iter().copied().map(f64::from).collect(),
        Data::I64(own) => own.iter().map(|value| *value as f64).collect(),
        other => panic!("{other:?}"),
    }
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(rows) => rows.iter().flat_map(flat).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

#[test]
fn what_scikit_learn_exports_answers_as_onnxruntime_does() {
    let expected: Value = serde_json::from_str(include_str!("models/expected.json")).unwrap();
    for name in [
        "logistic",
        "scaled",
        "plain",
        "forest",
        "boosted",
        "boosted_plain",
        "fraud",
        "linear_regression",
        "boosted_regression",
        "fixed",
    ] {
        let expected = &expected[name];
        let checked = check(&std::fs::read(path(name)).unwrap(), Some(&sample(expected)))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&*checked.inputs[0].name, expected["input"].as_str().unwrap());
        for (output, tensor) in &checked.sample {
            let (ours, theirs) = (numbers(&tensor.data), flat(&expected["outputs"][&**output]));
            assert_eq!(ours.len(), theirs.len(), "{name} {output}");
            for (one, other) in ours.iter().zip(&theirs) {
                assert!((one - other).abs() < 1e-4, "{name} {output}: {ours:?} {theirs:?}");
            }
        }
        assert_eq!(checked.is_joinable, name != "fixed", "{name}");
        assert_eq!(checked.is_native, name != "fixed", "{name}");
    }
}

#[test]
fn classes_that_are_texts_are_answered_as_texts() {
    let expected: Value = serde_json::from_str(include_str!("models/expected.json")).unwrap();
    let expected = &expected["labels"];
    let checked = check(&std::fs::read(path("labels")).unwrap(), Some(&sample(expected))).unwrap();
    let (_, labels) = &checked.sample[0];
    let Data::Text(labels) = &labels.data else { panic!("{labels:?}") };
    assert_eq!(serde_json::to_value(labels).unwrap(), expected["outputs"]["label"]);
}

#[test]
fn what_is_no_model_says_why() {
    let whole = std::fs::read(path("boosted")).unwrap();
    for (bytes, words) in [
        (b"not a model at all".to_vec(), "not an ONNX file"),
        (whole[..whole.len() / 2].to_vec(), "not an ONNX file"),
        (Vec::new(), "not an ONNX file"),
    ] {
        let error = check(&bytes, None).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    for (inputs, shape, words) in [
        ("[[1,2,3]]", vec![1, 2], "does not fit"),
        ("[[1,2,3,4]]", vec![2, 2], "in the shape [1, 2], and [2, 2] was said"),
        ("[[1,2,3,4]", vec![1, 2], "not JSON"),
    ] {
        let shapes = [("output_probability".to_owned(), shape)].into();
        let sample = SampleSpec { inputs: inputs.to_owned(), shapes };
        let error = check(&whole, Some(&sample)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
