//! What a client must not choose: the indices, sizes and divisors of operators.
//!
//! Operators such as `Gather` do not bound their indices: one that is outside ends the process, a size that is sent
//! (`Expand`, `Tile`) takes as much memory as it says, and a whole number that is divided by nothing ends the process
//! too. So only operators that were looked at are run (unknown is denied), and a model in which something that is sent
//! reaches such a place is refused; such models are served from a process of their own (`remote`).

use std::collections::HashSet;

use tract_onnx::{
    pb::{GraphProto, NodeProto},
    prelude::{Tensor as TractTensor, TypedModel},
    tract_hir::{
        internal::{DimLike as _, TypedFact},
        tract_core::ops::{array::Gather, binary::TypedBinOp},
    },
};

use crate::unusable::Unusable;

/// Operators that are run, by what they are for; some of them only with indices and sizes of the model's own
/// ([`CHOOSING`]). What scikit-learn, XGBoost, perceptrons and convolutions are written in.
const KNOWN: [&[&str]; 6] = [
    // Each element by itself.
    &[
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Cosh",
        "Div",
        "Dropout",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Swish",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Where",
        "Xor",
    ],
    // Over an axis.
    &[
        "ArgMax",
        "ArgMin",
        "BatchNormalization",
        "Hardmax",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Softmax",
    ],
    // Products and windows.
    &[
        "AveragePool",
        "Conv",
        "ConvTranspose",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "MatMul",
        "MaxPool",
    ],
    // Shapes.
    &[
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Expand",
        "Flatten",
        "Pad",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ],
    // Places.
    &["Gather"],
    // `ai.onnx.ml`.
    &[
        "LinearClassifier",
        "LinearRegressor",
        "Normalizer",
        "Scaler",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
        "ZipMap",
    ],
];
/// Of these, which of their inputs are indices or sizes; no list is all but the first.
const CHOOSING: [(&str, &[usize]); 10] = [
    ("Gather", &[1]),
    ("Slice", &[]),
    ("Tile", &[]),
    ("Expand", &[]),
    ("Reshape", &[]),
    ("Pad", &[]),
    ("Split", &[]),
    ("Squeeze", &[]),
    ("Unsqueeze", &[]),
    ("ConstantOfShape", &[0]),
];
/// Operators whose answers do not depend on what the elements are, only on how many.
const BLIND: [&str; 2] = ["Shape", "Size"];
/// As tract names them: windows, which must fit into what they go over.
const WINDOWS: [&str; 6] = ["Conv", "Deconv", "DeconvUnary", "MaxPool", "SumPool", "Pad"];

/// Refuses a graph with an operator that was not looked at, or in which something that is sent chooses an index or
/// a size.
pub(super) fn check(graph: &GraphProto) -> Result<(), Unusable> {
    let constant: HashSet<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
    let mut sent: HashSet<&str> =
        graph.input.iter().map(|input| &*input.name).filter(|name| !constant.contains(name)).collect();
    for node in &graph.node {
        if !KNOWN.iter().any(|names| names.contains(&&*node.op_type)) {
            return Err(Unusable(format!(
                "its operator `{}` is not run here; serve the model from a process of its own, with `remote`",
                node.op_type
            )));
        }
        if let Some(name) = chosen(node, &sent) {
            return Err(Unusable(format!(
                "what is sent (by way of `{name}`) chooses places or sizes in its operator `{}`, which nobody bounds; \
                 serve the model from a process of its own, with `remote`",
                node.op_type
            )));
        }
        let is_blind = BLIND.contains(&&*node.op_type);
        if !is_blind && node.input.iter().any(|name| sent.contains(&**name)) {
            sent.extend(node.output.iter().map(|name| &**name));
        }
    }
    Ok(())
}

/// Refuses a model, of which all types are known, where what is sent could be a divisor of whole numbers, or could be
/// shorter than a place or a window in it.
pub(super) fn check_typed(model: &TypedModel) -> Result<(), Unusable> {
    for node in model.nodes() {
        let facts = model
            .node_input_facts(node.id)
            .map_err(|error| Unusable::of("it cannot be made ready to run", &error))?;
        let name = node.op.name();
        let is_divided = node.op_is::<TypedBinOp>() && matches!(&*name, "Div" | "Rem" | "Mod");
        let is_whole = |fact: &TypedFact| !fact.datum_type.is_float();
        if is_divided
            && facts.iter().any(|fact| is_whole(fact))
            && !facts.get(1).is_some_and(|by| divides(by))
        {
            return Err(Unusable::new(
                "it divides whole numbers by something that is not a number of its own other than 0; divide floats, \
                 or serve the model from a process of its own, with `remote`",
            ));
        }
        let Some(data) = facts.first() else { continue };
        let is_open = |axis: usize| data.shape.get(axis).is_some_and(|length| length.to_usize().is_err());
        let is_unfit = match node.op_as::<Gather>() {
            Some(gather) => is_open(gather.axis),
            None => WINDOWS.contains(&&*name) && (1..data.shape.rank()).any(is_open),
        };
        if is_unfit {
            return Err(Unusable(format!(
                "its operator `{name}` works on an axis without a length, which may be too short for it; export the \
                 model with fixed lengths, or serve it from a process of its own, with `remote`"
            )));
        }
    }
    Ok(())
}

