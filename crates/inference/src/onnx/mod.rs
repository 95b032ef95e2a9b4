//! ONNX files: read, and made ready to run by ourselves ([`crate::native`]) or, adapted and checked, by tract.
//!
//! What lives here: from bytes to something that runs, and running it. What does not: threads and versions.
//! Keeps: no input chooses an index or a size ([`danger`]), for the operators do not bound them.

mod adapt;
mod convert;
mod danger;
#[cfg(test)]
mod differential;

use std::sync::Arc;

use prost::Message as _;
use tollgate_core::tensor::{AXES_MAX, Data, DataType, Tensor, TensorSpec};
use tract_onnx::{
    pb,
    prelude::{
        Framework as _, InferenceFact, InferenceModel, InferenceModelExt as _, IntoRunnable as _, TDim,
        TValue, ToDim as _, TypedRunnableModel,
    },
    tract_hir::{infer::Factoid as _, internal::DimLike as _},
};

use self::convert::{from_tract, into_tract, kind_of};
use crate::{
    native::{Native, Refusal, VISITS_ON_LANE_MAX, check_trees, texts::check_texts},
    unusable::Unusable,
};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Inputs and outputs of one model.
const ENDS_MAX: usize = 256;

/// A model that is ready to run, on any thread, as often at once as wanted.
pub(crate) struct Onnx {
    ready: Ready,
    /// What it takes.
    pub(crate) inputs: Box<[TensorSpec]>,
    /// What it gives.
    pub(crate) outputs: Box<[TensorSpec]>,
}

/// What runs it.
enum Ready {
    Native(Native),
    Tract {
        plan: Arc<TypedRunnableModel>,
        /// Of each output: the texts of the classes whose numbers the graph gives.
        texts: Box<[Option<Vec<String>>]>,
    },
}

impl Onnx {
    /// Reads a model.
    ///
    /// # Errors
    /// When it is no ONNX, or has something that cannot be run here.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unusable> {
        let (proto, output_names) = decoded(bytes)?;
        if let Some(native) = proto.graph.as_ref().and_then(Self::native) {
            return native;
        }
        if let Some(graph) = &proto.graph {
            check_trees(graph)?;
            danger::check(graph)?;
        }
        Self::by_tract(proto, &output_names)
    }

    /// Reads a model that needs no tract; `None` for others.
    pub(crate) fn read_native(bytes: &[u8]) -> Option<Result<Self, Unusable>> {
        match decoded(bytes) {
            Ok((proto, _)) => proto.graph.as_ref().and_then(Self::native),
            Err(problem) => Some(Err(problem)),
        }
    }

    fn native(graph: &pb::GraphProto) -> Option<Result<Self, Unusable>> {
        match Native::read(graph) {
            Ok((native, inputs, outputs)) => {
                let ready = Ready::Native(native);
                Some(Ok(Self { ready, inputs: inputs.into(), outputs: outputs.into() }))
            }
            Err(Refusal::Broken(problem)) => Some(Err(problem)),
            Err(Refusal::Unknown) => None,
        }
    }

    fn by_tract(mut proto: pb::ModelProto, output_names: &[String]) -> Result<Self, Unusable> {
        let mut texts = proto.graph.as_mut().map(adapt::adapt).transpose()?.unwrap_or_default();
        let framework = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let mut model = framework
            .model_for_proto_model(&proto)
            .map_err(|error| Unusable::of("it has something that is not known here", &error))?;
        let inputs = open_axes(&mut model)?;
        let unready = |error| Unusable::of("it cannot be made ready to run", &error);
        let typed = model.into_typed().and_then(|model| model.into_decluttered()).map_err(unready)?;
        danger::check_typed(&typed)?;
        let plan = typed.into_optimized().and_then(|model| model.into_runnable()).map_err(unready)?;
        let mut outputs = outputs_of(&plan, output_names)?;
        let texts: Box<[Option<Vec<String>>]> = output_names.iter().map(|name| texts.remove(name)).collect();
        for (spec, _) in outputs.iter_mut().zip(&texts).filter(|(_, texts)| texts.is_some()) {
            spec.kind = DataType::Text;
        }
        Ok(Self { ready: Ready::Tract { plan, texts }, inputs: inputs.into(), outputs: outputs.into() })
    }

    /// Whether these inputs cost so little that a lane may run them itself.
    pub(crate) fn is_cheap(&self, inputs: &[Tensor]) -> bool {
        matches!(&self.ready, Ready::Native(native) if native.visits(inputs) <= VISITS_ON_LANE_MAX)
    }

    /// Whether it runs without tract.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.ready, Ready::Native(_))
    }

    /// Whether rows of several requests can be joined: the first axis of every end is open.
    pub(crate) fn is_joinable(&self) -> bool {
        !self.inputs.is_empty() && self.inputs.iter().chain(&self.outputs).all(TensorSpec::is_joinable)
    }

    /// Runs it on inputs that are as [`Self::inputs`] says.
    ///
    /// # Errors
    /// What the operators say.
    pub(crate) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        let (plan, texts) = match &self.ready {
            Ready::Native(native) => return native.run(inputs),
            Ready::Tract { plan, texts } => (plan, texts),
        };
        let inputs = inputs
            .into_iter()
            .map(|tensor| into_tract(tensor).map(TValue::from))
            .collect::<Result<_, _>>()?;
        let outputs = plan.run(inputs).map_err(|error| Unusable::of("the model failed", &error).0)?;
        let outputs = outputs.iter().zip(texts);
        outputs.map(|(output, texts)| Ok(in_words(from_tract(output)?, texts.as_deref()))).collect()
    }
}

