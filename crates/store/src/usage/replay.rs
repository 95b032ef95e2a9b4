//! Going through decisions of the past in the order of their moments, over all lanes.
//!
//! Blocks come by their first moment; what was taken out of them waits until no later block can hold anything
//! before it. What waits is as much as the blocks hold that overlap in time, which is about one a lane.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

use sqlx::{Any, Transaction};
use tollgate_core::id::TenantId;

use super::{
    block::Wanted,
    read_on::{Cursors, LANES},
    recorded::{Lying, Parts, Recorded, unpack},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, built, one, sql},
};

/// Blocks listed at a time.
const LISTED: usize = 256;
/// Decisions handed over at a time.
const BATCH: usize = 4096;

/// Which decisions to go through.
#[derive(Clone, Copy, Debug)]
pub struct ReplaySpan {
    /// From this moment, wall microseconds.
    pub from_us: i64,
    /// Before this moment.
    pub to_us: i64,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// What of them.
    pub parts: Parts,
    /// At most so many, the newest.
    pub records_max: u64,
}

/// Decisions of the past, to be gone through once.
pub struct Replay {
    tx: Transaction<'static, Any>,
    span: ReplaySpan,
    cursors: Cursors,
    /// Where the list of blocks goes on: first moment, run, lane, position.
    after: Option<[i64; 4]>,
    listed: VecDeque<[i64; 4]>,
    all_listed: bool,
    waiting: BinaryHeap<Waiting>,
}

/// The oldest comes first.
struct Waiting(Recorded);

impl Waiting {
    fn place(&self) -> (i64, u64, u16, u64) {
        let id = self.0.id;
        (self.0.entry.at_us, id.boot, id.lane, id.number)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        other.place().cmp(&self.place())
    }
}

impl Store {
    /// Begins to go through decisions of the past, as the database has them now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn replay(&self, span: ReplaySpan) -> Result<Replay, StoreError> {
        let mut tx = self.begin_read().await?;
        let lanes = all(sql(LANES), &mut tx).await?;
        let cursors = Cursors::begin(&lanes, span.parts.calls)?;
        Self::replayed(tx, span, cursors).await
    }

    /// Begins to go through decisions of the past, as far as somebody has read them who reads on: nothing that is
    /// still to be read is among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn replay_read(&self, span: ReplaySpan, cursors: Cursors) -> Result<Replay, StoreError> {
        Self::replayed(self.begin_read().await?, span, cursors).await
    }

    async fn replayed(
        mut tx: Transaction<'static, Any>,
        span: ReplaySpan,
        cursors: Cursors,
    ) -> Result<Replay, StoreError> {
        let span = ReplaySpan { from_us: newest(&mut tx, &span).await?, ..span };
        Ok(Replay {
            tx,
            span,
            cursors,
            after: None,
            listed: VecDeque::new(),
            all_listed: false,
            waiting: BinaryHeap::new(),
        })
    }
}

/// From which moment on there are no more than are wanted.
async fn newest(tx: &mut Transaction<'static, Any>, span: &ReplaySpan) -> Result<i64, StoreError> {
    let text =
        "SELECT COUNT(*), CAST(COALESCE(SUM(records), 0) AS BIGINT) FROM decision_blocks WHERE to_us >= $1";
    let count = one(sql(text).bind(span.from_us), &mut *tx).await?;
    let (blocks, records) = match &count {
        Some(row) => (row.count(0)?, row.count(1)?),
        None => (0, 0),
    };
    if records <= span.records_max {
        return Ok(span.from_us);
    }
    // As many of the newest blocks as hold about that many; blocks of one lane are about alike.
    let take = u128::from(blocks) * u128::from(span.records_max) / u128::from(records.max(1));
    let text = format!("SELECT to_us FROM decision_blocks ORDER BY to_us DESC LIMIT 1 OFFSET {take}");
    let row = one(built(text), tx).await?;
    row.map_or(Ok(span.from_us), |row| Ok(row.int(0)?.max(span.from_us)))
}

impl Replay {
    /// From which moment on decisions are gone through: later than wanted where there are too many.
    #[must_use]
    pub const fn from_us(&self) -> i64 {
        self.span.from_us
    }

    /// Where to read on from when all is gone through: nothing is read twice and nothing is left out.
    #[must_use]
    pub const fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// The next ones, some thousands; none at the end.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Recorded>, StoreError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let next = self.peek().await?;
            // What waits and comes before all that is still in blocks.
            while batch.len() < BATCH
                && let Some(first) = self.waiting.peek()
                && next.is_none_or(|[from_us, ..]| first.0.entry.at_us < from_us)
            {
                batch.extend(self.waiting.pop().map(|waiting| waiting.0));
            }
            if batch.len() >= BATCH {
                break;
            }
            match next {
                Some(block) => {
                    self.listed.pop_front();
                    self.open(block).await?;
                }
                None => break,
            }
        }
        Ok(batch)
    }

    /// The next block.
    async fn peek(&mut self) -> Result<Option<[i64; 4]>, StoreError> {
        while self.listed.is_empty() && !self.all_listed {
            let after = self.after.unwrap_or([i64::MIN; 4]);
            let text = format!(
                "SELECT from_us, boot, lane, starts FROM decision_blocks WHERE to_us >= $1 AND from_us < $2 \
                 AND (from_us, boot, lane, starts) > ($3, $4, $5, $6) \
                 ORDER BY from_us, boot, lane, starts LIMIT {LISTED}"
            );
            let ask = after
                .into_iter()
                .fold(built(text).bind(self.span.from_us).bind(self.span.to_us), |ask, part| ask.bind(part));
            let rows = all(ask, &mut self.tx).await?;
            self.all_listed = rows.len() < LISTED;
            for row in &rows {
                let place = [row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?];
                self.after = Some(place);
                let [_, boot, lane, starts] = place;
                if self.cursors.has((boot, lane, starts)) {
                    self.listed.push_back(place);
                }
            }
        }
        Ok(self.listed.front().copied())
    }

    async fn open(&mut self, [_, boot, lane, starts]: [i64; 4]) -> Result<(), StoreError> {
        let select = sql("SELECT packed FROM decision_blocks WHERE boot = $1 AND lane = $2 AND starts = $3");
        let row = one(select.bind(boot).bind(lane).bind(starts), &mut self.tx).await?;
        let Some(row) = row else { return Ok(()) };
        let lying = Lying { boot, lane, packed: row.blob(0)?.to_vec() };
        let wanted = Wanted {
            tenant: self.span.tenant.map(|tenant| tenant.0),
            from_us: Some(self.span.from_us),
            to_us: Some(self.span.to_us),
            ..Wanted::default()
        };
        let mut recorded = Vec::new();
        unpack(&mut self.tx, &lying, (&wanted, self.span.parts), &mut recorded).await?;
        self.waiting.extend(recorded.into_iter().map(Waiting));
        Ok(())
    }
}
