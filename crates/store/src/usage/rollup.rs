//! Records summed up before they are written: by minute and by quota.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sqlx::AnyConnection;
use tollgate_core::counters::RuleId;
use tollgate_journal::LentRecord;

use super::QuotaTotal;
use crate::{
    error::StoreError,
    sql::{Columns as _, all, bulk, places, rows_max, run},
};

/// One minute, microseconds.
pub(super) const MINUTE_US: i64 = 60_000_000;

/// The columns that tell roll-ups apart, in the order of the primary key.
type MinuteKey = [i64; 7];
/// Requests, units, latency, upstream, bytes in, bytes out.
type MinuteSums = [i64; 6];

/// Sums of some records.
#[derive(Default)]
pub(super) struct Sums {
    minutes: HashMap<MinuteKey, MinuteSums, RandomState>,
    /// (rule, subject, start) to (end, amount).
    quotas: HashMap<(i64, i64, i64), (i64, i64), RandomState>,
}

impl Sums {
    /// How many rows they are.
    pub(super) fn len(&self) -> usize {
        self.minutes.len() + self.quotas.len()
    }

    pub(super) fn clear(&mut self) {
        self.minutes.clear();
        self.quotas.clear();
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &LentRecord<'_>) {
        let entry = &record.entry;
        let minute = entry.at_us.div_euclid(MINUTE_US) * MINUTE_US;
        let key = [
            minute,
            entry.key as i64,
            entry.service as i64,
            i64::from(entry.code),
            entry.consumer as i64,
            entry.project as i64,
            entry.tenant as i64,
        ];
        let more = [
            1,
            i64::from(entry.units),
            i64::from(entry.latency_us),
            i64::from(entry.upstream_us),
            amount(entry.bytes_in),
            amount(entry.bytes_out),
        ];
        let sums = self.minutes.entry(key).or_default();
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
        for charge in record.charges() {
            let name = (charge.rule as i64, charge.subject as i64, charge.period_start_us);
            let total = self.quotas.entry(name).or_insert((charge.period_end_us, 0));
            total.1 = total.1.saturating_add(amount(charge.amount));
        }
    }

    /// Adds the sums to the rows; gives the quotas that were charged with their new totals. Rows are
    /// taken in their order, so that two shipments never wait for each other in a circle.
    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<Vec<QuotaTotal>, StoreError> {
        self.write_minutes(conn).await?;
        self.write_quotas(conn).await
    }

    async fn write_minutes(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let mut rows: Vec<_> = self.minutes.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        for part in rows.chunks(rows_max(13)) {
            let text = format!(
                "INSERT INTO usage_minute (minute_us, key, service, code, consumer, project, tenant, requests, \
                 units, latency_us, upstream_us, bytes_in, bytes_out) VALUES {} \
                 ON CONFLICT (minute_us, key, service, code, consumer, project, tenant) DO UPDATE SET \
                 requests = usage_minute.requests + excluded.requests, \
                 units = usage_minute.units + excluded.units, \
                 latency_us = usage_minute.latency_us + excluded.latency_us, \
                 upstream_us = usage_minute.upstream_us + excluded.upstream_us, \
                 bytes_in = usage_minute.bytes_in + excluded.bytes_in, \
                 bytes_out = usage_minute.bytes_out + excluded.bytes_out",
                places(part.len(), 13)
            );
            let values = part.iter().flat_map(|(key, sums)| key.iter().chain(sums.iter()));
            let statement = values.fold(bulk(text), |statement, value| statement.bind(*value));
            run(statement, conn).await?;
        }
        Ok(())
    }

    async fn write_quotas(&self, conn: &mut AnyConnection) -> Result<Vec<QuotaTotal>, StoreError> {
        let mut rows: Vec<_> = self.quotas.iter().collect();
        rows.sort_unstable_by_key(|(name, _)| *name);
        let mut totals = Vec::with_capacity(rows.len());
        for part in rows.chunks(rows_max(5)) {
            let text = format!(
                "INSERT INTO quota_usage (rule, subject, period_start_us, period_end_us, used) VALUES {} \
                 ON CONFLICT (rule, subject, period_start_us) DO UPDATE SET \
                 used = quota_usage.used + excluded.used, period_end_us = excluded.period_end_us \
                 RETURNING rule, subject, period_start_us, period_end_us, used",
                places(part.len(), 5)
            );
            let mut statement = bulk(text);
            for ((rule, subject, start), (end, used)) in part {
                statement = statement.bind(*rule).bind(*subject).bind(*start).bind(*end).bind(*used);
            }
            for row in all(statement, conn).await? {
                totals.push(quota_total(&row)?);
            }
        }
        Ok(totals)
    }
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
