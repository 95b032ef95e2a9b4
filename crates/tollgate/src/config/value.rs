//! Reading one value: what TOML gave, or the words of an environment variable or flag.
//!
//! Each reader names the value's problem and the remedy; none knows which setting it reads.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use ipnet::IpNet;
use tollgate_core::{address::parse_network, time::Span};
use toml::de::DeValue;

/// A value as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<'a> {
    /// In a file.
    Toml(&'a DeValue<'a>),
    /// In an environment variable, a flag or a default: without quotes, lists with commas.
    Words(&'a str),
}

impl Written<'_> {
    /// The value for an error message, cut to a readable length.
    fn shown(self) -> String {
        let text = match self {
            Self::Words(words) => words.to_owned(),
            Self::Toml(DeValue::String(text)) => text.to_string(),
            Self::Toml(DeValue::Integer(number)) => number.to_string(),
            Self::Toml(DeValue::Float(number)) => number.to_string(),
            Self::Toml(DeValue::Boolean(value)) => value.to_string(),
            Self::Toml(DeValue::Datetime(moment)) => moment.to_string(),
            Self::Toml(DeValue::Array(_)) => return "a list".to_owned(),
            Self::Toml(DeValue::Table(_)) => return "a table".to_owned(),
        };
        let cut: String = text.chars().take(64).filter(|sign| !sign.is_control()).collect();
        format!("`{cut}`")
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Words(words) => Some(words),
            Self::Toml(value) => value.as_str(),
        }
    }
}

/// A text that is not empty.
pub(crate) fn text(written: Written<'_>) -> Result<String, String> {
    match written.as_text() {
        Some("") => Err("it is empty; give a value or leave the setting away".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("{} is not a text; put it in quotes", written.shown())),
    }
}

/// The path of a file or folder.
pub(crate) fn path(written: Written<'_>) -> Result<PathBuf, String> {
    text(written).map(PathBuf::from)
}

/// An address and port to listen on.
pub(crate) fn address(written: Written<'_>) -> Result<SocketAddr, String> {
    let problem = || {
        format!(
            "{} is not an address and port; write an IP address such as `127.0.0.1:8080`, `0.0.0.0:8080` or `[::]:8080`",
            written.shown()
        )
    };
    written.as_text().and_then(|text| text.parse().ok()).ok_or_else(problem)
}

/// A whole number in a range.
pub(crate) fn number(written: Written<'_>, range: RangeInclusive<u64>) -> Result<u64, String> {
    let (low, high) = (range.start(), range.end());
    let value = match written {
        Written::Words(words) => words.parse::<u64>().ok(),
        Written::Toml(DeValue::Integer(number)) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        Written::Toml(_) => None,
    };
    value
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("{} is not a whole number from {low} to {high}", written.shown()))
}

/// The units of byte counts.
const BYTE_UNITS: [(&str, u64); 5] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];

/// A number of bytes: `65536`, `64KiB`, `2GiB`.
pub(crate) fn bytes(written: Written<'_>, range: RangeInclusive<u64>) -> Result<u64, String> {
    let from_text = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        match unit.trim_start() {
            "" => Some(number),
            unit => number.checked_mul(BYTE_UNITS.iter().find(|(name, _)| *name == unit)?.1),
        }
    };
    let value = match written {
        Written::Toml(DeValue::Integer(number)) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        other => other.as_text().and_then(from_text),
    };
    value.filter(|value| range.contains(value)).ok_or_else(|| {
        format!(
            "{} is not a number of bytes from {} to {}; write `65536`, `64KiB` or `2GiB`",
            written.shown(),
            shown_bytes(*range.start()),
            shown_bytes(*range.end())
        )
    })
}

/// A number of bytes as people write it, exact.
pub(crate) fn shown_bytes(bytes: u64) -> String {
    let (unit, size) = BYTE_UNITS
        .iter()
        .take(4)
        .rev()
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

/// A length of time in a range that is given in words: `("1s", "1h")`.
pub(crate) fn duration(written: Written<'_>, low: &str, high: &str) -> Result<Duration, String> {
    let problem = || {
        format!(
            "{} is not a length of time from {low} to {high}; write a whole number and a unit: 250ms, 2s, 5m, 12h or 90d",
            written.shown()
        )
    };
    let span: Span = written.as_text().and_then(|text| text.parse().ok()).ok_or_else(problem)?;
    let within = |low: Result<Span, _>, high: Result<Span, _>| match (low, high) {
        (Ok(low), Ok(high)) => (low..=high).contains(&span),
        (Err(_), _) | (_, Err::<Span, tollgate_core::time::SpanError>(_)) => false,
    };
    if within(low.parse(), high.parse()) { Ok(span.to_std()) } else { Err(problem()) }
}

/// One of a few words.
pub(crate) fn choice(written: Written<'_>, words: &[&'static str]) -> Result<&'static str, String> {
    let found = written.as_text().and_then(|text| words.iter().find(|word| **word == text));
    found.copied().ok_or_else(|| format!("{} is not one of {}", written.shown(), words.join(", ")))
}

/// A list of networks: a list of texts in TOML, words with commas elsewhere.
pub(crate) fn networks(written: Written<'_>) -> Result<Vec<IpNet>, String> {
    let read = |text: &str| parse_network(text.trim()).map_err(|error| error.to_string());
    match written {
        Written::Words(words) => words.split(',').filter(|word| !word.trim().is_empty()).map(read).collect(),
        Written::Toml(DeValue::Array(items)) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => read(text),
                other => Err(format!("{} is not a text; put it in quotes", Written::Toml(other).shown())),
            })
            .collect(),
        Written::Toml(_) => {
            Err(format!("{} is not a list; write `[\"10.0.0.0/8\", \"192.168.1.7\"]`", written.shown()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Written, bytes, duration, networks, number, shown_bytes};

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        let read = |text| bytes(Written::Words(text), 0..=1 << 40);
        assert_eq!(read("65536"), Ok(65_536));
        assert_eq!(read("64KiB"), Ok(65_536));
        assert_eq!(read("2 GiB"), Ok(2 << 30));
        assert!(read("2GB").is_err(), "only units that mean one thing");
        assert!(read("99999999999999999TiB").is_err());
        assert_eq!(shown_bytes(65_536), "64KiB");
        assert_eq!(shown_bytes(1_000), "1000B");
    }

    #[test]
    fn ranges_hold_on_both_ends() {
        let read = |text| duration(Written::Words(text), "1s", "1m");
        assert_eq!(read("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(read("1m"), Ok(Duration::from_secs(60)));
        assert!(read("61s").is_err_and(|problem| problem.contains("1s to 1m")));
        assert!(number(Written::Words("0"), 1..=9).is_err());
        assert!(number(Written::Words("-1"), 0..=9).is_err());
    }

    #[test]
    fn networks_come_with_commas_from_the_environment() {
        let read = networks(Written::Words("10.0.0.0/8, ::1"));
        assert_eq!(read.map(|list| list.len()), Ok(2));
        assert!(networks(Written::Words("")).is_ok_and(|list| list.is_empty()));
        assert!(networks(Written::Words("10.0.0.0/99")).is_err());
    }
}
