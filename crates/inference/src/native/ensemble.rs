//! The operators of trees.

use tollgate_core::tensor::{DataType, Tensor};
use tract_onnx::pb::NodeProto;

use super::{
    Columns, Form, Made, Operator, Reading, Refusal,
    attributes::{long, reals},
    forest::{aggregate_of, read_named, read_placed},
    grid,
    real::Real,
    room,
    scores::{Classes, Labels, Transform},
    trees::{Aggregate, Ensemble, Score},
};

/// `TreeEnsembleClassifier`: classes, and what each of them scores.
struct Classifier<F> {
    trees: Ensemble<F>,
    base: Vec<F>,
    transform: Transform,
    classes: Classes,
    labels: Labels,
}

/// `TreeEnsembleRegressor` and `TreeEnsemble`: a number for each target.
struct Regressor<F> {
    trees: Ensemble<F>,
    base: Vec<F>,
    transform: Transform,
    /// Whether it answers in the numbers that it computes with, and not always in `f32`.
    keeps_kind: bool,
}

pub(super) fn classifier(node: &NodeProto, input: Form) -> Reading<Made> {
    match input.kind {
        DataType::F64 => classifier_of::<f64>(node, input),
        DataType::F32 | DataType::I64 | DataType::I32 => classifier_of::<f32>(node, input),
        _ => Err(Refusal::Unknown),
    }
}

fn classifier_of<F: Real>(node: &NodeProto, input: Form) -> Reading<Made> {
    let labels = Labels::of(node, "classlabels_int64s")?;
    let count = labels.len();
    let trees: Ensemble<F> = read_named(node, "class", (count, Aggregate::Sum))?;
    let base = reals::<F>(node, "base_values")?;
    let transform = Transform::of(node)?;
    let classes = classes_of(&trees);
    match (classes, base.len()) {
        // What these mean nobody says, and implementations differ.
        _ if count < 2 => return Err(Refusal::Unknown),
        (Classes::Single { is_first: false, .. }, 1..) | (Classes::Single { is_first: true, .. }, 2..) => {
            return Err(Refusal::Unknown);
        }
        (Classes::Single { is_first: true, .. }, _) if transform == Transform::Probit => {
            return Err(Refusal::Unknown);
        }
        (_, 0) => {}
        (_, 1) if count == 2 => {}
        (_, length) if length == count => {}
        _ => return Err(Refusal::broken("its `base_values` are not as many as its classes")),
    }
    let outputs = vec![
        Form { kind: labels.kind(), rows: input.rows, columns: Columns::Flat },
        Form { kind: DataType::F32, rows: input.rows, columns: Columns::Of(count) },
    ];
    input.check_features(trees.features())?;
    Ok(Made::new(Classifier { trees, base, transform, classes, labels }, outputs))
}

fn classes_of<F: Real>(trees: &Ensemble<F>) -> Classes {
    let mut votes = trees.votes().iter();
    let first = votes.clone().next().map_or(0, |vote| vote.target);
    if trees.targets() == 2 && votes.all(|vote| vote.target == first) {
        let is_positive = trees.votes().iter().all(|vote| vote.weight >= F::default());
        return Classes::Single { is_first: first == 0, is_positive };
    }
    Classes::Each
}

impl<F: Real> Operator for Classifier<F> {
    fn run(&self, input: &Tensor) -> Result<[Option<Tensor>; 2], String> {
        let (rows, features, width) = rows_of::<F>(input, self.trees.features())?;
        let count = self.trees.targets();
        let mut scores = vec![Score::default(); count];
        let mut answers: Vec<F> = room(rows, count)?;
        let mut classes = Vec::with_capacity(rows);
        for (row, answer) in features.chunks_exact(width).zip(answers.chunks_exact_mut(count)) {
            self.trees.score(row, &mut scores);
            classes.push(self.classes.decide(&mut scores, (&self.base, self.transform), answer));
        }
        let labels = Tensor { shape: vec![rows], data: self.labels.of_all(&classes) };
        Ok([Some(labels), Some(Tensor { shape: vec![rows, count], data: F::into_singles(answers) })])
    }

