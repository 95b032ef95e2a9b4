//! Forgetting what is old. Each call deletes a bounded number of rows and says how many; call again
//! until it says 0. Nothing here is a change of resources, so nothing of it stands in the audit.

use sqlx::AnyConnection;

use super::{
    block::{Block, Builder, Wanted},
    cubes::{DAY_US, HOUR_US, Step},
    decisions::unreadable,
    fold::{Folds, note_forgotten},
    plan::down,
    ship::insert_blocks,
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, built, one, run, sql},
};

/// Rows deleted a call: few enough that no shipment waits long behind one.
const ROWS_MAX: u32 = 5_000;
/// Blocks packed anew a call.
const PACKED_ANEW_MAX: u32 = 8;

impl Store {
    /// Forgets raw decisions made before a moment, of at most 64 blocks a call. A block that holds
    /// younger ones too is packed anew without the old.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_decisions_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let text = "SELECT boot, lane, starts, to_us, records FROM decision_blocks WHERE from_us < $1 \
                    ORDER BY from_us LIMIT 64";
        let (mut gone, mut packed_anew) = (0, 0);
        for row in all(sql(text).bind(before_us), &mut tx).await? {
            let place = (row.int(0)?, row.int(1)?, row.int(2)?);
            if row.int(3)? < before_us {
                tell_unread(&mut tx, place, row.count(4)?).await?;
                gone += row.count(4)? * take_out(&mut tx, place).await?.map_or(0, |_| 1);
            } else if packed_anew < PACKED_ANEW_MAX {
                packed_anew += 1;
                gone += forget_part(&mut tx, place, before_us).await?;
            }
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// Forgets secrets that a rotation ended before a moment, with their last uses, at most 1,000 a
    /// call. Whoever presents one is told from then on that there is no such key, as before that it
    /// has expired. The present secret of a key is never forgotten.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_secrets_ended_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let mut gone = 0;
        for (table, name) in [("key_secrets", "digest"), ("slow_secrets", "key, generation")] {
            // The first test is that of the partial index.
            let text = format!(
                "DELETE FROM {table} WHERE ({name}) IN (SELECT {name} FROM {table} \
                 WHERE until_us < 9223372036854775807 AND until_us < $1 AND NOT EXISTS \
                 (SELECT 1 FROM keys WHERE keys.id = {table}.key AND keys.generation = {table}.generation) \
                 ORDER BY until_us LIMIT 1000) RETURNING key, generation, scheme"
            );
            for row in all(built(text).bind(before_us), &mut tx).await? {
                gone += 1;
                let uses = sql("DELETE FROM key_uses WHERE key = $1 AND generation = $2");
                run(uses.bind(row.int(0)?).bind(row.int(1)?), &mut tx).await?;
                // Our own secrets (0) and the slow ones are not counted there.
                if matches!(row.int(2)?, 1..=3) {
                    let less = sql("UPDATE imported_schemes SET secrets = secrets - 1 WHERE scheme = $1");
                    run(less.bind(row.int(2)?), &mut tx).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// Forgets counts of quota periods that ended before a moment, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_quotas_ended_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let leases = ("node, rule, subject, period_start_us", "period_end_us");
        let mut gone = self.forget("quota_leases", leases, before_us).await?;
        let holds = ("boot, lane, number, rule, subject, period_start_us", "period_end_us");
        gone += self.forget("quota_holds", holds, before_us).await?;
        let counts = ("rule, subject, period_start_us", "period_end_us");
        Ok(gone + self.forget("quota_usage", counts, before_us).await?)
    }

    /// Forgets sums of minutes before the hour that holds a moment, as far as they are folded into hours
    /// and days, at most 5,000 rows of each table a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_minutes_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let before_us = self.note_forgotten("minutes_from_us", down(before_us, HOUR_US)).await?;
        let key = ("minute_us, key, service, code, consumer, project, tenant", "minute_us");
        let mut rows = self.forget("usage_minute", key, before_us).await?;
        let latency = ("minute_us, service, tenant, bucket", "minute_us");
        rows += self.forget("usage_latency", latency, before_us).await?;
        rows += self.forget_lists(Step::Hour, before_us).await?;
        Ok(rows + self.forget_sums("usage_service_minute", before_us).await?)
    }

    /// Forgets sums of hours before the day that holds a moment; otherwise as
    /// [`Store::forget_minutes_before`].
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_hours_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let before_us = self.note_forgotten("hours_from_us", down(before_us, DAY_US)).await?;
        self.forget_steps(
            ["usage_hour", "usage_consumer_hour", "usage_service_hour", "usage_latency_hour"],
            before_us,
        )
        .await
    }

    /// Forgets sums of days that began before a moment; otherwise as [`Store::forget_minutes_before`].
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_days_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let days = ["usage_day", "usage_consumer_day", "usage_service_day", "usage_latency_day"];
        let rows = self.forget_steps(days, before_us).await?;
        Ok(rows + self.forget_lists(Step::Day, before_us).await?)
    }

