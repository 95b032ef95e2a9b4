//! Moments as people write them on the command line: a length of time, or RFC 3339.

use jiff::Timestamp;
use tollgate_core::time::Span;

/// When a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Never.
    Never,
    /// This long from now.
    After(Span),
    /// At this moment, wall microseconds.
    At(i64),
}

impl Expiry {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(span) = text.parse() {
            return Ok(Self::After(span));
        }
        rfc3339_us(text).map(Self::At).ok_or_else(|| {
            format!("`{text}` is no time; write 90d, 12h, 2s, `2027-01-31T12:00:00Z` or `never`")
        })
    }

    /// The moment, wall microseconds; `None` never.
    pub(crate) fn at_us(self, now_us: i64) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::At(at_us) => Some(at_us),
            Self::After(span) => Some(now_us.saturating_add(micros(span))),
        }
    }
}

/// A moment of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// This long ago.
    Ago(Span),
    /// Wall microseconds.
    At(i64),
}

impl Moment {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        rfc3339_us(text).map(Self::At).ok_or_else(|| {
            format!("`{text}` is no time; write how long ago, 24h or 7d, or `2026-01-31T12:00:00Z`")
        })
    }

    /// The moment, wall microseconds.
    pub(crate) fn at_us(self, now_us: i64) -> i64 {
        match self {
            Self::At(at_us) => at_us,
            Self::Ago(span) => now_us.saturating_sub(micros(span)),
        }
    }
}

fn micros(span: Span) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Reads RFC 3339, or a day alone as its midnight in UTC.
pub(crate) fn rfc3339_us(text: &str) -> Option<i64> {
    let timestamp = text.parse::<Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse()).ok()?;
    Some(timestamp.as_microsecond())
}

/// Writes RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(at_us: i64) -> String {
    Timestamp::from_microsecond(at_us).map_or_else(|_| at_us.to_string(), |moment| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use super::{Expiry, Moment, rfc3339, rfc3339_us};

    #[test]
    fn lengths_days_and_moments_are_read() {
        assert_eq!(Expiry::parse("2s").map(|expiry| expiry.at_us(5)), Ok(Some(2_000_005)));
        assert_eq!(Expiry::parse("never").map(|expiry| expiry.at_us(5)), Ok(None));
        assert_eq!(Moment::parse("1s").map(|moment| moment.at_us(5_000_000)), Ok(4_000_000));
        assert_eq!(rfc3339_us("1970-01-02"), Some(86_400_000_000));
        assert_eq!(rfc3339_us("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(rfc3339(1_500_000), "1970-01-01T00:00:01.500Z");
        assert!(Expiry::parse("tomorrow").is_err());
    }
}
