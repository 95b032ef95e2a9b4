//! Small models without tract: trees and linear models with what usually stands around them.
//!
//! A graph of which every operator is known here is run here, on flat arrays, at a cost that is known before: so a
//! question of few rows runs where it was read, on the lane. Every other graph is tract's. What lives here: reading
//! such graphs and running them. What does not: threads, names of versions.
//! Keeps: what was read runs to its end for every input, within the time that [`Native::visits`] says; it neither
//! loops nor ends the process, whatever the file holds.
//!
//! | module | holds |
//! | --- | --- |
//! | `attributes` | what is written at an operator |
//! | `forest`, `trees` | trees as they are written, and as they are walked |
//! | `ensemble`, `linear`, `plain` | operators |
//! | `scores` | what becomes of scores |
//! | `texts` | how long texts in a graph may be |
//! | `real` | `f32` and `f64` under one name |

mod attributes;
mod ensemble;
mod forest;
mod linear;
mod plain;
mod real;
mod scores;
pub(crate) mod texts;
mod trees;

use std::collections::HashMap;

use tollgate_core::tensor::{DataType, Tensor, TensorSpec, elements};
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto, tensor_shape_proto::dimension,
    type_proto,
};

use crate::unusable::Unusable;

/// What a question may cost that runs on the lane that read it, in nodes of a tree that are visited: each takes 1 to
/// 3 ns, or 100 ns where its memory was not touched for long.
pub(crate) const VISITS_ON_LANE_MAX: u64 = 1 << 14;

/// Elements that are worked on one by one for what a visit costs.
const ELEMENTS_A_VISIT: u64 = 4;

/// Why a graph is not run here.
pub(crate) enum Refusal {
    /// It has something that is not known here; perhaps tract knows it.
    Unknown,
    /// What is written cannot be meant, and nobody should run it.
    Broken(Unusable),
}

/// What reading gives.
type Reading<T> = Result<T, Refusal>;

impl Refusal {
    fn broken(problem: impl std::fmt::Display) -> Self {
        Self::Broken(Unusable::new(problem))
    }
}

/// Does something to a tensor. Whatever it is given, it ends, and does not panic.
trait Operator: Send + Sync {
    fn run(&self, input: &Tensor) -> Result<[Option<Tensor>; 2], String>;

    /// What one row costs, in nodes of a tree that are visited.
    fn visits(&self) -> u64;
}

/// The second axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// There is none.
    Flat,
    /// Of any length.
    Open,
    Of(usize),
}

/// What is known of a tensor before it is there: its first axis are rows.
#[derive(Clone, Copy, Debug)]
struct Form {
    kind: DataType,
    /// `None` any.
    rows: Option<usize>,
    columns: Columns,
}

impl Form {
    fn of(input: &ValueInfoProto) -> Option<Self> {
        let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
        let kinds = [
            (tensor_proto::DataType::Float, DataType::F32),
            (tensor_proto::DataType::Double, DataType::F64),
            (tensor_proto::DataType::Int64, DataType::I64),
            (tensor_proto::DataType::Int32, DataType::I32),
        ];
        let (_, kind) = kinds.into_iter().find(|(theirs, _)| tensor.elem_type == *theirs as i32)?;
        let [rows, columns] = &*tensor.shape.as_ref()?.dim else { return None };
        let length = |value: &Option<dimension::Value>| match value {
            Some(dimension::Value::DimValue(length)) => usize::try_from(*length).ok().filter(|own| *own > 0),
            _ => None,
        };
        let columns = length(&columns.value).map_or(Columns::Open, Columns::Of);
        Some(Self { kind, rows: length(&rows.value), columns })
    }

    fn spec(self, name: &str) -> TensorSpec {
        let shape = match self.columns {
            Columns::Flat => vec![self.rows],
            Columns::Open => vec![self.rows, None],
            Columns::Of(width) => vec![self.rows, Some(width)],
        };
        TensorSpec { name: name.into(), kind: self.kind, shape: shape.into() }
    }

    /// Refuses rows that are known to be too short.
    fn check_features(self, features: usize) -> Reading<()> {
        match self.columns {
            Columns::Of(width) if width < features => Err(Refusal::broken(format_args!(
                "its trees ask for {features} features, its rows have {width}"
            ))),
            Columns::Flat => Err(Refusal::Unknown),
            _ => Ok(()),
        }
    }
}

/// What became of an operator.
struct Made {
    /// `None` gives what came in.
    operator: Option<Box<dyn Operator>>,
    outputs: Vec<Form>,
}

impl Made {
    fn new(operator: impl Operator + 'static, outputs: Vec<Form>) -> Self {
        Self { operator: Some(Box::new(operator)), outputs }
    }

    fn alias(input: Form) -> Self {
        Self { operator: None, outputs: vec![input] }
    }
}

