//! The two kinds of numbers that are computed with, under one name.

use std::{
    borrow::Cow,
    ops::{Add, AddAssign, Div, Mul, Neg, Sub},
};

use tollgate_core::tensor::Data;

/// `f32` or `f64`.
pub(super) trait Real:
    Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Send
    + Sync
    + 'static
{
    const ONE: Self;
    const LEAST: Self;

    fn of_single(value: f32) -> Self;
    /// `None` where it would lose digits.
    fn of_double(value: f64) -> Option<Self>;
    fn of_count(count: usize) -> Self;
    fn single(self) -> f32;
    fn exp(self) -> Self;
    fn is_nan(self) -> bool;
    /// Elements of a tensor as these numbers; `None` for those that are none.
    fn all_of(data: &Data) -> Option<Cow<'_, [Self]>>;
    fn into_data(numbers: Vec<Self>) -> Data;
    /// Always as `f32`.
    fn into_singles(numbers: Vec<Self>) -> Data;
}

/// Elements as other numbers.
macro_rules! cast {
    ($own:expr, $to:ty) => {
        Cow::Owned($own.iter().map(|value| *value as $to).collect())
    };
}

impl Real for f32 {
    const ONE: Self = 1.0;
    const LEAST: Self = Self::MIN;

    fn of_single(value: f32) -> Self {
        value
    }

    fn of_double(_: f64) -> Option<Self> {
        None
    }

    fn of_count(count: usize) -> Self {
        count as Self
    }

    fn single(self) -> f32 {
        self
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn all_of(data: &Data) -> Option<Cow<'_, [Self]>> {
        Some(match data {
            Data::F32(own) => Cow::Borrowed(own),
            Data::F64(own) => cast!(own, f32),
            Data::I64(own) => cast!(own, f32),
            Data::I32(own) => cast!(own, f32),
            _ => return None,
        })
    }

    fn into_data(numbers: Vec<Self>) -> Data {
        Data::F32(numbers)
    }

    fn into_singles(numbers: Vec<Self>) -> Data {
        Data::F32(numbers)
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;
    const LEAST: Self = Self::MIN;

    fn of_single(value: f32) -> Self {
        Self::from(value)
    }

    fn of_double(value: f64) -> Option<Self> {
        Some(value)
    }

    fn of_count(count: usize) -> Self {
        count as Self
    }

    fn single(self) -> f32 {
        self as f32
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn all_of(data: &Data) -> Option<Cow<'_, [Self]>> {
        Some(match data {
            Data::F64(own) => Cow::Borrowed(own),
            Data::F32(own) => cast!(own, f64),
            _ => return None,
        })
    }

    fn into_data(numbers: Vec<Self>) -> Data {
        Data::F64(numbers)
    }

    fn into_singles(numbers: Vec<Self>) -> Data {
        Data::F32(numbers.into_iter().map(Self::single).collect())
    }
}
