//! Attributes of an operator, read as what they should be. What is missing is empty.

use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{Reading, Refusal, real::Real};

pub(super) fn find<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|found| found.name == name)
}

pub(super) fn longs<'n>(node: &'n NodeProto, name: &str) -> &'n [i64] {
    find(node, name).map_or(&[], |found| &found.ints)
}

pub(super) fn long(node: &NodeProto, name: &str, default: i64) -> i64 {
    find(node, name).map_or(default, |found| found.i)
}

/// A word; the default too where it is written empty.
pub(super) fn word<'n>(node: &'n NodeProto, name: &str, default: &'static str) -> &'n [u8] {
    find(node, name).map(|found| &*found.s).filter(|word| !word.is_empty()).unwrap_or(default.as_bytes())
}

pub(super) fn words(node: &NodeProto, name: &str) -> Vec<String> {
    let words = find(node, name).map_or(&[][..], |found| &found.strings);
    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

pub(super) fn singles<'n>(node: &'n NodeProto, name: &str) -> &'n [f32] {
    find(node, name).map_or(&[], |found| &found.floats)
}

/// Numbers, as a list or as the tensor that stands beside it (`…_as_tensor`).
pub(super) fn reals<F: Real>(node: &NodeProto, name: &str) -> Reading<Vec<F>> {
    if let Some(tensor) = find(node, &format!("{name}_as_tensor")).and_then(|found| found.t.as_ref()) {
        return of_tensor(tensor);
    }
    Ok(singles(node, name).iter().map(|value| F::of_single(*value)).collect())
}

/// Numbers of an attribute that is a tensor.
pub(super) fn reals_of<F: Real>(node: &NodeProto, name: &str) -> Reading<Vec<F>> {
    find(node, name).and_then(|found| found.t.as_ref()).map_or_else(|| Ok(Vec::new()), of_tensor)
}

fn of_tensor<F: Real>(tensor: &TensorProto) -> Reading<Vec<F>> {
    let raw = &*tensor.raw_data;
    if tensor.data_type == DataType::Float as i32 {
        let (chunks, _) = raw.as_chunks::<4>();
        let written = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes));
        return Ok(tensor.float_data.iter().copied().chain(written).map(F::of_single).collect());
    }
    if tensor.data_type == DataType::Double as i32 {
        let (chunks, _) = raw.as_chunks::<8>();
        let written = chunks.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let all = tensor.double_data.iter().copied().chain(written).map(F::of_double);
        return all.collect::<Option<_>>().ok_or(Refusal::Unknown);
    }
    Err(Refusal::Unknown)
}

/// Bytes of an attribute that is a tensor of them.
pub(super) fn bytes_of(node: &NodeProto, name: &str) -> Reading<Vec<u8>> {
    let Some(tensor) = find(node, name).and_then(|found| found.t.as_ref()) else { return Ok(Vec::new()) };
    if tensor.data_type != DataType::Uint8 as i32 {
        return Err(Refusal::Unknown);
    }
    let numbers = tensor.int32_data.iter().map(|number| u8::try_from(*number).unwrap_or(u8::MAX));
    Ok(numbers.chain(tensor.raw_data.iter().copied()).collect())
}

/// Whole numbers of a tensor of the model's own.
pub(super) fn longs_of(tensor: &TensorProto) -> Option<Vec<i64>> {
    let raw = &*tensor.raw_data;
    if tensor.data_type == DataType::Int64 as i32 {
        let (chunks, _) = raw.as_chunks::<8>();
        let written = chunks.iter().map(|bytes| i64::from_le_bytes(*bytes));
        return Some(tensor.int64_data.iter().copied().chain(written).collect());
    }
    if tensor.data_type == DataType::Int32 as i32 {
        let (chunks, _) = raw.as_chunks::<4>();
        let written = chunks.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes)));
        return Some(tensor.int32_data.iter().map(|number| i64::from(*number)).chain(written).collect());
    }
    None
}
