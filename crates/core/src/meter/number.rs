//! Values of meters: decimals of nine places, added up exactly, in whatever order they come.

use std::fmt;

/// Parts of one.
const PARTS: i128 = 1_000_000_000;
/// What a value is at most, whole: 10¹⁵. What is beyond it is no value that is counted.
pub const WHOLE_MAX: i64 = 1_000_000_000_000_000;
/// Where the whole part of a sum stops growing: 10¹⁸. No record may stop what counts records.
pub const SUM_MAX: i64 = 1_000_000_000_000_000_000;

/// A decimal of nine places; what is written with more is cut there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(i128);

impl Number {
    /// A whole number.
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self(value as i128 * PARTS)
    }

    /// The number that a text is: `12`, `-0.5`, `1e3`. `None` for anything else, and beyond [`WHOLE_MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?),
            None => (text, 0_i32),
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || digits.ends_with('.') || !is_digits(whole) || !is_digits(rest) {
            return None;
        }
        // Digits from the first that counts on, and how many of the nine places are not among them.
        let mut value: i128 = 0;
        let mut shift = exponent.checked_add(9)?.checked_sub(i32::try_from(rest.len()).ok()?)?;
        for digit in whole.bytes().chain(rest.bytes()) {
            if value > i128::MAX / 100 {
                // More digits than any value has; those that are left are only places.
                shift = shift.checked_add(1)?;
            } else {
                value = value * 10 + i128::from(digit - b'0');
            }
        }
        while shift < 0 && value != 0 {
            value /= 10;
            shift += 1;
        }
        while shift > 0 && value != 0 {
            value = value.checked_mul(10)?;
            shift -= 1;
        }
        (value <= i128::from(WHOLE_MAX) * PARTS).then_some(Self(sign * value))
    }

    /// The number that a float of JSON is; the shortest decimal that is read as the same float.
    #[must_use]
    pub fn of_float(value: f64) -> Option<Self> {
        if value.is_finite() { Self::parse(&value.to_string()) } else { None }
    }

    /// Both together; what is beyond 10¹⁸ is cut there, as it is in a row.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        let most = i128::from(SUM_MAX) * PARTS;
        Self(self.0.saturating_add(more.0).clamp(-most, most))
    }

    /// An equal part of it, rounded down to nine places; `None` of nothing.
    #[must_use]
    pub fn over(self, count: u64) -> Option<Self> {
        if count == 0 { None } else { Some(Self(self.0.div_euclid(i128::from(count)))) }
    }

    /// Whole part and billionths, as a row has them: the billionths are never negative.
    #[must_use]
    pub fn parts(self) -> (i64, i64) {
        let whole = self.0.div_euclid(PARTS).clamp(-i128::from(SUM_MAX), i128::from(SUM_MAX));
        (whole as i64, self.0.rem_euclid(PARTS) as i64)
    }

    /// Of what a row has; its billionths may be many sums' together.
    #[must_use]
    pub const fn of_parts(whole: i64, billionths: i64) -> Self {
        Self(whole as i128 * PARTS + billionths as i128)
    }

    /// As a float, for charts and JSON.
    #[must_use]
    pub fn to_float(self) -> f64 {
        self.to_string().parse().unwrap_or(0.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let (whole, rest) = (size / PARTS.unsigned_abs(), size % PARTS.unsigned_abs());
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let places = format!("{rest:09}");
        write!(f, "{sign}{whole}.{}", places.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_numbers_that_they_say() {
        for (text, said) in [
            ("0", Some("0")),
            ("12", Some("12")),
            ("-0.5", Some("-0.5")),
            ("1e3", Some("1000")),
            ("1.25E-2", Some("0.0125")),
            ("0.1234567891", Some("0.123456789")),
            ("0.00000000000000000000000000000000000000000000001", Some("0")),
            ("1000000000000000", Some("1000000000000000")),
            ("1000000000000001", None),
            ("1e400", None),
            ("", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("0x10", None),
            ("NaN", None),
            ("1 ", None),
        ] {
            assert_eq!(Number::parse(text).map(|number| number.to_string()).as_deref(), said, "{text}");
        }
    }

    #[test]
    fn tenths_add_up_to_one() {
        let tenth = Number::of_float(0.1).unwrap();
        let sum = (0..10).fold(Number::default(), |sum, _| sum.plus(tenth));
        assert_eq!(sum, Number::whole(1));
        assert_eq!(sum.over(3).unwrap().to_string(), "0.333333333");
    }

    #[test]
    fn rows_hold_what_they_were_made_of() {
        for text in ["-1.5", "0.000000001", "-0.000000001", "999999999999999.999999999"] {
            let number = Number::parse(text).unwrap();
            let (whole, billionths) = number.parts();
            assert!((0..1_000_000_000).contains(&billionths));
            assert_eq!(Number::of_parts(whole, billionths), number);
            assert_eq!(number.to_string(), text);
        }
    }
}
