//! Moments and lengths of time as people write them.

use std::str::FromStr;

use jiff::Timestamp;
use tollgate_core::time::Span;
use tollgate_wire::text;

/// A moment: RFC 3339, a day, or a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// This long before or after now.
    Away(Span),
    /// Wall microseconds.
    At(i64),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Away(span));
        }
        let moment = text.parse::<Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
        // Years beyond 9999 have no RFC 3339, and those before 1970 no sense.
        match moment.map(Timestamp::as_microsecond) {
            Ok(at_us) if at_us >= 0 => Ok(Self::At(at_us)),
            _ => {
                Err("it is no time; write `2026-01-31T12:00:00Z`, or a length of time such as 24h or 7d"
                    .into())
            }
        }
    }
}

impl Moment {
    /// A length of time counts back from now.
    pub(crate) fn ago_us(self, now_us: i64) -> i64 {
        match self {
            Self::At(at_us) => at_us,
            Self::Away(span) => now_us.saturating_sub(micros(span)).max(0),
        }
    }
}

/// When a key expires, wall microseconds: `90d`, RFC 3339, or `never`.
pub(crate) fn expiry_us(text: &str, now_us: i64) -> Result<Option<i64>, String> {
    if text == "never" {
        return Ok(None);
    }
    match text.parse()? {
        Moment::At(at_us) => Ok(Some(at_us)),
        Moment::Away(span) => Ok(Some(now_us.saturating_add(micros(span)).min(LAST_US))),
    }
}

/// The end of the year 9999, the last moment that RFC 3339 can write.
const LAST_US: i64 = 253_402_300_799_000_000;

/// A length of time in microseconds.
pub(crate) fn micros(span: Span) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC.
pub(crate) fn rfc3339(at_us: i64) -> String {
    text::rfc3339(at_us.clamp(0, LAST_US))
}
