//! Any bytes as a model that is run without tract, and drawn trees in its place: whatever a file holds, reading it ends
//! and does not panic, and what was read runs to its end on any row and answers in the shapes that it said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::tensor::{Data, DataType, Tensor, TensorSpec, elements};
use tollgate_inference::run_native;

/// Two rows of numbers that are hard on comparisons, as many as each input takes.
fn inputs(specs: &[TensorSpec]) -> Vec<Tensor> {
    let hard = [f32::NAN, -0.0, 0.5, f32::INFINITY, -1.0, f32::MIN, 7.25];
    let one = |spec: &TensorSpec| {
        let shape: Vec<usize> = spec.shape.iter().map(|length| length.unwrap_or(2).min(64)).collect();
        let count = elements(&shape).unwrap_or(0);
        let all = hard.iter().copied().cycle().take(count);
        let data = match spec.kind {
            DataType::F64 => Data::F64(all.map(f64::from).collect()),
            DataType::I64 => Data::I64(all.map(|value| value as i64).collect()),
            DataType::I32 => Data::I32(all.map(|value| value as i32).collect()),
            _ => Data::F32(all.collect()),
        };
        Tensor { shape, data }
    };
    specs.iter().map(one).collect()
}

fn run(file: &[u8]) {
    if let Some(Ok(outputs)) = run_native(file, inputs) {
        for output in outputs {
            assert_eq!(elements(&output.shape), Some(output.data.len()));
        }
    }
}

/// A message of protobuf as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn long(mut self, tag: u64, value: i64) -> Self {
        self.varint(tag << 3);
        self.varint(value as u64);
        self
    }

    fn bytes(mut self, tag: u64, value: &[u8]) -> Self {
        self.varint(tag << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn single(mut self, tag: u64, value: f32) -> Self {
        self.varint(tag << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// An attribute of `AttributeProto`.
    fn attribute(self, name: &str, kind: i64, own: impl FnOnce(Self) -> Self) -> Self {
        let attribute = own(Self::default().bytes(1, name.as_bytes()).long(20, kind));
        self.bytes(5, &attribute.0)
    }

    fn longs(self, name: &str, all: impl Iterator<Item = i64>) -> Self {
        self.attribute(name, 7, |own| all.fold(own, |own, value| own.long(8, value)))
    }

    fn singles(self, name: &str, all: impl Iterator<Item = f32>) -> Self {
        self.attribute(name, 6, |own| all.fold(own, |own, value| own.single(7, value)))
    }

    fn words<'w>(self, name: &str, all: impl Iterator<Item = &'w str>) -> Self {
        self.attribute(name, 8, |own| all.fold(own, |own, value| own.bytes(9, value.as_bytes())))
    }
}

const MODES: [&str; 8] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF", "LEAF"];
const TRANSFORMS: [&str; 5] = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
const AGGREGATES: [&str; 4] = ["SUM", "AVERAGE", "MIN", "MAX"];

/// Trees of which every eight bytes are a node, of a kind that the first byte says.
fn drawn(kind: u8, data: &[u8]) -> Vec<u8> {
    let nodes: Vec<&[u8; 8]> = data.as_chunks::<8>().0.iter().take(256).collect();
    let each = |place: usize| nodes.iter().map(move |node| i64::from(node[place]));
    let near = |place: usize| nodes.iter().map(move |node| i64::from(node[place] as i8));
    let numbers = || -> Box<dyn Iterator<Item = i64> + '_> {
        if kind & 2 == 0 { Box::new(0..nodes.len() as i64) } else { Box::new(near(1)) }
    };
    let prefix = if kind & 1 == 0 { "class" } else { "target" };
    let op = if kind & 1 == 0 { "TreeEnsembleClassifier" } else { "TreeEnsembleRegressor" };
    let node = Message::default()
        .bytes(1, b"x")
        .bytes(2, b"one")
        .bytes(4, op.as_bytes())
        .bytes(7, b"ai.onnx.ml")
        .longs("nodes_treeids", each(0).map(|tree| tree / 64))
        .longs("nodes_nodeids", numbers())
        .longs("nodes_featureids", each(2).map(|feature| feature % 5))
        .words("nodes_modes", nodes.iter().map(|node| MODES[usize::from(node[3] % 8)]))
        .singles("nodes_values", near(4).map(|value| value as f32 / 4.0))
        .longs("nodes_truenodeids", near(5))
        .longs("nodes_falsenodeids", near(6))
        .longs("nodes_missing_value_tracks_true", each(7).map(|tracks| tracks & 1))
        .longs(&format!("{prefix}_treeids"), each(0).map(|tree| tree / 64))
        .longs(&format!("{prefix}_nodeids"), numbers())
        .longs(&format!("{prefix}_ids"), each(7).map(|target| target >> 1 & 3))
        .singles(&format!("{prefix}_weights"), near(4).map(|value| value as f32))
        .longs("classlabels_int64s", 0..i64::from(kind >> 2 & 3) + 1)
        .attribute("n_targets", 2, |own| own.long(3, i64::from(kind >> 2 & 3) + 1))
        .attribute("aggregate_function", 3, |own| own.bytes(4, AGGREGATES[usize::from(kind >> 6)].as_bytes()))
        .attribute("post_transform", 3, |own| {
            own.bytes(4, TRANSFORMS[usize::from(kind >> 4) % 5].as_bytes())
        });
    let node = if kind & 1 == 0 { node.bytes(2, b"two") } else { node };
    let dims = Message::default().bytes(1, &[]).bytes(1, &Message::default().long(1, 5).0);
    let tensor = Message::default().long(1, if kind & 8 == 0 { 1 } else { 11 }).bytes(2, &dims.0);
    let input = Message::default().bytes(1, b"x").bytes(2, &Message::default().bytes(1, &tensor.0).0);
    let output = |name: &[u8]| Message::default().bytes(1, name);
    let graph = Message::default().bytes(1, &node.0).bytes(11, &input.0).bytes(12, &output(b"one").0);
    Message::default().long(1, 8).bytes(7, &graph.0).0
}

fuzz_target!(|data: &[u8]| {
    match data {
        [0, kind, rest @ ..] => run(&drawn(*kind, rest)),
        file => run(file),
    }
});