    fn visits(&self) -> u64 {
        self.trees.visits()
    }
}

pub(super) fn regressor(node: &NodeProto, input: Form) -> Reading<Made> {
    match input.kind {
        DataType::F64 => regressor_of::<f64>(node, input),
        DataType::F32 | DataType::I64 | DataType::I32 => regressor_of::<f32>(node, input),
        _ => Err(Refusal::Unknown),
    }
}

fn regressor_of<F: Real>(node: &NodeProto, input: Form) -> Reading<Made> {
    let targets = targets_of(node)?;
    let trees: Ensemble<F> = read_named(node, "target", (targets, aggregate_of(node)?))?;
    let base = reals::<F>(node, "base_values")?;
    if !base.is_empty() && base.len() != targets {
        return Err(Refusal::broken("its `base_values` are not as many as its targets"));
    }
    let transform = Transform::of(node)?;
    input.check_features(trees.features())?;
    let outputs = vec![Form { kind: DataType::F32, rows: input.rows, columns: Columns::Of(targets) }];
    Ok(Made::new(Regressor { trees, base, transform, keeps_kind: false }, outputs))
}

pub(super) fn ensemble(node: &NodeProto, input: Form) -> Reading<Made> {
    match input.kind {
        DataType::F64 => ensemble_of::<f64>(node, input),
        DataType::F32 => ensemble_of::<f32>(node, input),
        _ => Err(Refusal::Unknown),
    }
}

fn ensemble_of<F: Real>(node: &NodeProto, input: Form) -> Reading<Made> {
    let targets = targets_of(node)?;
    let trees: Ensemble<F> = read_placed(node, targets)?;
    let transform = Transform::numbered(long(node, "post_transform", 0))?;
    input.check_features(trees.features())?;
    let outputs = vec![Form { kind: input.kind, rows: input.rows, columns: Columns::Of(targets) }];
    Ok(Made::new(Regressor { trees, base: Vec::new(), transform, keeps_kind: true }, outputs))
}

fn targets_of(node: &NodeProto) -> Reading<usize> {
    usize::try_from(long(node, "n_targets", 1)).map_err(|_| Refusal::broken("its `n_targets` are below 0"))
}

impl<F: Real> Operator for Regressor<F> {
    fn run(&self, input: &Tensor) -> Result<[Option<Tensor>; 2], String> {
        let (rows, features, width) = rows_of::<F>(input, self.trees.features())?;
        let count = self.trees.targets();
        let mut scores = vec![Score::default(); count];
        let mut answers: Vec<F> = room(rows, count)?;
        for (row, answer) in features.chunks_exact(width).zip(answers.chunks_exact_mut(count)) {
            self.trees.score(row, &mut scores);
            let base = self.base.iter().copied().chain(std::iter::repeat(F::default()));
            for ((answer, score), base) in answer.iter_mut().zip(&scores).zip(base) {
                *answer = score.value + base;
            }
            self.transform.apply(answer);
        }
        let data = if self.keeps_kind { F::into_data(answers) } else { F::into_singles(answers) };
        Ok([Some(Tensor { shape: vec![rows, count], data }), None])
    }

    fn visits(&self) -> u64 {
        self.trees.visits()
    }
}

/// Rows of an input: how many, their elements, and how many each has.
fn rows_of<F: Real>(
    input: &Tensor,
    features: usize,
) -> Result<(usize, std::borrow::Cow<'_, [F]>, usize), String> {
    let (rows, width) = grid(input)?;
    if width < features {
        return Err(format!("rows have {width} features, its trees ask for {features}"));
    }
    let elements = F::all_of(&input.data).ok_or("elements are of another type than was said")?;
    Ok((rows, elements, width.max(1)))
}
