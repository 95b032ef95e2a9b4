//! Numbers, moments and lengths of time as the pages write them. Words only, nothing of HTML.

use jiff::{Timestamp, Zoned, tz::TimeZone};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

/// `1,204` up to a million, then `3.1 M`, `4.2 G`.
pub(crate) fn count(number: u64) -> String {
    match number {
        0..1_000_000 => grouped(number),
        1_000_000..1_000_000_000 => format!("{:.1} M", number as f64 / 1e6),
        _ => format!("{:.1} G", number as f64 / 1e9),
    }
}

/// `1,204,117`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The share of a whole: two decimals near the ends, else one. `–` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "none".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part == whole || part == 0 {
        format!("{share:.0} %")
    } else if share >= 90.0 {
        // What is not all never reads as all.
        format!("{:.2} %", share.min(99.99))
    } else {
        format!("{:.1} %", share.max(0.1))
    }
}

/// How many a second over a span.
pub(crate) fn per_second(number: u64, span_us: i64) -> String {
    let rate = number as f64 * 1e6 / span_us.max(1) as f64;
    match rate {
        _ if number == 0 => "0".to_owned(),
        rate if rate < 0.01 => "< 0.01".to_owned(),
        rate if rate < 1.0 => format!("{rate:.2}"),
        rate if rate < 10.0 => format!("{rate:.1}"),
        rate => count(rate.round() as u64),
    }
}

/// `412 µs`, `38 ms`, `2.4 s`, `3 minutes`.
pub(crate) fn length(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => span(i64::try_from(us).unwrap_or(i64::MAX)),
    }
}

/// `512 B`, `4.2 kB`, `1.5 MB`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.1} GB", number as f64 / 1e9),
    }
}

