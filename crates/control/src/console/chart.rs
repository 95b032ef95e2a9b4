//! Requests by outcome over time, from the roll-ups, as the script draws them; and in words and numbers
//! for whoever does not see the drawing.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_core::{
    authz::Permit,
    code::Code,
    id::{ConsumerId, KeyId, ServiceId},
};
use tollgate_store::{UsageBy, UsageFilter, UsageSums};

use super::{pieces::Outcome, range::Range, trouble::Trouble, visit::Visit, words};

/// Points up to which a span is read minute by minute.
const BY_MINUTE_US: i64 = 26 * 3_600_000_000;

/// Requests by outcome over time.
pub(crate) struct Chart {
    /// For the script, JSON.
    pub(crate) points: String,
    /// The finding, in words.
    pub(crate) finding: String,
    /// Totals by outcome, in the order of the legend.
    pub(crate) totals: Vec<Total>,
    /// Rows of numbers: when, and how many of each outcome.
    pub(crate) rows: Vec<(i64, [u64; 4])>,
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    /// Sums by outcome, over the whole span.
    pub(crate) codes: BTreeMap<Code, UsageSums>,
    /// The end of the span.
    to_us: i64,
    step_us: i64,
}

/// How many requests had an outcome.
pub(crate) struct Total {
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
    pub(crate) count: u64,
}

/// Whose requests are looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whose {
    pub(crate) key: Option<KeyId>,
    pub(crate) consumer: Option<ConsumerId>,
    pub(crate) service: Option<ServiceId>,
}

impl Whose {
    /// Everything that a permit lets be seen: of one consumer where it is limited to some; `None` when
    /// there is nothing to see.
    pub(crate) fn all(visit: &Visit, permit: &Permit) -> Option<Self> {
        let asked: Option<ConsumerId> = visit.query.text("consumer").and_then(|text| text.parse().ok());
        match permit.consumers() {
            None => Some(Self { consumer: asked, ..Self::default() }),
            Some(own) => {
                let consumer = asked.filter(|id| own.contains(id)).or_else(|| own.first().copied());
                consumer.map(|consumer| Self { consumer: Some(consumer), ..Self::default() })
            }
        }
    }

    /// The filter of the roll-ups.
    pub(crate) fn usage(&self, visit: &Visit, range: &Range) -> UsageFilter {
        UsageFilter {
            tenant: Some(visit.tenant()),
            key: self.key,
            consumer: self.consumer,
            service: self.service,
            from_us: Some(range.from_us),
            to_us: Some(range.to_us),
            ..UsageFilter::default()
        }
    }
}

impl Chart {
    /// Reads the roll-ups of a span; `bars` draws refused requests only, as bars.
    pub(crate) async fn read(
        visit: &Visit,
        whose: &Whose,
        range: &Range,
        bars: bool,
    ) -> Result<Self, Trouble> {
        let by = if range.length_us() <= BY_MINUTE_US { UsageBy::Minute } else { UsageBy::Hour };
        let report = visit.store().usage(&[by, UsageBy::Code], &whose.usage(visit, range)).await?;
        let mut slots: BTreeMap<i64, [u64; 4]> = BTreeMap::new();
        let mut codes: BTreeMap<Code, UsageSums> = BTreeMap::new();
        for row in &report.rows {
            let (Some(at_us), Some(code)) = (row.time_us, row.code) else { continue };
            let sums = codes.entry(code).or_default();
            *sums = sums.plus(row.sums);
            let slot = slots.entry(at_us.div_euclid(range.step_us) * range.step_us).or_default();
            if let Some(count) = slot.get_mut(Outcome::of(code) as usize) {
                *count = count.saturating_add(row.sums.requests);
            }
        }
        let first = range.from_us.div_euclid(range.step_us) * range.step_us;
        let mut at_us = first;
        while at_us < range.to_us {
            slots.entry(at_us).or_default();
            at_us = at_us.saturating_add(range.step_us);
        }
        Ok(Self { codes, ..Self::of(slots.into_iter().collect(), range, bars) })
    }

    /// Whether the span ends within a point. As a rate it would look like a fall of the traffic, so it is
    /// in the numbers and not drawn.
    pub(crate) fn is_unfinished(&self, at_us: &i64) -> bool {
        at_us.saturating_add(self.step_us) > self.to_us
    }

    /// Of nothing.
    pub(crate) fn none(range: &Range) -> Self {
        Self::of(Vec::new(), range, false)
    }

    fn of(rows: Vec<(i64, [u64; 4])>, range: &Range, bars: bool) -> Self {
        let total = |outcome: Outcome| {
            rows.iter().filter_map(|(_, counts)| counts.get(outcome as usize)).sum::<u64>()
        };
        let totals: Vec<Total> = Outcome::ALL
            .into_iter()
            .map(|outcome| Total { word: outcome.word(), class: outcome.class(), count: total(outcome) })
            .collect();
        let requests: u64 = totals.iter().map(|total| total.count).sum();
        let refused = requests - total(Outcome::Allowed);
        let seconds = range.step_us as f64 / 1e6;
        let is_whole = |at_us: i64| bars || at_us.saturating_add(range.step_us) <= range.to_us;
        let points = || rows.iter().filter(|(at_us, _)| is_whole(*at_us));
        // From the base: upstream error, denied, limited, allowed.
        let drawn = Outcome::ALL.into_iter().rev().filter(|outcome| !bars || *outcome != Outcome::Allowed);
        let series: Vec<_> = drawn
            .map(|outcome| {
                let values: Vec<f64> = points()
                    .filter_map(|(_, counts)| counts.get(outcome as usize))
                    .map(|count| if bars { *count as f64 } else { *count as f64 / seconds })
                    .collect();
                json!({ "name": outcome.word(), "colour": format!("--{}", outcome.class()), "values": values })
            })
            .collect();
        let times: Vec<i64> = points().map(|(at_us, _)| at_us / 1_000_000).collect();
        Self {
            points: json!({ "times": times, "series": series, "bars": bars }).to_string(),
            finding: format!(
                "Requests by outcome, {}: {} in all, {} allowed, {} refused",
                range.words,
                words::grouped(requests),
                words::percent(requests - refused, requests),
                words::grouped(refused)
            ),
            totals,
            rows,
            requests,
            refused,
            codes: BTreeMap::new(),
            to_us: range.to_us,
            step_us: range.step_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chart;
    use crate::console::{form::Fields, range::Range};

    #[test]
    fn a_point_that_is_not_over_is_counted_and_not_drawn() {
        let now_us = 1_795_181_527_418_000;
        let range = Range::of(&Fields::read(b"range=6h"), "6h", now_us);
        let last_us = now_us.div_euclid(range.step_us) * range.step_us;
        let rows = vec![(last_us - range.step_us, [300, 0, 0, 0]), (last_us, [1, 1, 0, 0])];
        let drawn = |bars: bool| {
            let chart = Chart::of(rows.clone(), &range, bars);
            assert_eq!((chart.requests, chart.refused, chart.rows.len()), (302, 1, 2));
            assert_eq!((chart.is_unfinished(&rows[0].0), chart.is_unfinished(&rows[1].0)), (false, true));
            let points: serde_json::Value = serde_json::from_str(&chart.points).unwrap();
            points["times"].as_array().unwrap().len()
        };
        assert_eq!((drawn(false), drawn(true)), (1, 2), "bars are counts: they only grow");
    }
}
