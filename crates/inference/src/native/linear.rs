//! `LinearClassifier` and `LinearRegressor`: sums of products, in `f32` as onnxruntime computes them.

use tollgate_core::tensor::{Data, DataType, Tensor};
use tract_onnx::pb::NodeProto;

use super::{
    Columns, Form, Made, Operator, Reading, Refusal,
    attributes::{long, singles},
    grid,
    real::Real as _,
    room,
    scores::{Labels, Transform},
    trees::TARGETS_MAX,
};

/// Weights of features for each target.
struct Linear {
    /// Of each target the weight of each feature.
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    features: usize,
    transform: Transform,
    /// Of a classifier: what its classes are called.
    labels: Option<Labels>,
}

pub(super) fn regressor(node: &NodeProto, input: Form) -> Reading<Made> {
    let targets = usize::try_from(long(node, "targets", 1)).map_err(|_| Refusal::Unknown)?;
    let intercepts = match singles(node, "intercepts") {
        [] => vec![0.0; targets.min(TARGETS_MAX)],
        some => some.to_vec(),
    };
    let linear = Linear::of(node, (intercepts, targets), input)?;
    let outputs = vec![Form { kind: DataType::F32, rows: input.rows, columns: Columns::Of(targets) }];
    Ok(Made::new(linear, outputs))
}

pub(super) fn classifier(node: &NodeProto, input: Form) -> Reading<Made> {
    let labels = Labels::of(node, "classlabels_ints")?;
    let intercepts = singles(node, "intercepts").to_vec();
    let (count, scores) = (labels.len(), intercepts.len());
    if scores != count && !(scores == 1 && count == 2) {
        return Err(Refusal::Unknown);
    }
    let outputs = vec![
        Form { kind: labels.kind(), rows: input.rows, columns: Columns::Flat },
        Form { kind: DataType::F32, rows: input.rows, columns: Columns::Of(count) },
    ];
    let linear = Linear::of(node, (intercepts, scores), input)?;
    Ok(Made::new(Linear { labels: Some(labels), ..linear }, outputs))
}

impl Linear {
    fn of(node: &NodeProto, (intercepts, targets): (Vec<f32>, usize), input: Form) -> Reading<Self> {
        let coefficients = singles(node, "coefficients").to_vec();
        let is_number = matches!(input.kind, DataType::F32 | DataType::F64 | DataType::I64 | DataType::I32);
        if !is_number || targets == 0 || targets > TARGETS_MAX || intercepts.len() != targets {
            return Err(Refusal::Unknown);
        }
        let features = coefficients.len() / targets;
        if features == 0 || features * targets != coefficients.len() {
            return Err(Refusal::Unknown);
        }
        if matches!(input.columns, Columns::Of(width) if width != features) {
            return Err(Refusal::Unknown);
        }
        Ok(Self { coefficients, intercepts, features, transform: Transform::of(node)?, labels: None })
    }
}

impl Operator for Linear {
    fn run(&self, input: &Tensor) -> Result<[Option<Tensor>; 2], String> {
        let (rows, width) = grid(input)?;
        if width != self.features {
            return Err(format!("rows have {width} features, the model has weights for {}", self.features));
        }
        let elements = f32::all_of(&input.data).ok_or("elements are of another type than was said")?;
        let count = self.labels.as_ref().map_or(self.intercepts.len(), Labels::len);
        let is_single = self.intercepts.len() < count;
        let mut answers: Vec<f32> = room(rows, count)?;
        let mut classes = Vec::with_capacity(if self.labels.is_some() { rows } else { 0 });
        for (row, answer) in elements.chunks_exact(width).zip(answers.chunks_exact_mut(count)) {
            let weights = self.coefficients.chunks_exact(width).zip(&self.intercepts);
            for (score, (weights, intercept)) in answer.iter_mut().zip(weights) {
                *score =
                    row.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>() + intercept;
            }
            if self.labels.is_some() {
                classes.push(if is_single { usize::from(answer.first() > Some(&0.0)) } else { best(answer) });
            }
            match answer {
                // One score stands for the second of two classes.
                [first, second] if is_single => {
                    self.transform.apply(std::slice::from_mut(first));
                    *second = *first;
                    *first = 1.0 - *second;
                }
                scores => self.transform.apply(scores),
            }
        }
        let scores = Tensor { shape: vec![rows, count], data: Data::F32(answers) };
        Ok(match &self.labels {
            None => [Some(scores), None],
            Some(labels) => [Some(Tensor { shape: vec![rows], data: labels.of_all(&classes) }), Some(scores)],
        })
    }

    fn visits(&self) -> u64 {
        // Products stand beside each other in memory: some sixteen cost what a branch of a tree does.
        (self.coefficients.len() / 16 + self.intercepts.len()) as u64
    }
}

/// The place of the highest; the first of equals.
fn best(scores: &[f32]) -> usize {
    let mut found = (0, f32::NEG_INFINITY);
    for (class, score) in scores.iter().enumerate() {
        if *score > found.1 {
            found = (class, *score);
        }
    }
    found.0
}
