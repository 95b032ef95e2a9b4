//! Time as an argument: the two clocks of a decision, durations as people write them, moments as people read
//! them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use thiserror::Error;

/// The two clocks of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since 1970 UTC, never running backwards (a high-water mark is kept by the
    /// clock). Decides expiry and calendar periods, nothing else.
    pub wall_us: i64,
    /// Nanoseconds of `CLOCK_BOOTTIME`, which goes on while the machine is suspended. Decides
    /// rates, leases and freshness.
    pub mono_ns: u64,
}

/// Where time comes from; implemented once, in the binary, and by hand in tests.
pub trait Clock: Send + Sync {
    /// The present moment on both clocks.
    fn now(&self) -> Now;

    /// The present moment on the monotonic clock alone, nanoseconds: for lengths of time.
    fn mono_ns(&self) -> u64 {
        self.now().mono_ns
    }
}

/// A length of time in configuration: `250ms`, `2s`, `5m`, `12h`, `90d`, `4w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    micros: u64,
}

/// Why a text is not a length of time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a length of time; write a whole number and a unit: 250ms, 2s, 5m, 12h, 90d or 4w")]
pub struct SpanError(String);

/// The units a span is written in, with their length in microseconds, longest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self { micros: seconds.saturating_mul(1_000_000) }
    }

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { micros: millis.saturating_mul(1_000) }
    }

    /// Its length in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// Its length in nanoseconds, at most `u64::MAX`.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.micros.saturating_mul(1_000)
    }

    /// The same as the standard library's type.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.micros)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = || SpanError(text.chars().take(64).collect());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
        let number: u64 = number.parse().map_err(|_| error())?;
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        number.checked_mul(*length).map(|micros| Self { micros }).ok_or_else(error)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, length) = UNITS
            .iter()
            .find(|(_, length)| self.micros >= *length && self.micros.is_multiple_of(*length))
            .unwrap_or(&("ms", 1_000));
        write!(f, "{}{unit}", self.micros / length)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A moment as people read it: RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(wall_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(wall_us) {
        Ok(moment) => format!("{moment:.0}"),
        Err(_) => "a moment outside the calendar".to_owned(),
    }
}
