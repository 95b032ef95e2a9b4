//! Counting records into meters: from the outbox, and in the commit that moves the cursor over them.

use tollgate_core::meter::set::Tally;

use crate::{
    error::StoreError,
    ingest::SHARD,
    meters::{Meters, is_same, record, write_tally},
    open::Store,
    outbox::{Outbox, RelayLease},
    sql::{run, sql},
};

impl Outbox {
    /// What meters count of the records from a position on.
    ///
    /// # Errors
    /// When a block is damaged.
    pub fn tally(&self, from: u64, meters: &Meters) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        self.each(from, |event| {
            record(meters, &event, &mut tally, |meter| event.position >= meter.from_position);
        })?;
        Ok(tally)
    }
}

/// What became of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It is in the database, and the cursor is behind it.
    Done,
    /// Somebody else counts now; nothing was written.
    Lost,
    /// Meters have changed meanwhile; nothing was written. Count again.
    Changed,
}

impl Store {
    /// Writes what was counted of the records before a position, moves the cursor there, and keeps the lease until
    /// a moment, all in one commit: so each record counts once.
    ///
    /// # Errors
    /// When the database cannot be written. Whether it was is not known then: take the lease again.
    pub async fn count_meters(
        &self,
        lease: &RelayLease,
        (sent, until_us): (u64, i64),
        (version, tally): (i64, &Tally),
    ) -> Result<Counting, StoreError> {
        let mut tx = self.begin_write().await?;
        let update = sql("UPDATE outbox_relays SET sent = $1, until_us = $2 \
                          WHERE shard = $3 AND sink = $4 AND epoch = $5 AND sent = $6");
        let update = update.bind(sent as i64).bind(until_us).bind(SHARD).bind(lease.sink.clone());
        if run(update.bind(lease.epoch as i64).bind(lease.sent as i64), &mut tx).await? == 0 {
            tx.rollback().await?;
            return Ok(Counting::Lost);
        }
        if !is_same(&mut tx, self.engine().share_row(), version).await? {
            tx.rollback().await?;
            return Ok(Counting::Changed);
        }
        write_tally(&mut tx, tally).await?;
        tx.commit().await?;
        Ok(Counting::Done)
    }
}
