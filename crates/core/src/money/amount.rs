//! Currencies, amounts and rates. Arithmetic is checked everywhere: there are no operators, so that
//! nothing wraps and nothing becomes a float.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use thiserror::Error;

/// The largest amount either way: a thousand million units of money, or 10^18 credits. Nine of them
/// still fit into 64 bits.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000_000;
/// The largest rate: a million units per million tokens, or per request.
pub const RATE_MAX: u64 = 1_000_000_000_000_000;
/// Decimals that money and rates have.
pub const DECIMALS: u32 = 9;
/// The longest decimal that is read, in bytes.
const TEXT_LEN_MAX: usize = 40;

/// Why a text is not an amount, rate or currency.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    /// Not a decimal.
    #[error("`{0}` is not a decimal such as `25.00`; write digits and at most one point, in quotes")]
    NotDecimal(String),
    /// More decimals than can be kept.
    #[error("`{text}` has more than {decimals} decimals; nothing finer is kept")]
    TooFine {
        /// What was written.
        text: String,
        /// How many there may be.
        decimals: u32,
    },
    /// Too large, or below zero where that means nothing.
    #[error("`{text}` is outside {least} to {most}")]
    OutOfRange {
        /// What was written.
        text: String,
        /// The smallest that is allowed.
        least: &'static str,
        /// The largest that is allowed.
        most: &'static str,
    },
    /// Not a currency.
    #[error("`{0}` is not a currency; write three capitals such as `USD` (ISO 4217), or `credits`")]
    Currency(String),
}

/// What an amount is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Currency {
    /// Money: three capital letters of ISO 4217. Kept in nano-units.
    Money([u8; 3]),
    /// Credits, which are whole. Kept as they are.
    Credits,
}

impl Currency {
    /// The dollar of the United States, which the providers' price lists are in.
    pub const USD: Self = Self::Money(*b"USD");

    /// Decimals that its amounts have.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        match self {
            Self::Money(_) => DECIMALS,
            Self::Credits => 0,
        }
    }

    /// How many 10^-15 units the smallest amount is: the unit that costs are summed up in.
    #[must_use]
    pub const fn femtos_per_atom(self) -> u128 {
        match self {
            Self::Money(_) => 1_000_000,
            Self::Credits => 1_000_000_000_000_000,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Money(code) => f.write_str(std::str::from_utf8(code).map_err(|_| fmt::Error)?),
            Self::Credits => f.write_str("credits"),
        }
    }
}

impl FromStr for Currency {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self::Money(code)),
            _ if text == "credits" => Ok(Self::Credits),
            _ => Err(AmountError::Currency(shown(text))),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// An amount in the smallest parts of its currency: nano-units of money, or whole credits. Between
/// -[`AMOUNT_MAX`] and [`AMOUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most there can be.
    pub const MAX: Self = Self(AMOUNT_MAX);

    /// An amount of so many smallest parts; `None` outside the bounds.
    #[must_use]
    pub const fn from_atoms(atoms: i64) -> Option<Self> {
        if atoms >= -AMOUNT_MAX && atoms <= AMOUNT_MAX { Some(Self(atoms)) } else { None }
    }

    /// How many smallest parts it is.
    #[must_use]
    pub const fn atoms(self) -> i64 {
        self.0
    }

    /// The sum; `None` when it is out of bounds.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::from_atoms)
    }

    /// The difference; `None` when it is out of bounds.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(Self::from_atoms)
    }

    /// Reads `25.00`, `-3`, `0.000000001`.
    ///
    /// # Errors
    /// When it is no decimal, has more decimals than the currency keeps, or is out of bounds.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let out_of_range = || AmountError::OutOfRange {
            text: shown(text),
            least: match currency {
                Currency::Money(_) => "-1000000000",
                Currency::Credits => "-1000000000000000000",
            },
            most: match currency {
                Currency::Money(_) => "1000000000",
                Currency::Credits => "1000000000000000000",
            },
        };
        let atoms = decimal(text, currency.decimals())?;
        i64::try_from(atoms).ok().and_then(Self::from_atoms).ok_or_else(out_of_range)
    }

    /// The decimal, exactly: at least two decimals of money, as many as it takes, none of credits.
    #[must_use]
    pub fn to_text(self, currency: Currency) -> String {
        let least = match currency {
            Currency::Money(_) => 2,
            Currency::Credits => 0,
        };
        decimal_text(i128::from(self.0), currency.decimals(), least)
    }
}

/// Nano-units per million tokens, or per request. Between 0 and [`RATE_MAX`]. Written as a decimal
/// in quotes: `"1.25"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// A rate of so many nano-units; `None` out of bounds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Option<Self> {
        if nanos <= RATE_MAX { Some(Self(nanos)) } else { None }
    }

    /// How many nano-units it is.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal_text(i128::from(self.0), DECIMALS, 2))
    }
}

impl FromStr for Rate {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let out_of_range =
            || AmountError::OutOfRange { text: shown(text), least: "0", most: "1000000 per million" };
        let nanos = decimal(text, DECIMALS)?;
        u64::try_from(nanos).ok().and_then(Self::from_nanos).ok_or_else(out_of_range)
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Reads a decimal as a whole number of its last place. No exponent, no sign but `-`, no spaces.
fn decimal(text: &str, decimals: u32) -> Result<i128, AmountError> {
    let error = || AmountError::NotDecimal(shown(text));
    if text.len() > TEXT_LEN_MAX {
        return Err(error());
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(error()),
        None => (digits, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(error());
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::try_from(decimals)
        .ok()
        .and_then(|decimals| decimals.checked_sub(fraction.len()))
        .ok_or_else(|| AmountError::TooFine { text: shown(text), decimals })?;
    let zeros = std::iter::repeat_n(b'0', missing);
    // At most 40 digits and 9 zeros: what does not fit 128 bits is out of every bound.
    let value = whole
        .bytes()
        .chain(fraction.bytes())
        .chain(zeros)
        .try_fold(0i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))
        .unwrap_or(i128::MAX);
    Ok(if negative { -value } else { value })
}

/// Writes a whole number of the last of `decimals` places, with at least `least` of them.
fn decimal_text(value: i128, decimals: u32, least: usize) -> String {
    let scale = 10u128.pow(decimals);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = (magnitude / scale, magnitude % scale);
    let mut fraction = format!("{part:0width$}", width = decimals as usize);
    if decimals == 0 {
        fraction.clear();
    }
    while fraction.len() > least && fraction.ends_with('0') {
        fraction.pop();
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
