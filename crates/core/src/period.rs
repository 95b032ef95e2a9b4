//! Calendar periods in a time zone: when the present hour, day, week or month began and ends.
//!
//! Weeks begin on Monday (ISO 8601). A day that a change of clocks makes 23 or 25 hours long is
//! one day.

use std::fmt;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Weekday},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeriodUnit {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

impl fmt::Display for PeriodUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        })
    }
}

/// A length and the zone whose calendar counts.
#[derive(Clone, Debug)]
pub struct Period {
    unit: PeriodUnit,
    zone: TimeZone,
}

/// One period: from `start_us` (included) to `end_us` (excluded), wall microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Its first moment.
    pub start_us: i64,
    /// The first moment after it.
    pub end_us: i64,
}

/// Why a time zone is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a time zone; use an IANA name such as `Europe/Berlin`, or `UTC`")]
pub struct ZoneError(String);

impl Period {
    /// The period of `unit` in the zone with this IANA name.
    ///
    /// # Errors
    /// When no zone has that name.
    pub fn new(unit: PeriodUnit, zone: &str) -> Result<Self, ZoneError> {
        let zone = if zone == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::get(zone).map_err(|_| ZoneError(zone.chars().take(64).collect()))?
        };
        Ok(Self { unit, zone })
    }

    /// Its length.
    #[must_use]
    pub const fn unit(&self) -> PeriodUnit {
        self.unit
    }

    /// The period that contains the moment; a moment outside the calendar's range (years -9999 to
    /// 9999) gets a window that never ends.
    #[must_use]
    pub fn window_at(&self, wall_us: i64) -> Window {
        self.calendar_window(wall_us).unwrap_or(Window { start_us: i64::MIN, end_us: i64::MAX })
    }

    fn calendar_window(&self, wall_us: i64) -> Option<Window> {
        // Dates are reckoned without a time of day: 23:59 of the first of a month may not exist.
        let date = Timestamp::from_microsecond(wall_us).ok()?.to_zoned(self.zone.clone()).date();
        let (first, next) = match self.unit {
            PeriodUnit::Hour => return self.hour_window(wall_us),
            PeriodUnit::Day => (date, date.checked_add(1.day()).ok()?),
            PeriodUnit::Week => {
                let since_monday = i64::from(date.weekday().since(Weekday::Monday));
                let monday = date.checked_sub(since_monday.days()).ok()?;
                (monday, monday.checked_add(1.week()).ok()?)
            }
            PeriodUnit::Month => {
                let first = date.first_of_month();
                (first, first.checked_add(1.month()).ok()?)
            }
        };
        Some(Window { start_us: self.first_moment(first)?, end_us: self.first_moment(next)? })
    }

    /// The first moment of a day; of the next one when the zone leaves the day out.
    fn first_moment(&self, date: Date) -> Option<i64> {
        let midnight = date.to_zoned(self.zone.clone()).ok()?;
        Some(midnight.start_of_day().ok()?.timestamp().as_microsecond())
    }
}

impl Period {
    /// The full hour of the zone's own clock. Where the clock is set by less than an hour, or not at a
    /// full hour, the hours next to that moment are shorter, so that hours never overlap.
    fn hour_window(&self, wall_us: i64) -> Option<Window> {
        const HOUR_US: i64 = 3_600_000_000;
        let offset_at = |us: i64| {
            let moment = Timestamp::from_microsecond(us).ok()?;
            Some(i64::from(self.zone.to_offset(moment).seconds()) * 1_000_000)
        };
        let offset = offset_at(wall_us)?;
        let mut start_us = wall_us - (wall_us.checked_add(offset)?).rem_euclid(HOUR_US);
        let mut end_us = start_us.checked_add(HOUR_US)?;
        if offset_at(start_us)? != offset {
            let until = Timestamp::from_microsecond(wall_us.checked_add(1)?).ok()?;
            start_us = self.zone.preceding(until).next()?.timestamp().as_microsecond();
        }
        if offset_at(end_us - 1)? != offset {
            let from = Timestamp::from_microsecond(wall_us).ok()?;
            end_us = self.zone.following(from).next()?.timestamp().as_microsecond();
        }
        Some(Window { start_us, end_us })
    }
}
