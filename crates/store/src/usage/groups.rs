//! Sums of a shipment by key, minute and outcome: the table that every record touches once.
//!
//! Of many keys nearly every record finds its place in no cache any more, and waiting for memory is most of
//! what adding it up costs. So little is touched: eight bytes of an index that fits a cache of its own, and
//! the two lines of one row. What many rows share is their scope and lies elsewhere, once. And the records are
//! looked up some at a time ([`Groups::bring`]), so that they wait for memory together.
//!
//! Rows that differ in the generation of the secret alone are two here and one where they are written.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, Hasher},
};

use foldhash::fast::RandomState;
use tollgate_journal::{Charge, Entry};

use super::cubes::MINUTE_US;

/// Slots of the index at first; doubled when half of them are taken.
const SLOTS_MIN: usize = 64;
/// Rows that are brought near at once; as many as a processor waits for at the same time, and some more.
pub(super) const BROUGHT_MAX: usize = 16;

/// What tells roll-ups apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) key: i64,
    pub(super) minute_us: i64,
    pub(super) service: i64,
    pub(super) code: i64,
    pub(super) consumer: i64,
    pub(super) project: i64,
    pub(super) tenant: i64,
}

/// What many rows share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) minute_us: i64,
    pub(super) service: u64,
    project: u64,
    pub(super) tenant: u64,
    generation: u16,
    pub(super) code: u8,
}

impl Hash for Scope {
    /// The project follows from the service nearly always, and is compared anyway.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.minute_us ^ i64::from(self.code));
        state.write_u64(self.service ^ self.tenant.rotate_left(32) ^ u64::from(self.generation));
    }
}

/// What is known of a group. Its first quota and the last use of its secret lie here too, so that a record
/// mostly touches one place in memory: two lines of it.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row {
    key: u64,
    consumer: u64,
    /// Requests, units, latency, upstream, bytes in, bytes out.
    pub(super) sums: [i64; 6],
    /// The amount is 0 while there is none.
    pub(super) charge: Charge,
    /// The address of the last use.
    address: [u8; 16],
    /// Its moment, microseconds into the minute.
    used_us: u32,
    scope: u32,
}

const _: () = assert!(size_of::<Row>() == 128);

/// Where the row of a record is looked for, until the groups are cleared.
#[derive(Clone, Copy)]
pub(super) struct Place {
    scope: u32,
    hash: u64,
}

