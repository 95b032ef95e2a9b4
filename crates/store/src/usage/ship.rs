//! Taking over what the journals hold, exactly once (I13).
//!
//! Each lane has one row that says up to which position its records are summed up (`upto`) and lie in
//! blocks (`kept`, never behind). The row is locked first. Sums and `upto` commit together, blocks
//! and `kept` commit together; blocks may go first, so that no transaction is long.

use sqlx::{Any, AnyConnection, Transaction};
use tollgate_journal::{Batch, Mark};

use super::{
    Shipped,
    block::Packed,
    fold::Folds,
    intake::{Intake, Lane, Stands},
    uses::LastUses,
};
use crate::{
    error::StoreError,
    meters::{Meters, is_same, load_set, write_tally},
    open::Store,
    sql::{Columns as _, all, bulk, one, only, places, run, sql},
};

/// Blocks in one statement.
const BLOCKS_MAX: usize = 16;

/// What is written, or asked for, beside the counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct With {
    /// The last uses of secrets.
    pub uses: bool,
    /// The totals of the quotas that were charged. Only news where several nodes charge them.
    pub totals: bool,
}

/// How writing an intake went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the database.
    Done(Shipped),
    /// Nothing was written: somebody else has shipped a lane meanwhile. Begin anew.
    Overtaken,
}

