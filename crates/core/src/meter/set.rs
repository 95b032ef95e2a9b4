//! Meters as they count: compiled, and found by the project and type of an event.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest as _, Sha256};

use super::{
    partial::{Aggregate, Partial, Value},
    path::{Path, Scalar, find},
    spec::{GROUPS_DEFAULT, MeterSpec, Place},
};
use crate::id::{MeterId, ProjectId};

/// One minute, microseconds: what values are kept by.
pub const MINUTE_US: i64 = 60_000_000;
/// The number of the group that takes what the others have no room for.
pub const OTHER: i64 = 0;
/// What stands between the words of a group, and for a word that is not there. Words have neither.
const BETWEEN: char = '\u{1f}';
const NOTHING: char = '\u{1e}';

/// A meter as its row has it.
#[derive(Clone, Debug)]
pub struct MeterRow {
    /// The meter.
    pub id: MeterId,
    /// What its values are kept under; a new one whenever it counts something else.
    pub series: i64,
    /// Whose events it counts.
    pub project: ProjectId,
    /// What it counts.
    pub spec: MeterSpec,
    /// The first record that it counts.
    pub from_position: u64,
    /// The moment from which on it counts requests, wall microseconds.
    pub from_us: i64,
}

/// A meter that counts.
#[derive(Clone, Debug)]
pub struct Meter {
    /// What its values are kept under.
    pub series: i64,
    /// How values become one.
    pub aggregate: Aggregate,
    /// Groups that are kept apart.
    pub groups_max: u32,
    /// The first record that it counts.
    pub from_position: u64,
    /// The moment from which on it counts requests, wall microseconds.
    pub from_us: i64,
    /// Where its value is, among the places of its interest.
    value: Option<usize>,
    /// And what it groups by.
    group: Box<[usize]>,
}

/// The meters over one type of events of a project, and all places that they look at.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    places: Vec<Place>,
    /// Those of the places that are in the data, in their order.
    paths: Vec<Path>,
    /// The meters.
    pub meters: Vec<Meter>,
}

/// All meters of one moment.
#[derive(Debug, Default)]
pub struct MeterSet {
    /// Goes up whenever a meter comes, goes or counts something else.
    pub version: i64,
    types: HashMap<ProjectId, BTreeMap<Box<str>, Interest>>,
}

impl MeterSet {
    /// Compiles meters. One whose places cannot be read counts nothing: what may be written was checked.
    #[must_use]
    pub fn of(version: i64, rows: &[MeterRow]) -> Self {
        let mut types: HashMap<ProjectId, BTreeMap<Box<str>, Interest>> = HashMap::new();
        for row in rows {
            let own = types.entry(row.project).or_default();
            own.entry(row.spec.event_type.as_str().into()).or_default().add(row);
        }
        Self { version, types }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The meters over a type of events of a project.
    #[must_use]
    pub fn of_type(&self, project: ProjectId, kind: &str) -> Option<&Interest> {
        if self.types.is_empty() {
            return None;
        }
        self.types.get(&project)?.get(kind)
    }
}

impl Interest {
    fn add(&mut self, row: &MeterRow) {
        let parsed = |text: &String| Place::parse(text);
        let value = row.spec.value.as_ref().map(parsed);
        let group: Option<Vec<Place>> = row.spec.group_by.iter().map(parsed).collect();
        let (Some(group), false) = (group, matches!(value, Some(None))) else { return };
        let value = value.flatten().map(|place| self.place(place));
        let group = group.into_iter().map(|place| self.place(place)).collect();
        self.meters.push(Meter {
            series: row.series,
            aggregate: row.spec.aggregate,
            groups_max: row.spec.groups_max.unwrap_or(GROUPS_DEFAULT),
            from_position: row.from_position,
            from_us: row.from_us,
            value,
            group,
        });
    }

    fn place(&mut self, place: Place) -> usize {
        if let Some(index) = self.places.iter().position(|own| *own == place) {
            return index;
        }
        if let Place::Data(path) = &place {
            self.paths.push(path.clone());
        }
        self.places.push(place);
        self.places.len() - 1
    }

