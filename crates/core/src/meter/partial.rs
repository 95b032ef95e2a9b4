//! What was counted of some records: parts that merge in any order into that of all of them.

use serde::{Deserialize, Serialize};

use super::{number::Number, sketch::Sketch};

/// How values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// How many records; those that have the value, when there is one.
    Count,
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The most.
    Max,
    /// How many different ones.
    Unique,
}

impl Aggregate {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Unique => "unique",
        }
    }
}

/// One value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The record counts, its value does not matter.
    One,
    /// A number.
    Number(Number),
    /// What is told apart.
    Word(Box<str>),
}

/// What was counted of some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// How many records.
    pub count: u64,
    /// The sum of their numbers.
    pub sum: Number,
    /// The least of their numbers.
    pub min: Option<Number>,
    /// The most.
    pub max: Option<Number>,
    /// Their different words.
    pub sketch: Option<Sketch>,
}

impl Partial {
    /// Adds a record.
    pub fn add(&mut self, value: &Value) {
        self.count = self.count.saturating_add(1);
        match value {
            Value::One => {}
            Value::Number(number) => {
                self.sum = self.sum.plus(*number);
                self.min = Some(self.min.map_or(*number, |min| min.min(*number)));
                self.max = Some(self.max.map_or(*number, |max| max.max(*number)));
            }
            Value::Word(word) => self.sketch.get_or_insert_default().add(word),
        }
    }

    /// Adds all records of another part.
    pub fn merge(&mut self, more: &Self) {
        self.count = self.count.saturating_add(more.count);
        self.sum = self.sum.plus(more.sum);
        self.min = self.min.into_iter().chain(more.min).min();
        self.max = self.max.into_iter().chain(more.max).max();
        if let Some(sketch) = &more.sketch {
            self.sketch.get_or_insert_default().merge(sketch);
        }
    }

    /// The value of all records together; `None` where there is none: the mean of nothing.
    #[must_use]
    pub fn value(&self, aggregate: Aggregate) -> Option<Number> {
        let whole = |count: u64| Number::whole(i64::try_from(count).unwrap_or(i64::MAX));
        match aggregate {
            Aggregate::Count => Some(whole(self.count)),
            Aggregate::Sum => Some(self.sum),
            Aggregate::Avg => self.sum.over(self.count),
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Unique => Some(whole(self.sketch.as_ref().map_or(0, Sketch::count))),
        }
    }

    /// Whether the value is exact; the number of very many different words is not.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sketch.as_ref().is_none_or(Sketch::is_exact)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        meter::{
            set::MINUTE_US,
            window::{WindowUnit, windows},
        },
        period::{Period, PeriodUnit},
    };

    /// Parts of one, a word, and in which piece it comes.
    fn events() -> impl Strategy<Value = Vec<(i64, u8, usize)>> {
        proptest::collection::vec((-10_000_i64..10_000, any::<u8>(), 0..5_usize), 0..200)
    }

    fn number(thousandths: i64) -> Number {
        let sign = if thousandths < 0 { "-" } else { "" };
        let size = thousandths.unsigned_abs();
        Number::parse(&format!("{sign}{}.{:03}", size / 1_000, size % 1_000)).unwrap()
    }

    fn of<'e>(events: impl Iterator<Item = &'e (i64, u8, usize)>) -> Partial {
        let mut part = Partial::default();
        for (value, word, _) in events {
            part.add(&Value::Number(number(*value)));
            part.sketch.get_or_insert_default().add(&word.to_string());
        }
        part
    }

    proptest! {
        #[test]
        fn pieces_merge_in_any_order_into_the_whole(events in events(), from in 0..5_usize) {
            let mut whole = Partial::default();
            for step in 0..5 {
                let piece = (from + 3 * step) % 5;
                whole.merge(&of(events.iter().filter(|(.., own)| *own == piece)));
            }
            let count = events.len() as u64;
            prop_assert_eq!(whole.value(Aggregate::Count), Some(Number::whole(count as i64)));
            let sum: i64 = events.iter().map(|(value, ..)| value).sum();
            prop_assert_eq!(whole.value(Aggregate::Sum), Some(number(sum)));
            prop_assert_eq!(whole.value(Aggregate::Avg), number(sum).over(count));
            prop_assert_eq!(whole.value(Aggregate::Min), events.iter().map(|(value, ..)| number(*value)).min());
            prop_assert_eq!(whole.value(Aggregate::Max), events.iter().map(|(value, ..)| number(*value)).max());
            let words: std::collections::BTreeSet<u8> = events.iter().map(|(_, word, _)| *word).collect();
            prop_assert_eq!(whole.value(Aggregate::Unique), Some(Number::whole(words.len() as i64)));
        }

        #[test]
        fn each_minute_of_a_year_is_in_one_window_of_any_zone(
            minute in 0..525_600_i64,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
            unit in prop::sample::select(vec![
                (WindowUnit::Hour, PeriodUnit::Hour),
                (WindowUnit::Day, PeriodUnit::Day),
                (WindowUnit::Week, PeriodUnit::Week),
                (WindowUnit::Month, PeriodUnit::Month),
            ]),
        ) {
            let at_us = 1_767_225_600_000_000 + minute * MINUTE_US;
            let span = (at_us - 40 * 3_600_000_000, at_us + 40 * 3_600_000_000);
            let starts = windows(unit.0, zone, span).unwrap();
            prop_assert!(starts.windows(2).all(|window| window[0] < window[1]));
            prop_assert!(starts[0] <= span.0 && starts[starts.len() - 1] >= span.1);
            let window = Period::new(unit.1, zone).unwrap().window_at(at_us);
            let index = starts.partition_point(|start| *start <= at_us) - 1;
            prop_assert_eq!((starts[index], starts[index + 1]), (window.start_us, window.end_us));
        }
    }
}
