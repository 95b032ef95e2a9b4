//! Where sums of usage lie: three cubes, each by minute, hour and day.
//!
//! A cube that leaves columns out has fewer rows. What is asked for decides which cube can answer, and
//! how long the span is decides by which steps (`plan`).
//!
//! | cube | columns | written |
//! | --- | --- | --- |
//! | key | all | minutes by the shipment, hours and days folded from them (`fold`) |
//! | consumer | all but the key | hours and days folded; minutes are those of the key cube |
//! | service | neither key nor consumer | minutes, hours and days by the shipment: they are few |

use super::{UsageBy, UsageFilter};

/// One minute, hour, day, microseconds.
pub(super) const MINUTE_US: i64 = 60_000_000;
pub(super) const HOUR_US: i64 = 60 * MINUTE_US;
pub(super) const DAY_US: i64 = 24 * HOUR_US;

/// The sums of a row, in the order in which they are written.
pub(super) const SUMS: &str = "requests, units, latency_us, upstream_us, bytes_in, bytes_out";
/// The same over a group.
pub(super) const SUMS_OF_GROUP: &str = "CAST(SUM(requests) AS BIGINT), CAST(SUM(units) AS BIGINT), \
     CAST(SUM(latency_us) AS BIGINT), CAST(SUM(upstream_us) AS BIGINT), CAST(SUM(bytes_in) AS BIGINT), \
     CAST(SUM(bytes_out) AS BIGINT)";

/// Lengths of time that sums are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Minute,
    Hour,
    Day,
}

impl Step {
    pub(super) const fn length_us(self) -> i64 {
        match self {
            Self::Minute => MINUTE_US,
            Self::Hour => HOUR_US,
            Self::Day => DAY_US,
        }
    }
}

/// Which columns tell sums apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cube {
    Key,
    Consumer,
    Service,
}

/// A table of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The column that says when a row's minute, hour or day begins.
    pub(super) time: &'static str,
    /// The columns of its primary key.
    pub(super) columns: &'static str,
    /// What stands before the values of rows that are added.
    pub(super) insert: &'static str,
    /// What stands behind them: sums of a row that is there grow.
    pub(super) add: &'static str,
}

macro_rules! table {
    ($name:literal, $time:literal, $columns:literal) => {
        Table {
            name: $name,
            time: $time,
            columns: $columns,
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $columns,
                ", requests, units, latency_us, upstream_us, bytes_in, bytes_out) VALUES "
            ),
            add: concat!(
                " ON CONFLICT (",
                $columns,
                ") DO UPDATE SET requests = ",
                $name,
                ".requests + excluded.requests, units = ",
                $name,
                ".units + excluded.units, latency_us = ",
                $name,
                ".latency_us + excluded.latency_us, upstream_us = ",
                $name,
                ".upstream_us + excluded.upstream_us, bytes_in = ",
                $name,
                ".bytes_in + excluded.bytes_in, bytes_out = ",
                $name,
                ".bytes_out + excluded.bytes_out"
            ),
        }
    };
}

pub(super) const MINUTES: Table =
    table!("usage_minute", "minute_us", "minute_us, key, service, code, consumer, project, tenant");
const HOURS: Table =
    table!("usage_hour", "start_us", "start_us, key, service, code, consumer, project, tenant");
const DAYS: Table =
    table!("usage_day", "start_us", "start_us, key, service, code, consumer, project, tenant");
const CONSUMER_HOURS: Table =
    table!("usage_consumer_hour", "start_us", "tenant, start_us, consumer, project, service, code");
const CONSUMER_DAYS: Table =
    table!("usage_consumer_day", "start_us", "tenant, start_us, consumer, project, service, code");
const SERVICE_MINUTES: Table =
    table!("usage_service_minute", "start_us", "tenant, start_us, service, code, project");
const SERVICE_HOURS: Table =
    table!("usage_service_hour", "start_us", "tenant, start_us, service, code, project");
const SERVICE_DAYS: Table =
    table!("usage_service_day", "start_us", "tenant, start_us, service, code, project");

/// What minutes are folded into.
pub(super) const FOLDED: [(Table, Step); 4] =
    [(HOURS, Step::Hour), (DAYS, Step::Day), (CONSUMER_HOURS, Step::Hour), (CONSUMER_DAYS, Step::Day)];
/// What a shipment writes beside the minutes of keys.
pub(super) const SHIPPED: [(Table, Step); 3] =
    [(SERVICE_MINUTES, Step::Minute), (SERVICE_HOURS, Step::Hour), (SERVICE_DAYS, Step::Day)];

impl Cube {
    /// The smallest cube that has all columns that are asked for.
    pub(super) fn of(by: &[UsageBy], filter: &UsageFilter) -> Self {
        let is_by = |column| by.contains(&column);
        if is_by(UsageBy::Key) || filter.key.is_some() {
            return Self::Key;
        }
        if is_by(UsageBy::Consumer) || filter.consumer.is_some() || filter.consumers.is_some() {
            return Self::Consumer;
        }
        Self::Service
    }

    /// Its table by a step.
    pub(super) const fn table(self, step: Step) -> Table {
        match (self, step) {
            (Self::Key | Self::Consumer, Step::Minute) => MINUTES,
            (Self::Key, Step::Hour) => HOURS,
            (Self::Key, Step::Day) => DAYS,
            (Self::Consumer, Step::Hour) => CONSUMER_HOURS,
            (Self::Consumer, Step::Day) => CONSUMER_DAYS,
            (Self::Service, Step::Minute) => SERVICE_MINUTES,
            (Self::Service, Step::Hour) => SERVICE_HOURS,
            (Self::Service, Step::Day) => SERVICE_DAYS,
        }
    }
}
