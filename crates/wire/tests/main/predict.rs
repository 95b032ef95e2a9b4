//! Questions to models: read strictly, with the place of the first mistake, and written back the same.

use proptest::prelude::*;
use serde_json::value::RawValue;
use tollgate_core::tensor::{Data, DataType, Tensor, TensorSpec};
use tollgate_wire::predict::{
    Answered, Infer, InferOutputs, Question, infer_body, push_nested, question_body, read_inputs, read_nested,
};

fn spec(name: &str, kind: DataType, shape: &[Option<usize>]) -> TensorSpec {
    TensorSpec { name: name.into(), kind, shape: shape.into() }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn inputs_come_by_name_or_alone() {
    let specs = [spec("x", DataType::F32, &[None, Some(2)])];
    let expected = Tensor { shape: vec![2, 2], data: Data::F32(vec![1.0, 2.5, -3.0, 4.0]) };
    for text in [r#"{"x":[[1,2.5],[-3,4]]}"#, "[[1, 2.5], [-3e0, 4]]"] {
        assert_eq!(read_inputs(&raw(text), &specs).unwrap(), std::slice::from_ref(&expected), "{text}");
    }
    let question = Question::read(br#"{"model":"fraud","version":"2","inputs":[[1,2]]}"#).unwrap();
    assert_eq!((&*question.model, question.version.as_deref()), ("fraud", Some("2")));
}

#[test]
fn the_first_mistake_is_named_with_its_place_and_remedy() {
    let specs = [spec("x", DataType::F32, &[None, Some(2)]), spec("n", DataType::I8, &[None])];
    for (text, field, words) in [
        ("[[1,2]]", "inputs", "takes 2 inputs"),
        (r#"{"x":[[1,2]]}"#, "inputs.n", "missing"),
        (r#"{"x":[[1,2]],"y":1}"#, "inputs.y", "no such input"),
        (r#"{"x":[[1,2]],"x":[[1,2]],"n":[1]}"#, "inputs.x", "twice"),
        (r#"{"x":[1,2],"n":[1]}"#, "inputs.x", "wrap it"),
        (r#"{"x":[[[1,2]]],"n":[1]}"#, "inputs.x", "take brackets away"),
        (r#"{"x":[[1,2],[3]],"n":[1]}"#, "inputs.x[1]", "equally long"),
        (r#"{"x":[[1,"2"]],"n":[1]}"#, "inputs.x[0][1]", "the text \"2\" is not a number"),
        (r#"{"x":[[1,null]],"n":[1]}"#, "inputs.x[0][1]", "null is not a number"),
        (r#"{"x":[[1,1e39]],"n":[1]}"#, "inputs.x[0][1]", "is not a number"),
        (r#"{"x":[[1,[2]]],"n":[1]}"#, "inputs.x[0][1][0]", "brackets deep"),
        (r#"{"x":[[1,{}]],"n":[1]}"#, "inputs.x[0][1]", "an object"),
        (r#"{"x":[],"n":[1]}"#, "inputs.x", "shape"),
        (r#"{"x":[[1,2]],"n":[1,128]}"#, "inputs.n[1]", "128 is not a whole number of -128 to 127"),
        (r#"{"x":[[1,2]],"n":[1.5]}"#, "inputs.n[0]", "1.5 is not"),
        (r#"{"x":[[1,2]],"n":[true]}"#, "inputs.n[0]", "true is not"),
    ] {
        let mistake = read_inputs(&raw(text), &specs).unwrap_err();
        assert_eq!(mistake.field, field, "{text}: {mistake}");
        assert!(mistake.problem.contains(words), "{text}: {mistake}");
    }
    for body in ["", "{", r#"{"model":"a"}"#, r#"{"model":"a","inputs":1,"else":2}"#, "[1]"] {
        assert!(Question::read(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_protocols_tensors_come_flat_or_nested() {
    let specs = [spec("input0", DataType::U32, &[Some(2), Some(2)])];
    let body = |data: &str| {
        format!(
            r#"{{"id":"42","inputs":[{{"name":"input0","shape":[2,2],"datatype":"UINT32","data":{data}}}],
                "outputs":[{{"name":"output0"}}],"parameters":{{}}}}"#
        )
    };
    for data in ["[1,2,3,4]", "[[1,2],[3,4]]"] {
        let text = body(data);
        let infer = Infer::read(text.as_bytes()).unwrap();
        let inputs = infer.inputs(&specs).unwrap();
        let wanted = infer.wanted();
        assert_eq!(wanted.id(), Some("42"));
        assert!(wanted.wants("output0") && !wanted.wants("output1"));
        assert_eq!(wanted.unknown_output(["output1"].into_iter()), Some("output0"));
        assert_eq!(inputs, [Tensor { shape: vec![2, 2], data: Data::U32(vec![1, 2, 3, 4]) }]);
    }
    for (data, field) in [("[1,2,3]", "inputs[0].data"), ("[[1,2,3,4]]", "inputs[0].data")] {
        let text = body(data);
        assert_eq!(Infer::read(text.as_bytes()).unwrap().inputs(&specs).unwrap_err().field, field);
    }
    let text = body("[1,2,3,4]").replace("UINT32", "FP32");
    let mistake = Infer::read(text.as_bytes()).unwrap().inputs(&specs).unwrap_err();
    assert_eq!(mistake.field, "inputs[0].datatype");
}

#[test]
fn answers_are_what_the_contract_says() {
    let outputs = [
        ("label".into(), Tensor { shape: vec![2], data: Data::I64(vec![0, 1]) }),
        ("p".into(), Tensor { shape: vec![2, 2], data: Data::F32(vec![0.1, 0.9, f32::NAN, 1.0]) }),
    ];
    let answered = Answered { model: "fraud", version: "3", outputs: &outputs, latency_ns: 1_234_567 };
    assert_eq!(
        String::from_utf8(question_body(&answered)).unwrap(),
        r#"{"model":"fraud","version":"3","outputs":{"label":[0,1],"p":[[0.1,0.9],[null,1.0]]},"latency_ms":1.234}"#
    );
    assert_eq!(
        String::from_utf8(infer_body(&answered, Some("42"))).unwrap(),
        r#"{"model_name":"fraud","model_version":"3","id":"42","outputs":[{"name":"label","shape":[2],"datatype":"INT64","data":[0,1]},{"name":"p","shape":[2,2],"datatype":"FP32","data":[0.1,0.9,null,1.0]}]}"#
    );
}

#[test]
fn answers_of_servers_are_read_as_they_are_written() {
    let outputs =
        [("y".into(), Tensor { shape: vec![1, 2], data: Data::Text(vec!["a".into(), "b".into()]) })];
    let body = infer_body(&Answered { model: "m", version: "1", outputs: &outputs, latency_ns: 0 }, None);
    assert_eq!(InferOutputs::read(&body).unwrap().tensors().unwrap(), outputs);
    assert!(InferOutputs::read(b"{}").is_err());
}

proptest! {
    #[test]
    fn what_was_written_is_read_the_same(rows in 1usize..5, columns in 1usize..5, seed in any::<u32>()) {
        let count = rows * columns;
        let numbers = (0..count).map(|n| (seed as f32) / (n as f32 + 1.0)).collect();
        let tensor = Tensor { shape: vec![rows, columns], data: Data::F32(numbers) };
        let mut text = Vec::new();
        push_nested(&mut text, &tensor);
        let text = raw(std::str::from_utf8(&text).unwrap());
        prop_assert_eq!(read_nested(&text, DataType::F32, "x").unwrap(), tensor);
    }

    #[test]
    fn nothing_that_is_sent_makes_it_fall_over(text in "[\\[\\]{}0-9.,\"a-e\\-: ]{0,60}") {
        let specs = [spec("a", DataType::F32, &[None, Some(2)])];
        let _question = Question::read(text.as_bytes());
        let _infer = Infer::read(text.as_bytes()).map(|infer| infer.inputs(&specs));
        if let Ok(json) = RawValue::from_string(text) {
            let _inputs = read_inputs(&json, &specs);
        }
    }
}
