//! Records summed up before they are written: by minute, hour and day, and by quota.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use sqlx::AnyConnection;
use tollgate_core::{code::Code, counters::RuleId};
use tollgate_journal::{Charge, Entry, LentRecord};

use super::{
    QuotaTotal,
    cubes::{FOLDED, MINUTES, SHIPPED, Step, Table},
    fold::Folds,
    groups::{BROUGHT_MAX, Group, Groups, Place, Scope},
    latency::Histograms,
    plan::down,
    quota_leases::{self, QuotaUse},
    quotas::add_quotas,
    tops::{Late, note_late},
    uses::LastUses,
};
use crate::{
    error::StoreError,
    ledger::Lessee,
    sql::{Bulk, Columns as _, run},
};

/// Columns of a table's primary key at most.
const COLUMNS_MAX: usize = 7;
/// The values of a row's primary key, 0 behind the last, and its sums.
type SumsRow = ([i64; COLUMNS_MAX], [i64; 6]);

/// (rule, subject, start).
type QuotaKey = (i64, i64, i64);

/// Sums of some records.
#[derive(Default)]
pub(super) struct Sums {
    groups: Groups,
    /// Records that are added when there are [`BROUGHT_MAX`] of them, or when somebody asks.
    waiting: Vec<Waiting>,
    /// How many groups have a charge.
    charged: usize,
    /// The charges that found no place in a group, to (end, amount).
    quotas: HashMap<QuotaKey, (i64, i64), RandomState>,
    histograms: Histograms,
}

/// What is added of a record.
struct Waiting {
    place: Place,
    entry: Entry,
    /// Its first charge; the amount is 0 when it has none.
    charge: Charge,
}

impl Sums {
    /// How many rows they are, at most.
    pub(super) fn len(&self) -> usize {
        self.groups.len() + self.charged + self.quotas.len() + 2 * self.waiting.len()
    }

    /// How many histograms they have.
    pub(super) fn histograms(&self) -> usize {
        self.histograms.len()
    }

    /// How many secrets were used, at most.
    pub(super) fn secrets(&self) -> usize {
        self.groups.len() + self.waiting.len()
    }

    /// Lets go of how long answers took.
    pub(super) fn forget_times(&mut self) {
        self.histograms.clear();
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.groups.clear();
        self.quotas.clear();
        self.histograms.clear();
        self.charged = 0;
    }

    /// Adds a record.
    #[inline]
    pub(super) fn add(&mut self, record: &LentRecord<'_>) {
        let histograms = &mut self.histograms;
        // What was refused says nothing about how long a service takes.
        let of_scope = |scope: &Scope| {
            if scope.code == Code::Valid.number() && scope.service != 0 {
                histograms.at(scope.minute_us, scope.service as i64, scope.tenant as i64)
            } else {
                u32::MAX
            }
        };
        let place = self.groups.place(&record.entry, of_scope);
        let mut charges = record.charges();
        let charge = charges.next().unwrap_or_default();
        charges.for_each(|charge| self.charge(&charge));
        self.waiting.push(Waiting { place, entry: record.entry, charge });
        if self.waiting.len() >= BROUGHT_MAX {
            self.settle();
        }
    }

    /// Adds what waits.
    fn settle(&mut self) {
        self.groups.bring(self.waiting.iter().map(|one| one.place));
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.drain(..).for_each(|one| self.add_one(&one));
        self.waiting = waiting;
    }

    #[inline]
    fn add_one(&mut self, one: &Waiting) {
        let Waiting { place, entry, charge } = one;
        let Some((row, histogram)) = self.groups.of(entry, *place) else { return };
        self.histograms.add(histogram, entry.latency_us);
        let more = [
            1,
            i64::from(entry.units),
            i64::from(entry.latency_us),
            i64::from(entry.upstream_us),
            amount(entry.bytes_in),
            amount(entry.bytes_out),
        ];
        for (sum, more) in row.sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
        if charge.amount == 0 {
            return;
        }
        if row.charge.amount == 0 {
            row.charge = *charge;
            self.charged += 1;
        } else if quota(&row.charge) == quota(charge) {
            row.charge.amount = row.charge.amount.saturating_add(charge.amount);
        } else {
            self.charge(charge);
        }
    }

    /// Adds a charge that has no place in a group.
    fn charge(&mut self, charge: &Charge) {
        let total = self.quotas.entry(quota(charge)).or_insert((charge.period_end_us, 0));
        total.1 = total.1.saturating_add(amount(charge.amount));
    }

    /// Hands the last uses over that lie in the groups.
    pub(super) fn give_uses(&mut self, uses: &mut LastUses) {
        self.settle();
        self.groups.uses().for_each(|(key, generation, used)| uses.note(key, generation, used));
    }

