//! What stands before and behind trees and linear models: elements scaled, normalized, cast, cut out.

use std::collections::HashMap;

use tollgate_core::tensor::{Data, DataType, Tensor};
use tract_onnx::pb::{NodeProto, TensorProto};

use super::{
    Columns, Form, Made, Operator, Reading, Refusal,
    attributes::{find, long, longs_of, singles, word},
    grid,
    real::Real as _,
    scores::{logistic, softmax},
};

/// Does one thing to a tensor.
struct Plain<T> {
    what: T,
    run: fn(&T, &Tensor) -> Result<Tensor, String>,
    visits: u64,
}

impl<T: Send + Sync> Operator for Plain<T> {
    fn run(&self, input: &Tensor) -> Result<[Option<Tensor>; 2], String> {
        Ok([Some((self.run)(&self.what, input)?), None])
    }

    fn visits(&self) -> u64 {
        self.visits
    }
}

fn made<T: Send + Sync + 'static>(
    what: T,
    run: fn(&T, &Tensor) -> Result<Tensor, String>,
    (input, output): (Form, Form),
) -> Made {
    // What an axis that is open costs is known when it is asked ([`super::Native::visits`]).
    let width = if let Columns::Of(width) = input.columns { width } else { 1 };
    Made::new(Plain { what, run, visits: 1 + width as u64 / 4 }, vec![output])
}

/// `Scaler`: each feature without its offset, times its scale.
pub(super) fn scaler(node: &NodeProto, input: Form) -> Reading<Made> {
    let (offset, scale) = (singles(node, "offset").to_vec(), singles(node, "scale").to_vec());
    let is_fit = |count: usize| count == 1 || input.columns == Columns::Of(count);
    if !is_number(input) || !is_fit(offset.len()) || !is_fit(scale.len()) {
        return Err(Refusal::Unknown);
    }
    let run = |(offset, scale): &(Vec<f32>, Vec<f32>), input: &Tensor| {
        let parts = offset.iter().cycle().zip(scale.iter().cycle());
        let (_, width) = grid(input)?;
        let mut scaled = Vec::with_capacity(input.data.len());
        match &input.data {
            Data::F64(own) => {
                for row in own.chunks_exact(width.max(1)) {
                    let one = |(value, (offset, scale)): (&f64, (&f32, &f32))| {
                        ((value - f64::from(*offset)) * f64::from(*scale)) as f32
                    };
                    scaled.extend(row.iter().zip(parts.clone()).map(one));
                }
            }
            data => {
                let elements = f32::all_of(data).ok_or("elements are of another type than was said")?;
                for row in elements.chunks_exact(width.max(1)) {
                    let each = row.iter().zip(parts.clone());
                    scaled.extend(each.map(|(value, (offset, scale))| (value - offset) * scale));
                }
            }
        }
        Ok(Tensor { shape: input.shape.clone(), data: Data::F32(scaled) })
    };
    Ok(made((offset, scale), run, (input, Form { kind: DataType::F32, ..input })))
}

/// How rows are normalized.
#[derive(Clone, Copy)]
enum Norm {
    Max,
    Sum,
    Length,
}

/// `Normalizer`: each row by its largest element, its sum or its length.
pub(super) fn normalizer(node: &NodeProto, input: Form) -> Reading<Made> {
    let norm = match word(node, "norm", "MAX") {
        b"MAX" => Norm::Max,
        b"L1" => Norm::Sum,
        b"L2" => Norm::Length,
        _ => return Err(Refusal::Unknown),
    };
    if !is_number(input) || input.columns == Columns::Flat {
        return Err(Refusal::Unknown);
    }
    let run = |norm: &Norm, input: &Tensor| {
        let (_, width) = grid(input)?;
        let elements = f32::all_of(&input.data).ok_or("elements are of another type than was said")?;
        let mut all = elements.into_owned();
        all.chunks_exact_mut(width.max(1)).for_each(|row| normalize(*norm, row));
        Ok(Tensor { shape: input.shape.clone(), data: Data::F32(all) })
    };
    Ok(made(norm, run, (input, Form { kind: DataType::F32, ..input })))
}

fn normalize(norm: Norm, row: &mut [f32]) {
    let by: f32 = match norm {
        Norm::Max => row.iter().fold(f32::MIN, |most, value| if *value > most { *value } else { most }),
        Norm::Sum => row.iter().map(|value| value.abs()).sum(),
        Norm::Length => row.iter().map(|value| value * value).sum(),
    };
    if by == 0.0 {
        return;
    }
    for value in row {
        *value = match norm {
            Norm::Max | Norm::Sum => *value / by,
            Norm::Length => (*value * *value / by).sqrt().copysign(*value),
        };
    }
}

/// `Cast` among numbers.
pub(super) fn cast(node: &NodeProto, input: Form) -> Reading<Made> {
    let to = match long(node, "to", 0) {
        1 => DataType::F32,
        6 => DataType::I32,
        7 => DataType::I64,
        8 => DataType::Text,
        11 => DataType::F64,
        _ => return Err(Refusal::Unknown),
    };
    if to == input.kind {
        return Ok(Made::alias(input));
    }
    if !is_number(input) || to == DataType::Text {
        return Err(Refusal::Unknown);
    }
    let run = |to: &DataType, input: &Tensor| {
        macro_rules! all {
            ($own:expr) => {
                match to {
                    DataType::F32 => Data::F32($own.iter().map(|value| *value as f32).collect()),
                    DataType::F64 => Data::F64($own.iter().map(|value| *value as f64).collect()),
                    DataType::I32 => Data::I32($own.iter().map(|value| *value as i32).collect()),
                    _ => Data::I64($own.iter().map(|value| *value as i64).collect()),
                }
            };
        }
        let data = match &input.data {
            Data::F32(own) => all!(own),
            Data::F64(own) => all!(own),
            Data::I32(own) => all!(own),
            Data::I64(own) => all!(own),
            _ => return Err("elements are of another type than was said".to_owned()),
        };
        Ok(Tensor { shape: input.shape.clone(), data })
    };
    Ok(made(to, run, (input, Form { kind: to, ..input })))
}

