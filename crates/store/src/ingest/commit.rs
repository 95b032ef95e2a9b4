//! One group into one transaction.
//!
//! The row of the shard is held first, but for what was there at the start, which is read before: from then on no other process appends, and what others have added since
//! is read before anything is decided. What is known changes only after the commit; where its outcome is not
//! known, the next group reads what became of it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::AnyConnection;
use tollgate_core::{
    event::{NotTaken, Taken},
    id::{BatchId, TenantId},
    key::Digest,
};

use super::{
    SHARD,
    block::{Builder, Packed},
    known::{Fresh, Known, packed, unpacked},
    queue::{Answer, IngestOptions, Waiting, answer},
    retention::hold_shard,
};
use crate::{
    error::StoreError,
    open::Store,
    random,
    sql::{Columns as _, all, built, bulk, list, only, places, rows_max, run, sql},
};

/// Rows of ids that are read at once.
const ID_ROWS: i64 = 64;
/// Blocks in one statement.
const BLOCKS_MAX: usize = 16;

/// Commits groups.
pub(super) struct Committer {
    pub(super) store: Store,
    pub(super) known: Known,
    pub(super) options: IngestOptions,
    /// Counts what it writes.
    pub(super) written_bytes: Arc<AtomicU64>,
}

/// What a name stands for.
struct Named {
    request: Vec<u8>,
    taken: Taken,
}

/// What a group adds.
#[derive(Default)]
struct Added {
    blocks: Vec<Packed>,
    /// In the order of their records.
    ids: Vec<u128>,
    names: Vec<(TenantId, Digest, Digest, Taken)>,
    next: u64,
    received_us: i64,
}

impl Committer {
    /// Commits a group and answers each of its batches.
    pub(super) async fn commit(&mut self, group: Vec<Waiting>) {
        let answers = match self.try_commit(&group).await {
            Ok(answers) => answers,
            Err(failed) => {
                let refusal = match &failed {
                    Failed::Before(error) => {
                        tracing::warn!(%error, cause = error.cause(), batches = group.len(), "records were refused");
                        NotTaken::Overloaded {
                            why: "the database does not take records now",
                            retry_after_s: 1,
                        }
                    }
                    Failed::InCommit(error) => {
                        tracing::error!(%error, cause = error.cause(), batches = group.len(), "a commit of records failed");
                        NotTaken::Unavailable
                    }
                };
                group.iter().map(|_| Err(refusal.clone())).collect()
            }
        };
        answer(group, answers);
    }

    async fn try_commit(&mut self, group: &[Waiting]) -> Result<Vec<Answer>, Failed> {
        self.known.forget_before(self.since(group));
        if !self.known.is_loaded {
            self.load(group).await?;
        }
        let mut tx = self.store.begin_write().await?;
        let next = hold_shard(&mut tx).await?;
        if self.known.next != next {
            self.read_ids(&mut tx, self.known.next as i64).await?;
            self.known.next = next;
        }
        let mut named = names(&mut tx, group).await?;
        let (answers, added) = self.decide(group, next, &mut named)?;
        write(&mut tx, &added).await?;
        for (waiting, answer) in group.iter().zip(&answers) {
            if let (Some(beside), Ok((_, is_new))) = (&waiting.beside, answer) {
                beside.write(&mut tx, is_new).await?;
            }
        }
        tx.commit().await.map_err(|error| Failed::InCommit(error.into()))?;
        let bytes: usize = added.blocks.iter().map(|block| block.packed.len()).sum();
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.known.extend(added.ids, added.received_us);
        self.known.next = added.next;
        Ok(answers)
    }

    /// The moment from which on ids are remembered.
    fn since(&self, group: &[Waiting]) -> i64 {
        let latest = group.iter().map(|waiting| waiting.batch.received_us).max().unwrap_or(0);
        latest.saturating_sub(self.options.remembered_us)
    }

