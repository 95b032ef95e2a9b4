//! Counting what was there before a meter: records and raw decisions that the store still keeps, some blocks at a
//! time.
//!
//! The border is drawn in the transaction that makes a meter known, while it holds `meter_head`: records
//! before the next position, and of each lane the blocks that begin before what is summed up. What lies
//! behind it is counted as it comes. A step commits with the place that it moves, so a killed one was never
//! made, and a repeated one finds the place moved. A damaged block is passed over, and that is counted and
//! told. Where a block reaches over what was summed up, shipments leave its decisions to the past
//! ([`Meters::leaves`]), and its lane waits until their sums are there. Of a node that is gone for ever they
//! never come: a lane that stands still for [`LANE_WAIT_US`] is counted without them, and its border stays,
//! so that nothing counts twice should they come after all. What the store forgets meanwhile is not counted.

use std::sync::Arc;

use sqlx::AnyConnection;
use tollgate_core::meter::set::Tally;

use crate::{
    counting::Counting,
    error::StoreError,
    keys::small,
    meters::{Meters, Request, is_same, load_set_of, record, request, write_tally},
    open::Store,
    outbox::Outbox,
    passed_over::PassedOver,
    sql::{Columns as _, Statement, all, built, one, only, run, sql},
    usage::{BlocksOf, Opened},
};

/// Blocks of records that a step counts.
const RECORD_BLOCKS: i64 = 2;
/// Blocks of raw decisions that a step counts.
const DECISION_BLOCKS: usize = 2;

/// How long a lane may stand still while its sums are waited for, microseconds. A node that is started again within it
/// loses nothing.
const LANE_WAIT_US: i64 = 3_600_000_000;

/// Some of the past, to be counted.
#[derive(Debug)]
pub struct Past {
    id: i64,
    meters: Arc<Meters>,
    piece: Piece,
}

#[derive(Debug)]
enum Piece {
    /// Records from one position to before another.
    Records { outbox: Outbox, from: u64, to: u64 },
    /// Decisions of a lane, from where its place stands; which of its journal were waited for in vain.
    Decisions { opened: Opened, lane: (i64, i64), from: i64, unsummed: Option<(u64, u64)> },
    /// There is nothing left.
    End,
}

/// What meters count of a piece of the past.
#[derive(Debug, Default)]
pub struct PastTally {
    tally: Tally,
    passed: Vec<PassedOver>,
}

impl PastTally {
    /// What cannot be counted of it.
    #[must_use]
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed
    }
}

impl Past {
    /// What meters count of it. Of a damaged block nothing is counted.
    #[must_use]
    pub fn tally(&self) -> PastTally {
        let PastTally { mut tally, mut passed } = PastTally::default();
        match &self.piece {
            Piece::Records { outbox, from, to } => {
                let broken = outbox.each_of_whole(*from, |event| {
                    if event.position < *to {
                        record(&self.meters, &event, &mut tally, |_| true);
                    }
                });
                passed.extend(broken.into_iter().map(|(starts, ends)| {
                    let position = starts.max(*from);
                    PassedOver::Records { position, records: ends.min(*to).saturating_sub(position) }
                }));
            }
            Piece::Decisions { opened, lane, unsummed, .. } => {
                for own in &opened.recorded {
                    let used = &own.used;
                    let seen = Request {
                        entry: &own.entry,
                        tokens: (used.input, used.output),
                        model: &used.model,
                        cost: i64::try_from(used.cost).unwrap_or(i64::MAX),
                        currency: used.currency,
                    };
                    request(&self.meters, &seen, &mut tally, |_| true);
                }
                let (boot, lane) = (lane.0 as u64, small(lane.1));
                passed.extend(opened.damaged.iter().map(|(position, decisions)| PassedOver::Decisions {
                    boot,
                    lane,
                    position: *position,
                    decisions: *decisions,
                }));
                passed.extend(unsummed.map(|(from, to)| PassedOver::Sums { boot, lane, from, to }));
            }
            Piece::End => {}
        }
        PastTally { tally, passed }
    }

