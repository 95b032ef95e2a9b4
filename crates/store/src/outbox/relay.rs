//! The lease of a relay, its cursor, and reading on from there.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use tollgate_core::{id::TenantId, notice::NoticeKind};

use super::parked::{NewParked, Policy, SettledSpan};
use crate::{
    error::StoreError,
    ingest::{Event, SHARD, each, hold_shard, unpack},
    notices::{self, Notice},
    open::Store,
    sql::{Columns as _, all, one, only, run, sql},
};

/// Blocks that are read at once.
const BLOCKS: i64 = 8;

/// The right to hand on the records of a shard to a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayLease {
    /// The sink.
    pub sink: String,
    /// Goes up whenever somebody begins.
    pub epoch: u64,
    /// All before this position were acknowledged or are parked.
    pub sent: u64,
}

/// Somebody else is the relay now; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another relay has taken over")]
pub struct RelayLost;

/// How far a sink is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The sink.
    pub sink: String,
    /// Records that it has not acknowledged.
    pub records: u64,
    /// When the oldest of them was received, wall microseconds.
    pub oldest_us: Option<i64>,
    /// Records that it did not take and that somebody has to look at.
    pub parked: u64,
    /// The epoch of the present relay.
    pub epoch: u64,
}

/// Unpacked blocks, to be gone through.
#[derive(Debug, Default)]
pub struct Outbox {
    /// First position, the one after the last, and what is in it; `None` when it does not unpack.
    blocks: Vec<(u64, u64, Option<Vec<u8>>)>,
    /// The position after the last record in here.
    pub ends: u64,
}

impl Outbox {
    /// The records from a position on, of so many blocks at most; damaged ones are among them.
    pub(crate) async fn read(
        conn: &mut AnyConnection,
        from: u64,
        blocks_max: i64,
    ) -> Result<Self, StoreError> {
        let select = sql("SELECT starts, records, packed FROM event_blocks WHERE shard = $1 AND starts >= (\
                            SELECT COALESCE(MAX(starts), 0) FROM event_blocks WHERE shard = $1 AND starts <= $2) \
                          ORDER BY starts LIMIT $3");
        let rows = all(select.bind(SHARD).bind(from as i64).bind(blocks_max), conn).await?;
        let mut outbox = Self { blocks: Vec::new(), ends: from };
        for row in &rows {
            let (starts, ends) = (row.count(0)?, row.count(0)? + row.count(1)?);
            if ends > from {
                outbox.blocks.push((starts, ends, unpack(row.blob(2)?)));
                outbox.ends = ends;
            }
        }
        Ok(outbox)
    }

    /// Goes through the records from a position on, in order.
    ///
    /// # Errors
    /// When a block is damaged.
    pub fn each<'o>(&'o self, from: u64, mut with: impl FnMut(Event<'o>)) -> Result<(), StoreError> {
        for (starts, _, raw) in self.blocks.iter().filter(|(_, ends, _)| *ends > from) {
            let read = raw.as_ref().and_then(|raw| {
                each(raw, *starts, |event| {
                    if event.position >= from {
                        with(event);
                    }
                })
            });
            read.ok_or_else(damaged)?;
        }
        Ok(())
    }

