//! Numbers in rows and columns, as they go into models and come out of them.
//!
//! What lives here: element types, shapes, tensors with their data, and whether one fits what a model wants.
//! What does not: JSON (the business of `wire`) and computing anything.

use std::fmt;

/// The most axes that a tensor may have.
pub const AXES_MAX: usize = 8;
/// The most elements that one tensor may have.
pub const ELEMENTS_MAX: usize = 1 << 26;

/// What the elements of a tensor are; the names are those of the Open Inference Protocol v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `BOOL`
    Bool,
    /// `INT8`
    I8,
    /// `INT16`
    I16,
    /// `INT32`
    I32,
    /// `INT64`
    I64,
    /// `UINT8`
    U8,
    /// `UINT16`
    U16,
    /// `UINT32`
    U32,
    /// `UINT64`
    U64,
    /// `FP32`
    F32,
    /// `FP64`
    F64,
    /// `BYTES`: texts.
    Text,
}

impl DataType {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::F32,
        Self::F64,
        Self::Text,
    ];

    /// The name in the Open Inference Protocol v2.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::I8 => "INT8",
            Self::I16 => "INT16",
            Self::I32 => "INT32",
            Self::I64 => "INT64",
            Self::U8 => "UINT8",
            Self::U16 => "UINT16",
            Self::U32 => "UINT32",
            Self::U64 => "UINT64",
            Self::F32 => "FP32",
            Self::F64 => "FP64",
            Self::Text => "BYTES",
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What one element is, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::I8 => "a whole number of -128 to 127",
            Self::I16 => "a whole number of 16 bits",
            Self::I32 => "a whole number of 32 bits",
            Self::I64 => "a whole number of 64 bits",
            Self::U8 => "a whole number of 0 to 255",
            Self::U16 => "a whole number of 0 to 65535",
            Self::U32 => "a whole number of 32 bits, not negative",
            Self::U64 => "a whole number of 64 bits, not negative",
            Self::F32 | Self::F64 => "a number",
            Self::Text => "a text",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a model takes or gives under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the model.
    pub name: Box<str>,
    /// What its elements are.
    pub kind: DataType,
    /// The length of each axis; `None` any, but at least 1.
    pub shape: Box<[Option<usize>]>,
}

impl TensorSpec {
    /// Whether rows of several requests can stand below each other in it.
    #[must_use]
    pub fn is_joinable(&self) -> bool {
        self.shape.first() == Some(&None)
    }

    /// Whether a tensor of these lengths fits.
    #[must_use]
    pub fn fits(&self, lengths: &[usize]) -> bool {
        self.shape.len() == lengths.len()
            && self
                .shape
                .iter()
                .zip(lengths)
                .all(|(wanted, found)| wanted.map_or(*found > 0, |wanted| wanted == *found))
    }

    /// The shape in words: `[*, 4]`.
    #[must_use]
    pub fn shape_words(&self) -> String {
        shape_words(self.shape.iter().copied())
    }
}

/// A shape in words: `[*, 4]`.
pub fn shape_words(axes: impl IntoIterator<Item = Option<usize>>) -> String {
    let axes = axes.into_iter().map(|axis| axis.map_or_else(|| "*".to_owned(), |length| length.to_string()));
    format!("[{}]", axes.collect::<Vec<_>>().join(", "))
}

/// The elements of a tensor, the last axis running fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `BOOL`
    Bool(Vec<bool>),
    /// `INT8`
    I8(Vec<i8>),
    /// `INT16`
    I16(Vec<i16>),
    /// `INT32`
    I32(Vec<i32>),
    /// `INT64`
    I64(Vec<i64>),
    /// `UINT8`
    U8(Vec<u8>),
    /// `UINT16`
    U16(Vec<u16>),
    /// `UINT32`
    U32(Vec<u32>),
    /// `UINT64`
    U64(Vec<u64>),
    /// `FP32`
    F32(Vec<f32>),
    /// `FP64`
    F64(Vec<f64>),
    /// `BYTES`
    Text(Vec<String>),
}

/// Does the same with the elements, whatever they are.
#[macro_export]
macro_rules! each_data {
    ($data:expr, $elements:ident => $done:expr) => {
        match $data {
            $crate::tensor::Data::Bool($elements) => $done,
            $crate::tensor::Data::I8($elements) => $done,
            $crate::tensor::Data::I16($elements) => $done,
            $crate::tensor::Data::I32($elements) => $done,
            $crate::tensor::Data::I64($elements) => $done,
            $crate::tensor::Data::U8($elements) => $done,
            $crate::tensor::Data::U16($elements) => $done,
            $crate::tensor::Data::U32($elements) => $done,
            $crate::tensor::Data::U64($elements) => $done,
            $crate::tensor::Data::F32($elements) => $done,
            $crate::tensor::Data::F64($elements) => $done,
            $crate::tensor::Data::Text($elements) => $done,
        }
    };
}

