//! Trees and linear models that exporters seldom write, held against what onnxruntime answers
//! (`models/ensembles.py`).

use proptest::prelude::*;
use serde_json::Value;
use tollgate_core::tensor::{Data, DataType, Tensor, TensorSpec, elements};
use tollgate_inference::run_native;

/// What this crate answers otherwise, and why.
fn differs(name: &str, output: &str) -> bool {
    // A transform of one number is left out by onnxruntime, which the specification does not say.
    let is_left_out =
        ["1 targets, SOFTMAX", "1 targets, LOGISTIC", "1 targets, SOFTMAX_ZERO"].contains(&name);
    // onnxruntime names the class `1` when the second score is positive, and mixes base values up.
    let are_mixed = name.starts_with("two classes, both voted")
        && (output == "label" || !name.contains(", 0 base values"));
    // It takes `SOFTMAX` for `LOGISTIC` and the other way round where they are numbers.
    let is_swapped = name.contains("transform 1") || name.contains("transform 2");
    // It leaves the base value of a target out that got no votes.
    let is_unvoted = name == "MAX of 2 with base values";
    is_left_out || are_mixed || is_swapped || is_unvoted
}

/// What is left to tract: nobody says what it means.
fn is_left(name: &str) -> bool {
    let (is_first, is_second) = (name.contains(", 0 voted"), name.contains(", 1 voted"));
    name == "one class"
        || (is_first && (name.contains(", 2 base values") || name.ends_with("PROBIT")))
        || (is_second && !name.contains(", 0 base values"))
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(word) => word.parse().unwrap(),
        value => value.as_f64().unwrap(),
    }
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(rows) => rows.iter().flat_map(flat).collect(),
        value => vec![value],
    }
}

fn inputs(rows: &Value, kind: DataType) -> Vec<Tensor> {
    let all = flat(rows);
    let data = match kind {
        DataType::F64 => Data::F64(all.iter().map(|value| number(value)).collect()),
        DataType::I64 => Data::I64(all.iter().map(|value| value.as_i64().unwrap()).collect()),
        DataType::I32 => Data::I32(all.iter().map(|value| value.as_i64().unwrap() as i32).collect()),
        _ => Data::F32(all.iter().map(|value| number(value) as f32).collect()),
    };
    vec![Tensor { shape: vec![all.len() / 3, 3], data }]
}

fn is_alike(ours: &Data, theirs: &Value) -> bool {
    let all = flat(theirs);
    let close = |one: f64, other: &Value| {
        let other = number(other);
        (one.is_nan() && other.is_nan()) || one == other || (one - other).abs() <= 1e-5 * other.abs().max(1.0)
    };
    ours.len() == all.len()
        && match ours {
            Data::Text(own) => own.iter().zip(&all).all(|(one, other)| other.as_str() == Some(one)),
            Data::I64(own) => own.iter().zip(&all).all(|(one, other)| other.as_i64() == Some(*one)),
            Data::F32(own) => own.iter().zip(&all).all(|(one, other)| close(f64::from(*one), other)),
            Data::F64(own) => own.iter().zip(&all).all(|(one, other)| close(*one, other)),
            other => panic!("{other:?}"),
        }
}

#[test]
fn trees_and_linear_models_answer_as_onnxruntime_does() {
    let models: Vec<Value> = serde_json::from_str(include_str!("models/ensembles.json")).unwrap();
    assert!(models.len() > 150);
    let mut wrong = Vec::new();
    for model in &models {
        let name = model["name"].as_str().unwrap();
        let answered = run_native(&bytes(model["model"].as_str().unwrap()), |specs| {
            inputs(&model["rows"], specs[0].kind)
        });
        let Some(answered) = answered else {
            assert!(is_left(name), "{name} is not run here");
            continue;
        };
        assert!(!is_left(name), "{name} is run here");
        let answered = answered.unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs = model["outputs"].as_object().unwrap();
        assert_eq!(answered.len(), theirs.len(), "{name}");
        for output in
            ["label", "scores", "y", "p", "best", "s"].iter().filter(|own| theirs.contains_key(**own))
        {
            let place = place_of(output, theirs.len());
            let ours = &answered[place].data;
            if !differs(name, output) && !is_alike(ours, &theirs[*output]) {
                wrong.push(format!("{name}, {output}:\n  {ours:?}\n  {}", theirs[*output]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where an output stands; an object of JSON does not keep its order.
fn place_of(output: &str, count: usize) -> usize {
    match (output, count) {
        ("scores" | "best", _) => 1,
        ("s", _) => 2,
        _ => 0,
    }
}

fn zeros(specs: &[TensorSpec]) -> Vec<Tensor> {
    let one = |spec: &TensorSpec| {
        let shape: Vec<usize> = spec.shape.iter().map(|length| length.unwrap_or(2).min(64)).collect();
        let count = elements(&shape).unwrap();
        let data = match spec.kind {
            DataType::F64 => Data::F64(vec![f64::NAN; count]),
            DataType::I64 => Data::I64(vec![1; count]),
            DataType::I32 => Data::I32(vec![-1; count]),
            _ => Data::F32(vec![0.5; count]),
        };
        Tensor { shape, data }
    };
    specs.iter().map(one).collect()
}

#[test]
fn files_that_were_damaged_are_refused_or_run_to_their_end() {
    let models: Vec<Value> = serde_json::from_str(include_str!("models/ensembles.json")).unwrap();
    let files: Vec<Vec<u8>> = models.iter().map(|model| bytes(model["model"].as_str().unwrap())).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let drawn = (prop::sample::select(files), damage);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&drawn, |(mut file, damage)| {
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Some(Ok(outputs)) = run_native(&file, zeros) {
            for output in outputs {
                prop_assert_eq!(elements(&output.shape), Some(output.data.len()));
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
