//! From scores to answers: what is done to them at the end (`post_transform`), and the class that they say.
//!
//! Where the specification is silent, this does what onnxruntime does (`tests/models/ensembles.json` holds what it
//! answers), but for what is written at [`Classes`].

use tollgate_core::tensor::{Data, DataType};
use tract_onnx::pb::NodeProto;

use super::{
    Reading, Refusal,
    attributes::{longs, word, words},
    real::Real,
    trees::Score,
};

/// What is done to the scores of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(super) fn of(node: &NodeProto) -> Reading<Self> {
        Ok(match word(node, "post_transform", "NONE") {
            b"NONE" => Self::None,
            b"SOFTMAX" => Self::Softmax,
            b"LOGISTIC" => Self::Logistic,
            b"SOFTMAX_ZERO" => Self::SoftmaxZero,
            b"PROBIT" => Self::Probit,
            _ => return Err(Refusal::Unknown),
        })
    }

    /// As `TreeEnsemble` numbers them.
    pub(super) fn numbered(number: i64) -> Reading<Self> {
        let all = [Self::None, Self::Softmax, Self::Logistic, Self::SoftmaxZero, Self::Probit];
        usize::try_from(number).ok().and_then(|number| all.get(number).copied()).ok_or(Refusal::Unknown)
    }

    pub(super) fn apply<F: Real>(self, scores: &mut [F]) {
        match self {
            Self::None => {}
            Self::Softmax => softmax(scores),
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::SoftmaxZero => softmax_zero(scores),
            Self::Probit => {
                scores.iter_mut().for_each(|score| *score = F::of_single(probit(score.single())));
            }
        }
    }
}

/// Each to the power of e, of the sum of all of them.
pub(super) fn softmax<F: Real>(scores: &mut [F]) {
    let most = most(scores);
    let mut sum = F::default();
    for score in &mut *scores {
        *score = (*score - most).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score = *score / sum);
}

/// As [`softmax`], but what is 0 stays it.
fn softmax_zero<F: Real>(scores: &mut [F]) {
    let most = most(scores);
    let (below, above) = (F::of_single(-1e-7), F::of_single(1e-7));
    let mut sum = F::default();
    for score in &mut *scores {
        if *score > above || *score < below {
            *score = (*score - most).exp();
            sum += *score;
        } else {
            *score = *score * (-most).exp();
        }
    }
    scores.iter_mut().for_each(|score| *score = *score / sum);
}

fn most<F: Real>(scores: &[F]) -> F {
    scores.iter().fold(F::LEAST, |most, score| if *score > most { *score } else { most })
}

pub(super) fn logistic<F: Real>(score: F) -> F {
    let zero = F::default();
    let above = F::ONE / (F::ONE + (if score < zero { score } else { -score }).exp());
    if score < zero { F::ONE - above } else { above }
}

/// The quantile of the normal distribution, as onnxruntime comes near it (Winitzki's formula for the inverse of the
/// error function).
fn probit(score: f32) -> f32 {
    let x = 2.0 * score - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * 0.147) + 0.5 * log;
    let inverse = sign * (-v + (v * v - 1.0 / 0.147 * log).sqrt()).sqrt();
    std::f32::consts::SQRT_2 * inverse
}

/// What classes are called.
#[derive(Clone, Debug)]
pub(super) enum Labels {
    Longs(Vec<i64>),
    Texts(Vec<String>),
}

impl Labels {
    pub(super) fn of(node: &NodeProto, numbers: &str) -> Reading<Self> {
        let (texts, numbers) = (words(node, "classlabels_strings"), longs(node, numbers));
        match (texts.is_empty(), numbers.is_empty()) {
            (false, true) => Ok(Self::Texts(texts)),
            (true, false) => Ok(Self::Longs(numbers.to_vec())),
            _ => Err(Refusal::Unknown),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Longs(own) => own.len(),
            Self::Texts(own) => own.len(),
        }
    }

    pub(super) fn kind(&self) -> DataType {
        match self {
            Self::Longs(_) => DataType::I64,
            Self::Texts(_) => DataType::Text,
        }
    }

    /// The names of these classes.
    pub(super) fn of_all(&self, classes: &[usize]) -> Data {
        match self {
            Self::Longs(own) => {
                Data::I64(classes.iter().map(|class| own.get(*class).copied().unwrap_or_default()).collect())
            }
            Self::Texts(own) => {
                Data::Text(classes.iter().map(|class| own.get(*class).cloned().unwrap_or_default()).collect())
            }
        }
    }
}

/// How the scores of trees become a class and its probabilities.
///
/// Of two classes that both get votes, onnxruntime names `1` whenever the second got any that are positive, whatever
/// the classes are called, and adds to their base values what it should not. Here it is the class with the higher
/// score, and base values are added to their own scores, as the specification says and as with more classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Classes {
    /// One score for each.
    Each,
    /// Two, of which only one gets votes: its score above the threshold says the second. `is_first` is that it is the
    /// first that gets them, which stand for the second then, and the first is what is left.
    Single { is_first: bool, is_positive: bool },
}

impl Classes {
    /// The class that the scores of a row say. `answer`, a place for each class, gets what they are in the end.
    pub(super) fn decide<F: Real>(
        self,
        scores: &mut [Score<F>],
        (base, transform): (&[F], Transform),
        answer: &mut [F],
    ) -> usize {
        for (score, base) in scores.iter_mut().zip(base) {
            score.value += *base;
            score.has_votes = true;
        }
        for (answer, score) in answer.iter_mut().zip(&*scores) {
            *answer = score.value;
        }
        let Self::Single { is_first, is_positive } = self else {
            transform.apply(answer);
            return best(scores);
        };
        let voted = scores.get(usize::from(!is_first)).map_or(F::default(), |score| score.value);
        let threshold = F::of_single(if is_positive { 0.5 } else { 0.0 });
        if !is_first {
            transform.apply(answer);
        } else if let [first, second] = answer {
            *second = if transform == Transform::Logistic { logistic(voted) } else { voted };
            *first = match (transform, is_positive) {
                (Transform::Logistic, _) => logistic(-voted),
                (_, true) => F::ONE - voted,
                (_, false) => -voted,
            };
        }
        usize::from(voted > threshold)
    }
}

/// The class with the highest score, of those that got votes; the first of equals.
fn best<F: Real>(scores: &[Score<F>]) -> usize {
    let mut found: Option<(usize, F)> = None;
    for (class, score) in scores.iter().enumerate().filter(|(_, score)| score.has_votes) {
        if found.is_none_or(|(_, most)| score.value > most) {
            found = Some((class, score.value));
        }
    }
    found.map_or(0, |(class, _)| class)
}