impl Data {
    /// No elements of a type.
    #[must_use]
    pub const fn none_of(kind: DataType) -> Self {
        match kind {
            DataType::Bool => Self::Bool(Vec::new()),
            DataType::I8 => Self::I8(Vec::new()),
            DataType::I16 => Self::I16(Vec::new()),
            DataType::I32 => Self::I32(Vec::new()),
            DataType::I64 => Self::I64(Vec::new()),
            DataType::U8 => Self::U8(Vec::new()),
            DataType::U16 => Self::U16(Vec::new()),
            DataType::U32 => Self::U32(Vec::new()),
            DataType::U64 => Self::U64(Vec::new()),
            DataType::F32 => Self::F32(Vec::new()),
            DataType::F64 => Self::F64(Vec::new()),
            DataType::Text => Self::Text(Vec::new()),
        }
    }

    /// What its elements are.
    #[must_use]
    pub const fn kind(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::I8(_) => DataType::I8,
            Self::I16(_) => DataType::I16,
            Self::I32(_) => DataType::I32,
            Self::I64(_) => DataType::I64,
            Self::U8(_) => DataType::U8,
            Self::U16(_) => DataType::U16,
            Self::U32(_) => DataType::U32,
            Self::U64(_) => DataType::U64,
            Self::F32(_) => DataType::F32,
            Self::F64(_) => DataType::F64,
            Self::Text(_) => DataType::Text,
        }
    }

    /// How many elements.
    #[must_use]
    pub fn len(&self) -> usize {
        each_data!(self, elements => elements.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the elements of another behind its own; `false` when they are of another type.
    #[must_use]
    pub fn append(&mut self, other: Self) -> bool {
        macro_rules! same {
            ($($variant:ident),+) => {
                match (self, other) {
                    $((Self::$variant(own), Self::$variant(mut more)) => { own.append(&mut more); true })+
                    _ => false,
                }
            };
        }
        same!(Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64, Text)
    }

    /// Cuts everything behind the first `count` elements off and gives it.
    #[must_use]
    pub fn split_off(&mut self, count: usize) -> Self {
        macro_rules! cut {
            ($($variant:ident),+) => {
                match self {
                    $(Self::$variant(own) => Self::$variant(own.split_off(count.min(own.len()))),)+
                }
            };
        }
        cut!(Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64, Text)
    }
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The length of each axis; their product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Data,
}

impl Tensor {
    /// How many rows it has: the length of its first axis, 1 without any.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }
}

/// How many elements a shape has; `None` over [`ELEMENTS_MAX`].
#[must_use]
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, length| product.checked_mul(*length))
        .filter(|count| *count <= ELEMENTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_fits_when_every_axis_does() {
        let spec = TensorSpec { name: "x".into(), kind: DataType::F32, shape: [None, Some(4)].into() };
        for (lengths, fits) in [
            (&[1, 4][..], true),
            (&[9, 4], true),
            (&[0, 4], false),
            (&[1, 3], false),
            (&[4], false),
            (&[1, 4, 1], false),
        ] {
            assert_eq!(spec.fits(lengths), fits, "{lengths:?}");
        }
        assert!(spec.is_joinable());
        assert_eq!(spec.shape_words(), "[*, 4]");
    }

    #[test]
    fn what_is_joined_can_be_cut_apart_again() {
        for kind in DataType::ALL {
            assert_eq!(DataType::named(kind.name()), Some(kind));
            assert_eq!(Data::none_of(kind).kind(), kind);
        }
        let mut one = Data::I64(vec![1, 2]);
        assert!(one.append(Data::I64(vec![3])) && !one.append(Data::F32(vec![4.0])));
        let rest = one.split_off(2);
        assert_eq!((one, rest), (Data::I64(vec![1, 2]), Data::I64(vec![3])));
    }

    #[test]
    fn more_elements_than_fit_are_none() {
        assert_eq!(elements(&[2, 3]), Some(6));
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[usize::MAX, 2]), None);
        assert_eq!(elements(&[ELEMENTS_MAX, 2]), None);
    }
}