    /// Reads the ids that are there from before. Others go on writing meanwhile; what they add is read again once
    /// the row of the shard is held.
    async fn load(&mut self, group: &[Waiting]) -> Result<(), StoreError> {
        let mut conn = self.store.reader().await?;
        let next = sql("SELECT next FROM event_shards WHERE shard = $1").bind(SHARD);
        let next = only(next, &mut conn).await?.count(0)?;
        let from = oldest(&mut conn, self.since(group), self.options.ids_max as u64).await?;
        self.read_ids(&mut conn, from).await?;
        (self.known.next, self.known.is_loaded) = (next, true);
        Ok(())
    }

    /// Reads the ids from a row on.
    async fn read_ids(&mut self, conn: &mut AnyConnection, mut from: i64) -> Result<(), StoreError> {
        loop {
            let select = sql("SELECT starts, received_us, packed FROM event_ids \
                              WHERE shard = $1 AND starts >= $2 ORDER BY starts LIMIT $3");
            let rows = all(select.bind(SHARD).bind(from).bind(ID_ROWS), conn).await?;
            for row in &rows {
                self.known.extend(unpacked(row.blob(2)?), row.int(1)?);
                from = row.int(0)? + 1;
            }
            if rows.len() < ID_ROWS as usize {
                return Ok(());
            }
        }
    }

    /// What becomes of each batch, in the order in which they came.
    fn decide(
        &self,
        group: &[Waiting],
        next: u64,
        named: &mut HashMap<(TenantId, Vec<u8>), Named>,
    ) -> Result<(Vec<Answer>, Added), StoreError> {
        let mut builder = Builder::new(next).map_err(cannot_pack)?;
        let (mut added, mut fresh) = (Added::default(), Fresh::default());
        let mut answers = Vec::with_capacity(group.len());
        for Waiting { batch, .. } in group {
            let tenant = batch.sender.tenant;
            if let Some(name) = batch.name
                && let Some(before) = named.get(&(tenant, name.name.0.to_vec()))
            {
                let is_same = before.request == name.request.0;
                answers.push(if is_same {
                    Ok((Taken { replayed: true, ..before.taken }, Vec::new()))
                } else {
                    Err(NotTaken::NameConflict)
                });
                continue;
            }
            let id = BatchId::from_random(random::id_bytes()?);
            let is_new: Vec<bool> = batch
                .records
                .iter()
                .map(|record| match batch.identity(record) {
                    None => true,
                    Some(identity) if self.known.contains(identity) || !fresh.insert(identity) => false,
                    Some(identity) => {
                        added.ids.push(identity);
                        true
                    }
                })
                .collect();
            let takes = |index: usize| is_new.get(index).copied().unwrap_or(false);
            builder.add((batch, id), takes, &mut added.blocks).map_err(cannot_pack)?;
            let accepted = is_new.iter().filter(|is_new| **is_new).count() as u64;
            let taken =
                Taken { batch: id, accepted, duplicates: is_new.len() as u64 - accepted, replayed: false };
            added.received_us = added.received_us.max(batch.received_us);
            if let Some(name) = batch.name {
                let named_now = Named { request: name.request.0.to_vec(), taken };
                named.insert((tenant, name.name.0.to_vec()), named_now);
                added.names.push((tenant, name.name, name.request, taken));
            }
            answers.push(Ok((taken, is_new)));
        }
        added.blocks.extend(builder.finish().map_err(cannot_pack)?);
        added.next = builder.next();
        Ok((answers, added))
    }
}

/// Where a group failed.
enum Failed {
    /// Nothing was kept.
    Before(StoreError),
    /// Whether it was kept is not known.
    InCommit(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Before(error)
    }
}

fn cannot_pack(error: std::io::Error) -> StoreError {
    StoreError::corrupt(format!("records cannot be packed: {error}"))
}

