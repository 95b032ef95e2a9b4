//! Trees that are drawn, run by ourselves and by tract: two that did not learn from each other.

use proptest::prelude::*;
use prost::Message as _;
use tollgate_core::tensor::{Data, Tensor};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto::Dimension, tensor_shape_proto::dimension, type_proto,
};

use super::Onnx;

const FEATURES: usize = 3;
/// But `BRANCH_GTE`, which tract takes for a leaf.
const MODES: [&str; 5] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

#[derive(Clone, Debug)]
enum Tree {
    Leaf(Vec<(usize, f32)>),
    Branch { feature: usize, mode: usize, value: f32, tracks: bool, ways: Box<(Tree, Tree)> },
}

fn trees(targets: usize) -> impl Strategy<Value = Vec<Tree>> {
    let leaf = prop::collection::vec((0..targets, -1.0_f32..1.0), 1..4).prop_map(Tree::Leaf);
    let tree = leaf.prop_recursive(5, 24, 2, |below| {
        (0..FEATURES, 0..MODES.len(), grid(), any::<bool>(), below.clone(), below).prop_map(
            |(feature, mode, value, tracks, yes, no)| Tree::Branch {
                feature,
                mode,
                value,
                tracks,
                ways: Box::new((yes, no)),
            },
        )
    });
    prop::collection::vec(tree, 1..5)
}

/// Few numbers, so that features meet the values that they are compared with.
fn grid() -> impl Strategy<Value = f32> {
    prop::sample::select(vec![-1.0_f32, -0.5, 0.0, 0.5, 1.0])
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    let element = prop_oneof![4 => grid(), 1 => Just(f32::NAN), 1 => -2.0_f32..2.0];
    prop::collection::vec(element, FEATURES..=FEATURES * 8).prop_map(|mut all| {
        all.truncate(all.len() / FEATURES * FEATURES);
        all
    })
}

/// The lists of an operator's attributes.
#[derive(Default)]
struct Lists {
    longs: Vec<(String, Vec<i64>)>,
    singles: Vec<(String, Vec<f32>)>,
    modes: Vec<Vec<u8>>,
}

impl Lists {
    fn long(&mut self, name: &str, value: i64) {
        match self.longs.iter_mut().find(|(own, _)| own == name) {
            Some((_, list)) => list.push(value),
            None => self.longs.push((name.to_owned(), vec![value])),
        }
    }

    fn single(&mut self, name: &str, value: f32) {
        match self.singles.iter_mut().find(|(own, _)| own == name) {
            Some((_, list)) => list.push(value),
            None => self.singles.push((name.to_owned(), vec![value])),
        }
    }

    /// Writes a tree down; its nodes are numbered as they are written.
    fn tree(&mut self, (number, prefix): (i64, &str), tree: &Tree, next: &mut i64) -> i64 {
        let own = *next;
        *next += 1;
        let (place, mode, feature, value, tracks) = (self.modes.len(), "LEAF", 0, 0.0, false);
        let (mode, feature, value, tracks) = match tree {
            Tree::Leaf(_) => (mode, feature, value, tracks),
            Tree::Branch { feature, mode, value, tracks, .. } => (MODES[*mode], *feature, *value, *tracks),
        };
        self.modes.push(mode.as_bytes().to_vec());
        self.long("nodes_treeids", number);
        self.long("nodes_nodeids", own);
        self.long("nodes_featureids", feature as i64);
        self.long("nodes_missing_value_tracks_true", i64::from(tracks));
        self.long("nodes_truenodeids", 0);
        self.long("nodes_falsenodeids", 0);
        self.single("nodes_values", value);
        match tree {
            Tree::Leaf(votes) => {
                for (target, weight) in votes {
                    self.long(&format!("{prefix}_treeids"), number);
                    self.long(&format!("{prefix}_nodeids"), own);
                    self.long(&format!("{prefix}_ids"), *target as i64);
                    self.single(&format!("{prefix}_weights"), *weight);
                }
            }
            Tree::Branch { ways, .. } => {
                let yes = self.tree((number, prefix), &ways.0, next);
                let no = self.tree((number, prefix), &ways.1, next);
                for (name, way) in [("nodes_truenodeids", yes), ("nodes_falsenodeids", no)] {
                    let list = self.longs.iter_mut().find(|(own, _)| own == name).unwrap();
                    list.1[place] = way;
                }
            }
        }
        own
    }

    fn attributes(self) -> Vec<AttributeProto> {
        let named =
            |name: String, kind: i32| AttributeProto { name, r#type: kind, ..AttributeProto::default() };
        let longs = self.longs.into_iter().map(|(name, ints)| AttributeProto { ints, ..named(name, 7) });
        let singles =
            self.singles.into_iter().map(|(name, floats)| AttributeProto { floats, ..named(name, 6) });
        let modes = AttributeProto { strings: self.modes, ..named("nodes_modes".into(), 8) };
        longs.chain(singles).chain([modes]).collect()
    }
}

fn word(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: 3, s: value.as_bytes().to_vec(), ..AttributeProto::default() }
}