/// One operator in its place.
struct Step {
    operator: Box<dyn Operator>,
    from: usize,
    to: [Option<usize>; 2],
}

/// A graph that is run here.
pub(crate) struct Native {
    steps: Vec<Step>,
    inputs: usize,
    values: usize,
    /// Which values are answered.
    outputs: Vec<usize>,
    /// What one row costs, but for axes that are open.
    visits: u64,
    /// Operators that work on rows of any length.
    open: u64,
}

/// A graph as it is read.
#[derive(Default)]
struct Graph<'g> {
    /// Under which name which value lies.
    names: HashMap<&'g str, usize>,
    forms: Vec<Form>,
    steps: Vec<Step>,
    open: u64,
}

impl Native {
    /// Reads a graph; gives what it takes and gives beside it.
    pub(crate) fn read(graph: &GraphProto) -> Reading<(Self, Vec<TensorSpec>, Vec<TensorSpec>)> {
        let constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (&*tensor.name, tensor)).collect();
        let mut known = Graph::default();
        let mut inputs = Vec::new();
        for input in graph.input.iter().filter(|input| !constants.contains_key(&*input.name)) {
            let form = Form::of(input).ok_or(Refusal::Unknown)?;
            known.name(&input.name, form)?;
            inputs.push(form.spec(&input.name));
        }
        for node in &graph.node {
            known.push(node, &constants)?;
        }
        let (mut outputs, mut specs) = (Vec::new(), Vec::new());
        for output in &graph.output {
            let value = known.names.get(&*output.name).copied().ok_or(Refusal::Unknown)?;
            let form = known.forms.get(value).copied().ok_or(Refusal::Unknown)?;
            outputs.push(value);
            specs.push(form.spec(&output.name));
        }
        let visits = known.steps.iter().fold(1_u64, |sum, step| sum.saturating_add(step.operator.visits()));
        let values = known.forms.len();
        let Graph { steps, open, .. } = known;
        Ok((Self { steps, inputs: inputs.len(), values, outputs, visits, open }, inputs, specs))
    }

    /// What these inputs cost at most, in nodes of a tree that are visited: as much as if each had as many rows as the
    /// longest of them.
    pub(crate) fn visits(&self, inputs: &[Tensor]) -> u64 {
        let rows = inputs.iter().map(Tensor::rows).max().unwrap_or(1);
        let elements = inputs.iter().map(|input| input.data.len()).max().unwrap_or(0);
        let of_rows = self.visits.saturating_mul(rows as u64);
        of_rows.saturating_add(self.open.saturating_mul(elements as u64 / ELEMENTS_A_VISIT))
    }

    /// Runs it on inputs that are as it said.
    ///
    /// # Errors
    /// When rows are too short.
    pub(crate) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        if inputs.len() != self.inputs {
            return Err(format!("it takes {} inputs, {} were given", self.inputs, inputs.len()));
        }
        let mut values: Vec<Option<Tensor>> = inputs.into_iter().map(Some).collect();
        values.resize(self.values, None);
        for Step { operator, from, to } in &self.steps {
            let input = values.get(*from).and_then(Option::as_ref).ok_or("a value is missing")?;
            let made = operator.run(input)?;
            for (to, made) in to.iter().zip(made) {
                if let Some(place) = to.and_then(|to| values.get_mut(to)) {
                    *place = made;
                }
            }
        }
        let mut answers = Vec::with_capacity(self.outputs.len());
        for (index, value) in self.outputs.iter().enumerate() {
            let is_last = !self.outputs.iter().skip(index + 1).any(|other| other == value);
            let place = values.get_mut(*value).ok_or("a value is missing")?;
            answers.push(if is_last { place.take() } else { place.clone() }.ok_or("a value is missing")?);
        }
        Ok(answers)
    }
}

impl<'g> Graph<'g> {
    /// Gives a new value its name. What is named twice is no graph that is known here.
    fn name(&mut self, name: &'g str, form: Form) -> Reading<usize> {
        let value = self.forms.len();
        if name.is_empty() || self.names.insert(name, value).is_some() {
            return Err(Refusal::Unknown);
        }
        self.forms.push(form);
        Ok(value)
    }

    fn push(&mut self, node: &'g NodeProto, constants: &HashMap<&str, &TensorProto>) -> Reading<()> {
        let from = node.input.first().and_then(|name| self.names.get(&**name).copied());
        let from = from.ok_or(Refusal::Unknown)?;
        let input = self.forms.get(from).copied().ok_or(Refusal::Unknown)?;
        let made = made(node, input, constants)?;
        let Some(operator) = made.operator else {
            let output = node.output.first().filter(|name| !name.is_empty()).ok_or(Refusal::Unknown)?;
            return match self.names.insert(output, from) {
                None => Ok(()),
                Some(_) => Err(Refusal::Unknown),
            };
        };
        let mut to = [None; 2];
        for ((name, form), to) in node.output.iter().zip(made.outputs).zip(&mut to) {
            // An output that nobody wants has no name.
            if !name.is_empty() {
                *to = Some(self.name(name, form)?);
            }
        }
        self.open += u64::from(input.columns == Columns::Open);
        self.steps.push(Step { operator, from, to });
        Ok(())
    }
}