impl Store {
    /// Begins an intake where the database stands; raw decisions are kept when `keep` is set.
    /// `uses` are last uses of secrets that an intake before has left.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn intake(&self, keep: bool, uses: LastUses) -> Result<Intake, StoreError> {
        let mut conn = self.reader().await?;
        // Read first: should meters change after it, writing finds that out.
        let meters = load_set(&mut conn).await?;
        let mut intake = Intake::new(keep).with_uses(uses).with_meters(meters);
        for row in all(sql("SELECT upto, kept, boot, lane FROM shipped"), &mut conn).await? {
            intake.lane(row.count(2)?, crate::keys::small(row.int(3)?), stands(&row)?);
        }
        Ok(intake)
    }

    /// Writes the finished blocks of an intake, nothing else.
    ///
    /// # Errors
    /// When the database cannot be written. The outcome is unknown then: begin a new intake.
    pub async fn keep_blocks(&self, intake: &mut Intake) -> Result<Taken, StoreError> {
        let mut tx = self.begin_shipping().await?;
        for lane in in_order(&mut intake.lanes) {
            let Some(last) = lane.full.last() else { continue };
            if lock(&mut tx, lane.boot, lane.lane).await?.kept != lane.stands.kept {
                tx.rollback().await?;
                return Ok(Taken::Overtaken);
            }
            insert(&mut tx, lane, &lane.full).await?;
            let text = "UPDATE shipped SET kept = $1 WHERE boot = $2 AND lane = $3";
            let advance = sql(text).bind(last.ends as i64).bind(lane.boot as i64).bind(i64::from(lane.lane));
            run(advance, &mut tx).await?;
        }
        tx.commit().await?;
        intake.kept();
        Ok(Taken::Done(Shipped::default()))
    }

    /// Writes an intake in one transaction: roll-ups, quotas, the rest of its blocks, and what `with`
    /// says. It is empty afterwards and can be filled on.
    ///
    /// # Errors
    /// When the database cannot be written. The outcome is unknown then: begin a new intake.
    pub async fn take_over(&self, intake: &mut Intake, with: With) -> Result<Taken, StoreError> {
        let mut tx = self.begin_shipping().await?;
        for lane in in_order(&mut intake.lanes) {
            if lane.has_more() && lock(&mut tx, lane.boot, lane.lane).await? != lane.stands {
                tx.rollback().await?;
                return Ok(Taken::Overtaken);
            }
        }
        let folds = Folds::hold(&mut tx, self.engine().share_row()).await?;
        // Meters that changed count from the journal again, as they are now.
        if !is_same(&mut tx, self.engine().share_row(), intake.meters.version()).await? {
            tx.rollback().await?;
            return Ok(Taken::Overtaken);
        }
        let shipped = write(&mut tx, (intake, &folds), with).await?;
        tx.commit().await?;
        intake.written(with.uses);
        Ok(Taken::Done(shipped))
    }

    /// A transaction that writes megabytes nobody reads soon, without the pages of the one before.
    async fn begin_shipping(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut tx = self.begin_write().await?;
        self.shrink_cache(&mut tx).await?;
        Ok(tx)
    }

    /// Takes over batches of a node's journals in one transaction: roll-ups, quotas, last uses, raw decisions when
    /// `keep` is set. However often a range comes, it counts once (I13). What calls in flight hold of quotas counts
    /// as used when that node starts anew ([`Store::count_quota_holds`]), whoever ships.
    ///
    /// # Errors
    /// When the database cannot be written; unless the commit itself was cut off nothing was taken
    /// over. Shipping the same again is right in any case.
    pub async fn ship(&self, node: u64, batches: &[Batch], keep: bool) -> Result<Shipped, StoreError> {
        let mut batches: Vec<&Batch> = batches.iter().collect();
        batches.sort_by_key(|batch| (batch.boot, batch.lane, batch.from));
        let mut tx = self.begin_write().await?;
        let held = is_same(&mut tx, self.engine().share_row(), 0).await?;
        let meters = if held { Meters::default() } else { load_set(&mut tx).await? };
        let mut intake = Intake::new(keep).with_meters(meters).read_by(node);
        let mut before = None;
        for batch in batches {
            if before.replace((batch.boot, batch.lane)) != Some((batch.boot, batch.lane)) {
                intake.lane(batch.boot, batch.lane, lock(&mut tx, batch.boot, batch.lane).await?);
            }
            intake.batch(batch);
        }
        let folds = Folds::hold(&mut tx, self.engine().share_row()).await?;
        let shipped = write(&mut tx, (&mut intake, &folds), With { uses: true, totals: true }).await?;
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

/// One order for all who ship, so that none waits for another in a circle.
fn in_order(lanes: &mut [Lane]) -> &[Lane] {
    lanes.sort_unstable_by_key(|lane| (lane.boot, lane.lane));
    lanes
}

/// Locks a lane and says where it stands.
async fn lock(conn: &mut AnyConnection, boot: u64, lane: u16) -> Result<Stands, StoreError> {
    let (boot, lane) = (boot as i64, i64::from(lane));
    let make = sql("INSERT INTO shipped (boot, lane, upto, kept, lost) VALUES ($1, $2, 0, 0, 0) \
                    ON CONFLICT (boot, lane) DO NOTHING");
    run(make.bind(boot).bind(lane), conn).await?;
    let lock = sql("UPDATE shipped SET upto = upto WHERE boot = $1 AND lane = $2 RETURNING upto, kept");
    stands(&only(lock.bind(boot).bind(lane), conn).await?)
}

fn stands(row: &crate::sql::Row) -> Result<Stands, StoreError> {
    Ok(Stands { upto: row.count(0)?, kept: row.count(1)? })
}

/// Writes all of an intake whose lanes are locked.
async fn write(
    conn: &mut AnyConnection,
    (intake, folds): (&mut Intake, &Folds),
    with: With,
) -> Result<Shipped, StoreError> {
    let mut shipped = Shipped { records: intake.records(), ..Shipped::default() };
    for lane in &mut intake.lanes {
        shipped.lost += lane.lost;
        lane.full.extend(lane.builder.finish());
        insert(conn, lane, &lane.full).await?;
        if lane.has_more() {
            let text =
                "UPDATE shipped SET upto = $1, kept = $2, lost = lost + $3 WHERE boot = $4 AND lane = $5";
            let Stands { upto, kept } = lane.reached();
            let advance = sql(text)
                .bind(upto as i64)
                .bind(kept as i64)
                .bind(lane.lost as i64)
                .bind(lane.boot as i64)
                .bind(i64::from(lane.lane));
            run(advance, conn).await?;
        }
    }
    if with.uses {
        intake.sums.give_uses(&mut intake.uses);
        intake.uses.write(conn).await?;
    }
    intake.models.write(conn).await?;
    intake.calls.write(conn).await?;
    write_tally(conn, &intake.tally).await?;
    shipped.quotas = intake.sums.write(conn, folds, (with.totals, intake.lessee)).await?;
    intake.holds.write(intake.node, conn).await?;
    // Last, because every lease of an account waits for its row.
    intake.draws.write(&intake.lanes, conn).await?;
    Ok(shipped)
}

/// Writes blocks of a lane. That one is there already cannot be while the lane stands where it
/// should, and is an error then, not a second copy.
async fn insert(conn: &mut AnyConnection, lane: &Lane, blocks: &[Packed]) -> Result<(), StoreError> {
    for part in blocks.chunks(BLOCKS_MAX) {
        insert_blocks(conn, (lane.boot as i64, i64::from(lane.lane)), part).await?;
    }
    Ok(())
}

/// Writes at most [`BLOCKS_MAX`] blocks.
pub(super) async fn insert_blocks(
    conn: &mut AnyConnection,
    (boot, lane): (i64, i64),
    blocks: &[Packed],
) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO decision_blocks (boot, lane, starts, number_min, number_max, from_us, to_us, records, codes, \
         holds, packed) VALUES {}",
        places(blocks.len(), 11)
    );
    let mut statement = bulk(text);
    for block in blocks {
        statement = statement
            .bind(boot)
            .bind(lane)
            .bind(block.starts as i64)
            .bind(block.number_min as i64)
            .bind(block.number_max as i64)
            .bind(block.from_us)
            .bind(block.to_us)
            .bind(i64::from(block.records))
            .bind(block.codes)
            .bind(block.holds.clone())
            .bind(block.packed.clone());
    }
    run(statement, conn).await?;
    Ok(())
}
