//! A point of a time series: what it may hold, and how InfluxDB's line protocol writes it.
//!
//! Points are checked where they come in ([`check_name`] and its siblings), so that each of them has exactly one
//! line and reads back as what it was. What is not here: how a point is written in a request (the gateway's), and
//! how lines reach InfluxDB (the workers').

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

/// The type of the records that points become. Types that begin with `tollgate.` are not for senders of records.
pub const METRIC_TYPE: &str = "tollgate.metric";
/// The tag of the host that a key is bound to.
pub const HOST_TAG: &str = "host";
/// The longest name of a measurement, tag or field, in bytes.
pub const NAME_LEN_MAX: usize = 256;
/// The longest value of a tag, in bytes.
pub const TAG_LEN_MAX: usize = 1024;
/// The longest text of a field, in bytes: what InfluxDB takes.
pub const TEXT_LEN_MAX: usize = 65_535;
/// Tags of a point at most, the host's included.
pub const TAGS_MAX: usize = 64;
/// Bytes of all tags together, so that the series, with every sign escaped, stays within the 65,535 that InfluxDB takes.
pub const TAGS_BYTES_MAX: usize = 32_000;
/// Fields of a point at most.
pub const FIELDS_MAX: usize = 256;
/// The first moment that is taken, nanoseconds since 1970: 3 March 1973. Seconds, milliseconds and microseconds of
/// our days are all before it, so that the wrong unit is noticed.
pub const TIMESTAMP_NS_MIN: i64 = 100_000_000_000_000_000;
/// The last one: what InfluxDB can keep (`models.MaxNanoTime`), 11 April 2262.
pub const TIMESTAMP_NS_MAX: i64 = i64::MAX - 1;

/// One point. As JSON it is kept; reading that is the business of who has a reader that keeps every digit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What is measured.
    pub measurement: String,
    /// What it is told apart by, by name.
    pub tags: BTreeMap<String, String>,
    /// What was measured, by name; at least one.
    pub fields: BTreeMap<String, FieldValue>,
    /// When, nanoseconds since 1970.
    pub timestamp: i64,
}

/// The value of a field. In JSON a whole number without a point is an integer, and `5.0` is a float.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// A whole number.
    Integer(i64),
    /// Any other number, never infinite and never NaN.
    Float(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text.
    Text(String),
}

impl Point {
    /// Writes it as a line, without a line break at its end.
    pub fn push_line(&self, out: &mut String) {
        push_escaped(out, &self.measurement, &[',', ' ']);
        for (name, value) in &self.tags {
            out.push(',');
            push_escaped(out, name, &[',', '=', ' ']);
            out.push('=');
            push_escaped(out, value, &[',', '=', ' ']);
        }
        for (index, (name, value)) in self.fields.iter().enumerate() {
            out.push(if index == 0 { ' ' } else { ',' });
            push_escaped(out, name, &[',', '=', ' ']);
            out.push('=');
            push_value(out, value);
        }
        // Writing into memory cannot fail.
        let _ = write!(out, " {}", self.timestamp);
    }
}

impl FieldValue {
    /// A number as JSON writes it (RFC 8259 §6), to the last digit: an integer when it has neither point nor exponent.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub fn of_number(text: &str) -> Result<Self, &'static str> {
        if !text.contains(['.', 'e', 'E']) {
            let number = text.parse().map(Self::Integer);
            return number.map_err(|_| "it is no whole number of 64 bits; send it as a string");
        }
        let number: f64 = text.parse().map_err(|_| "it is not a number")?;
        if number.is_finite() {
            return Ok(Self::Float(number));
        }
        Err("it is larger than a number can be, about 1.8e308; send it as a string")
    }
}

/// A time of RFC 3339 in nanoseconds since 1970; `None` for anything else, and past what InfluxDB can keep.
#[must_use]
pub fn moment_ns(text: &str) -> Option<i64> {
    let moment = text.parse::<jiff::Timestamp>().ok()?;
    i64::try_from(moment.as_nanosecond()).ok()
}

fn push_escaped(out: &mut String, text: &str, special: &[char]) {
    for sign in text.chars() {
        if special.contains(&sign) {
            out.push('\\');
        }
        out.push(sign);
    }
}

fn push_value(out: &mut String, value: &FieldValue) {
    // Writing into memory cannot fail.
    let _ = match value {
        FieldValue::Integer(number) => write!(out, "{number}i"),
        // The shortest digits that read back as the same number; without 300 zeros.
        FieldValue::Float(number) if *number != 0.0 && !(1e-5..1e17).contains(&number.abs()) => {
            write!(out, "{number:e}")
        }
        FieldValue::Float(number) => write!(out, "{number}"),
        FieldValue::Boolean(is_so) => write!(out, "{is_so}"),
        FieldValue::Text(text) => {
            out.push('"');
            push_escaped(out, text, &['"', '\\']);
            out.push('"');
            Ok(())
        }
    };
}

/// What stands behind a backslash that InfluxDB would take for an escape.
const AFTER_BACKSLASH: [char; 5] = [',', '=', ' ', '"', '\\'];

/// Whether a text can be written where names stand and is read back as it was.
fn check_text(text: &str, len_max: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty; leave it away, or give it a text");
    }
    if text.len() > len_max {
        return Err("it is too long; names have up to 256 bytes, values of tags up to 1024");
    }
    if text.chars().any(char::is_control) {
        return Err("it has a line break or another control character; leave that away");
    }
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '\\' && signs.peek().is_none_or(|next| AFTER_BACKSLASH.contains(next)) {
            return Err(
                "its backslash stands at the end or before `,`, `=`, `\"`, a space or another backslash, which InfluxDB cannot keep; use `/` instead",
            );
        }
    }
    Ok(())
}

/// Whether a text can be the name of a measurement.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn check_measurement(name: &str) -> Result<(), &'static str> {
    check_text(name, NAME_LEN_MAX)?;
    if name.starts_with('#') {
        return Err("it begins with `#`, which makes a comment of it; choose another name");
    }
    if name.starts_with('_') {
        return Err("names that begin with `_` are InfluxDB's own; choose another name");
    }
    Ok(())
}

/// Whether a text can be the name of a tag or a field.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    check_text(name, NAME_LEN_MAX)?;
    if name == "time" {
        return Err("`time` is InfluxDB's own; the moment stands in `timestamp`");
    }
    if name.starts_with('_') {
        return Err("names that begin with `_` are InfluxDB's own; choose another name");
    }
    Ok(())
}

/// Whether a text can be the value of a tag.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn check_tag(value: &str) -> Result<(), &'static str> {
    check_text(value, TAG_LEN_MAX)
}

/// Whether a moment can be that of a point.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn check_timestamp(timestamp_ns: i64) -> Result<(), &'static str> {
    if timestamp_ns < TIMESTAMP_NS_MIN {
        return Err(
            "it is before 1973; it counts nanoseconds since 1970, so seconds are to be multiplied by 1000000000",
        );
    }
    if timestamp_ns > TIMESTAMP_NS_MAX {
        return Err("it is after 2262, which InfluxDB cannot keep");
    }
    Ok(())
}
