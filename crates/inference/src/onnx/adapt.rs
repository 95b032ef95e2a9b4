//! What exporters of scikit-learn write and tract does not know, said in operators that it does.
//!
//! | operator | becomes |
//! | --- | --- |
//! | `ZipMap` | nothing: probabilities stay an array, in the order of the classes |
//! | `Scaler` | `Cast`, `Sub`, `Mul` |
//! | classes that are texts | their numbers; [`Texts`] puts the texts back into the answer |
//! | `TreeEnsembleClassifier` with one score for two classes | its score, and both probabilities and the class of it |
//! | `TreeEnsembleRegressor` | `TreeEnsembleClassifier` over as many classes as targets, its scores cut out |
//!
//! What cannot be said so (a regressor that averages) is left as it is, and refused by tract by name.

use std::collections::HashMap;

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use crate::unusable::Unusable;

/// With fewer classes tract takes scores for those of the second of two.
const CLASSES_MIN: usize = 3;

/// Texts of classes, by the name of the value that holds their numbers.
pub(super) type Texts = HashMap<String, Vec<String>>;

/// Rewrites a graph; gives the texts of classes.
///
/// # Errors
/// When texts of classes are used inside of the graph.
pub(super) fn adapt(graph: &mut GraphProto) -> Result<Texts, Unusable> {
    let mut texts = Texts::new();
    let nodes = std::mem::take(&mut graph.node);
    for (index, mut node) in nodes.into_iter().enumerate() {
        pass_on(&mut node, &mut texts)?;
        let mut rewriting = Rewriting { graph, prefix: format!("tollgate.{index}") };
        match &*node.op_type {
            "ZipMap" => rewriting.zip_map(node),
            "Scaler" => rewriting.scaler(node),
            "TreeEnsembleRegressor" => rewriting.regressor(node),
            "TreeEnsembleClassifier" | "LinearClassifier" => {
                let classes = classes(&mut node, &mut texts);
                match Single::of(&node, classes) {
                    Some(single) => rewriting.single(node, &single),
                    None => {
                        resize_base(&mut node.attribute, classes);
                        rewriting.graph.node.push(node);
                    }
                }
            }
            _ => rewriting.graph.node.push(node),
        }
    }
    for end in graph.output.iter_mut().filter(|end| texts.contains_key(&end.name)) {
        // It said texts.
        end.r#type = None;
    }
    Ok(texts)
}

/// Follows texts of classes on their way out.
fn pass_on(node: &mut NodeProto, texts: &mut Texts) -> Result<(), Unusable> {
    let Some(labels) = node.input.iter().find_map(|name| texts.get(name)).cloned() else { return Ok(()) };
    match (&*node.op_type, node.output.first().cloned()) {
        ("Identity" | "Cast", Some(output)) => {
            "Identity".clone_into(&mut node.op_type);
            node.attribute.clear();
            texts.insert(output, labels);
            Ok(())
        }
        (operator, _) => Err(Unusable::new(format_args!(
            "its operator `{operator}` works on classes that are texts, which is not known here; export them as numbers"
        ))),
    }
}

/// How many classes a classifier has; texts become their numbers.
fn classes(node: &mut NodeProto, texts: &mut Texts) -> usize {
    let numbers = if node.op_type == "LinearClassifier" { "classlabels_ints" } else { "classlabels_int64s" };
    let mut count = attribute(node, numbers).map_or(0, |found| found.ints.len());
    let words = node.attribute.iter().position(|found| found.name == "classlabels_strings");
    if let Some(words) =
        words.map(|place| node.attribute.swap_remove(place)).filter(|own| !own.strings.is_empty())
    {
        count = words.strings.len();
        node.attribute.retain(|found| found.name != numbers);
        node.attribute.push(AttributeProto {
            name: numbers.into(),
            r#type: AttributeType::Ints as i32,
            ints: (0..count as i64).collect(),
            ..AttributeProto::default()
        });
        let labels = words.strings.iter().map(|own| String::from_utf8_lossy(own).into_owned()).collect();
        texts.extend(node.output.first().cloned().map(|output| (output, labels)));
    }
    count
}

