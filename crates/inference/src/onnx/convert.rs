//! Our tensors and tract's, one into the other.

use tollgate_core::tensor::{Data, DataType, Tensor};
use tract_onnx::prelude::{DatumType, Tensor as Theirs};

/// Our name of their type; `None` for those that are not offered.
pub(super) fn kind_of(datum: DatumType) -> Option<DataType> {
    Some(match datum {
        DatumType::Bool => DataType::Bool,
        DatumType::I8 => DataType::I8,
        DatumType::I16 => DataType::I16,
        DatumType::I32 => DataType::I32,
        DatumType::I64 | DatumType::TDim => DataType::I64,
        DatumType::U8 => DataType::U8,
        DatumType::U16 => DataType::U16,
        DatumType::U32 => DataType::U32,
        DatumType::U64 => DataType::U64,
        DatumType::F16 | DatumType::F32 => DataType::F32,
        DatumType::F64 => DataType::F64,
        DatumType::String => DataType::Text,
        _ => return None,
    })
}

/// What a model takes.
pub(super) fn into_tract(tensor: Tensor) -> Result<Theirs, String> {
    let shape = &*tensor.shape;
    let made = match &tensor.data {
        Data::Bool(own) => Theirs::from_shape(shape, own),
        Data::I8(own) => Theirs::from_shape(shape, own),
        Data::I16(own) => Theirs::from_shape(shape, own),
        Data::I32(own) => Theirs::from_shape(shape, own),
        Data::I64(own) => Theirs::from_shape(shape, own),
        Data::U8(own) => Theirs::from_shape(shape, own),
        Data::U16(own) => Theirs::from_shape(shape, own),
        Data::U32(own) => Theirs::from_shape(shape, own),
        Data::U64(own) => Theirs::from_shape(shape, own),
        Data::F32(own) => Theirs::from_shape(shape, own),
        Data::F64(own) => Theirs::from_shape(shape, own),
        Data::Text(_) => return Err("texts cannot be given to a model in this process".to_owned()),
    };
    made.map_err(|error| error.to_string())
}

/// What a model gave.
pub(super) fn from_tract(tensor: &Theirs) -> Result<Tensor, String> {
    let shape = tensor.shape().to_vec();
    let wanted = match tensor.datum_type() {
        DatumType::F16 => Some(DatumType::F32),
        DatumType::TDim => Some(DatumType::I64),
        _ => None,
    };
    let cast =
        wanted.map(|wanted| tensor.cast_to_dt(wanted)).transpose().map_err(|error| error.to_string())?;
    let tensor = cast.as_deref().unwrap_or(tensor);
    let view = tensor.try_as_plain_ram().map_err(|error| error.to_string())?;
    macro_rules! elements {
        ($variant:ident) => {
            view.as_slice().map(|own| Data::$variant(own.to_vec())).map_err(|error| error.to_string())?
        };
    }
    let data = match tensor.datum_type() {
        DatumType::Bool => elements!(Bool),
        DatumType::I8 => elements!(I8),
        DatumType::I16 => elements!(I16),
        DatumType::I32 => elements!(I32),
        DatumType::I64 => elements!(I64),
        DatumType::U8 => elements!(U8),
        DatumType::U16 => elements!(U16),
        DatumType::U32 => elements!(U32),
        DatumType::U64 => elements!(U64),
        DatumType::F32 => elements!(F32),
        DatumType::F64 => elements!(F64),
        DatumType::String => elements!(Text),
        other => return Err(format!("the model gave {other:?}, which is not offered")),
    };
    Ok(Tensor { shape, data })
}
