//! Counting what was there before a meter: records and raw decisions that the store still keeps, some blocks at a
//! time.
//!
//! The border is drawn in the transaction that makes a meter known, while it holds `meter_head`: records before the
//! next position, and of each lane the blocks that begin before what is summed up. What lies behind it is counted as
//! it comes. A step commits with the place that it moves, so a killed one was never made, and a repeated one finds
//! the place moved. A damaged block is passed over, and that is counted and told. Where a block reaches over what was summed up, shipments leave its decisions to the past
//! ([`Meters::leaves`]), and its lane waits until their sums are there. What the store forgets meanwhile is not
//! counted.

use std::{fmt, sync::Arc};

use sqlx::AnyConnection;
use tollgate_core::meter::set::Tally;

use crate::{
    counting::Counting,
    error::StoreError,
    keys::small,
    meters::{Meters, Request, is_same, load_set_of, record, request, write_tally},
    open::Store,
    outbox::Outbox,
    sql::{Columns as _, all, one, only, run, sql},
    usage::{BlocksOf, Opened},
};

/// Blocks of records that a step counts.
const RECORD_BLOCKS: i64 = 2;
/// Blocks of raw decisions that a step counts.
const DECISION_BLOCKS: usize = 2;

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
    /// Decisions of a lane, from where its place stands.
    Decisions { opened: Opened, lane: (i64, i64), from: i64 },
    /// There is nothing left.
    End,
}

/// Something of the past that cannot be counted: it is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOver {
    /// A damaged block of records.
    Records {
        /// The position of the first that was to be counted.
        position: u64,
        /// How many of them.
        records: u64,
    },
    /// A damaged block of raw decisions.
    Decisions {
        /// The run that made them.
        boot: u64,
        /// Its lane.
        lane: u16,
        /// Where the block begins in the journal of the lane.
        position: u64,
        /// How many are in it.
        decisions: u64,
    },
}

impl PassedOver {
    /// How many events are not counted.
    #[must_use]
    pub const fn events(&self) -> u64 {
        match self {
            Self::Records { records, .. } => *records,
            Self::Decisions { decisions, .. } => *decisions,
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { position, records } => {
                write!(to, "the block of {records} record(s) at position {position} is damaged")
            }
            Self::Decisions { boot, lane, position, decisions } => write!(
                to,
                "the block of {decisions} decision(s) at position {position} of lane {lane} of run {boot:016x} is \
                 damaged"
            ),
        }
    }
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
            Piece::Decisions { opened, lane, .. } => {
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
    /// The next piece of what was there before meters; `None` when all of it is counted, or waits for sums of a
    /// lane.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn meters_past(&self) -> Result<Option<Past>, StoreError> {
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
                    None => decisions(&mut tx, id).await?,
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
        let damaged: u64 = counted.passed.iter().map(PassedOver::events).sum();
        if damaged > 0 {
            let note = sql("UPDATE meter_backfills SET damaged = damaged + $1 WHERE id = $2");
            run(note.bind(damaged as i64).bind(past.id), &mut tx).await?;
        }
        write_tally(&mut tx, &counted.tally).await?;
        tx.commit().await?;
        Ok(Counting::Done)
    }
}

/// Moves the place of a piece over it; whether it stood where it should.
async fn moved(past: &Past, conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let moves = match &past.piece {
        Piece::Records { from, to, .. } => {
            sql("UPDATE meter_backfills SET position = $1 WHERE id = $2 AND position = $3 AND done = 0")
                .bind(*to as i64)
                .bind(past.id)
                .bind(*from as i64)
        }
        Piece::Decisions { lane, from, opened } => match opened.next {
            Some(to) => sql("UPDATE meter_backfill_lanes SET next = $1 \
                             WHERE backfill = $2 AND boot = $3 AND lane = $4 AND next = $5")
            .bind(to),
            None => sql("DELETE FROM meter_backfill_lanes \
                         WHERE backfill = $1 AND boot = $2 AND lane = $3 AND next = $4"),
        }
        .bind(past.id)
        .bind(lane.0)
        .bind(lane.1)
        .bind(*from),
        Piece::End => {
            run(sql("DELETE FROM meter_backfill_lanes WHERE backfill = $1").bind(past.id), conn).await?;
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

async fn decisions(conn: &mut AnyConnection, id: i64) -> Result<Option<Piece>, StoreError> {
    let select = "SELECT l.boot, l.lane, l.next, l.upto FROM meter_backfill_lanes l WHERE l.backfill = $1 \
                  AND NOT EXISTS (SELECT 1 FROM shipped s \
                    WHERE s.boot = l.boot AND s.lane = l.lane AND s.upto < l.ends) \
                  ORDER BY l.boot, l.lane LIMIT 1";
    let Some(row) = one(sql(select).bind(id), conn).await? else {
        let left = "SELECT COUNT(*) FROM meter_backfill_lanes WHERE backfill = $1";
        let left = only(sql(left).bind(id), conn).await?.count(0)?;
        return Ok((left == 0).then_some(Piece::End));
    };
    let (lane, from) = ((row.int(0)?, row.int(1)?), row.int(2)?);
    let blocks = BlocksOf { lane, from, to: row.int(3)? };
    let opened = blocks.read(conn, DECISION_BLOCKS).await?;
    Ok(Some(Piece::Decisions { opened, lane, from }))
}