/// `8 seconds`, `2 hours`, `69 days`.
pub(crate) fn span(us: i64) -> String {
    let us = us.max(0);
    let (number, word) = match us {
        us if us < MINUTE_US => (us / SECOND_US, "second"),
        us if us < HOUR_US => (us / MINUTE_US, "minute"),
        us if us < 2 * DAY_US => (us / HOUR_US, "hour"),
        us => (us / DAY_US, "day"),
    };
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// `8 seconds ago` under one day, else the moment itself.
pub(crate) fn past(at_us: i64, now_us: i64, zone: &TimeZone) -> String {
    match now_us.saturating_sub(at_us) {
        ago if ago < 2 * SECOND_US => "just now".to_owned(),
        ago if ago < DAY_US => format!("{} ago", span(ago)),
        _ => moment(at_us, now_us, zone),
    }
}

/// A deadline says both: `28 Jan 2027, in 69 days`.
pub(crate) fn deadline(at_us: i64, now_us: i64, zone: &TimeZone) -> String {
    let moment = moment(at_us, now_us, zone);
    if at_us <= now_us {
        return format!("{moment}, {} ago", span(now_us.saturating_sub(at_us)));
    }
    format!("{moment}, in {}", span(at_us.saturating_sub(now_us)))
}

/// `20 Nov, 14:32`, with the year only if it is another; the day alone when it is over a day away.
pub(crate) fn moment(at_us: i64, now_us: i64, zone: &TimeZone) -> String {
    let (at, now) = (zoned(at_us, zone), zoned(now_us, zone));
    let year = if at.year() == now.year() { String::new() } else { format!(" {}", at.year()) };
    format!("{} {}{year}, {:02}:{:02}", at.day(), month(&at), at.hour(), at.minute())
}

/// `20 Nov`, `28 Jan 2027`.
pub(crate) fn day(at_us: i64, now_us: i64, zone: &TimeZone) -> String {
    let (at, now) = (zoned(at_us, zone), zoned(now_us, zone));
    let year = if at.year() == now.year() { String::new() } else { format!(" {}", at.year()) };
    format!("{} {}{year}", at.day(), month(&at))
}

/// `14:32:07.418`, for lists of events.
pub(crate) fn instant(at_us: i64, zone: &TimeZone) -> String {
    let at = zoned(at_us, zone);
    format!("{:02}:{:02}:{:02}.{:03}", at.hour(), at.minute(), at.second(), at.millisecond())
}

/// `Fri 20 Nov 2026, 14:32`.
pub(crate) fn full(at_us: i64, zone: &TimeZone) -> String {
    let at = zoned(at_us, zone);
    let weekday = match at.weekday().to_monday_zero_offset() {
        0 => "Mon",
        1 => "Tue",
        2 => "Wed",
        3 => "Thu",
        4 => "Fri",
        5 => "Sat",
        _ => "Sun",
    };
    format!("{weekday} {} {} {}, {:02}:{:02}", at.day(), month(&at), at.year(), at.hour(), at.minute())
}

/// The zone as people call it now: `CET`, `UTC`.
pub(crate) fn zone_name(now_us: i64, zone: &TimeZone) -> String {
    zone.to_offset_info(timestamp(now_us)).abbreviation().to_owned()
}

/// RFC 3339 in UTC.
pub(crate) fn rfc3339(at_us: i64) -> String {
    tollgate_wire::text::rfc3339(at_us.clamp(0, LAST_US))
}

/// The end of the year 9999, the last moment that RFC 3339 can write.
const LAST_US: i64 = 253_402_300_799_000_000;

fn zoned(at_us: i64, zone: &TimeZone) -> Zoned {
    timestamp(at_us).to_zoned(zone.clone())
}

/// What a program calls itself (RFC 9110 §10.1.5), in a few words: `Firefox 145 on Linux`. Of what is no browser
/// that is known, the beginning as it is. It is only shown; nothing is decided by it.
pub(crate) fn browser(user_agent: &str) -> String {
    // The first that is there: others call themselves by the later ones too.
    const PROGRAMS: [(&str, &str); 7] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    const SHOWN: usize = 60;
    let program = PROGRAMS.iter().find_map(|(token, name)| {
        let (_, rest) = user_agent.split_once(token)?;
        let version: String = rest.chars().take_while(char::is_ascii_digit).take(5).collect();
        Some(format!("{name} {version}"))
    });
    let Some(program) = program else {
        return if user_agent.trim().is_empty() {
            "a program that does not say what it is".to_owned()
        } else {
            user_agent.chars().take(SHOWN).collect()
        };
    };
    let system = SYSTEMS.iter().find(|(token, _)| user_agent.contains(token));
    system.map_or_else(
        || program.trim_end().to_owned(),
        |(_, name)| format!("{} on {name}", program.trim_end()),
    )
}

fn timestamp(at_us: i64) -> Timestamp {
    Timestamp::from_microsecond(at_us.clamp(0, LAST_US)).unwrap_or_default()
}

fn month(at: &Zoned) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    usize::try_from(at.month() - 1).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{browser, count, deadline, length, past, per_second, percent};

    /// 2026-11-20T13:32:07.418Z
    const NOW: i64 = 1_795_181_527_418_000;

    #[test]
    fn numbers_are_exact_up_to_a_million() {
        let cases = [(0, "0"), (999, "999"), (1_204, "1,204"), (999_999, "999,999"), (3_100_000, "3.1 M")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn what_is_not_all_never_reads_as_all() {
        assert_eq!(percent(999_999, 1_000_000), "99.99 %");
        assert_eq!(percent(1, 1_000_000), "0.1 %");
        assert_eq!(
            (percent(5, 5), percent(0, 5), percent(0, 0)),
            ("100 %".into(), "0 %".into(), "none".into())
        );
    }

    #[test]
    fn moments_are_relative_within_a_day() {
        let zone = TimeZone::get("Europe/Stockholm").unwrap();
        assert_eq!(past(NOW - 8_000_000, NOW, &zone), "8 seconds ago");
        assert_eq!(past(NOW - 7_200_000_000, NOW, &zone), "2 hours ago");
        assert_eq!(past(NOW - 3 * super::DAY_US, NOW, &zone), "17 Nov, 14:32");
        assert_eq!(deadline(NOW + 69 * super::DAY_US, NOW, &zone), "28 Jan 2027, 14:32, in 69 days");
    }

    #[test]
    fn browsers_are_called_what_people_call_them() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        for (user_agent, words) in [
            (chrome.to_owned(), "Chrome 156 on Linux"),
            (format!("{chrome} Edg/156.0.1.2"), "Edge 156 on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(),
                "Firefox 145 on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1".to_owned(),
                "Safari 19 on iPhone",
            ),
            ("curl/8.5.0".to_owned(), "curl 8"),
            ("my-script".to_owned(), "my-script"),
            (String::new(), "a program that does not say what it is"),
            ("x".repeat(500), &"x".repeat(60)),
        ] {
            assert_eq!(browser(&user_agent), words);
        }
    }

    #[test]
    fn lengths_and_rates_have_their_units() {
        assert_eq!(
            (length(412), length(38_000), length(2_400_000)),
            ("412 µs".into(), "38 ms".into(), "2.4 s".into())
        );
        assert_eq!((per_second(0, 1), per_second(1, 1_000_000_000)), ("0".into(), "< 0.01".into()));
    }
}
