//! How long usage is kept.

use std::time::Duration;

/// How long sums of usage are kept, by minute, hour and day; what is finer never longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageKept {
    /// Those of minutes.
    pub minutes: Duration,
    /// Those of hours.
    pub hours: Duration,
    /// Those of days.
    pub days: Duration,
}

impl Default for UsageKept {
    /// 90, 400 and 1,100 days.
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { minutes: days(90), hours: days(400), days: days(1_100) }
    }
}
