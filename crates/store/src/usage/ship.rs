//! Taking over what the journals hold, exactly once (I13).
//!
//! Each lane has one row that says up to which position everything was taken over. It is locked
//! first; records below it were counted before and are skipped, however often and in whatever pieces
//! they come again. Sums and the new position commit together.

use sqlx::AnyConnection;
use tollgate_journal::{Batch, Mark, StoredRecord};

use super::{Shipped, packed::Rest, rollup::Sums};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, bulk, one, only, places, rows_max, run, sql},
};

impl Store {
    /// Takes over batches in one transaction: roll-ups, quotas, last uses, raw decisions when `keep`
    /// is set. However often a range comes, it counts once (I13).
    ///
    /// # Errors
    /// When the database cannot be written; unless the commit itself was cut off nothing was taken
    /// over. Shipping the same again is right in any case.
    pub async fn ship(&self, batches: &[Batch], keep: bool) -> Result<Shipped, StoreError> {
        let mut batches: Vec<&Batch> = batches.iter().collect();
        // One order for all who ship, so that none waits for another in a circle.
        batches.sort_by_key(|batch| (batch.boot, batch.lane, batch.from));
        let mut tx = self.begin_write().await?;
        let mut shipped = Shipped::default();
        let mut sums = Sums::default();
        for batch in batches {
            let taken = take_over(&mut tx, batch).await?;
            shipped.lost += taken.lost;
            shipped.records += taken.records.len() as u64;
            for record in taken.records {
                sums.add(record);
            }
            if keep {
                keep_decisions(&mut tx, batch, taken.records).await?;
            }
        }
        shipped.quotas = sums.write(&mut tx).await?;
        tx.commit().await?;
        Ok(shipped)
    }

    /// Where each lane goes on: what to hand to the journal's reader.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn shipped_marks(&self) -> Result<Vec<Mark>, StoreError> {
        let mut conn = self.reader().await?;
        let rows = all(sql("SELECT boot, lane, upto FROM shipped ORDER BY boot, lane"), &mut conn).await?;
        rows.iter()
            .map(|row| {
                Ok(Mark {
                    boot: row.count(0)?,
                    lane: crate::keys::small(row.int(1)?),
                    position: row.count(2)?,
                })
            })
            .collect()
    }

    /// Where one lane goes on; 0 when nothing of it was shipped.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn shipped_upto(&self, boot: u64, lane: u16) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let select = sql("SELECT upto FROM shipped WHERE boot = $1 AND lane = $2");
        let row = one(select.bind(boot as i64).bind(i64::from(lane)), &mut conn).await?;
        row.map_or(Ok(0), |row| row.count(0))
    }

    /// How many records nodes lost to power cuts and damage, over all time (I14).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn records_lost(&self) -> Result<u64, StoreError> {
        let mut conn = self.reader().await?;
        let row = only(sql("SELECT CAST(COALESCE(SUM(lost), 0) AS BIGINT) FROM shipped"), &mut conn).await?;
        row.count(0)
    }
}

struct Taken<'b> {
    records: &'b [StoredRecord],
    lost: u64,
}

/// Locks the lane, moves its position, and gives the records that are new.
async fn take_over<'b>(conn: &mut AnyConnection, batch: &'b Batch) -> Result<Taken<'b>, StoreError> {
    let (boot, lane) = (batch.boot as i64, i64::from(batch.lane));
    let make = sql("INSERT INTO shipped (boot, lane, upto, lost) VALUES ($1, $2, 0, 0) \
                    ON CONFLICT (boot, lane) DO NOTHING");
    run(make.bind(boot).bind(lane), conn).await?;
    let lock = sql("UPDATE shipped SET upto = upto WHERE boot = $1 AND lane = $2 RETURNING upto");
    let upto = only(lock.bind(boot).bind(lane), conn).await?.count(0)?;
    let lost = batch.lost.min(batch.from.saturating_sub(upto));
    let old = batch.records.iter().take_while(|record| record.position < upto).count();
    let records = batch.records.get(old..).unwrap_or_default();
    if batch.to > upto {
        let advance = sql("UPDATE shipped SET upto = $1, lost = lost + $2 WHERE boot = $3 AND lane = $4");
        run(advance.bind(batch.to as i64).bind(lost as i64).bind(boot).bind(lane), conn).await?;
    }
    Ok(Taken { records, lost })
}

async fn keep_decisions(
    conn: &mut AnyConnection,
    batch: &Batch,
    records: &[StoredRecord],
) -> Result<(), StoreError> {
    for part in records.chunks(rows_max(11)) {
        let text = format!(
            "INSERT INTO decisions (boot, lane, number, at_us, key, consumer, project, tenant, service, code, \
             rest) VALUES {} ON CONFLICT (boot, lane, number) DO NOTHING",
            places(part.len(), 11)
        );
        let mut statement = bulk(text);
        for record in part {
            let entry = &record.entry;
            statement = statement
                .bind(batch.boot as i64)
                .bind(i64::from(batch.lane))
                .bind(record.decision as i64)
                .bind(entry.at_us)
                .bind(entry.key as i64)
                .bind(entry.consumer as i64)
                .bind(entry.project as i64)
                .bind(entry.tenant as i64)
                .bind(entry.service as i64)
                .bind(i64::from(entry.code))
                .bind(Rest::pack(record));
        }
        run(statement, conn).await?;
    }
    Ok(())
}