    /// Adds the sums to the rows; gives the quotas that were charged with their new totals when
    /// `with_totals` is set. What was charged to quotas is used of what the lessee leased, if there is one.
    pub(super) async fn write(
        &mut self,
        conn: &mut AnyConnection,
        folds: &Folds,
        (with_totals, lessee): (bool, Option<Lessee>),
    ) -> Result<Vec<QuotaTotal>, StoreError> {
        self.settle();
        write_rows(conn, &MINUTES, &mut self.rows(&MINUTES, |_| true), Step::Minute).await?;
        // Nearly always none is late: minutes are folded when they are some minutes old.
        let is_late = |group: &Group| folds.has(group.minute_us, group.key);
        for (table, step) in FOLDED {
            write_rows(conn, &table, &mut self.rows(&table, is_late), step).await?;
        }
        note_late(conn, &self.late(is_late)).await?;
        let is_of_services = |group: &Group| group.minute_us >= folds.service_from_us || is_late(group);
        let mut services = Vec::new();
        for (table, step) in SHIPPED {
            if step == Step::Minute {
                services = self.rows(&table, is_of_services);
            }
            // Each step is a multiple of the one before, so what was merged is merged on.
            write_rows(conn, &table, &mut services, step).await?;
        }
        self.histograms.write(conn).await?;
        match lessee {
            None => add_quotas(&self.quota_rows(), with_totals, conn).await,
            Some(lessee) => {
                quota_leases::add_used(lessee, &self.quota_rows(), conn).await?;
                Ok(Vec::new())
            }
        }
    }

    /// How many records are late for each hour and day, in their order.
    fn late(&self, is_late: impl Fn(&Group) -> bool) -> Vec<Late> {
        let mut late = BTreeMap::new();
        for (group, row) in self.groups.iter().filter(|(group, _)| is_late(group)) {
            let [requests, ..] = row.sums;
            for step in [Step::Hour, Step::Day] {
                let start_us = down(group.minute_us, step.length_us());
                *late.entry((step.length_us(), start_us, group.tenant)).or_insert(0) += requests;
            }
        }
        late.into_iter()
            .map(|((step, start_us, tenant), requests)| [step, start_us, tenant, requests])
            .collect()
    }

    /// Some groups as rows of a table, by minute still.
    fn rows(&self, table: &Table, which: impl Fn(&Group) -> bool) -> Vec<SumsRow> {
        let columns: Vec<&str> = table.columns.split(", ").collect();
        let mut rows = Vec::new();
        for (group, row) in self.groups.iter().filter(|(group, _)| which(group)) {
            let mut values = [0; COLUMNS_MAX];
            for (value, column) in values.iter_mut().zip(&columns) {
                *value = group.value(column);
            }
            rows.push((values, row.sums));
        }
        rows
    }

    /// What each quota was charged, in the order of the rows, each once.
    fn quota_rows(&self) -> Vec<QuotaUse> {
        let charges = self.groups.charges();
        let mut rows: Vec<_> =
            charges.map(|charge| (quota(charge), (charge.period_end_us, amount(charge.amount)))).collect();
        rows.extend(self.quotas.iter().map(|(quota, total)| (*quota, *total)));
        rows.sort_unstable_by_key(|(quota, _)| *quota);
        rows.dedup_by(|(later, (_, more)), (quota, (_, used))| {
            let is_same = later == quota;
            if is_same {
                *used = used.saturating_add(*more);
            }
            is_same
        });
        rows
    }
}

/// Merges rows by a step and adds them to those of a table, in the order of its primary key, so that
/// two shipments never wait for each other in a circle.
async fn write_rows(
    conn: &mut AnyConnection,
    table: &Table,
    rows: &mut Vec<SumsRow>,
    step: Step,
) -> Result<(), StoreError> {
    let columns = table.columns.split(", ").count();
    if let Some(time) = table.columns.split(", ").position(|column| column == table.time) {
        for value in rows.iter_mut().filter_map(|(values, _)| values.get_mut(time)) {
            *value = down(*value, step.length_us());
        }
    }
    rows.sort_unstable_by_key(|(values, _)| *values);
    rows.dedup_by(|(later, more), (values, sums)| {
        let is_same = later == values;
        if is_same {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        }
        is_same
    });
    let mut insert = Bulk::new(conn, table.insert, columns + 6, table.add);
    for part in rows.chunks(insert.rows_max()) {
        let values = part.iter().flat_map(|(values, sums)| values.iter().take(columns).chain(sums));
        run(values.fold(insert.of(part.len()), |statement, value| statement.bind(*value)), conn).await?;
    }
    Ok(())
}

const fn quota(charge: &Charge) -> QuotaKey {
    (charge.rule as i64, charge.subject as i64, charge.period_start_us)
}

/// A row of `rule, subject, period_start_us, period_end_us, used`.
pub(super) fn quota_total(row: &crate::sql::Row) -> Result<QuotaTotal, StoreError> {
    Ok(QuotaTotal {
        rule: RuleId(row.int(0)? as u64),
        subject: row.int(1)? as u64,
        period_start_us: row.int(2)?,
        period_end_us: row.int(3)?,
        used: row.count(4)?,
    })
}

/// An amount as SQL can hold it.
fn amount(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
