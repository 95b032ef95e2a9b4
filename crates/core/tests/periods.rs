//! Calendar periods: contiguous, without overlap, and where people expect them.

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use tollgate_core::period::{Period, PeriodUnit, Window};

const UNITS: [PeriodUnit; 4] = [PeriodUnit::Hour, PeriodUnit::Day, PeriodUnit::Week, PeriodUnit::Month];
const HOUR_US: i64 = 3_600_000_000;

fn us(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn period(unit: PeriodUnit, zone: &str) -> Period {
    Period::new(unit, zone).unwrap()
}

/// Start and end as clocks on the wall show them.
fn on_the_wall(window: Window, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap();
    let show = |us| {
        let moment = Timestamp::from_microsecond(us).unwrap().to_zoned(zone.clone());
        moment.strftime("%Y-%m-%d %H:%M%:z").to_string()
    };
    let hours = (window.end_us - window.start_us) as f64 / HOUR_US as f64;
    format!("{} … {} ({hours} h)", show(window.start_us), show(window.end_us))
}

#[test]
fn days_with_a_change_of_clocks_are_one_day() {
    let mut lines = Vec::new();
    for (zone, moments) in [
        (
            "Europe/Berlin",
            ["2025-03-30T00:30:00Z", "2025-03-30T12:00:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"],
        ),
        (
            "America/New_York",
            ["2025-03-09T06:30:00Z", "2025-03-09T12:00:00Z", "2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z"],
        ),
        // Midnight itself does not exist: the day begins at one.
        (
            "Africa/Cairo",
            ["2025-04-24T12:00:00Z", "2025-04-24T22:30:00Z", "2025-10-30T20:30:00Z", "2025-10-30T21:30:00Z"],
        ),
        // Clocks change by half an hour.
        (
            "Australia/Lord_Howe",
            ["2025-10-04T15:00:00Z", "2025-10-04T15:30:00Z", "2025-04-05T14:45:00Z", "2025-04-05T15:15:00Z"],
        ),
        // Three quarters of an hour from the full hour.
        (
            "Asia/Kathmandu",
            ["2025-06-01T00:00:00Z", "2025-06-01T00:14:59Z", "2025-06-01T00:15:00Z", "2025-06-01T18:15:00Z"],
        ),
        (
            "Pacific/Chatham",
            ["2025-09-27T13:59:00Z", "2025-09-27T14:00:00Z", "2025-04-05T13:59:00Z", "2025-04-05T14:00:00Z"],
        ),
    ] {
        for moment in moments {
            lines.push(format!("{zone} at {moment}"));
            for unit in UNITS {
                let window = period(unit, zone).window_at(us(moment));
                lines.push(format!("    {unit:<5}  {}", on_the_wall(window, zone)));
            }
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn borders_are_where_the_calendar_has_them() {
    let utc = |unit, moment| period(unit, "UTC").window_at(us(moment));
    let window = |start, end| Window { start_us: us(start), end_us: us(end) };
    // 2026 begins on a Thursday; its first week began in 2025.
    assert_eq!(
        utc(PeriodUnit::Week, "2026-01-01T00:00:00Z"),
        window("2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z")
    );
    assert_eq!(
        utc(PeriodUnit::Week, "2025-12-28T23:59:59.999999Z"),
        window("2025-12-22T00:00:00Z", "2025-12-29T00:00:00Z")
    );
    assert_eq!(
        utc(PeriodUnit::Month, "2024-02-29T23:59:59.999999Z"),
        window("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z")
    );
    assert_eq!(
        utc(PeriodUnit::Month, "2025-12-31T23:59:59Z"),
        window("2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z")
    );
    assert_eq!(
        utc(PeriodUnit::Day, "2025-12-31T00:00:00Z"),
        window("2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z")
    );
}

#[test]
fn periods_never_overlap_and_leave_no_gap() {
    // Every change of clocks of a year, stepped over in minutes, in zones with habits of their own.
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "America/Santiago",
        "Asia/Beirut",
        "America/St_Johns",
        "Africa/Casablanca",
        "Pacific/Apia",
    ] {
        let zone_data = TimeZone::get(zone).unwrap();
        let from = "2025-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
        for change in zone_data
            .following(from)
            .take_while(|change| change.timestamp() < "2026-01-01T00:00:00Z".parse().unwrap())
        {
            let middle = change.timestamp().as_microsecond();
            for unit in UNITS {
                let period = period(unit, zone);
                for minute in (-180i64..180).step_by(7) {
                    whole(&period, middle + minute * 60_000_000);
                }
                for near in [-1, 0, 1] {
                    whole(&period, middle + near);
                }
            }
        }
    }
    // 23:00 to midnight of 1 May 1921 did not exist.
    let st_johns = period(PeriodUnit::Month, "America/St_Johns");
    whole(&st_johns, us("1921-05-31T23:59:59-02:30:52"));
    // The day that Samoa left out.
    let apia = period(PeriodUnit::Day, "Pacific/Apia");
    for hour in -48..48 {
        whole(&apia, us("2011-12-30T10:00:00Z") + hour * HOUR_US);
    }
}

/// The window holds the moment, its ends belong to it or to its neighbours, as they should.
fn whole(period: &Period, at_us: i64) {
    let window = period.window_at(at_us);
    assert!(window.start_us <= at_us && at_us < window.end_us, "{period:?} {at_us} {window:?}");
    assert_eq!(period.window_at(window.start_us), window, "{period:?} {at_us}");
    assert_eq!(period.window_at(window.end_us - 1), window, "{period:?} {at_us}");
    assert_eq!(period.window_at(window.end_us).start_us, window.end_us, "{period:?} {at_us}");
    assert_eq!(period.window_at(window.start_us - 1).end_us, window.start_us, "{period:?} {at_us}");
}

proptest! {
    #[test]
    fn every_moment_of_two_centuries_has_its_window(
        at_us in us("1900-01-01T00:00:00Z")..us("2100-01-01T00:00:00Z"),
        unit in prop::sample::select(&UNITS[..]),
        zone in prop::sample::select(&["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Monrovia"][..]),
    ) {
        whole(&period(unit, zone), at_us);
    }
}

#[test]
fn moments_outside_the_calendar_get_a_window_that_never_ends() {
    for unit in UNITS {
        for at_us in [i64::MIN, i64::MAX] {
            let window = period(unit, "Europe/Berlin").window_at(at_us);
            assert_eq!(window, Window { start_us: i64::MIN, end_us: i64::MAX });
        }
    }
}

#[test]
fn a_zone_that_does_not_exist_is_refused() {
    for zone in ["", "Berlin", "Europe/Atlantis", "+02:00", "../../etc/passwd"] {
        let error = Period::new(PeriodUnit::Day, zone).unwrap_err().to_string();
        assert!(error.contains("Europe/Berlin"), "{error}");
    }
}