    /// Lists of the keys with the most requests.
    async fn forget_lists(&self, step: Step, before_us: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let mut gone = 0;
        for (table, row) in [
            ("usage_tops", "step_us, start_us, tenant, key"),
            ("usage_top_rests", "step_us, start_us, tenant"),
        ] {
            let text = format!(
                "DELETE FROM {table} WHERE ({row}) IN (SELECT {row} FROM {table} WHERE step_us = $1 \
                 AND start_us < $2 ORDER BY start_us LIMIT {ROWS_MAX})"
            );
            gone += run(built(text).bind(step.length_us()).bind(before_us), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }

    async fn forget_steps(&self, tables: [&'static str; 4], before_us: i64) -> Result<u64, StoreError> {
        let [keys, consumers, services, latency] = tables;
        let key = ("start_us, key, service, code, consumer, project, tenant", "start_us");
        let mut rows = self.forget(keys, key, before_us).await?;
        let consumer = ("tenant, start_us, consumer, project, service, code", "start_us");
        rows += self.forget(consumers, consumer, before_us).await?;
        rows += self.forget(latency, ("start_us, service, tenant, bucket", "start_us"), before_us).await?;
        Ok(rows + self.forget_sums(services, before_us).await?)
    }

    async fn forget_sums(&self, table: &'static str, before_us: i64) -> Result<u64, StoreError> {
        self.forget(table, ("tenant, start_us, service, code, project", "start_us"), before_us).await
    }

    /// Tells who reads that rows may be missing, before they are, and says up to where they may be. It
    /// moves by whole steps, so that mostly there is nothing to write.
    pub(super) async fn note_forgotten(
        &self,
        column: &'static str,
        before_us: i64,
    ) -> Result<i64, StoreError> {
        let mut conn = self.reader().await?;
        let noted = Folds::read(&mut conn).await?.forgotten_us(column);
        drop(conn);
        if noted >= before_us {
            return Ok(before_us);
        }
        let mut tx = self.begin_write().await?;
        let until_us = note_forgotten(&mut tx, column, before_us).await?;
        tx.commit().await?;
        Ok(until_us)
    }

    /// Forgets nodes that were last seen before a moment without saying good-bye.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_nodes_before(&self, before_us: i64) -> Result<u64, StoreError> {
        self.forget("nodes", ("node", "seen_us"), before_us).await
    }

    async fn forget(
        &self,
        table: &'static str,
        (row, time): (&'static str, &'static str),
        before_us: i64,
    ) -> Result<u64, StoreError> {
        let text = format!(
            "DELETE FROM {table} WHERE ({row}) IN \
             (SELECT {row} FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT {ROWS_MAX})"
        );
        let mut tx = self.begin_write().await?;
        let rows = run(built(text).bind(before_us), &mut tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

/// Tells of a block that goes before it was handed on, so that what is missing in the topic is known.
async fn tell_unread(
    conn: &mut AnyConnection,
    (boot, lane, starts): (i64, i64, i64),
    decisions: u64,
) -> Result<(), StoreError> {
    let select = sql("SELECT position FROM outbox_reads WHERE boot = $1 AND lane = $2 AND position <= $3");
    if let Some(row) = one(select.bind(boot).bind(lane).bind(starts), conn).await? {
        let read_to = row.int(0)?;
        tracing::warn!(
            boot,
            lane,
            starts,
            decisions,
            read_to,
            "decisions are past their time and go before they were handed on to their topic"
        );
    }
    Ok(())
}

/// Deletes a block and gives what was in it; `None` when somebody else has taken it already.
pub(super) async fn take_out(
    conn: &mut AnyConnection,
    (boot, lane, starts): (i64, i64, i64),
) -> Result<Option<Vec<u8>>, StoreError> {
    let delete =
        sql("DELETE FROM decision_blocks WHERE boot = $1 AND lane = $2 AND starts = $3 RETURNING packed");
    let row = one(delete.bind(boot).bind(lane).bind(starts), conn).await?;
    row.map(|row| Ok(row.blob(0)?.to_vec())).transpose()
}

/// Forgets the old decisions of a block and keeps the others.
async fn forget_part(
    conn: &mut AnyConnection,
    place: (i64, i64, i64),
    before_us: i64,
) -> Result<u64, StoreError> {
    let Some(packed) = take_out(conn, place).await? else { return Ok(0) };
    let block = Block::open(&packed).ok_or_else(unreadable)?;
    let all = block.find(&Wanted::default()).ok_or_else(unreadable)?;
    let young: Vec<_> = all.iter().filter(|found| found.at_us >= before_us).copied().collect();
    let mut builder = Builder::default();
    block.unpack(&young, |_, decision| builder.add(place.2 as u64, &decision)).ok_or_else(unreadable)?;
    let kept: Vec<_> = builder.finish().into_iter().collect();
    insert_blocks(conn, (place.0, place.1), &kept).await?;
    Ok((all.len() - young.len()) as u64)
}
