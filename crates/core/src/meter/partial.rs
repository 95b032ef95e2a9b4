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
