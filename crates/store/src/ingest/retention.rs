//! Forgetting records, ids and names that are past their time; never a record that a sink still waits for.

use sqlx::AnyConnection;

use super::SHARD;
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, only, run, sql},
};

/// Rows that go in one statement.
const ROWS: i64 = 64;

impl Store {
    /// Forgets blocks of records received before a moment, as far as every sink has passed them and nothing of
    /// them is held. Says how many rows went; to be repeated until none does.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_events_before(&self, received_us: i64) -> Result<u64, StoreError> {
        let delete = "DELETE FROM event_blocks WHERE shard = $1 AND starts IN (\
                        SELECT starts FROM event_blocks WHERE shard = $1 AND received_us < $2 \
                          AND starts + records <= (\
                            SELECT COALESCE(MIN(sent), 9223372036854775807) FROM outbox_relays WHERE shard = $1) \
                          AND starts + records <= (\
                            SELECT COALESCE(MIN(position), 9223372036854775807) FROM outbox_parked \
                            WHERE shard = $1 AND state < 3) \
                        ORDER BY received_us LIMIT $3)";
        let mut tx = self.begin_write().await?;
        // A sink that is new at this moment is seen, or begins after what goes.
        hold_shard(&mut tx).await?;
        let gone = run(sql(delete).bind(SHARD).bind(received_us).bind(ROWS), &mut tx).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// Bytes of the records that lie in the database, as they are packed. Looks at no data.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn kept_event_bytes(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let sum =
            sql("SELECT CAST(COALESCE(SUM(LENGTH(packed)), 0) AS BIGINT) FROM event_blocks WHERE shard = $1");
        only(sum.bind(SHARD), &mut conn).await?.count(0)
    }

    /// Forgets ids and names of requests received before a moment: what comes again after that is new.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget_event_ids_before(&self, received_us: i64) -> Result<u64, StoreError> {
        let ids = "DELETE FROM event_ids WHERE shard = $1 AND starts IN (\
                     SELECT starts FROM event_ids WHERE shard = $1 AND received_us < $2 ORDER BY received_us LIMIT $3)";
        let names = "DELETE FROM event_batches WHERE received_us < $1 AND name IN (\
                       SELECT name FROM event_batches WHERE received_us < $1 ORDER BY received_us LIMIT $2)";
        let mut tx = self.begin_write().await?;
        let mut gone = run(sql(ids).bind(SHARD).bind(received_us).bind(ROWS), &mut tx).await?;
        gone += run(sql(names).bind(received_us).bind(ROWS * 16), &mut tx).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// Holds the row of the shard until the end of the transaction; its answer is the position of the next record.
pub(crate) async fn hold_shard(conn: &mut AnyConnection) -> Result<u64, StoreError> {
    let hold = sql("UPDATE event_shards SET next = next WHERE shard = $1 RETURNING next").bind(SHARD);
    only(hold, conn).await?.count(0)
}