    /// How many events are looked at, damaged records among them.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.piece {
            Piece::Records { from, to, .. } => to.saturating_sub(*from) as usize,
            Piece::Decisions { opened, .. } => opened.recorded.len(),
            Piece::End => 0,
        }
    }

    /// Whether there is nothing to look at; it is to be written all the same.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// The next piece of what was there before meters, at a moment; `None` when all of it is counted, or waits for
    /// sums of a lane.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn meters_past(&self, now_us: i64) -> Result<Option<Past>, StoreError> {
        let mut tx = self.begin_read().await?;
        let select = "SELECT id, position, until_position FROM meter_backfills WHERE done = 0 ORDER BY id";
        for row in all(sql(select), &mut tx).await? {
            let id = row.int(0)?;
            let meters = Arc::new(load_set_of(&mut tx, Some(id)).await?);
            let piece = if meters.is_empty() {
                Some(Piece::End)
            } else {
                match records(&mut tx, (row.count(1)?, row.count(2)?)).await? {
                    Some(piece) => Some(piece),
                    None => decisions(&mut tx, id, now_us).await?,
                }
            };
            if let Some(piece) = piece {
                tx.rollback().await?;
                return Ok(Some(Past { id, meters, piece }));
            }
        }
        tx.rollback().await?;
        Ok(None)
    }

    /// Writes what was counted of a piece, what of it was passed over, and that it was, in one commit: so each event
    /// of the past counts once.
    ///
    /// # Errors
    /// When the database cannot be written. Whether it was is not known then: ask for the next piece.
    pub async fn count_past(&self, past: &Past, counted: &PastTally) -> Result<Counting, StoreError> {
        let mut tx = self.begin_write().await?;
        if !moved(past, &mut tx).await? {
            tx.rollback().await?;
            return Ok(Counting::Lost);
        }
        if !is_same(&mut tx, self.engine().share_row(), past.meters.version()).await? {
            tx.rollback().await?;
            return Ok(Counting::Changed);
        }
        if !counted.passed.is_empty() {
            let sum = |of: fn(&PassedOver) -> u64| counted.passed.iter().map(of).sum::<u64>() as i64;
            let note = sql("UPDATE meter_backfills SET damaged = damaged + $1, \
                              damaged_records = damaged_records + $2, unsummed = unsummed + $3 WHERE id = $4");
            let note = note.bind(sum(PassedOver::damaged)).bind(sum(PassedOver::records));
            run(note.bind(sum(PassedOver::unsummed)).bind(past.id), &mut tx).await?;
        }
        write_tally(&mut tx, &counted.tally).await?;
        tx.commit().await?;
        Ok(Counting::Done)
    }

    /// Notes of lanes whose sums the past of meters waits for since when they stand where they stand. To be called
    /// while [`Store::meters_past`] has nothing to give.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note_waiting_past(&self, now_us: i64) -> Result<(), StoreError> {
        // Mostly there is nothing to note, and then nobody has to wait.
        let mut conn = self.reader().await?;
        let moved = built(format!("SELECT COUNT(*) FROM meter_backfill_lanes WHERE {MOVED}"));
        let moved = only(moved.bind(now_us), &mut conn).await?.count(0)?;
        drop(conn);
        if moved == 0 {
            return Ok(());
        }
        // Where another past has waited for the same, this one need not wait as long again.
        let note = format!(
            "UPDATE meter_backfill_lanes SET waits_from_us = COALESCE((SELECT MIN(o.waits_from_us) \
               FROM meter_backfill_lanes o JOIN shipped h ON h.boot = o.boot AND h.lane = o.lane \
               WHERE o.boot = meter_backfill_lanes.boot AND o.lane = meter_backfill_lanes.lane \
                 AND o.waits_upto = h.upto AND o.waits_from_us <= $1), $1), \
             waits_upto = (SELECT h.upto FROM shipped h WHERE h.boot = meter_backfill_lanes.boot \
                 AND h.lane = meter_backfill_lanes.lane) WHERE {MOVED}"
        );
        let mut tx = self.begin_write().await?;
        run(built(note).bind(now_us), &mut tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Lanes that wait, and do not stand where was noted; what was noted later than now by another clock is noted anew.
const MOVED: &str = "settled = 0 AND EXISTS (SELECT 1 FROM shipped s WHERE s.boot = meter_backfill_lanes.boot \
                       AND s.lane = meter_backfill_lanes.lane AND s.upto < ends \
                       AND (waits_upto IS NULL OR waits_upto <> s.upto OR waits_from_us > $1))";

/// Moves the place of a piece over it; whether it stood where it should.
async fn moved(past: &Past, conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let moves = match &past.piece {
        Piece::Records { from, to, .. } => {
            sql("UPDATE meter_backfills SET position = $1 WHERE id = $2 AND position = $3 AND done = 0")
                .bind(*to as i64)
                .bind(past.id)
                .bind(*from as i64)
        }
        Piece::Decisions { lane, from, opened, unsummed } => {
            let over = match (opened.next, unsummed) {
                (Some(_), _) => "UPDATE meter_backfill_lanes SET next = $5",
                // The row stays as a border.
                (None, Some(_)) => "UPDATE meter_backfill_lanes SET next = upto, settled = 1",
                (None, None) => "DELETE FROM meter_backfill_lanes",
            };
            let place = "backfill = $1 AND boot = $2 AND lane = $3 AND next = $4 AND settled = 0";
            let moves =
                built(format!("{over} WHERE {place}")).bind(past.id).bind(lane.0).bind(lane.1).bind(*from);
            opened.next.into_iter().fold(moves, Statement::bind)
        }
        Piece::End => {
            let lanes = "DELETE FROM meter_backfill_lanes WHERE backfill = $1 AND settled = 0";
            run(sql(lanes).bind(past.id), conn).await?;
            sql("UPDATE meter_backfills SET done = 1 WHERE id = $1 AND done = 0").bind(past.id)
        }
    };
    Ok(run(moves, conn).await? > 0)
}

async fn records(conn: &mut AnyConnection, (from, until): (u64, u64)) -> Result<Option<Piece>, StoreError> {
    if from >= until {
        return Ok(None);
    }
    let outbox = Outbox::read(conn, from, RECORD_BLOCKS).await?;
    // Where they are forgotten, there is nothing up to the border.
    let to = if outbox.ends == from { until } else { outbox.ends.min(until) };
    Ok(Some(Piece::Records { outbox, from, to }))
}

async fn decisions(conn: &mut AnyConnection, id: i64, now_us: i64) -> Result<Option<Piece>, StoreError> {
    let select = "SELECT l.boot, l.lane, l.next, l.upto, l.ends, s.upto FROM meter_backfill_lanes l \
                  LEFT JOIN shipped s ON s.boot = l.boot AND s.lane = l.lane \
                  WHERE l.backfill = $1 AND l.settled = 0 AND (s.upto IS NULL OR s.upto >= l.ends \
                    OR (l.waits_upto = s.upto AND l.waits_from_us <= $2)) \
                  ORDER BY l.boot, l.lane LIMIT 1";
    let ready = sql(select).bind(id).bind(now_us.saturating_sub(LANE_WAIT_US));
    let Some(row) = one(ready, conn).await? else {
        let left = "SELECT COUNT(*) FROM meter_backfill_lanes WHERE backfill = $1 AND settled = 0";
        let left = only(sql(left).bind(id), conn).await?.count(0)?;
        return Ok((left == 0).then_some(Piece::End));
    };
    let (lane, from, ends) = ((row.int(0)?, row.int(1)?), row.int(2)?, row.count(4)?);
    let summed = row.opt_int(5)?.map(|upto| upto.max(0).unsigned_abs());
    let blocks = BlocksOf { lane, from, to: row.int(3)? };
    let opened = blocks.read(conn, DECISION_BLOCKS).await?;
    let unsummed = summed.filter(|upto| *upto < ends && opened.next.is_none()).map(|upto| (upto, ends));
    Ok(Some(Piece::Decisions { opened, lane, from, unsummed }))
}
