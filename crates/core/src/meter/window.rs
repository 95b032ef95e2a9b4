//! The windows that values are asked for by: minutes, and the calendar of a time zone.
//!
//! A window begins and ends where the zone's calendar says, so that a day of 23 or 25 hours is one day, and
//! each moment is in exactly one window.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::set::MINUTE_US;
use crate::period::{Period, PeriodUnit, ZoneError};

/// Windows of one question at most.
pub const WINDOWS_MAX: usize = 2_000;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowUnit {
    /// One minute.
    Minute,
    /// From full hour to full hour of the zone's clock.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
    /// All of the span in one.
    Total,
}

impl WindowUnit {
    /// All of them, the shortest first.
    pub const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Total];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The one with this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == word)
    }
}

/// Why there are no windows.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WindowsError {
    /// The zone is none.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The span is empty.
    #[error("the span is empty; its end has to be after its beginning")]
    Empty,
    /// There are too many.
    #[error("these are more than {WINDOWS_MAX} windows; ask for longer ones, or for a shorter span")]
    TooMany,
}

/// Where windows begin, and as the last where the last of them ends: whole windows, from the one that holds the
/// first moment of a span to the one that holds its last. Wall microseconds.
///
/// # Errors
/// [`WindowsError`].
pub fn windows(unit: WindowUnit, zone: &str, (from_us, to_us): (i64, i64)) -> Result<Vec<i64>, WindowsError> {
    if from_us >= to_us {
        return Err(WindowsError::Empty);
    }
    let down = |at_us: i64| at_us.saturating_sub(at_us.rem_euclid(MINUTE_US));
    let period = |unit| Period::new(unit, zone);
    let period = match unit {
        WindowUnit::Minute | WindowUnit::Total => {
            period(PeriodUnit::Day)?;
            None
        }
        WindowUnit::Hour => Some(period(PeriodUnit::Hour)?),
        WindowUnit::Day => Some(period(PeriodUnit::Day)?),
        WindowUnit::Week => Some(period(PeriodUnit::Week)?),
        WindowUnit::Month => Some(period(PeriodUnit::Month)?),
    };
    if unit == WindowUnit::Total {
        return Ok(vec![down(from_us), down(to_us.saturating_add(MINUTE_US - 1))]);
    }
    let end_of = |at_us: i64| match &period {
        Some(period) => period.window_at(at_us).end_us,
        None => down(at_us).saturating_add(MINUTE_US),
    };
    let mut starts = vec![period.as_ref().map_or(down(from_us), |period| period.window_at(from_us).start_us)];
    let mut end_us = end_of(from_us);
    loop {
        starts.push(end_us);
        if end_us >= to_us {
            return Ok(starts);
        }
        if starts.len() > WINDOWS_MAX {
            return Err(WindowsError::TooMany);
        }
        end_us = end_of(end_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    fn at(text: &str) -> i64 {
        crate::event::moment_us(text).unwrap()
    }

    #[test]
    fn days_of_a_zone_are_23_and_25_hours_long_where_its_clock_changes() {
        let span = (at("2026-03-27T12:00:00Z"), at("2026-03-31T12:00:00Z"));
        let days = windows(WindowUnit::Day, "Europe/Berlin", span).unwrap();
        let hours: Vec<_> = days.windows(2).map(|day| (day[1] - day[0]) / HOUR_US).collect();
        assert_eq!(hours, [24, 24, 23, 24, 24]);
        let span = (at("2026-10-24T12:00:00Z"), at("2026-10-26T12:00:00Z"));
        let days = windows(WindowUnit::Day, "Europe/Berlin", span).unwrap();
        let hours: Vec<_> = days.windows(2).map(|day| (day[1] - day[0]) / HOUR_US).collect();
        assert_eq!(hours, [24, 25, 24]);
        let day = windows(WindowUnit::Hour, "Europe/Berlin", (days[1], days[2])).unwrap();
        assert_eq!(day.len(), 26);
    }

    #[test]
    fn spans_without_an_end_or_with_too_many_windows_are_refused() {
        assert_eq!(windows(WindowUnit::Day, "UTC", (5, 5)), Err(WindowsError::Empty));
        assert_eq!(windows(WindowUnit::Minute, "UTC", (0, i64::MAX / 2)), Err(WindowsError::TooMany));
        let no_zone = windows(WindowUnit::Total, "Mars/Olympus", (0, 5));
        assert!(matches!(no_zone, Err(WindowsError::Zone(_))));
        assert_eq!(windows(WindowUnit::Total, "UTC", (1, 2)).unwrap(), [0, MINUTE_US]);
    }
}