/// The first row of ids to be read at the start: so many back, and none from before `since`.
async fn oldest(conn: &mut AnyConnection, since: i64, ids_max: u64) -> Result<i64, StoreError> {
    let (mut from, mut ids) = (i64::MAX, 0);
    loop {
        let select =
            sql("SELECT starts, ids FROM event_ids WHERE shard = $1 AND starts < $2 AND received_us >= $3 \
                          ORDER BY starts DESC LIMIT 1024");
        let rows = all(select.bind(SHARD).bind(from).bind(since), conn).await?;
        for row in &rows {
            from = row.int(0)?;
            ids += row.count(1)?;
            if ids >= ids_max {
                return Ok(from);
            }
        }
        if rows.is_empty() {
            return Ok(from);
        }
    }
}

/// What is known of the names of a group.
async fn names(
    conn: &mut AnyConnection,
    group: &[Waiting],
) -> Result<HashMap<(TenantId, Vec<u8>), Named>, StoreError> {
    let wanted: Vec<Vec<u8>> =
        group.iter().filter_map(|waiting| waiting.batch.name).map(|name| name.name.0.to_vec()).collect();
    let mut named = HashMap::new();
    for part in wanted.chunks(rows_max(1)) {
        let text = format!(
            "SELECT tenant, name, request, batch, accepted, duplicates FROM event_batches WHERE name IN ({})",
            list(1, part.len())
        );
        let select = part.iter().fold(built(text), |select, name| select.bind(name.clone()));
        for row in all(select, conn).await? {
            let taken = Taken {
                batch: BatchId::from_sql(row.int(3)?),
                accepted: row.count(4)?,
                duplicates: row.count(5)?,
                replayed: true,
            };
            let key = (TenantId::from_sql(row.int(0)?), row.blob(1)?.to_vec());
            named.insert(key, Named { request: row.blob(2)?.to_vec(), taken });
        }
    }
    Ok(named)
}

async fn write(conn: &mut AnyConnection, added: &Added) -> Result<(), StoreError> {
    for part in added.blocks.chunks(BLOCKS_MAX) {
        let text = format!(
            "INSERT INTO event_blocks (shard, starts, records, from_us, to_us, received_us, holds, packed) VALUES {}",
            places(part.len(), 8)
        );
        let insert = part.iter().fold(bulk(text), |insert, block| {
            insert
                .bind(SHARD)
                .bind(block.starts as i64)
                .bind(i64::from(block.records))
                .bind(block.from_us)
                .bind(block.to_us)
                .bind(block.received_us)
                .bind(block.holds)
                .bind(block.packed.clone())
        });
        run(insert, conn).await?;
    }
    if let (Some(first), false) = (added.blocks.first(), added.ids.is_empty()) {
        let insert = sql(
            "INSERT INTO event_ids (shard, starts, ids, received_us, packed) VALUES ($1, $2, $3, $4, $5)",
        );
        let insert = insert.bind(SHARD).bind(first.starts as i64).bind(added.ids.len() as i64);
        run(insert.bind(added.received_us).bind(packed(&added.ids)), conn).await?;
    }
    for part in added.names.chunks(rows_max(7)) {
        let text = format!(
            "INSERT INTO event_batches (tenant, name, request, batch, accepted, duplicates, received_us) VALUES {}",
            places(part.len(), 7)
        );
        let insert = part.iter().fold(bulk(text), |insert, (tenant, name, request, taken)| {
            insert
                .bind(tenant.to_sql())
                .bind(name.0.to_vec())
                .bind(request.0.to_vec())
                .bind(taken.batch.to_sql())
                .bind(taken.accepted as i64)
                .bind(taken.duplicates as i64)
                .bind(added.received_us)
        });
        run(insert, conn).await?;
    }
    let advance =
        sql("UPDATE event_shards SET next = $1 WHERE shard = $2").bind(added.next as i64).bind(SHARD);
    run(advance, conn).await?;
    Ok(())
}