/// Decodes a file; gives the names of its outputs beside it.
fn decoded(bytes: &[u8]) -> Result<(pb::ModelProto, Vec<String>), Unusable> {
    let proto = pb::ModelProto::decode(bytes)
        .map_err(|error| Unusable(format!("it is not an ONNX file: {error}")))?;
    let graph =
        proto.graph.as_ref().ok_or_else(|| Unusable::new("it is not an ONNX file: it has no graph"))?;
    let names: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    if graph.output.len() > ENDS_MAX || graph.input.len() > ENDS_MAX || names.is_empty() {
        return Err(Unusable(format!("it has no outputs, or more than {ENDS_MAX} inputs or outputs")));
    }
    check_texts(graph)?;
    Ok((proto, names))
}

/// Puts texts of classes in place of their numbers.
fn in_words(tensor: Tensor, texts: Option<&[String]>) -> Tensor {
    match (texts, &tensor.data) {
        (Some(texts), Data::I64(numbers)) => {
            let word =
                |number: &i64| usize::try_from(*number).ok().and_then(|number| texts.get(number).cloned());
            let words = numbers.iter().map(|number| word(number).unwrap_or_default()).collect();
            Tensor { data: Data::Text(words), ..tensor }
        }
        _ => tensor,
    }
}

/// What the model takes. Axes without a length get a name of their own; the first axes of all inputs share one, as
/// they are the rows.
fn open_axes(model: &mut InferenceModel) -> Result<Vec<TensorSpec>, Unusable> {
    let ends = model.input_outlets().map_err(|error| Unusable::of("it has no inputs", &error))?.to_vec();
    let mut specs = Vec::with_capacity(ends.len());
    for (index, outlet) in ends.iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let fact = model.input_fact(index).map_err(|error| Unusable::of("it has no inputs", &error))?.clone();
        let datum = fact.datum_type.concretize();
        let kind = datum.and_then(kind_of);
        let (Some(datum), Some(kind), Some(axes)) = (datum, kind, fact.shape.rank().concretize()) else {
            return Err(Unusable(format!("its input `{name}` is of a type or shape that is not known here")));
        };
        let mut shape: Vec<Option<usize>> = Vec::new();
        let mut dims: Vec<TDim> = Vec::new();
        for (axis, dim) in fact.shape.dims().enumerate() {
            let length = dim.concretize().and_then(|dim| dim.to_usize().ok());
            shape.push(length);
            dims.push(match length {
                Some(length) => length.to_dim(),
                None if axis == 0 => model.symbols.sym("rows").to_dim(),
                None => model.symbols.sym(&format!("axis_{index}_{axis}")).to_dim(),
            });
        }
        if shape.len() != usize::try_from(axes).unwrap_or(usize::MAX) || shape.len() > AXES_MAX {
            return Err(Unusable(format!("its input `{name}` has no shape, or over {AXES_MAX} axes")));
        }
        model
            .set_input_fact(index, InferenceFact::dt_shape(datum, dims))
            .map_err(|error| Unusable::of("its inputs cannot be used", &error))?;
        specs.push(TensorSpec { name: name.into(), kind, shape: shape.into() });
    }
    Ok(specs)
}

fn outputs_of(plan: &Arc<TypedRunnableModel>, names: &[String]) -> Result<Vec<TensorSpec>, Unusable> {
    let model = plan.model();
    let mut specs = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let fact =
            model.output_fact(index).map_err(|error| Unusable::of("its outputs cannot be used", &error))?;
        let kind = kind_of(fact.datum_type)
            .ok_or_else(|| Unusable(format!("its output `{name}` is of a type that is not known here")))?;
        let shape = fact.shape.iter().map(|dim| dim.to_usize().ok()).collect();
        specs.push(TensorSpec { name: name.as_str().into(), kind, shape });
    }
    Ok(specs)
}
