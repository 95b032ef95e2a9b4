//! Forgetting what is old. Each call deletes a bounded number of rows and says how many; call again
//! until it says 0. Nothing here is a change of resources, so nothing of it stands in the audit.

use sqlx::AnyConnection;

use super::{
    block::{Block, Builder, Wanted},
    decisions::unreadable,
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
        self.forget("quota_usage", ("rule, subject, period_start_us", "period_end_us"), before_us).await
    }

    /// Forgets roll-ups of minutes that began before a moment, at most 5,000 a call.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_usage_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let row = "minute_us, key, service, code, consumer, project, tenant";
        let rows = self.forget("usage_minute", (row, "minute_us"), before_us).await?;
        let row = "minute_us, service, tenant, bucket";
        Ok(rows + self.forget("usage_latency", (row, "minute_us"), before_us).await?)
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
