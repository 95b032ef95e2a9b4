//! Following the numbered changes.

use std::collections::BTreeSet;

use sqlx::AnyConnection;
use tollgate_core::{key::Digest, tables::Snapshot};

use super::{
    Applied,
    keys::{Which, digest, load_consumers, load_keys, load_prefixes, load_slow},
    tables::load_tables,
};
use crate::{
    chain,
    error::StoreError,
    open::Store,
    rules::load_blocks,
    sql::{Columns as _, Row, all, one, sql},
};

/// Changes applied at a time.
const CHANGES_MAX: i64 = 1000;
/// Ids asked for in one statement.
const IDS_MAX: usize = 500;

/// What some changes ask to be read anew.
#[derive(Default)]
struct Asked {
    tables: bool,
    blocks: bool,
    keys: BTreeSet<i64>,
    consumers: BTreeSet<i64>,
    imports: Vec<i64>,
    /// Digests that were replaced, with the version from which they are gone.
    removed: Vec<(Digest, u32)>,
    /// Prefixes of slow hashes that were replaced.
    prefixes: Vec<Digest>,
}

impl Store {
    /// Brings a snapshot up to the head. Cheap when nothing changed: one row is read.
    ///
    /// # Errors
    /// When the database cannot be read; the snapshot then is as it was, or further.
    pub async fn catch_up(&self, snapshot: &Snapshot, applied: &Applied) -> Result<Applied, StoreError> {
        let head = self.head_row().await?;
        if (head.installation, head.seq, head.hash) == (applied.installation, applied.seq, applied.hash) {
            return Ok(*applied);
        }
        if !self.same_history(applied).await? {
            tracing::error!(
                known = applied.seq,
                head = head.seq,
                "the database has another history than before (restored, or failed over with loss); \
                 everything is loaded anew, revoked keys stay revoked in this process"
            );
            let loaded = self.load(snapshot).await?;
            return Ok(Applied { restored: true, ..loaded });
        }
        let mut applied = *applied;
        while applied.seq < head.seq {
            applied = self.apply_changes(snapshot, applied).await?;
        }
        Ok(applied)
    }

    /// The number of the last change.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<u64, StoreError> {
        Ok(self.head_row().await?.seq)
    }

    /// Whether the database still has the history that `applied` was taken from; for a marker kept
    /// outside the database (I23).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn same_history(&self, applied: &Applied) -> Result<bool, StoreError> {
        let head = self.head_row().await?;
        if head.installation != applied.installation || head.seq < applied.seq {
            return Ok(false);
        }
        if applied.seq == 0 {
            return Ok(applied.hash == chain::genesis(applied.installation as i64));
        }
        let mut conn = self.reader().await?;
        let select = sql("SELECT hash FROM changes WHERE seq = $1").bind(applied.seq as i64);
        let row = one(select, &mut conn).await?;
        row.map_or(Ok(false), |row| Ok(row.blob(0)? == applied.hash))
    }

    async fn head_row(&self) -> Result<Applied, StoreError> {
        let mut conn = self.reader().await?;
        super::read_head(self.engine(), &mut conn).await
    }

    /// Applies the next changes, from one state of the database.
    async fn apply_changes(&self, snapshot: &Snapshot, applied: Applied) -> Result<Applied, StoreError> {
        let mut tx = self.begin_read().await?;
        let text = "SELECT seq, hash, entity, entity_id, action, before, version FROM changes \
                    WHERE seq > $1 ORDER BY seq LIMIT $2";
        let rows = all(sql(text).bind(applied.seq as i64).bind(CHANGES_MAX), &mut tx).await?;
        let mut asked = Asked::default();
        let mut next = Applied { restored: false, ..applied };
        for row in &rows {
            let seq = row.count(0)?;
            // The head is only moved together with its rows, so a gap is a damaged table.
            if seq != next.seq + 1 {
                return Err(StoreError::corrupt(format!("change {} is missing", next.seq + 1)));
            }
            asked.note(row)?;
            next = Applied { seq, hash: row.hash(1)?, ..next };
        }
        if rows.is_empty() {
            return Err(StoreError::corrupt(format!("change {} is missing", next.seq + 1)));
        }
        self.read_asked(&mut tx, snapshot, (&asked, next.seq)).await?;
        tx.rollback().await?;
        Ok(next)
    }

    async fn read_asked(
        &self,
        conn: &mut AnyConnection,
        snapshot: &Snapshot,
        (asked, seq): (&Asked, u64),
    ) -> Result<(), StoreError> {
        let engine = self.engine();
        for part in asked.keys.iter().copied().collect::<Vec<_>>().chunks(IDS_MAX) {
            load_keys(engine, conn, &Which::Ids(part), snapshot).await?;
            load_slow(conn, &Which::Ids(part), snapshot).await?;
        }
        for part in asked.consumers.iter().copied().collect::<Vec<_>>().chunks(IDS_MAX) {
            load_consumers(conn, &Which::Ids(part), snapshot).await?;
        }
        for import in &asked.imports {
            load_consumers(conn, &Which::Import(*import), snapshot).await?;
            load_keys(engine, conn, &Which::Import(*import), snapshot).await?;
            load_slow(conn, &Which::Import(*import), snapshot).await?;
        }
        load_prefixes(conn, &asked.prefixes, snapshot).await?;
        if asked.tables {
            snapshot.replace_tables(load_tables(self, conn, seq).await?);
        }
        if asked.blocks {
            snapshot.replace_blocks(load_blocks(conn).await?);
        }
        // Last: the fast digest is there before the one it replaces is gone.
        for (digest, version) in &asked.removed {
            snapshot.keyring.remove(digest, *version);
        }
        Ok(())
    }
}

impl Asked {
    fn note(&mut self, row: &Row) -> Result<(), StoreError> {
        let id = row.int(3)?;
        match row.text(2)? {
            "key" => {
                self.keys.insert(id);
                if row.text(4)? == "key.rehash" {
                    self.note_rehash(row)?;
                }
            }
            "consumer" => {
                self.consumers.insert(id);
            }
            // The small tables too: which shapes can be keys may have changed.
            "import" => {
                self.imports.push(id);
                self.tables = true;
            }
            // People, jobs and webhooks; requests are decided without them.
            "user" | "session" | "invitation" | "job" | "webhook" => {}
            "block" => self.blocks = true,
            // That a rule told something.
            "rule_firing" => {}
            // Funds; what is left of them is asked of the ledger.
            "account" => {}
            _ => self.tables = true,
        }
        Ok(())
    }

    fn note_rehash(&mut self, row: &Row) -> Result<(), StoreError> {
        let before: serde_json::Value = crate::resources::from_json(row.opt_text(5)?.unwrap_or("null"))?;
        let of = |name: &str| before.get(name).and_then(serde_json::Value::as_str).and_then(digest);
        let version = u32::try_from(row.int(6)?).unwrap_or(u32::MAX);
        self.removed.extend(of("digest").map(|digest| (digest, version)));
        self.prefixes.extend(of("prefix"));
        self.tables = true;
        Ok(())
    }
}