    /// Goes through the records from a position on, in order, of those blocks that are whole, and gives of each other
    /// one its first position and the one after its last: nothing of it is gone through.
    pub(crate) fn each_of_whole<'o>(&'o self, from: u64, mut with: impl FnMut(Event<'o>)) -> Vec<(u64, u64)> {
        let mut broken = Vec::new();
        for (starts, ends, raw) in self.blocks.iter().filter(|(_, ends, _)| *ends > from) {
            // Looked at to its end first: what comes before the damage may not be true either.
            let whole = raw.as_ref().filter(|raw| each(raw, *starts, |_| {}).is_some());
            let read = whole.and_then(|raw| {
                each(raw, *starts, |event| {
                    if event.position >= from {
                        with(event);
                    }
                })
            });
            if read.is_none() {
                broken.push((*starts, *ends));
            }
        }
        broken
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

impl Store {
    /// Takes the lease of a sink for a run of a process: a new one, one that has run out, or its own. `None` while
    /// another holds it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_relay(
        &self,
        sink: &str,
        boot: u64,
        (now_us, until_us): (i64, i64),
    ) -> Result<Option<RelayLease>, StoreError> {
        let mut tx = self.begin_write().await?;
        let make = sql("INSERT INTO outbox_relays (shard, sink, epoch, boot, until_us, sent) \
                        VALUES ($1, $2, 0, 0, 0, 0) ON CONFLICT (shard, sink) DO NOTHING");
        if run(make.bind(SHARD).bind(sink.to_owned()), &mut tx).await? > 0 {
            begin_epochs((SHARD, sink), &mut tx).await?;
            begin(sink, &mut tx).await?;
        }
        let take = sql("UPDATE outbox_relays SET epoch = epoch + 1, boot = $1, until_us = $2 \
                        WHERE shard = $3 AND sink = $4 AND (until_us <= $5 OR boot = $1) RETURNING epoch, sent");
        let take = take.bind(boot as i64).bind(until_us).bind(SHARD).bind(sink.to_owned()).bind(now_us);
        let row = one(take, &mut tx).await?;
        tx.commit().await?;
        row.map(|row| Ok(RelayLease { sink: sink.to_owned(), epoch: row.count(0)?, sent: row.count(1)? }))
            .transpose()
    }

    /// Moves the cursor of a lease, parks what the sink did not take, takes off the list what has gone on since, and
    /// keeps the lease until another moment, all in one commit: a tenant is never without what holds it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn advance_relay(
        &self,
        lease: &RelayLease,
        (sent, until_us): (u64, i64),
        parked: &[NewParked],
        settled: Option<SettledSpan>,
    ) -> Result<Result<(), RelayLost>, StoreError> {
        let mut tx = self.begin_write().await?;
        let update = sql("UPDATE outbox_relays SET sent = $1, until_us = $2 \
                          WHERE shard = $3 AND sink = $4 AND epoch = $5 AND sent <= $1");
        let update = update.bind(sent as i64).bind(until_us).bind(SHARD).bind(lease.sink.clone());
        if run(update.bind(lease.epoch as i64), &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(Err(RelayLost));
        }
        if let Some(settled) = settled {
            settled.settle(&lease.sink, &mut tx).await?;
        }
        for one in parked {
            run(one.insert(&lease.sink), &mut tx).await?;
        }
        notices::write_all(&mut tx, &told(&lease.sink, parked)).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Gives a lease back, so that another relay can begin at once.
    ///
    /// # Errors
    /// When the database cannot be written; the lease then runs out by itself.
    pub async fn leave_relay(&self, lease: &RelayLease) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        let update =
            sql("UPDATE outbox_relays SET until_us = 0 WHERE shard = $1 AND sink = $2 AND epoch = $3");
        run(update.bind(SHARD).bind(lease.sink.clone()).bind(lease.epoch as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// The records from a position on, some blocks of them.
    ///
    /// # Errors
    /// When the database cannot be read, or a block is damaged.
    pub async fn outbox(&self, from: u64) -> Result<Outbox, StoreError> {
        let mut conn = self.reader().await?;
        let outbox = Outbox::read(&mut conn, from, BLOCKS).await?;
        if outbox.blocks.iter().any(|(.., raw)| raw.is_none()) {
            return Err(damaged());
        }
        Ok(outbox)
    }

    /// How far each sink is behind.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outbox_lag(&self) -> Result<Vec<Lag>, StoreError> {
        let mut tx = self.begin_read().await?;
        let next = only(sql("SELECT next FROM event_shards WHERE shard = $1").bind(SHARD), &mut tx)
            .await?
            .count(0)?;
        let select = sql("SELECT sink, sent, epoch, (SELECT COUNT(*) FROM outbox_parked \
                            WHERE outbox_parked.shard = outbox_relays.shard \
                              AND outbox_parked.sink = outbox_relays.sink AND state < 3), \
                          (SELECT MIN(received_us) FROM event_blocks WHERE event_blocks.shard = outbox_relays.shard \
                            AND starts + records > sent) \
                          FROM outbox_relays WHERE shard = $1 ORDER BY sink");
        let rows = all(select.bind(SHARD), &mut tx).await?;
        tx.rollback().await?;
        let lag = |row: &crate::sql::Row| {
            Ok(Lag {
                sink: row.text(0)?.to_owned(),
                records: next.saturating_sub(row.count(1)?),
                oldest_us: row.opt_int(4)?,
                parked: row.count(3)?,
                epoch: row.count(2)?,
            })
        };
        rows.iter().map(lag).collect()
    }

    /// The position of the next record.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_end(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        only(sql("SELECT next FROM event_shards WHERE shard = $1").bind(SHARD), &mut conn).await?.count(0)
    }
}

fn damaged() -> StoreError {
    StoreError::corrupt("a block of records cannot be read")
}

/// One notice a tenant, however many of its records are parked at once.
fn told(sink: &str, parked: &[NewParked]) -> Vec<Notice> {
    let mut tenants: BTreeMap<TenantId, (u64, &NewParked)> = BTreeMap::new();
    for one in parked {
        tenants.entry(one.tenant).or_insert((0, one)).0 += 1;
    }
    let told = tenants.into_iter().map(|(tenant, (records, first))| {
        Notice::new(NoticeKind::OutboxParked, tenant, first.parked_us)
            .with("sink", sink)
            .with("records", records)
            .with("position", first.position)
            .with("event_id", first.event.clone())
            .with("event_type", first.kind.clone())
            .with("reason", first.reason.clone())
            .with("later_records", if first.policy == Policy::Hold { "wait" } else { "go on" })
    });
    told.collect()
}

/// A new sink begins with the oldest record that is still there. The row of the shard is held, so that nothing is
/// forgotten between looking and writing.
async fn begin(sink: &str, conn: &mut AnyConnection) -> Result<(), StoreError> {
    hold_shard(conn).await?;
    let begin = sql("UPDATE outbox_relays SET sent = COALESCE(\
                       (SELECT MIN(starts) FROM event_blocks WHERE shard = $1), \
                       (SELECT next FROM event_shards WHERE shard = $1)) WHERE shard = $1 AND sink = $2");
    run(begin.bind(SHARD).bind(sink.to_owned()), conn).await?;
    Ok(())
}

/// Lets the epochs of a sink that is new go on from those of all that were forgotten.
pub(super) async fn begin_epochs(
    (shard, sink): (i64, &str),
    conn: &mut AnyConnection,
) -> Result<(), StoreError> {
    let begin = sql("UPDATE outbox_relays SET epoch = (\
                       SELECT COALESCE(MAX(CAST(value AS BIGINT)), 0) FROM meta WHERE name = 'sink_epoch') \
                     WHERE shard = $1 AND sink = $2");
    run(begin.bind(shard).bind(sink.to_owned()), conn).await?;
    Ok(())
}
