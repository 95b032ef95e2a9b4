//! Handing on what is no record: the changes of the audit, and decisions about requests. Each has a cursor of its
//! own under a lease with an epoch, as the sinks of records have; they stand in the same table, at shards below
//! zero.

use sqlx::AnyConnection;

use super::relay::{Lag, RelayLost, begin_epochs};
use crate::{
    audit::{AuditRow, COLUMNS, audit_row},
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, built, bulk, one, only, places, rows_max, run, sql},
    usage::{Cursors, Parts, Recorded},
};

/// What is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Every change, from the first one on.
    Audit,
    /// Decisions about requests, from those on that were made after somebody first asked for them.
    Decisions,
}

impl Stream {
    /// Its name among the sinks.
    #[must_use]
    pub const fn sink(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Decisions => "decisions",
        }
    }

    const fn shard(self) -> i64 {
        match self {
            Self::Audit => -1,
            Self::Decisions => -2,
        }
    }
}

/// The right to hand it on, and how far it is: whoever has it moves that and writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamLease {
    /// What.
    pub stream: Stream,
    /// Goes up whenever somebody begins.
    pub epoch: u64,
    /// Changes: the number of the last one. Decisions: how many.
    pub sent: u64,
    /// Decisions: how far each lane is read.
    pub cursors: Cursors,
}

impl Store {
    /// Takes the lease for a run of a process: a new one, one that has run out, or its own. `None` while another
    /// holds it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn take_stream(
        &self,
        stream: Stream,
        boot: u64,
        (now_us, until_us): (i64, i64),
    ) -> Result<Option<StreamLease>, StoreError> {
        let mut tx = self.begin_write().await?;
        let make = sql("INSERT INTO outbox_relays (shard, sink, epoch, boot, until_us, sent) \
                        VALUES ($1, $2, 0, 0, 0, 0) ON CONFLICT (shard, sink) DO NOTHING");
        let is_new = run(make.bind(stream.shard()).bind(stream.sink().to_owned()), &mut tx).await? > 0;
        if is_new {
            begin_epochs((stream.shard(), stream.sink()), &mut tx).await?;
        }
        if is_new && stream == Stream::Decisions {
            let begin =
                sql("INSERT INTO outbox_reads (boot, lane, position) SELECT boot, lane, kept FROM shipped");
            run(begin, &mut tx).await?;
        }
        let take = sql("UPDATE outbox_relays SET epoch = epoch + 1, boot = $1, until_us = $2 \
                        WHERE shard = $3 AND sink = $4 AND (until_us <= $5 OR boot = $1) RETURNING epoch, sent");
        let take = take.bind(boot as i64).bind(until_us).bind(stream.shard());
        let row = one(take.bind(stream.sink().to_owned()).bind(now_us), &mut tx).await?;
        let cursors = match stream {
            Stream::Audit => Cursors::default(),
            Stream::Decisions => cursors(&mut tx).await?,
        };
        tx.commit().await?;
        row.map(|row| Ok(StreamLease { stream, epoch: row.count(0)?, sent: row.count(1)?, cursors }))
            .transpose()
    }

    /// Writes down how far it is and keeps the lease until another moment.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn advance_stream(
        &self,
        lease: &StreamLease,
        until_us: i64,
    ) -> Result<Result<(), RelayLost>, StoreError> {
        const COLUMNS: usize = 3;
        let mut tx = self.begin_write().await?;
        let update = sql("UPDATE outbox_relays SET sent = $1, until_us = $2 \
                          WHERE shard = $3 AND sink = $4 AND epoch = $5 AND sent <= $1");
        let update = update.bind(lease.sent as i64).bind(until_us).bind(lease.stream.shard());
        if run(update.bind(lease.stream.sink().to_owned()).bind(lease.epoch as i64), &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(Err(RelayLost));
        }
        for part in lease.cursors.all().chunks(rows_max(COLUMNS)) {
            let text = format!(
                "INSERT INTO outbox_reads (boot, lane, position) VALUES {} \
                 ON CONFLICT (boot, lane) DO UPDATE SET position = excluded.position \
                 WHERE outbox_reads.position < excluded.position",
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

    /// Gives a lease back, so that another can begin at once.
    ///
    /// # Errors
    /// When the database cannot be written; the lease then runs out by itself.
    pub async fn leave_stream(&self, lease: &StreamLease) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        let leave =
            sql("UPDATE outbox_relays SET until_us = 0 WHERE shard = $1 AND sink = $2 AND epoch = $3");
        let leave = leave.bind(lease.stream.shard()).bind(lease.stream.sink().to_owned());
        run(leave.bind(lease.epoch as i64), &mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// The changes after a number, in their order, at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn changes_after(&self, seq: u64) -> Result<Vec<AuditRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM changes WHERE seq > $1 ORDER BY seq LIMIT 1000");
        let mut conn = self.reader().await?;
        all(built(text).bind(seq as i64), &mut conn).await?.iter().map(audit_row).collect()
    }

    /// The decisions after some cursors, which it moves: some thousands, in the order of their moments.
    ///
    /// # Errors
    /// When the database cannot be read; the cursors are as they were then.
    pub async fn decisions_on(&self, cursors: &mut Cursors) -> Result<Vec<Recorded>, StoreError> {
        self.recorded_on(cursors, Parts { texts: true, calls: true }).await
    }

    /// How far what is no record is behind. Decisions are counted in what nodes have shipped.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn stream_lag(&self) -> Result<Vec<Lag>, StoreError> {
        let mut tx = self.begin_read().await?;
        let select = sql("SELECT shard, sent, epoch FROM outbox_relays WHERE shard < 0 ORDER BY sink");
        let mut lags = Vec::new();
        for row in all(select, &mut tx).await? {
            let (stream, behind) = if row.int(0)? == Stream::Audit.shard() {
                let head = only(sql("SELECT COALESCE(MAX(seq), 0) FROM changes"), &mut tx).await?.count(0)?;
                (Stream::Audit, head.saturating_sub(row.count(1)?))
            } else {
                let unread = sql("SELECT CAST(COALESCE(SUM(records), 0) AS BIGINT) FROM decision_blocks b \
                                  WHERE starts >= COALESCE((SELECT position FROM outbox_reads r \
                                    WHERE r.boot = b.boot AND r.lane = b.lane), 0)");
                (Stream::Decisions, only(unread, &mut tx).await?.count(0)?)
            };
            let (sink, epoch) = (stream.sink().to_owned(), row.count(2)?);
            lags.push(Lag { sink, records: behind, oldest_us: None, parked: 0, epoch });
        }
        tx.rollback().await?;
        Ok(lags)
    }
}

/// How far each lane is read; what is said of lanes that are gone goes too.
async fn cursors(conn: &mut AnyConnection) -> Result<Cursors, StoreError> {
    let gone = sql("DELETE FROM outbox_reads WHERE NOT EXISTS (SELECT 1 FROM shipped \
                    WHERE shipped.boot = outbox_reads.boot AND shipped.lane = outbox_reads.lane)");
    run(gone, conn).await?;
    let rows = all(sql("SELECT boot, lane, position FROM outbox_reads"), conn).await?;
    let read = rows.iter().map(|row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)));
    Ok(Cursors::of(read.collect::<Result<Vec<_>, StoreError>>()?))
}