    /// What its places hold of a record: its data is gone through once. Data that is no JSON has nothing.
    #[must_use]
    pub fn of_data<'de, D: serde::Deserializer<'de>>(
        &self,
        data: D,
        sender: impl Fn(&'static str) -> Option<Scalar>,
    ) -> Vec<Option<Scalar>> {
        let mut found = match self.paths.is_empty() {
            true => Vec::new(),
            false => find(&self.paths, data).unwrap_or_else(|_| vec![None; self.paths.len()]),
        }
        .into_iter();
        let of = |place: &Place| match place {
            Place::Data(_) => found.next().flatten(),
            Place::Sender(name) => sender(name),
        };
        self.places.iter().map(of).collect()
    }

    /// What its places hold of something that has named fields: members of its data, and who sent it.
    #[must_use]
    pub fn of_fields(
        &self,
        member: impl Fn(&str) -> Option<Scalar>,
        sender: impl Fn(&'static str) -> Option<Scalar>,
    ) -> Vec<Option<Scalar>> {
        let of = |place: &Place| match place {
            Place::Data(path) => path.member().and_then(&member),
            Place::Sender(name) => sender(name),
        };
        self.places.iter().map(of).collect()
    }
}

impl Meter {
    /// The value that it counts of an event; `None` when the event has none.
    fn value(&self, found: &[Option<Scalar>]) -> Option<Value> {
        let scalar = match self.value {
            Some(index) => Some(found.get(index)?.as_ref()?),
            None => None,
        };
        match (self.aggregate, scalar) {
            (Aggregate::Count, None) => Some(Value::One),
            (Aggregate::Count, Some(scalar)) => (*scalar != Scalar::Null).then_some(Value::One),
            (Aggregate::Unique, scalar) => scalar?.word().map(Value::Word),
            (_, scalar) => scalar?.number().map(Value::Number),
        }
    }

    fn group(&self, found: &[Option<Scalar>]) -> Box<str> {
        let words = self.group.iter().map(|index| found.get(*index)?.as_ref()?.word());
        group_text(words)
    }
}

/// The words of a group as one text.
#[must_use]
pub fn group_text(words: impl Iterator<Item = Option<Box<str>>>) -> Box<str> {
    let mut text = String::new();
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push(BETWEEN);
        }
        match word {
            Some(word) => text.extend(word.chars().map(|sign| if sign.is_control() { ' ' } else { sign })),
            None => text.push(NOTHING),
        }
    }
    text.into()
}

/// The words of such a text.
#[must_use]
pub fn group_words(text: &str, count: usize) -> Vec<Option<String>> {
    if count == 0 {
        return Vec::new();
    }
    let nothing = |word: &str| word.chars().eq([NOTHING]);
    text.split(BETWEEN).map(|word| (!nothing(word)).then(|| word.to_owned())).collect()
}

/// What a group's values are kept under: 63 bits of its SHA-256, never [`OTHER`].
#[must_use]
pub fn group_number(text: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let number = digest.first_chunk().map_or(1, |first| i64::from_be_bytes(*first) & i64::MAX);
    number.max(1)
}

/// What meters counted of some events, until it is written.
#[derive(Debug, Default)]
pub struct Tally {
    /// By series, then by minute and group.
    pub series: BTreeMap<i64, SeriesTally>,
    rows: usize,
}

/// What one meter counted.
#[derive(Debug, Default)]
pub struct SeriesTally {
    /// Groups that are kept apart.
    pub groups_max: u32,
    /// By minute and group.
    pub parts: BTreeMap<(i64, Box<str>), Partial>,
    /// Events of its type that have no value that it can count.
    pub skipped: u64,
}

impl Tally {
    /// Counts an event that happened at a moment into the meters that `counts` says.
    pub fn add(
        &mut self,
        interest: &Interest,
        found: &[Option<Scalar>],
        at_us: i64,
        counts: impl Fn(&Meter) -> bool,
    ) {
        let minute_us = at_us.saturating_sub(at_us.rem_euclid(MINUTE_US));
        for meter in interest.meters.iter().filter(|meter| counts(meter)) {
            let own = self.series.entry(meter.series).or_default();
            own.groups_max = meter.groups_max;
            let Some(value) = meter.value(found) else {
                own.skipped += 1;
                continue;
            };
            let before = own.parts.len();
            own.parts.entry((minute_us, meter.group(found))).or_default().add(&value);
            self.rows += own.parts.len() - before;
        }
    }

    /// How many rows it is, at most.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether nothing was counted or skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Lets go of all.
    pub fn clear(&mut self) {
        self.series.clear();
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_groups_come_back() {
        let words = |words: &[Option<&str>]| words.iter().map(|word| word.map(Box::from)).collect::<Vec<_>>();
        for group in
            [words(&[Some("a"), None]), words(&[Some("")]), words(&[None]), words(&[Some("a"), Some("b")])]
        {
            let text = group_text(group.iter().cloned());
            let back: Vec<_> = group.iter().map(|word| word.as_ref().map(|word| word.to_string())).collect();
            assert_eq!(group_words(&text, group.len()), back);
        }
        assert_eq!(&*group_text(words(&[Some("a\u{1f}b")]).into_iter()), "a b");
        assert!(group_words("", 0).is_empty());
    }
}
