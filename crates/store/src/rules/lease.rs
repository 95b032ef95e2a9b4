//! Which node watches, and how far it has read.

use sqlx::AnyConnection;

use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, bulk, one, places, rows_max, run, sql},
    usage::Cursors,
};

/// The right to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLease {
    /// Goes up whenever somebody begins.
    pub epoch: u64,
}

/// Somebody else watches now; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another node watches for rules now")]
pub struct WatchLost;

impl Store {
    /// Takes the watch for a node until a moment: a free one, one that has run out, or the one of its own run
    /// before. `None` while another node has it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_watch(
        &self,
        node: u64,
        (now_us, until_us): (i64, i64),
    ) -> Result<Option<WatchLease>, StoreError> {
        let mut tx = self.begin_write().await?;
        let take = sql("UPDATE rule_watch SET epoch = epoch + 1, node = $1, until_us = $2 \
                        WHERE id = 1 AND (until_us <= $3 OR node = $1) RETURNING epoch");
        let row = one(take.bind(node as i64).bind(until_us).bind(now_us), &mut tx).await?;
        tx.commit().await?;
        row.map(|row| Ok(WatchLease { epoch: row.count(0)? })).transpose()
    }

    /// Keeps the watch until another moment and notes how far was read: what is older may be packed anew.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_watch(
        &self,
        lease: WatchLease,
        until_us: i64,
        cursors: &Cursors,
    ) -> Result<Result<(), WatchLost>, StoreError> {
        let mut tx = self.begin_write().await?;
        let keep = sql("UPDATE rule_watch SET until_us = $1 WHERE id = 1 AND epoch = $2");
        if run(keep.bind(until_us).bind(lease.epoch as i64), &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(Err(WatchLost));
        }
        const COLUMNS: usize = 3;
        for part in cursors.all().chunks(rows_max(COLUMNS)) {
            let text = format!(
                "INSERT INTO rule_reads (boot, lane, position) VALUES {} \
                 ON CONFLICT (boot, lane) DO UPDATE SET position = excluded.position \
                 WHERE rule_reads.position <> excluded.position",
                places(part.len(), COLUMNS)
            );
            let insert = part.iter().fold(bulk(text), |insert, (boot, lane, position)| {
                insert.bind(*boot).bind(*lane).bind(*position)
            });
            run(insert, &mut tx).await?;
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Gives the watch back, so that another node can begin at once.
    ///
    /// # Errors
    /// When the database cannot be written; it then runs out by itself.
    pub async fn leave_watch(&self, lease: WatchLease) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        let leave = sql("UPDATE rule_watch SET until_us = 0 WHERE id = 1 AND epoch = $1");
        run(leave.bind(lease.epoch as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Holds the watch to the end of a transaction; `false` when it is somebody else's.
pub(super) async fn hold(conn: &mut AnyConnection, lease: WatchLease) -> Result<bool, StoreError> {
    let hold = sql("UPDATE rule_watch SET until_us = until_us WHERE id = 1 AND epoch = $1");
    Ok(run(hold.bind(lease.epoch as i64), conn).await? > 0)
}
