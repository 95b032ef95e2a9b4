//! What a client must not choose: the indices and sizes of operators.
//!
//! Operators such as `Gather` do not bound their indices: one that is outside ends the process, and a size that is
//! sent (`Expand`, `Tile`) takes as much memory as it says. So a model in which something that is sent reaches such
//! a place is refused (unknown is denied); such models are served from a process of their own (`remote`).

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::Unusable;

/// Operators, and which of their inputs are indices or sizes; no list is all but the first.
const CHOOSING: [(&str, &[usize]); 22] = [
    ("Gather", &[1]),
    ("GatherElements", &[1]),
    ("GatherND", &[1]),
    ("Scatter", &[1]),
    ("ScatterElements", &[1]),
    ("ScatterND", &[1]),
    ("ArrayFeatureExtractor", &[1]),
    ("OneHot", &[0, 1]),
    ("Slice", &[]),
    ("Tile", &[]),
    ("Expand", &[]),
    ("Reshape", &[]),
    ("Pad", &[1]),
    ("TopK", &[]),
    ("Resize", &[]),
    ("Upsample", &[]),
    ("Split", &[]),
    ("Squeeze", &[]),
    ("Unsqueeze", &[]),
    ("Range", &[0, 1, 2]),
    ("ConstantOfShape", &[0]),
    ("RandomUniformLike", &[]),
];
/// Operators whose answers do not depend on what the elements are, only on how many.
const BLIND: [&str; 2] = ["Shape", "Size"];
/// Operators with graphs inside; what happens in there is not followed.
const NESTING: [&str; 4] = ["If", "Loop", "Scan", "SequenceMap"];

/// Refuses a graph in which something that is sent chooses an index or a size.
pub(super) fn check(graph: &GraphProto) -> Result<(), Unusable> {
    let constant: HashSet<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
    let mut sent: HashSet<&str> =
        graph.input.iter().map(|input| &*input.name).filter(|name| !constant.contains(name)).collect();
    for node in &graph.node {
        if NESTING.contains(&&*node.op_type) {
            return Err(Unusable(format!(
                "its operator `{}` is not run here; serve it remotely",
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
    use tract_onnx::pb::ValueInfoProto;

    use super::*;

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

    #[test]
    fn what_is_sent_may_be_gathered_from_and_may_not_say_where() {
        check(&graph(vec![node("Gather", &["x", "fixed"], "y")])).unwrap();
        let shaped = vec![node("Shape", &["x"], "s"), node("Expand", &["c", "s"], "y")];
        check(&graph(shaped)).unwrap();
        for nodes in [
            vec![node("Gather", &["table", "x"], "y")],
            vec![node("Cast", &["x"], "i"), node("Gather", &["table", "i"], "y")],
            vec![node("Range", &["zero", "x", "one"], "y")],
            vec![node("Tile", &["c", "x"], "y")],
            vec![node("Loop", &[], "y")],
        ] {
            assert!(check(&graph(nodes.clone())).is_err(), "{nodes:?}");
        }
    }
}