fn made(node: &NodeProto, input: Form, constants: &HashMap<&str, &TensorProto>) -> Reading<Made> {
    let domain = if node.domain == "ai.onnx" { "" } else { &*node.domain };
    match (domain, &*node.op_type) {
        ("", "Identity") | ("ai.onnx.ml", "ZipMap") => Ok(Made::alias(input)),
        ("", "Cast") => plain::cast(node, input),
        ("", "Softmax") => plain::softmax_rows(node, input),
        ("", "Sigmoid") => plain::sigmoid(node, input),
        ("", "ArgMax") => plain::arg_max(node, input),
        ("", "Slice") => plain::slice(node, input, constants),
        ("ai.onnx.ml", "Scaler") => plain::scaler(node, input),
        ("ai.onnx.ml", "Normalizer") => plain::normalizer(node, input),
        ("ai.onnx.ml", "LinearClassifier") => linear::classifier(node, input),
        ("ai.onnx.ml", "LinearRegressor") => linear::regressor(node, input),
        ("ai.onnx.ml", "TreeEnsembleClassifier") => ensemble::classifier(node, input),
        ("ai.onnx.ml", "TreeEnsembleRegressor") => ensemble::regressor(node, input),
        ("ai.onnx.ml", "TreeEnsemble") => ensemble::ensemble(node, input),
        _ => Err(Refusal::Unknown),
    }
}

/// Refuses a graph with trees that are no trees, or that tract would read otherwise than they are meant: it runs them
/// without looking at their numbers again.
pub(crate) fn check_trees(graph: &GraphProto) -> Result<(), Unusable> {
    for node in &graph.node {
        let checked = match &*node.op_type {
            "TreeEnsembleClassifier" => forest::check_named(node, "class"),
            "TreeEnsembleRegressor" => forest::check_named(node, "target"),
            _ => Ok(()),
        };
        match checked {
            Ok(()) => {}
            Err(Refusal::Broken(problem)) => return Err(problem),
            Err(Refusal::Unknown) => {
                return Err(Unusable::new(format_args!(
                    "its operator `{}` cannot be read here",
                    node.op_type
                )));
            }
        }
    }
    Ok(())
}

/// Room for so many answers of each row.
fn room<T: Clone + Default>(rows: usize, count: usize) -> Result<Vec<T>, String> {
    let all = elements(&[rows, count]).ok_or("its answer would have too many elements; send fewer rows")?;
    Ok(vec![T::default(); all])
}

/// Rows of a tensor and elements of each.
fn grid(tensor: &Tensor) -> Result<(usize, usize), String> {
    match *tensor.shape {
        [rows, width] => Ok((rows, width)),
        _ => Err("it works on rows of features".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::tensor::Data;
    use tract_onnx::pb::{TensorShapeProto, TypeProto, tensor_shape_proto::Dimension};

    use super::*;

    fn end(name: &str, columns: Option<i64>) -> ValueInfoProto {
        let dim = [None, columns].map(|length| Dimension {
            value: length.map(dimension::Value::DimValue),
            ..Dimension::default()
        });
        let tensor = type_proto::Tensor {
            elem_type: tensor_proto::DataType::Float as i32,
            shape: Some(TensorShapeProto { dim: dim.into() }),
        };
        let value = Some(type_proto::Value::TensorType(tensor));
        let r#type = Some(TypeProto { value, ..TypeProto::default() });
        ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
    }

    fn sigmoid(from: &str, to: &str) -> NodeProto {
        NodeProto {
            op_type: "Sigmoid".into(),
            input: vec![from.into()],
            output: vec![to.into()],
            ..NodeProto::default()
        }
    }

    #[test]
    fn a_question_costs_what_its_longest_input_and_its_open_axes_cost() {
        let graph = GraphProto {
            node: vec![sigmoid("a", "x"), sigmoid("b", "y")],
            input: vec![end("a", Some(4)), end("b", None)],
            output: vec![end("x", None), end("y", None)],
            ..GraphProto::default()
        };
        let (native, ..) = Native::read(&graph).ok().unwrap();
        let tensor = |rows: usize, width: usize| Tensor {
            shape: vec![rows, width],
            data: Data::F32(vec![0.0; rows * width]),
        };
        for (rows, width, is_cheap) in [(1, 4, true), (1, 1_024, true), (6_000, 1, false), (1, 80_000, false)]
        {
            let visits = native.visits(&[tensor(1, 4), tensor(rows, width)]);
            assert_eq!(visits <= VISITS_ON_LANE_MAX, is_cheap, "{rows} rows of {width} cost {visits}");
        }
    }
}
