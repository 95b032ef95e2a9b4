//! Usage of models as it is shipped: tokens and costs by key, service and model, summed up with everything else, by
//! minute and by day. Reports of it are in `models`.

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use foldhash::fast::RandomState;
use sqlx::AnyConnection;
use tollgate_journal::{Flags, LentRecord};

use super::{
    calls::{bounded, text},
    cubes::{DAY_US, MINUTE_US},
    plan::down,
};
use crate::{
    error::StoreError,
    sql::{Bulk, run},
};

/// What tells rows apart: start, key, service, code, consumer, project, tenant.
pub(super) const IDS: usize = 7;
/// Requests, estimated ones, input, cached input, cache writes, output, thoughts, cost.
pub(super) const SUMS: usize = 8;

/// What a sum of a row is at most: the most of an amount. What is beyond it is not summed up, for no number
/// may stop shipping, and some of them still have room in the sums of a report.
const SUM_MAX: i64 = 1_000_000_000_000_000_000;

/// A column that something is added to, up to [`SUM_MAX`].
macro_rules! more {
    ($table:literal, $column:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $table,
            ".",
            $column,
            " > 1000000000000000000 - excluded.",
            $column,
            " THEN 1000000000000000000 ELSE ",
            $table,
            ".",
            $column,
            " + excluded.",
            $column,
            " END"
        )
    };
}

macro_rules! table {
    ($name:literal) => {
        (
            concat!(
                "INSERT INTO ",
                $name,
                " (start_us, key, service, code, consumer, project, tenant, model, currency, requests, \
                 estimated, input, cached_input, cache_write, output, reasoning, cost) VALUES "
            ),
            concat!(
                " ON CONFLICT (start_us, key, service, model, currency, code, consumer, project, tenant) \
                 DO UPDATE SET ",
                more!($name, "requests"),
                ", ",
                more!($name, "estimated"),
                ", ",
                more!($name, "input"),
                ", ",
                more!($name, "cached_input"),
                ", ",
                more!($name, "cache_write"),
                ", ",
                more!($name, "output"),
                ", ",
                more!($name, "reasoning"),
                ", ",
                more!($name, "cost"),
            ),
        )
    };
}

/// What stands before the values of rows that are added, and behind them.
const MINUTES: (&str, &str) = table!("usage_models_minute");
const DAYS: (&str, &str) = table!("usage_models_day");

/// What tells sums apart. Model and currency are the numbers of their [`Names`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Group {
    ids: [i64; IDS],
    model: u32,
    currency: u32,
}

/// A row that is added.
type Added = (Group, [i64; SUMS]);

/// Sums of some records.
#[derive(Default)]
pub(super) struct Models {
    rows: HashMap<Group, [i64; SUMS], RandomState>,
    names: Names,
}

/// Names of models and currencies, each once: they are few beside the groups.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<str>, u32, RandomState>,
    texts: Vec<Box<str>>,
}

impl Names {
    fn number(&mut self, name: &[u8]) -> u32 {
        let name = match std::str::from_utf8(name) {
            Ok(name) if !name.chars().any(char::is_control) => Cow::Borrowed(name),
            _ => Cow::Owned(text(name)),
        };
        if let Some(number) = self.numbers.get(&*name) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert((*name).into(), number);
        self.texts.push((*name).into());
        number
    }

    fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map(|text| &**text).unwrap_or_default()
    }

    /// The order of groups, the same for all who ship.
    fn order(&self, one: &Group, other: &Group) -> Ordering {
        let texts = |group: &Group| (self.text(group.model), self.text(group.currency));
        one.ids.cmp(&other.ids).then_with(|| texts(one).cmp(&texts(other)))
    }
}

impl Models {
    /// How many rows they are, at most.
    pub(super) fn len(&self) -> usize {
        2 * self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.names = Names::default();
    }

    /// Adds a record, if it is one of a model.
    #[inline]
    pub(super) fn add(&mut self, record: &LentRecord<'_>) {
        if !record.model.is_empty() {
            self.add_call(record);
        }
    }

    fn add_call(&mut self, record: &LentRecord<'_>) {
        let entry = &record.entry;
        let minute_us = down(entry.at_us, MINUTE_US);
        let ids =
            [entry.key, entry.service, u64::from(entry.code), entry.consumer, entry.project, entry.tenant];
        let mut group = [minute_us, 0, 0, 0, 0, 0, 0];
        for (place, id) in group.iter_mut().skip(1).zip(ids) {
            *place = id as i64;
        }
        let currency = record.currency.split(|byte| *byte == 0).next().unwrap_or_default();
        let (model, currency) = (self.names.number(record.model), self.names.number(currency));
        let group = Group { ids: group, model, currency };
        let tokens = record.tokens;
        let estimated = u64::from(entry.flags.contains(Flags::ESTIMATED));
        let more = [
            1,
            estimated,
            tokens.input,
            tokens.cached_input,
            tokens.cache_write,
            tokens.output,
            tokens.reasoning,
            record.cost.max(0).unsigned_abs(),
        ];
        add(self.rows.entry(group).or_default(), &more.map(bounded));
    }

    /// Adds the sums to the rows.
    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<Added> = self.rows.iter().map(|(group, sums)| (*group, *sums)).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| self.names.order(one, other));
        self.insert(MINUTES, &rows, conn).await?;
        for start in rows.iter_mut().filter_map(|(group, _)| group.ids.first_mut()) {
            *start = down(*start, DAY_US);
        }
        rows.sort_unstable_by(|(one, _), (other, _)| self.names.order(one, other));
        rows.dedup_by(|(later, more), (group, sums)| {
            let is_same = later == group;
            if is_same {
                add(sums, more);
            }
            is_same
        });
        self.insert(DAYS, &rows, conn).await
    }

    async fn insert(
        &self,
        (before, after): (&'static str, &'static str),
        rows: &[Added],
        conn: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        let mut insert = Bulk::new(conn, before, IDS + 2 + SUMS, after);
        for part in rows.chunks(insert.rows_max()) {
            let mut statement = insert.of(part.len());
            for (group, sums) in part {
                statement = group.ids.iter().fold(statement, |statement, id| statement.bind(*id));
                let texts = [group.model, group.currency].map(|number| self.names.text(number).to_owned());
                statement = texts.into_iter().fold(statement, |statement, text| statement.bind(text));
                statement = sums.iter().fold(statement, |statement, sum| statement.bind(*sum));
            }
            run(statement, conn).await?;
        }
        Ok(())
    }
}

/// Adds sums to others, each up to [`SUM_MAX`].
fn add(sums: &mut [i64; SUMS], more: &[i64; SUMS]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more).min(SUM_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_kept_alike_are_one_and_groups_have_the_order_of_their_texts() {
        let mut names = Names::default();
        let late = names.number(b"zeta");
        let early = names.number("älter".as_bytes());
        assert_eq!(names.number(b"a\nb"), names.number("a\u{fffd}b".as_bytes()));
        assert_eq!((names.number(b"zeta"), names.text(late), names.text(early)), (late, "zeta", "älter"));
        let alpha = names.number(b"alpha");
        let group = |start_us, model| Group { ids: [start_us, 1, 0, 0, 0, 0, 0], model, currency: late };
        let order =
            |one: (i64, u32), other: (i64, u32)| names.order(&group(one.0, one.1), &group(other.0, other.1));
        assert_eq!(order((1, late), (1, alpha)), Ordering::Greater);
        assert_eq!(order((1, late), (2, alpha)), Ordering::Less);
        assert_eq!(order((1, late), (1, late)), Ordering::Equal);
    }
}
