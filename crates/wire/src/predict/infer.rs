//! `POST /v2/models/{model}/infer` of the Open Inference Protocol v2 (KServe,
//! `specification/protocol/inference_rest.md`), and the answers of servers that speak it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::tensor::{AXES_MAX, DataType, Tensor, TensorSpec, elements};

use super::{
    elements::read_nested,
    mistake::{InputMistake, shown},
    question::{check_shape, names},
};

/// What is asked; members that are not known are extensions and are passed over, as the protocol says.
#[derive(Debug, Deserialize)]
pub struct Infer<'a> {
    /// What the client calls the request.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    inputs: Vec<Named<'a>>,
    /// The outputs that are wanted; all when none are said.
    #[serde(borrow, default)]
    outputs: Vec<Output<'a>>,
}

/// A tensor with its name.
#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<usize>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl<'a> Infer<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not JSON, or something is missing.
    pub fn read(body: &'a [u8]) -> Result<Self, InputMistake> {
        serde_json::from_slice(body).map_err(|error| InputMistake::of_json("body", &error))
    }

    /// The inputs, in the order of what the model takes.
    ///
    /// # Errors
    /// The first that is missing, unknown, or does not fit.
    pub fn inputs(&self, specs: &[TensorSpec]) -> Result<Vec<Tensor>, InputMistake> {
        let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
        for (index, input) in self.inputs.iter().enumerate() {
            let field = format!("inputs[{index}]");
            let place = specs.iter().position(|spec| *spec.name == *input.name);
            let found = place.and_then(|place| Some((specs.get(place)?, tensors.get_mut(place)?)));
            let Some((spec, tensor)) = found else {
                let problem =
                    format!("the model has no input `{}`; it takes {}", shown(&input.name), names(specs));
                return Err(InputMistake::new(format!("{field}.name"), problem));
            };
            if tensor.is_some() {
                let problem = format!("`{}` stands there twice; leave one away", spec.name);
                return Err(InputMistake::new(format!("{field}.name"), problem));
            }
            *tensor = Some(input.tensor(spec, &field)?);
        }
        if let Some((spec, _)) = specs.iter().zip(&tensors).find(|(_, tensor)| tensor.is_none()) {
            let problem = format!("`{}` is missing; the model takes {}", spec.name, names(specs));
            return Err(InputMistake::new("inputs", problem));
        }
        Ok(tensors.into_iter().flatten().collect())
    }

    /// What its answer should be, apart from its body.
    #[must_use]
    pub fn wanted(self) -> Wanted {
        let outputs = self.outputs.into_iter().map(|output| output.name.into_owned()).collect();
        Wanted { id: self.id.map(Cow::into_owned), outputs }
    }
}

/// What an answer should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    id: Option<String>,
    outputs: Vec<String>,
}

impl Wanted {
    /// What the client calls the request.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether an output is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.outputs.is_empty() || self.outputs.iter().any(|wanted| wanted == name)
    }

    /// The first wanted output that is none of these.
    #[must_use]
    pub fn unknown_output<'n>(&self, mut known: impl Iterator<Item = &'n str> + Clone) -> Option<&str> {
        let is_unknown = |wanted: &&String| !known.clone().any(|name| *wanted == name);
        let unknown = self.outputs.iter().find(is_unknown).map(|wanted| &**wanted);
        known.next().and(unknown)
    }
}

impl Named<'_> {
    fn tensor(&self, spec: &TensorSpec, field: &str) -> Result<Tensor, InputMistake> {
        if DataType::named(&self.datatype) != Some(spec.kind) {
            let problem =
                format!("`{}` is not what the model takes, which is {}", shown(&self.datatype), spec.kind);
            return Err(InputMistake::new(format!("{field}.datatype"), problem));
        }
        check_shape(&self.shape, spec, &format!("{field}.shape"))?;
        let Some(json) = self.data else {
            let problem = "it is missing; send elements as JSON, the binary extension is not spoken here";
            return Err(InputMistake::new(format!("{field}.data"), problem));
        };
        let tensor = read_nested(json, spec.kind, &format!("{field}.data"))?;
        self.in_shape(tensor, field)
    }

    /// Elements come flat, or nested as their shape says.
    fn in_shape(&self, mut tensor: Tensor, field: &str) -> Result<Tensor, InputMistake> {
        let wanted = elements(&self.shape).unwrap_or(usize::MAX);
        if tensor.shape.len() <= 1 {
            if tensor.data.len() != wanted {
                let problem = format!(
                    "it has {} elements, its shape of {:?} has {wanted}; correct one of them",
                    tensor.data.len(),
                    self.shape
                );
                return Err(InputMistake::new(format!("{field}.data"), problem));
            }
            tensor.shape.clone_from(&self.shape);
        }
        if tensor.shape != self.shape {
            let problem = format!("it is nested as {:?}, its shape says {:?}", tensor.shape, self.shape);
            return Err(InputMistake::new(format!("{field}.data"), problem));
        }
        Ok(tensor)
    }
}

/// What a server of the protocol answers.
#[derive(Debug, Deserialize)]
pub struct InferOutputs<'a> {
    /// The version that answered, as the server calls it.
    #[serde(borrow, default)]
    pub model_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outputs: Vec<Named<'a>>,
}

impl<'a> InferOutputs<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(body: &'a [u8]) -> Result<Self, InputMistake> {
        serde_json::from_slice(body).map_err(|error| InputMistake::of_json("body", &error))
    }

    /// The outputs with their names.
    ///
    /// # Errors
    /// When one is of a type that is not known, or its elements are not what it says.
    pub fn tensors(&self) -> Result<Vec<(Box<str>, Tensor)>, InputMistake> {
        let one = |(index, output): (usize, &Named<'_>)| {
            let field = format!("outputs[{index}]");
            let kind = DataType::named(&output.datatype).filter(|_| output.shape.len() <= AXES_MAX);
            let (Some(kind), Some(json)) = (kind, output.data) else {
                let problem = format!("{} cannot be read here", shown(&output.datatype));
                return Err(InputMistake::new(field, problem));
            };
            let tensor = read_nested(json, kind, &field)?;
            Ok((Box::from(&*output.name), output.in_shape(tensor, &field)?))
        };
        self.outputs.iter().enumerate().map(one).collect()
    }
}