struct Rewriting<'g> {
    graph: &'g mut GraphProto,
    prefix: String,
}

impl Rewriting<'_> {
    fn zip_map(&mut self, node: NodeProto) {
        let NodeProto { input, output, .. } = node;
        // It said a list of maps.
        let outputs = self.graph.output.iter_mut().filter(|end| output.contains(&end.name));
        outputs.for_each(|end| end.r#type = None);
        self.push("Identity", "", input, output, Vec::new());
    }

    fn scaler(&mut self, node: NodeProto) {
        let floats =
            |name: &str| attribute(&node, name).map(|found| found.floats.clone()).unwrap_or_default();
        let (offset, scale) = (floats("offset"), floats("scale"));
        let cast = long("to", DataType::Float as i64);
        let [whole, moved, offsets, scales] =
            ["cast", "moved", "offset", "scale"].map(|name| self.name(name));
        self.floats(&offsets, offset);
        self.floats(&scales, scale);
        self.push("Cast", "", node.input, vec![whole.clone()], vec![cast]);
        self.push("Sub", "", vec![whole, offsets], vec![moved.clone()], Vec::new());
        self.push("Mul", "", vec![moved, scales], node.output, Vec::new());
    }

    fn regressor(&mut self, node: NodeProto) {
        let aggregate = attribute(&node, "aggregate_function").map_or(&b"SUM"[..], |found| &found.s);
        let targets = attribute(&node, "n_targets").map_or(1, |found| found.i);
        let Some(targets) =
            usize::try_from(targets).ok().filter(|_| aggregate == b"SUM" || aggregate.is_empty())
        else {
            return self.graph.node.push(node);
        };
        let mut attributes = node.attribute;
        attributes.retain(|found| !matches!(&*found.name, "n_targets" | "aggregate_function"));
        for found in &mut attributes {
            if let Some(rest) = found.name.strip_prefix("target_") {
                found.name = format!("class_{rest}");
            }
        }
        self.scores(attributes, node.input, (targets, node.output));
    }

    /// Sums of trees: the first so many scores of a classifier.
    fn scores(
        &mut self,
        mut attributes: Vec<AttributeProto>,
        input: Vec<String>,
        (count, output): (usize, Vec<String>),
    ) {
        let classes = count.max(CLASSES_MIN);
        attributes.retain(|found| !found.name.starts_with("classlabels_"));
        resize_base(&mut attributes, classes);
        attributes.push(AttributeProto {
            name: "classlabels_int64s".into(),
            r#type: AttributeType::Ints as i32,
            ints: (0..classes as i64).collect(),
            ..AttributeProto::default()
        });
        let [labels, scores, from, to, axis] =
            ["labels", "scores", "from", "to", "axis"].map(|name| self.name(name));
        self.push("TreeEnsembleClassifier", "ai.onnx.ml", input, vec![labels, scores.clone()], attributes);
        for (name, value) in [(&from, 0), (&to, count as i64), (&axis, 1)] {
            self.longs(name, value);
        }
        self.push("Slice", "", vec![scores, from, to, axis], output, Vec::new());
    }

    /// One score for two classes, told apart as onnxruntime does.
    fn single(&mut self, node: NodeProto, single: &Single) {
        let NodeProto { input, output, mut attribute, .. } = node;
        let mut output = output.into_iter();
        let (labels, probabilities) = (output.next().unwrap_or_default(), output.next().unwrap_or_default());
        attribute.retain(|found| found.name != "post_transform");
        for ids in attribute.iter_mut().filter(|found| found.name == "class_ids") {
            ids.ints.fill(0);
        }
        let score = self.name("score");
        self.scores(attribute, input, (1, vec![score.clone()]));
        self.both_probabilities(&score, probabilities, single);
        self.class_above(score, labels, single);
    }

    fn both_probabilities(&mut self, score: &str, probabilities: String, single: &Single) {
        let [one, first, second] = ["one", "first", "second"].map(|name| self.name(name));
        self.floats(&one, vec![1.0]);
        let transform = if single.is_logistic { "Sigmoid" } else { "Identity" };
        self.push(transform, "", vec![score.to_owned()], vec![second.clone()], Vec::new());
        if single.is_logistic || single.threshold > 0.0 {
            self.push("Sub", "", vec![one, second.clone()], vec![first.clone()], Vec::new());
        } else {
            self.push("Neg", "", vec![second.clone()], vec![first.clone()], Vec::new());
        }
        self.push("Concat", "", vec![first, second], vec![probabilities], vec![long("axis", 1)]);
    }

    fn class_above(&mut self, score: String, labels: String, single: &Single) {
        let [threshold, above, number, flat, shape, step, base, stepped] =
            ["threshold", "above", "number", "flat", "shape", "step", "base", "stepped"]
                .map(|name| self.name(name));
        self.floats(&threshold, vec![single.threshold]);
        self.push("Greater", "", vec![score, threshold], vec![above.clone()], Vec::new());
        let cast = vec![long("to", DataType::Int64 as i64)];
        self.push("Cast", "", vec![above], vec![number.clone()], cast);
        let [low, high] = single.labels;
        for (name, value) in [(&shape, -1), (&step, high.wrapping_sub(low)), (&base, low)] {
            self.longs(name, value);
        }
        self.push("Reshape", "", vec![number, shape], vec![flat.clone()], Vec::new());
        self.push("Mul", "", vec![flat, step], vec![stepped.clone()], Vec::new());
        self.push("Add", "", vec![stepped, base], vec![labels], Vec::new());
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn push(
        &mut self,
        operator: &str,
        domain: &str,
        input: Vec<String>,
        output: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) {
        let name = format!("{}.{operator}", self.prefix);
        let (op_type, domain) = (operator.to_owned(), domain.to_owned());
        self.graph.node.push(NodeProto {
            input,
            output,
            name,
            op_type,
            domain,
            attribute,
            ..NodeProto::default()
        });
    }

    fn floats(&mut self, name: &str, values: Vec<f32>) {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
    }

    fn longs(&mut self, name: &str, value: i64) {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![1],
            data_type: DataType::Int64 as i32,
            int64_data: vec![value],
            ..TensorProto::default()
        });
    }
}

