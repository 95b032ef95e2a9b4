//! Forgetting values that are past their time, and those of meters that are gone.

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, only, run, sql},
};

/// Rows that go in one statement.
const ROWS: i64 = 512;

impl Store {
    /// Forgets values by minute and by hour that began before two moments, and what meters left that are gone. Says
    /// how many rows went; to be repeated until none does.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_meters_before(&self, minutes_us: i64, hours_us: i64) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let note = sql("UPDATE meter_head SET minutes_from_us = CASE WHEN minutes_from_us < $1 THEN $1 \
                        ELSE minutes_from_us END WHERE id = 1 RETURNING minutes_from_us");
        only(note.bind(minutes_us), &mut tx).await?.int(0)?;
        let mut gone = 0;
        for (text, before_us) in [
            (
                "DELETE FROM meter_minute WHERE (series, start_us, number) IN (SELECT series, start_us, number \
              FROM meter_minute WHERE start_us < $1 ORDER BY start_us LIMIT $2)",
                minutes_us,
            ),
            (
                "DELETE FROM meter_hour WHERE (series, start_us, number) IN (SELECT series, start_us, number \
              FROM meter_hour WHERE start_us < $1 ORDER BY start_us LIMIT $2)",
                hours_us,
            ),
            (
                "DELETE FROM meter_sketches WHERE (series, step, start_us, number) IN (SELECT series, step, start_us, \
              number FROM meter_sketches WHERE step = 0 AND start_us < $1 ORDER BY start_us LIMIT $2)",
                minutes_us,
            ),
            (
                "DELETE FROM meter_sketches WHERE (series, step, start_us, number) IN (SELECT series, step, start_us, \
              number FROM meter_sketches WHERE step = 1 AND start_us < $1 ORDER BY start_us LIMIT $2)",
                hours_us,
            ),
        ] {
            gone += run(sql(text).bind(before_us).bind(ROWS), &mut tx).await?;
        }
        let past = "DELETE FROM meter_backfills WHERE done = 1 AND NOT EXISTS (\
                    SELECT 1 FROM meter_series s WHERE s.backfill = meter_backfills.id)";
        gone += run(sql(past), &mut tx).await?;
        // Borders that nothing can come before any more, or that nobody looks at.
        let borders = "DELETE FROM meter_backfill_lanes WHERE settled = 1 AND (NOT EXISTS (\
                       SELECT 1 FROM meter_backfills b WHERE b.id = meter_backfill_lanes.backfill) \
                       OR NOT EXISTS (SELECT 1 FROM shipped h WHERE h.boot = meter_backfill_lanes.boot \
                         AND h.lane = meter_backfill_lanes.lane AND h.upto < meter_backfill_lanes.ends))";
        gone += run(sql(borders), &mut tx).await?;
        tx.commit().await?;
        Ok(gone + self.sweep_meters().await?)
    }

    /// Forgets some of what meters left that are gone.
    async fn sweep_meters(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin_write().await?;
        let dead = "SELECT series FROM meter_series WHERE series NOT IN (SELECT series FROM meters) \
                    ORDER BY series LIMIT 1";
        let Some(row) = crate::sql::one(sql(dead), &mut tx).await? else {
            tx.rollback().await?;
            return Ok(0);
        };
        let series = row.int(0)?;
        let mut gone = 0;
        for text in [
            "DELETE FROM meter_minute WHERE series = $1 AND (start_us, number) IN (SELECT start_us, number \
             FROM meter_minute WHERE series = $1 LIMIT $2)",
            "DELETE FROM meter_hour WHERE series = $1 AND (start_us, number) IN (SELECT start_us, number \
             FROM meter_hour WHERE series = $1 LIMIT $2)",
            "DELETE FROM meter_sketches WHERE series = $1 AND (step, start_us, number) IN (SELECT step, start_us, \
             number FROM meter_sketches WHERE series = $1 LIMIT $2)",
            "DELETE FROM meter_groups WHERE series = $1 AND number IN (SELECT number FROM meter_groups \
             WHERE series = $1 LIMIT $2)",
        ] {
            gone += run(sql(text).bind(series).bind(ROWS), &mut tx).await?;
        }
        if gone == 0 {
            gone = run(sql("DELETE FROM meter_series WHERE series = $1").bind(series), &mut tx).await?;
        }
        tx.commit().await?;
        Ok(gone)
    }
}
