//! Requests by outcome over time, from the roll-ups, as the script draws them; and in words and numbers
//! for whoever does not see the drawing.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate_core::{
    authz::Permit,
    id::{ConsumerId, KeyId, ServiceId},
};
use tollgate_store::{UsageBy, UsageFilter};

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
        for row in &report.rows {
            let (Some(at_us), Some(code)) = (row.time_us, row.code) else { continue };
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
        Ok(Self::of(slots.into_iter().collect(), range, bars))
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
        // From the base: upstream error, denied, limited, allowed.
        let drawn = Outcome::ALL.into_iter().rev().filter(|outcome| !bars || *outcome != Outcome::Allowed);
        let series: Vec<_> = drawn
            .map(|outcome| {
                let values: Vec<f64> = rows
                    .iter()
                    .filter_map(|(_, counts)| counts.get(outcome as usize))
                    .map(|count| if bars { *count as f64 } else { *count as f64 / seconds })
                    .collect();
                json!({ "name": outcome.word(), "colour": format!("--{}", outcome.class()), "values": values })
            })
            .collect();
        let times: Vec<i64> = rows.iter().map(|(at_us, _)| at_us / 1_000_000).collect();
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
        }
    }
}
