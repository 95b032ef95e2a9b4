//! `POST /api/v1/predict`: `{"model":"fraud","inputs":…}`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tollgate_core::tensor::{Tensor, TensorSpec, shape_words};

use super::{elements::read_nested, mistake::InputMistake};

/// A question to a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question<'a> {
    /// The model's name.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// Its version or an alias; `latest` when not said.
    #[serde(borrow, default)]
    pub version: Option<Cow<'a, str>>,
    /// What it is asked: an object of arrays by the names of its inputs, or for a model with one input the
    /// array alone.
    #[serde(borrow)]
    pub inputs: &'a RawValue,
}

impl<'a> Question<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not JSON, or has other members.
    pub fn read(body: &'a [u8]) -> Result<Self, InputMistake> {
        serde_json::from_slice(body).map_err(|error| InputMistake::of_json("body", &error))
    }
}

/// Reads inputs as a question has them, in the order of what the model takes.
///
/// # Errors
/// The first input that is missing, unknown, or does not fit.
pub fn read_inputs(json: &RawValue, specs: &[TensorSpec]) -> Result<Vec<Tensor>, InputMistake> {
    let is_object = json.get().starts_with('{');
    match (is_object, specs) {
        (false, [only]) => Ok(vec![read_one(json, only, "inputs")?]),
        (false, _) => Err(InputMistake::new(
            "inputs",
            format!("the model takes {} inputs; send an object: {}", specs.len(), names(specs)),
        )),
        (true, _) => {
            let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
            let mut mistake = None;
            let members = Members { specs, tensors: &mut tensors, mistake: &mut mistake };
            let read = serde_json::Deserializer::from_str(json.get()).deserialize_map(members);
            if let Some(mistake) = mistake {
                return Err(mistake);
            }
            read.map_err(|error| InputMistake::of_json("inputs", &error))?;
            let missing = specs.iter().zip(&tensors).find(|(_, tensor)| tensor.is_none());
            if let Some((spec, _)) = missing {
                let problem = format!("it is missing; the model takes {}", names(specs));
                return Err(InputMistake::new(format!("inputs.{}", spec.name), problem));
            }
            Ok(tensors.into_iter().flatten().collect())
        }
    }
}

/// Reads one input and holds it against what the model takes.
fn read_one(json: &RawValue, spec: &TensorSpec, field: &str) -> Result<Tensor, InputMistake> {
    let tensor = read_nested(json, spec.kind, field)?;
    check_shape(&tensor.shape, spec, field)?;
    Ok(tensor)
}

/// Refuses a shape that the model does not take.
pub(super) fn check_shape(shape: &[usize], spec: &TensorSpec, field: &str) -> Result<(), InputMistake> {
    if spec.fits(shape) {
        return Ok(());
    }
    let found = shape_words(shape.iter().copied().map(Some));
    let wanted = spec.shape_words();
    let remedy = match shape.len().cmp(&spec.shape.len()) {
        std::cmp::Ordering::Less => "; wrap it in further brackets: each row is an array of its own",
        std::cmp::Ordering::Greater => "; take brackets away",
        std::cmp::Ordering::Equal => "",
    };
    Err(InputMistake::new(field, format!("its shape is {found}, the model takes {wanted}{remedy}")))
}

/// What a model takes, in words.
pub(super) fn names(specs: &[TensorSpec]) -> String {
    let one = |spec: &TensorSpec| format!("`{}` ({} {})", spec.name, spec.kind, spec.shape_words());
    specs.iter().map(one).collect::<Vec<_>>().join(", ")
}

struct Members<'s> {
    specs: &'s [TensorSpec],
    tensors: &'s mut [Option<Tensor>],
    mistake: &'s mut Option<InputMistake>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of inputs by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        let Self { specs, tensors, mistake } = self;
        let mut fail = |found: InputMistake| {
            *mistake = Some(found);
            A::Error::custom("")
        };
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let field = format!("inputs.{}", super::mistake::shown(&name));
            let Some(index) = specs.iter().position(|spec| *spec.name == *name) else {
                let problem = format!("the model has no such input; it takes {}", names(specs));
                return Err(fail(InputMistake::new(field, problem)));
            };
            let json: &'de RawValue = members.next_value()?;
            let (Some(spec), Some(place)) = (specs.get(index), tensors.get_mut(index)) else { continue };
            if place.is_some() {
                return Err(fail(InputMistake::new(field, "it stands there twice; leave one away")));
            }
            *place = Some(read_one(json, spec, &field).map_err(&mut fail)?);
        }
        Ok(())
    }
}
