//! Filling a snapshot from nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::AnyConnection;
use tollgate_core::tables::Snapshot;

use super::{
    Applied,
    keys::{Which, load_consumers, load_keys, load_slow},
    read_head,
    tables::load_tables,
};
use crate::{
    error::StoreError,
    open::Store,
    rules::load_blocks,
    sql::{Columns as _, only, sql},
};

/// Keys that are read at a time, on average: ids are uniform, so equal ranges hold equal numbers.
const KEYS_A_RANGE: u64 = 2_000;

impl Store {
    /// Loads everything.
    ///
    /// The head and the small tables come from one state of the database. Keys are read after that
    /// on several connections; where they saw something newer, the first [`Store::catch_up`] applies
    /// the same again, and versions keep anything from going back (I5).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load(&self, snapshot: &Snapshot) -> Result<Applied, StoreError> {
        let mut tx = self.begin_read().await?;
        let applied = read_head(self.engine(), &mut tx).await?;
        let tables = load_tables(self, &mut tx, applied.seq).await?;
        let blocks = load_blocks(&mut tx).await?;
        let count = "SELECT (SELECT COUNT(*) FROM keys) + (SELECT COUNT(*) FROM consumers)";
        let keys = only(sql(count), &mut tx).await?.count(0)?;
        tx.rollback().await?;

        let ranges = Ranges { count: (keys / KEYS_A_RANGE).clamp(1, 1 << 20), next: AtomicU64::new(0) };
        let lane = || self.load_ranges(&ranges, snapshot);
        tokio::try_join!(lane(), lane(), lane(), lane())?;
        snapshot.replace_tables(tables);
        snapshot.replace_blocks(blocks);
        Ok(applied)
    }

    /// How many keys there are: the room a snapshot needs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_keys(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        only(sql("SELECT COUNT(*) FROM keys"), &mut conn).await?.count(0)
    }

    async fn load_ranges(&self, ranges: &Ranges, snapshot: &Snapshot) -> Result<(), StoreError> {
        let mut conn = self.reader().await?;
        let (narrow, widen) = self.engine().read_once().unzip();
        if let Some(narrow) = narrow {
            sqlx::raw_sql(narrow).execute(&mut *conn).await?;
        }
        let loaded = self.load_next_ranges(&mut conn, ranges, snapshot).await;
        // The connection goes back to others, whatever came of this.
        if let Some(widen) = widen {
            sqlx::raw_sql(widen).execute(&mut *conn).await?;
        }
        loaded
    }

    async fn load_next_ranges(
        &self,
        conn: &mut AnyConnection,
        ranges: &Ranges,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        while let Some((low, high)) = ranges.next() {
            let which = Which::Range(low, high);
            load_consumers(conn, &which, snapshot).await?;
            load_keys(self.engine(), conn, &which, snapshot).await?;
            load_slow(conn, &which, snapshot).await?;
        }
        Ok(())
    }
}

/// All ids, cut into equal ranges that several connections take in turn.
struct Ranges {
    count: u64,
    next: AtomicU64,
}

impl Ranges {
    fn next(&self) -> Option<(i64, i64)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            return None;
        }
        let width = (1u64 << 63) / self.count;
        let low = (number * width) as i64;
        let high = if number + 1 == self.count { i64::MAX } else { ((number + 1) * width) as i64 };
        Some((low, high))
    }
}