/// Whether it is known, and nowhere 0.
fn divides(by: &TypedFact) -> bool {
    let no_zero = |numbers: &TractTensor| {
        let numbers = numbers.cast_to::<i64>().ok()?;
        let plain = numbers.try_as_plain_ram().ok()?;
        Some(plain.as_slice::<i64>().ok()?.iter().all(|number| *number != 0))
    };
    by.konst.as_ref().and_then(|numbers| no_zero(numbers)).unwrap_or(false)
}

/// The input of an operator by which it is chosen.
fn chosen<'n>(node: &'n NodeProto, sent: &HashSet<&str>) -> Option<&'n str> {
    let (_, places) = CHOOSING.iter().find(|(name, _)| *name == node.op_type)?;
    let is_choosing = |index: usize| if places.is_empty() { index > 0 } else { places.contains(&index) };
    let inputs = node.input.iter().enumerate();
    inputs
        .filter(|(index, name)| is_choosing(*index) && sent.contains(&***name))
        .map(|(_, name)| &**name)
        .next()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tract_onnx::pb::{
        ModelProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    };

    use super::*;
    use crate::onnx::Onnx;

    fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: op.into(),
            input: input.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn graph(nodes: Vec<NodeProto>) -> GraphProto {
        let input = vec![ValueInfoProto { name: "x".into(), ..ValueInfoProto::default() }];
        GraphProto { node: nodes, input, ..GraphProto::default() }
    }

    /// A model of one operator over two inputs of a type (ONNX's number of it), the second one of the model's own
    /// where it is said.
    fn model(op: &str, kind: i32, own: Option<i64>) -> Vec<u8> {
        let end = |name: &str| {
            let dim = Dimension { value: Some(dimension::Value::DimValue(1)), ..Dimension::default() };
            let shape = Some(TensorShapeProto { dim: vec![dim] });
            let value = Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type: kind, shape }));
            ValueInfoProto {
                name: name.into(),
                r#type: Some(TypeProto { value, ..TypeProto::default() }),
                ..ValueInfoProto::default()
            }
        };
        let mut graph = GraphProto {
            node: vec![node(op, &["x", "by"], "y")],
            input: vec![end("x")],
            output: vec![end("y")],
            ..GraphProto::default()
        };
        match own {
            Some(number) => graph.initializer.push(TensorProto {
                name: "by".into(),
                dims: vec![1],
                data_type: kind,
                int64_data: vec![number],
                ..TensorProto::default()
            }),
            None => graph.input.push(end("by")),
        }
        let opset_import = vec![OperatorSetIdProto { version: 17, ..OperatorSetIdProto::default() }];
        ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }
            .encode_to_vec()
    }

    #[test]
    fn whole_numbers_are_divided_only_by_numbers_of_the_model() {
        let (float, long) = (1, 7);
        for op in ["Div", "Mod"] {
            Onnx::read(&model(op, long, Some(3))).unwrap();
            for own in [None, Some(0)] {
                let error = Onnx::read(&model(op, long, own)).err().unwrap().to_string();
                assert!(error.contains("divides whole numbers") || own.is_some(), "{op}: {error}");
            }
        }
        Onnx::read(&model("Div", float, None)).unwrap();
    }

    #[test]
    fn what_is_sent_may_be_gathered_from_and_may_not_say_where() {
        check(&graph(vec![node("Gather", &["x", "fixed"], "y")])).unwrap();
        let shaped = vec![node("Shape", &["x"], "s"), node("Expand", &["c", "s"], "y")];
        check(&graph(shaped)).unwrap();
        for nodes in [
            vec![node("Gather", &["table", "x"], "y")],
            vec![node("Cast", &["x"], "i"), node("Gather", &["table", "i"], "y")],
            vec![node("Range", &["zero", "one", "two"], "y")],
            vec![node("GatherBlockQuantized", &["table", "fixed"], "y")],
            vec![node("NobodyKnowsIt", &["x"], "y")],
            vec![node("Tile", &["c", "x"], "y")],
            vec![node("Loop", &[], "y")],
        ] {
            assert!(check(&graph(nodes.clone())).is_err(), "{nodes:?}");
        }
    }
}
