//! What calls of models in flight hold of quotas, so that it counts as used when their process dies.
//!
//! A record that opens a reservation says what its call holds ([`LentRecord::held_for`]), the record of the
//! call ends that and says what was used. Both mostly come in one shipment, and then nothing of the hold is
//! written. Else it has a row of its own until its end is shipped. What is left of a run that has ended, and
//! whose journal is shipped, is used: unknown counts as used. That takes the rows away in the transaction that
//! counts them, so that it happens once, however often it is begun (I8, I13).

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use tollgate_journal::{Charge, Flags, LentRecord};

use super::{
    quota_leases::{self, QuotaUse},
    quotas::add_quotas,
};
use crate::{
    error::StoreError,
    ledger::Lessee,
    open::Store,
    sql::{Columns as _, all, bulk, places, rows_max, run, sql},
};

/// Calls whose holds are counted as used in one transaction, at most.
const CALLS_MAX: i64 = 256;

/// One call: (boot, lane, number).
type Call = (u64, u16, u64);

/// Holds of some records.
#[derive(Default)]
pub(super) struct Holds {
    /// Begun and not ended.
    opened: BTreeMap<Call, Vec<Charge>>,
    /// Ended, and begun in a shipment before.
    closed: BTreeSet<Call>,
    /// Charges in `opened`.
    charges: usize,
}

impl Holds {
    /// How many rows they are, at most.
    pub(super) fn len(&self) -> usize {
        self.charges + self.closed.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds what a record begins or ends, if it does either.
    #[inline]
    pub(super) fn add(&mut self, boot: u64, lane: u16, record: &LentRecord<'_>) {
        if let Some(number) = record.held_for {
            // One row each, as the table has it; no quota is charged twice by one call.
            let charges: BTreeMap<_, _> =
                record.charges().map(|charge| ((charge.rule, charge.subject), charge)).collect();
            self.charges += charges.len();
            self.opened.insert((boot, lane, number), charges.into_values().collect());
        } else if record.entry.flags.contains(Flags::HELD) {
            let call = (boot, lane, record.decision);
            match self.opened.remove(&call) {
                Some(charges) => self.charges -= charges.len(),
                None => _ = self.closed.insert(call),
            }
        }
    }

    /// Writes them, as those of a node.
    pub(super) async fn write(&self, node: u64, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let opened =
            self.opened.iter().flat_map(|(call, charges)| charges.iter().map(move |one| (call, one)));
        let opened: Vec<_> = opened.collect();
        for part in opened.chunks(rows_max(9)) {
            let text = format!(
                "INSERT INTO quota_holds (boot, lane, number, rule, subject, period_start_us, period_end_us, node, \
                 amount) VALUES {}",
                places(part.len(), 9)
            );
            let insert = part.iter().fold(bulk(text), |insert, (call, charge)| {
                let amount = i64::try_from(charge.amount).unwrap_or(i64::MAX);
                let insert = bound(insert, call).bind(charge.rule as i64).bind(charge.subject as i64);
                let insert = insert.bind(charge.period_start_us).bind(charge.period_end_us);
                insert.bind(node as i64).bind(amount)
            });
            run(insert, conn).await?;
        }
        let closed: Vec<_> = self.closed.iter().collect();
        for part in closed.chunks(rows_max(3)) {
            let text = format!(
                "DELETE FROM quota_holds WHERE (boot, lane, number) IN (VALUES {})",
                places(part.len(), 3)
            );
            run(part.iter().fold(bulk(text), |delete, call| bound(delete, call)), conn).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Counts as used what calls of earlier runs of a node held of quotas, whose end is not in their journals,
    /// at most 256 calls at once: call again until it says 0. To be called when these journals were shipped,
    /// and before [`Store::end_quota_leases`]. `is_leased` says whether it was held of what the node leased.
    ///
    /// # Errors
    /// When the database cannot be written. Nothing was counted then, or all of it once.
    pub async fn count_quota_holds(&self, lessee: Lessee, is_leased: bool) -> Result<u64, StoreError> {
        let text = "SELECT DISTINCT boot, lane, number FROM quota_holds WHERE node = $1 AND boot <> $2 \
                    ORDER BY boot, lane, number LIMIT $3";
        let ask = sql(text).bind(lessee.node as i64).bind(lessee.boot as i64).bind(CALLS_MAX);
        let mut tx = self.begin_write().await?;
        let mut calls = Vec::new();
        for row in all(ask, &mut tx).await? {
            calls.push((row.count(0)?, crate::keys::small(row.int(1)?), row.count(2)?));
        }
        if calls.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let text = format!(
            "DELETE FROM quota_holds WHERE (boot, lane, number) IN (VALUES {}) \
             RETURNING rule, subject, period_start_us, period_end_us, amount",
            places(calls.len(), 3)
        );
        let mut used = BTreeMap::new();
        for row in all(calls.iter().fold(bulk(text), bound), &mut tx).await? {
            let held = used.entry((row.int(0)?, row.int(1)?, row.int(2)?)).or_insert((row.int(3)?, 0i64));
            held.1 = held.1.saturating_add(row.int(4)?);
        }
        let used: Vec<QuotaUse> = used.into_iter().collect();
        if is_leased {
            quota_leases::add_used(lessee, &used, &mut tx).await?;
        } else {
            add_quotas(&used, false, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(calls.len() as u64)
    }
}

fn bound(statement: crate::sql::Statement, (boot, lane, number): &Call) -> crate::sql::Statement {
    statement.bind(*boot as i64).bind(i64::from(*lane)).bind(*number as i64)
}