/// `Softmax` over the elements of each row.
pub(super) fn softmax_rows(node: &NodeProto, input: Form) -> Reading<Made> {
    // Before opset 13 its axis was 1 where nothing is said, now it is the last: of rows it is the same.
    check_single_rows(node, input, -1)?;
    Ok(made((), |(), input| on_rows(input, softmax), (input, input)))
}

/// `Sigmoid` of each element.
pub(super) fn sigmoid(_: &NodeProto, input: Form) -> Reading<Made> {
    if input.kind != DataType::F32 || input.columns == Columns::Flat {
        return Err(Refusal::Unknown);
    }
    let each = |row: &mut [f32]| row.iter_mut().for_each(|value| *value = logistic(*value));
    Ok(made(each, |each, input| on_rows(input, each), (input, input)))
}

/// `ArgMax` over the elements of each row: the place of the highest, the first of equals.
pub(super) fn arg_max(node: &NodeProto, input: Form) -> Reading<Made> {
    check_single_rows(node, input, 0)?;
    let is_known = matches!(input.columns, Columns::Of(1..)) && long(node, "select_last_index", 0) == 0;
    if !is_known {
        return Err(Refusal::Unknown);
    }
    let keeps = long(node, "keepdims", 1) != 0;
    let run = |keeps: &bool, input: &Tensor| {
        let (rows, width) = grid(input)?;
        let elements = f32::all_of(&input.data).ok_or("elements are of another type than was said")?;
        let place = |row: &[f32]| {
            let most = |most: (i64, f32), (place, value): (usize, &f32)| {
                if *value > most.1 { (place as i64, *value) } else { most }
            };
            row.iter().enumerate().fold((0, f32::NEG_INFINITY), most).0
        };
        let places = elements.chunks_exact(width.max(1)).map(place).collect();
        let shape = if *keeps { vec![rows, 1] } else { vec![rows] };
        Ok(Tensor { shape, data: Data::I64(places) })
    };
    let columns = if keeps { Columns::Of(1) } else { Columns::Flat };
    Ok(made(keeps, run, (input, Form { kind: DataType::I64, columns, ..input })))
}

/// `Slice` of columns that are known, each by each.
pub(super) fn slice(node: &NodeProto, input: Form, constants: &HashMap<&str, &TensorProto>) -> Reading<Made> {
    let only = |index: usize| {
        let numbers = longs_of(constants.get(node.input.get(index)?.as_str())?)?;
        if let [number] = *numbers { Some(number) } else { None }
    };
    let (Some(start), Some(end), Some(1 | -1)) = (only(1), only(2), only(3)) else {
        return Err(Refusal::Unknown);
    };
    let Columns::Of(width) = input.columns else { return Err(Refusal::Unknown) };
    let is_every = node.input.get(4).is_none_or(String::is_empty) || only(4) == Some(1);
    let place = |number: i64| {
        let whole = width as i64;
        usize::try_from(if number < 0 { number.saturating_add(whole) } else { number }.clamp(0, whole))
    };
    let (Ok(start), Ok(end)) = (place(start), place(end)) else { return Err(Refusal::Unknown) };
    if input.kind != DataType::F32 || !is_every || start >= end {
        return Err(Refusal::Unknown);
    }
    let run = |(start, end): &(usize, usize), input: &Tensor| {
        let (rows, width) = grid(input)?;
        let elements = f32::all_of(&input.data).ok_or("elements are of another type than was said")?;
        let rows_of = elements.chunks_exact(width.max(1));
        let cut = rows_of.flat_map(|row| row.get(*start..*end).unwrap_or_default()).copied().collect();
        Ok(Tensor { shape: vec![rows, end - start], data: Data::F32(cut) })
    };
    Ok(made((start, end), run, (input, Form { columns: Columns::Of(end - start), ..input })))
}

fn is_number(input: Form) -> bool {
    matches!(input.kind, DataType::F32 | DataType::F64 | DataType::I64 | DataType::I32)
}

/// Whether rows of `f32` are worked on by the last axis.
fn check_single_rows(node: &NodeProto, input: Form, default: i64) -> Reading<()> {
    let axis = find(node, "axis").map_or(default, |found| found.i);
    let is_fit = input.kind == DataType::F32 && input.columns != Columns::Flat && matches!(axis, 1 | -1);
    if is_fit { Ok(()) } else { Err(Refusal::Unknown) }
}

fn on_rows(input: &Tensor, change: impl Fn(&mut [f32])) -> Result<Tensor, String> {
    let (_, width) = grid(input)?;
    let elements = f32::all_of(&input.data).ok_or("elements are of another type than was said")?;
    let mut all = elements.into_owned();
    all.chunks_exact_mut(width.max(1)).for_each(change);
    Ok(Tensor { shape: input.shape.clone(), data: Data::F32(all) })
}