/// Groups in the order in which they came.
#[derive(Default)]
pub(super) struct Groups {
    /// The upper half of the hash, and the number of the row + 1 below it; 0 where nothing is.
    slots: Vec<u64>,
    rows: Vec<Row>,
    scopes: Vec<(Scope, u32)>,
    numbers: HashMap<Scope, u32, RandomState>,
    /// The scope of the last record.
    last: u32,
    state: RandomState,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.rows.clear();
        self.scopes.clear();
        self.numbers.clear();
        self.last = 0;
    }

    /// Where the row of a record is looked for. `make` is asked what its scope shall have when it is new.
    #[inline]
    pub(super) fn place(&mut self, entry: &Entry, make: impl FnOnce(&Scope) -> u32) -> Place {
        let scope = self.scope(Scope::of(entry), make);
        Place { scope, hash: self.hash(entry.key, scope) }
    }

    /// Brings rows near that will be asked for: what is far comes for all of them at the same time.
    #[inline]
    pub(super) fn bring(&self, places: impl Iterator<Item = Place>) {
        let mut numbers = [0; BROUGHT_MAX];
        let mask = self.slots.len().wrapping_sub(1);
        for (number, place) in numbers.iter_mut().zip(places) {
            *number = self.slots.get(place.hash as usize & mask).map_or(0, |slot| (*slot & !TAG) as usize);
        }
        let rows = numbers.iter().filter_map(|number| self.rows.get(number.wrapping_sub(1)));
        // Some of both lines. What comes out is of no use; that it was looked at is.
        std::hint::black_box(rows.fold(0, |sum, row| sum ^ row.key ^ u64::from(row.used_us)));
    }

    /// The row of a record, with the use of its secret noted, and what its scope has. `None` only when there
    /// are more rows than a shipment ever holds.
    #[inline]
    pub(super) fn of(&mut self, entry: &Entry, place: Place) -> Option<(&mut Row, u32)> {
        let scope = self.scopes.get(place.scope as usize);
        let (minute_us, made) = scope.map(|(scope, made)| (scope.minute_us, *made))?;
        let used_us = entry.at_us.wrapping_sub(minute_us) as u32;
        let number = self.find_or_make(entry, place, used_us)?;
        let row = self.rows.get_mut(number)?;
        if used_us >= row.used_us {
            (row.used_us, row.address) = (used_us, entry.address);
        }
        Some((row, made))
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Group, &Row)> {
        self.rows.iter().filter_map(|row| Some((row.group(self.scope_of(row)?), row)))
    }

    /// Keys, the generations of their secrets, and the moment and address of the last use.
    pub(super) fn uses(&self) -> impl Iterator<Item = (i64, u16, (i64, [u8; 16]))> {
        self.rows.iter().filter_map(|row| {
            let scope = self.scope_of(row)?;
            let at_us = scope.minute_us.saturating_add(i64::from(row.used_us));
            Some((row.key as i64, scope.generation, (at_us, row.address)))
        })
    }

    /// What was charged to the first quota of each row that has one.
    pub(super) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.rows.iter().map(|row| &row.charge).filter(|charge| charge.amount > 0)
    }

    fn scope_of(&self, row: &Row) -> Option<&Scope> {
        self.scopes.get(row.scope as usize).map(|(scope, _)| scope)
    }

    #[inline]
    fn scope(&mut self, scope: Scope, make: impl FnOnce(&Scope) -> u32) -> u32 {
        if self.scopes.get(self.last as usize).is_some_and(|(last, _)| *last == scope) {
            return self.last;
        }
        let scopes = &mut self.scopes;
        self.last = *self.numbers.entry(scope).or_insert_with(|| {
            scopes.push((scope, make(&scope)));
            // No more than rows.
            (scopes.len() - 1) as u32
        });
        self.last
    }

    #[inline]
    fn find_or_make(&mut self, entry: &Entry, place: Place, used_us: u32) -> Option<usize> {
        if self.rows.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let Place { scope, hash } = place;
        let (mask, tag) = (self.slots.len() - 1, hash & TAG);
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get_mut(at)?;
            if *slot == 0 {
                let number = self.rows.len();
                *slot = tag | u64::from(u32::try_from(number + 1).ok()?);
                self.rows.push(Row::new(entry, scope, used_us));
                return Some(number);
            }
            if *slot & TAG == tag {
                let number = (*slot & !TAG) as usize - 1;
                let row = self.rows.get(number)?;
                if row.key == entry.key && row.scope == scope && row.consumer == entry.consumer {
                    return Some(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The scope stands in the lower bits too: they choose the slot.
    #[inline]
    fn hash(&self, key: u64, scope: u32) -> u64 {
        self.state.hash_one(key ^ u64::from(scope).rotate_left(40))
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        self.slots.clear();
        self.slots.resize(slots, 0);
        for (number, row) in self.rows.iter().enumerate() {
            let hash = self.hash(row.key, row.scope);
            let mut at = hash as usize & (slots - 1);
            while self.slots.get(at).is_some_and(|slot| *slot != 0) {
                at = (at + 1) & (slots - 1);
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = hash & TAG | (number as u64 + 1);
            }
        }
    }
}

/// The half of a slot that holds part of the hash.
const TAG: u64 = !(u32::MAX as u64);

impl Scope {
    #[inline]
    fn of(entry: &Entry) -> Self {
        Self {
            minute_us: entry.at_us.saturating_sub(entry.at_us.rem_euclid(MINUTE_US)),
            service: entry.service,
            project: entry.project,
            tenant: entry.tenant,
            generation: entry.generation,
            code: entry.code,
        }
    }
}

impl Row {
    fn new(entry: &Entry, scope: u32, used_us: u32) -> Self {
        let Entry { key, consumer, address, .. } = *entry;
        Self { key, consumer, sums: [0; 6], charge: Charge::default(), address, used_us, scope }
    }

    fn group(&self, scope: &Scope) -> Group {
        Group {
            key: self.key as i64,
            minute_us: scope.minute_us,
            service: scope.service as i64,
            code: i64::from(scope.code),
            consumer: self.consumer as i64,
            project: scope.project as i64,
            tenant: scope.tenant as i64,
        }
    }
}

impl Group {
    /// The value of a column of a table's primary key.
    pub(super) fn value(&self, column: &str) -> i64 {
        match column {
            "key" => self.key,
            "service" => self.service,
            "code" => self.code,
            "consumer" => self.consumer,
            "project" => self.project,
            "tenant" => self.tenant,
            _ => self.minute_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let ids = (0..6u64, 0..2u64, 0..2u64, 0..2u64, 0..2u64);
        (ids, 0..3u8, 0..2u16, prop_oneof![0..200_000_000i64, Just(i64::MIN), Just(i64::MAX), -9..9i64])
            .prop_map(|((key, consumer, project, tenant, service), code, generation, at_us)| Entry {
                key,
                consumer,
                project,
                tenant,
                service,
                code,
                generation,
                at_us,
                address: [at_us as u8; 16],
                ..Entry::default()
            })
    }

    proptest! {
        #[test]
        fn records_are_told_apart_by_all_that_roll_ups_are(entries in proptest::collection::vec(entry(), 0..600)) {
            let mut groups = Groups::default();
            for _ in 0..2 {
                let mut wanted = BTreeMap::new();
                let mut uses = BTreeMap::new();
                let mut made = 0;
                for entry in &entries {
                    let scope = |_: &Scope| { made += 1; made };
                    let place = groups.place(entry, scope);
                    groups.bring(std::iter::once(place));
                    let (row, _) = groups.of(entry, place).unwrap();
                    row.sums[0] += 1;
                    let minute_us = entry.at_us.saturating_sub(entry.at_us.rem_euclid(MINUTE_US));
                    let parts = (entry.key, entry.consumer, entry.project, entry.tenant, entry.service, entry.code);
                    *wanted.entry((minute_us, parts)).or_insert(0) += 1;
                    let used = uses.entry((minute_us, parts, entry.generation)).or_insert((i64::MIN, [0; 16]));
                    if entry.at_us >= used.0 {
                        *used = (entry.at_us, entry.address);
                    }
                }
                let mut found = BTreeMap::new();
                for (group, row) in groups.iter() {
                    let Group { key, minute_us, service, code, consumer, project, tenant } = group;
                    let ids = [key, consumer, project, tenant, service].map(|id| id as u64);
                    let [key, consumer, project, tenant, service] = ids;
                    let parts = (key, consumer, project, tenant, service, code as u8);
                    *found.entry((minute_us, parts)).or_insert(0) += row.sums[0];
                }
                prop_assert_eq!(found, wanted);
                prop_assert_eq!(groups.len(), uses.len());
                let mut noted: Vec<_> = groups.uses().map(|(key, generation, used)| (key as u64, generation, used)).collect();
                let mut used: Vec<_> = uses.iter().map(|((_, parts, generation), used)| (parts.0, *generation, *used)).collect();
                noted.sort_unstable();
                used.sort_unstable();
                prop_assert_eq!(noted, used);
                groups.clear();
            }
        }
    }
}
