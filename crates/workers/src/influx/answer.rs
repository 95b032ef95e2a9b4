//! What an answer of InfluxDB means for the points that were sent.

use std::time::Duration;

use serde::Deserialize;

/// The longest time between two tries that InfluxDB may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The longest reason, in characters.
const REASON_LEN_MAX: usize = 400;
/// What both versions say of points, and not of the request around them: some were not kept, or not understood. Of
/// a 400 that says something else nobody knows that it is the points' fault, so that it is tried again.
const OF_POINTS: [&str; 5] =
    ["partial write", "unable to parse", "failure writing points", "field type conflict", "retention policy"];

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Retry-After` in seconds.
    pub(super) retry_after_s: Option<u64>,
    /// `X-Influxdb-Version`.
    pub(super) version: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What it means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All points are kept.
    Taken,
    /// At least one of them never will be.
    Refused,
    /// Not now: it is down, too busy, or not as it should be.
    Again { after: Option<Duration> },
}

/// How InfluxDB writes its errors: `error` is that of 1.x, `message` that of 2.x.
#[derive(Deserialize)]
struct Words {
    error: Option<String>,
    message: Option<String>,
}

impl Verdict {
    pub(super) fn of(answer: &Answer) -> Self {
        let after = answer.retry_after_s.map(|seconds| Duration::from_secs(seconds).min(PAUSE_MAX));
        match answer.status {
            200..=299 => Self::Taken,
            // A request that is too large may be cut; one point that is too large never fits.
            413 => Self::Refused,
            400 | 422 if OF_POINTS.iter().any(|words| answer.reason().contains(words)) => Self::Refused,
            _ => Self::Again { after },
        }
    }
}

impl Answer {
    /// Why, as InfluxDB says it.
    pub(super) fn reason(&self) -> String {
        let words = serde_json::from_slice::<Words>(&self.body).ok();
        let said = words.and_then(|words| words.error.or(words.message));
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned());
        said.chars().take(REASON_LEN_MAX).collect()
    }

    /// Status and reason, for people.
    pub(super) fn in_words(&self) -> String {
        let reason = self.reason();
        if reason.is_empty() {
            return format!("it answers {}", self.status);
        }
        format!("it answers {}: {reason}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after_s: Some(7), version: None, body: body.into() }
    }

    #[test]
    fn only_what_is_said_of_points_refuses_points() {
        let again = Verdict::Again { after: Some(Duration::from_secs(7)) };
        for (status, body, verdict) in [
            (204, "", Verdict::Taken),
            (400, r#"{"error":"partial write: field type conflict: … dropped=1"}"#, Verdict::Refused),
            // So 1.x says it when the two values come in one request.
            (400, r#"{"error":"field type conflict"}"#, Verdict::Refused),
            (400, r#"{"error":"unable to parse 'm v=': missing field value"}"#, Verdict::Refused),
            (
                422,
                r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: …"}"#,
                Verdict::Refused,
            ),
            (413, "", Verdict::Refused),
        ] {
            assert_eq!(Verdict::of(&answer(status, body)), verdict, "{status} {body}");
        }
        for (status, body) in [
            (400, r#"{"error":"database is required"}"#),
            (400, "<html>a proxy says no</html>"),
            (401, r#"{"error":"authorization failed"}"#),
            (404, r#"{"error":"database not found: \"m\""}"#),
            (429, ""),
            (500, r#"{"error":"timeout"}"#),
            (503, ""),
            (301, ""),
        ] {
            assert_eq!(Verdict::of(&answer(status, body)), again, "{status} {body}");
        }
    }
}