fn model(op: &str, attribute: Vec<AttributeProto>, outputs: &[&str]) -> Vec<u8> {
    let end = |name: &str, dims: &[Option<i64>]| {
        let dim = |length: &Option<i64>| Dimension {
            value: length.map(dimension::Value::DimValue),
            ..Dimension::default()
        };
        let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
        let value = Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type: 1, shape }));
        let r#type = (!dims.is_empty()).then(|| TypeProto { value, ..TypeProto::default() });
        ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
    };
    let node = NodeProto {
        op_type: op.into(),
        domain: "ai.onnx.ml".into(),
        input: vec!["x".into()],
        output: outputs.iter().map(|name| (*name).to_owned()).collect(),
        attribute,
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        input: vec![end("x", &[None, Some(FEATURES as i64)])],
        output: outputs.iter().map(|name| end(name, &[])).collect(),
        ..GraphProto::default()
    };
    let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
    let opset_import = vec![opset("", 17), opset("ai.onnx.ml", 3)];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import, ..ModelProto::default() }.encode_to_vec()
}

/// Runs it both ways.
fn both(file: &[u8], rows: &[f32]) -> [Vec<Tensor>; 2] {
    let inputs =
        vec![Tensor { shape: vec![rows.len() / FEATURES, FEATURES], data: Data::F32(rows.to_vec()) }];
    let native = Onnx::read(file).unwrap();
    assert!(native.is_native());
    let (proto, names) = super::decoded(file).unwrap();
    let tract = Onnx::by_tract(proto, &names).unwrap();
    assert_eq!((&native.inputs, &native.outputs), (&tract.inputs, &tract.outputs));
    [native.run(inputs.clone()).unwrap(), tract.run(inputs).unwrap()]
}

fn check_alike(ours: &[Tensor], theirs: &[Tensor]) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.len(), theirs.len());
    for (one, other) in ours.iter().zip(theirs) {
        prop_assert_eq!(&one.shape, &other.shape);
        match (&one.data, &other.data) {
            (Data::F32(one), Data::F32(other)) => {
                let are_close = one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-5);
                prop_assert!(are_close, "{one:?} {other:?}");
            }
            (one, other) => prop_assert_eq!(one, other),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn classes_of_drawn_trees_are_those_that_tract_finds(
        drawn in trees(3),
        base in prop::collection::vec(-0.5_f32..0.5, 3),
        transform in prop::sample::select(vec!["NONE", "SOFTMAX", "LOGISTIC"]),
        rows in rows(),
    ) {
        let mut lists = Lists::default();
        for (number, tree) in drawn.iter().enumerate() {
            lists.tree((number as i64, "class"), tree, &mut 0);
        }
        lists.singles.push(("base_values".into(), base));
        lists.longs.push(("classlabels_int64s".into(), vec![7, -1, 4]));
        let mut attributes = lists.attributes();
        attributes.push(word("post_transform", transform));
        let [ours, theirs] = both(&model("TreeEnsembleClassifier", attributes, &["label", "scores"]), &rows);
        check_alike(&ours[1..], &theirs[1..])?;
        // Equal scores are in the order of their classes here, and may be told apart by a rounding there.
        let (Data::F32(scores), Data::I64(one), Data::I64(other)) =
            (&ours[1].data, &ours[0].data, &theirs[0].data) else { panic!("{ours:?}") };
        for ((scores, one), other) in scores.chunks(3).zip(one).zip(other) {
            let mut sorted = scores.to_vec();
            sorted.sort_by(f32::total_cmp);
            prop_assert!(one == other || sorted[2] - sorted[1] < 1e-5, "{scores:?} {one} {other}");
        }
    }

    #[test]
    fn targets_of_drawn_trees_are_those_that_tract_finds(drawn in trees(2), rows in rows()) {
        let mut lists = Lists::default();
        for (number, tree) in drawn.iter().enumerate() {
            lists.tree((number as i64, "target"), tree, &mut 0);
        }
        let mut attributes = lists.attributes();
        let targets = AttributeProto { name: "n_targets".into(), r#type: 2, i: 2, ..AttributeProto::default() };
        attributes.push(targets);
        let [ours, theirs] = both(&model("TreeEnsembleRegressor", attributes, &["y"]), &rows);
        check_alike(&ours, &theirs)?;
    }

    #[test]
    fn two_classes_of_one_score_are_those_that_tract_finds(
        drawn in trees(1),
        transform in prop::sample::select(vec!["NONE", "LOGISTIC"]),
        rows in rows(),
    ) {
        let mut lists = Lists::default();
        for (number, tree) in drawn.iter().enumerate() {
            lists.tree((number as i64, "class"), tree, &mut 0);
        }
        lists.longs.push(("classlabels_int64s".into(), vec![0, 1]));
        let mut attributes = lists.attributes();
        attributes.push(word("post_transform", transform));
        let [ours, theirs] = both(&model("TreeEnsembleClassifier", attributes, &["label", "scores"]), &rows);
        check_alike(&ours, &theirs)?;
    }
}
