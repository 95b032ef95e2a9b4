//! Texts that stand in a graph: a model answers those of its classes for each row, so they are short.

use tract_onnx::pb::{GraphProto, TensorProto};

use crate::unusable::Unusable;

/// Bytes of a text in a graph at most. An answer repeats that of its class in every row, and rows are bounded; the file
/// alone would bound nothing.
const TEXT_BYTES_MAX: usize = 256;

/// Refuses a graph with texts that are too long for answers.
pub(crate) fn check_texts(graph: &GraphProto) -> Result<(), Unusable> {
    for node in &graph.node {
        for attribute in &node.attribute {
            let held = attribute.t.iter().chain(&attribute.tensors);
            let longest = attribute.strings.iter().map(Vec::len).chain(held.map(longest)).max();
            check(longest, format_args!("`{}` of its operator `{}`", attribute.name, node.op_type))?;
        }
    }
    for tensor in &graph.initializer {
        check(Some(longest(tensor)), format_args!("its constant `{}`", tensor.name))?;
    }
    Ok(())
}

fn longest(tensor: &TensorProto) -> usize {
    tensor.string_data.iter().map(Vec::len).max().unwrap_or(0)
}

fn check(longest: Option<usize>, place: std::fmt::Arguments<'_>) -> Result<(), Unusable> {
    match longest.filter(|bytes| *bytes > TEXT_BYTES_MAX) {
        None => Ok(()),
        Some(bytes) => Err(Unusable::new(format_args!(
            "{place} has a text of {bytes} bytes, and answers would repeat it in every row; texts have at most \
             {TEXT_BYTES_MAX} bytes: give classes shorter names, or export them as numbers"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tollgate_core::tensor::Data;
    use tract_onnx::pb::{ModelProto, NodeProto};

    use super::*;
    use crate::onnx::Onnx;

    /// A classifier whose first class has a name of so many bytes.
    fn model(bytes: usize) -> ModelProto {
        let mut model = ModelProto::decode(&include_bytes!("../../tests/models/labels.onnx")[..]).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let labels = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        let labels = labels.into_iter().find(|own| own.name == "classlabels_strings").unwrap();
        labels.strings.iter_mut().for_each(|label| *label = vec![b'a'; bytes]);
        model
    }

    fn refusal(model: &ModelProto) -> String {
        Onnx::read(&model.encode_to_vec()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_class_is_answered_by_its_name_up_to_the_bound_and_refused_beyond() {
        let onnx = Onnx::read(&model(TEXT_BYTES_MAX).encode_to_vec()).unwrap();
        let answers = onnx.run(crate::check::zeros(&onnx.inputs).unwrap()).unwrap();
        let Some(Data::Text(labels)) = answers.first().map(|answer| &answer.data) else { panic!("no texts") };
        assert_eq!(labels[0].len(), TEXT_BYTES_MAX);
        let words = refusal(&model(TEXT_BYTES_MAX + 1));
        let expected = "`classlabels_strings` of its operator `LinearClassifier` has a text of 257 bytes";
        assert!(words.contains(expected) && words.contains("export them as numbers"), "{words}");
    }

    #[test]
    fn long_texts_are_refused_before_tract_reads_them_too() {
        let mut model = model(TEXT_BYTES_MAX + 1);
        let graph = model.graph.as_mut().unwrap();
        graph.node.push(NodeProto { op_type: "Tanh".into(), ..NodeProto::default() });
        assert!(refusal(&model).contains("has a text of 257 bytes"), "{}", refusal(&model));
        let mut model = self::model(1);
        let constant = TensorProto {
            name: "words".into(),
            string_data: vec![vec![b'a'; TEXT_BYTES_MAX + 1]],
            ..TensorProto::default()
        };
        model.graph.as_mut().unwrap().initializer.push(constant);
        assert!(refusal(&model).contains("its constant `words` has a text of 257 bytes"));
    }
}
