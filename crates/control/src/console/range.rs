//! The span of time that a page looks at, from its address.

use super::{form::Fields, words::DAY_US};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

/// The spans on offer: name, words, length, length of a point in a chart.
const OFFERED: [(&str, &str, i64, i64); 5] = [
    ("1h", "1 h", HOUR_US, MINUTE_US),
    ("6h", "6 h", 6 * HOUR_US, 5 * MINUTE_US),
    ("24h", "24 h", DAY_US, 15 * MINUTE_US),
    ("7d", "7 d", 7 * DAY_US, 2 * HOUR_US),
    ("30d", "30 d", 30 * DAY_US, 6 * HOUR_US),
];
/// Points of a chart over a span that was chosen freely.
const POINTS: i64 = 96;

/// A span of time.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    /// The length of a point in a chart.
    pub(crate) step_us: i64,
    /// Its name in addresses; empty when it was chosen freely.
    pub(crate) name: &'static str,
    /// In words: `last 6 h`.
    pub(crate) words: String,
}

/// A choice of the span.
pub(crate) struct Choice {
    pub(crate) href: String,
    pub(crate) words: &'static str,
    pub(crate) is_chosen: bool,
}

impl Range {
    /// The span that an address asks for, or else this one of those on offer.
    pub(crate) fn of(query: &Fields, otherwise: &str, now_us: i64) -> Self {
        let moment = |name: &str| {
            let text = query.text(name)?;
            let day = format!("{text}T00:00:00Z");
            let found = text.parse::<jiff::Timestamp>().or_else(|_| day.parse()).ok()?;
            Some(found.as_microsecond().clamp(0, now_us))
        };
        if let Some(from_us) = moment("from") {
            let to_us = moment("to").unwrap_or(now_us).max(from_us.saturating_add(MINUTE_US));
            let step = (to_us - from_us) / POINTS / MINUTE_US * MINUTE_US;
            let step_us = step.max(MINUTE_US);
            return Self { from_us, to_us, step_us, name: "", words: "chosen span".to_owned() };
        }
        let asked = query.text("range").unwrap_or(otherwise);
        let named = |wanted: &str| OFFERED.iter().find(|(name, ..)| *name == wanted);
        let found = named(asked).or_else(|| named(otherwise)).unwrap_or(&OFFERED[1]);
        let (name, words, length, step_us) = *found;
        let from_us = now_us.saturating_sub(length).div_euclid(step_us) * step_us;
        Self { from_us, to_us: now_us, step_us, name, words: format!("last {words}") }
    }

    /// The spans on offer, as links.
    pub(crate) fn choices(&self, link: impl Fn(&str) -> String) -> Vec<Choice> {
        OFFERED
            .iter()
            .map(|(name, words, ..)| Choice { href: link(name), words, is_chosen: *name == self.name })
            .collect()
    }

    /// Its length, microseconds.
    pub(crate) const fn length_us(&self) -> i64 {
        self.to_us - self.from_us
    }
}

#[cfg(test)]
mod tests {
    use super::Range;
    use crate::console::form::Fields;

    #[test]
    fn a_span_is_one_of_those_on_offer_or_lies_in_the_past() {
        let now = 1_795_181_527_418_000;
        let range = |query: &str| Range::of(&Fields::read(query.as_bytes()), "6h", now);
        assert_eq!((range("").name, range("range=7d").name, range("range=x").name), ("6h", "7d", "6h"));
        let chosen = range("from=2026-11-20T10:00:00Z&to=2099-01-01T00:00:00Z");
        assert_eq!((chosen.to_us, chosen.name), (now, ""));
        assert!(range("from=9999-01-01").length_us() > 0);
    }
}