/// Trees that give one score for two classes.
struct Single {
    labels: [i64; 2],
    /// Above it, it is the second class (onnxruntime's `TreeAggregatorClassifier`).
    threshold: f32,
    is_logistic: bool,
}

impl Single {
    fn of(node: &NodeProto, classes: usize) -> Option<Self> {
        if node.op_type != "TreeEnsembleClassifier" || classes != 2 {
            return None;
        }
        let ids = &attribute(node, "class_ids")?.ints;
        let labels = attribute(node, "classlabels_int64s")?.ints.first_chunk()?;
        let transform = attribute(node, "post_transform").map_or(&b"NONE"[..], |found| &found.s);
        let is_known = matches!(transform, b"NONE" | b"LOGISTIC");
        if !is_known || ids.iter().any(|id| Some(id) != ids.first()) {
            return None;
        }
        let all_positive = attribute(node, "class_weights")?.floats.iter().all(|weight| *weight >= 0.0);
        let threshold = if all_positive { 0.5 } else { 0.0 };
        Some(Self { labels: *labels, threshold, is_logistic: transform == b"LOGISTIC" })
    }
}

/// What scores begin with: one value for each class.
fn resize_base(attributes: &mut [AttributeProto], classes: usize) {
    if let Some(base) = attributes.iter_mut().find(|found| found.name == "base_values") {
        base.floats.resize(classes, 0.0);
    }
}

fn long(name: &str, value: i64) -> AttributeProto {
    let kind = AttributeType::Int as i32;
    AttributeProto { name: name.into(), r#type: kind, i: value, ..AttributeProto::default() }
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|found| found.name == name)
}
