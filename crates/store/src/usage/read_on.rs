//! Reading raw decisions on as nodes ship them, each once.
//!
//! A lane's row in `shipped` says up to which position its decisions lie in blocks, in the same commit as the
//! blocks: whoever has read up to there has read everything. Blocks beyond what is read are not packed anew
//! ([`super::merge`]). What calls of models used is written with the sums, which come after the blocks: who
//! looks at it reads a block when its sums are there.

use std::collections::BTreeMap;

use tollgate_core::rule::watch::Seen;

use super::{
    block::Wanted,
    recorded::{Lying, Parts, Recorded, unpack},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, all, sql},
};

/// Blocks taken apart in one call: some 30,000 decisions, 4 MB.
const BLOCKS_MAX: usize = 8;

/// How far each lane is read: all blocks that begin before the position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    pub(super) read: BTreeMap<(i64, i64), i64>,
    /// The lane that blocks were last read of: the next call begins behind it, so that a busy one does not keep
    /// all others waiting.
    last: Option<(i64, i64)>,
}

impl Cursors {
    /// Run, lane and position of all of them.
    pub(crate) fn all(&self) -> Vec<(i64, i64, i64)> {
        self.read.iter().map(|((boot, lane), position)| (*boot, *lane, *position)).collect()
    }

    /// Those of rows of run, lane and position.
    pub(crate) fn of(rows: Vec<(i64, i64, i64)>) -> Self {
        let read = rows.into_iter().map(|(boot, lane, position)| ((boot, lane), position)).collect();
        Self { read, last: None }
    }

    /// Whether a block was read.
    pub(super) fn has(&self, (boot, lane, starts): (i64, i64, i64)) -> bool {
        self.read.get(&(boot, lane)).is_some_and(|position| starts < *position)
    }

    /// Begins where lanes stand, by rows of `boot, lane, upto, kept`. With `calls` a lane whose sums are behind
    /// its blocks begins with the block that they are in.
    pub(super) fn begin(rows: &[Row], calls: bool) -> Result<Self, StoreError> {
        let mut cursors = Self::default();
        for row in rows {
            let (upto, kept) = (row.int(2)?, row.int(3)?);
            cursors.read.insert((row.int(0)?, row.int(1)?), if calls { upto.min(kept) } else { kept });
        }
        Ok(cursors)
    }
}

pub(super) const LANES: &str = "SELECT boot, lane, upto, kept FROM shipped";

impl Store {
    /// The next decisions after the cursors, in the order of their moments, some thousands of them; none when
    /// all that was shipped is read. With `calls` they say what they used of models.
    ///
    /// # Errors
    /// When the database cannot be read; the cursors are as they were then.
    pub async fn read_on(&self, cursors: &mut Cursors, calls: bool) -> Result<Vec<Seen>, StoreError> {
        let recorded = self.recorded_on(cursors, Parts { texts: false, calls }).await?;
        Ok(recorded.iter().filter_map(Recorded::seen).collect())
    }

    /// Whether all that was read is summed up, so that what calls of models used is there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_summed_up(&self, cursors: &Cursors) -> Result<bool, StoreError> {
        let mut conn = self.reader().await?;
        for lane in all(sql(LANES), &mut conn).await? {
            let read = cursors.read.get(&(lane.int(0)?, lane.int(1)?)).copied().unwrap_or(0);
            if lane.int(2)? < read {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same decisions with more of what was recorded of them.
    pub(crate) async fn recorded_on(
        &self,
        cursors: &mut Cursors,
        parts: Parts,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut tx = self.begin_read().await?;
        let (mut read, mut recorded) = (BTreeMap::new(), Vec::<Recorded>::new());
        let mut room = BLOCKS_MAX;
        let lanes = all(sql(LANES), &mut tx).await?;
        let lanes = lanes.iter().map(|lane| Ok(((lane.int(0)?, lane.int(1)?), lane.int(2)?, lane.int(3)?)));
        let mut lanes: Vec<((i64, i64), i64, i64)> = lanes.collect::<Result<_, StoreError>>()?;
        lanes.sort_by_key(|(place, ..)| (cursors.last.is_some_and(|last| *place <= last), *place));
        let mut last = cursors.last;
        for (place, upto, kept) in lanes {
            let from = cursors.read.get(&place).copied().unwrap_or(0);
            if kept <= from || room == 0 {
                continue;
            }
            let text = "SELECT starts, packed FROM decision_blocks \
                        WHERE boot = $1 AND lane = $2 AND starts >= $3 ORDER BY starts LIMIT $4";
            let ask = sql(text).bind(place.0).bind(place.1).bind(from).bind(room as i64 + 1);
            let rows = all(ask, &mut tx).await?;
            let mut reached = if rows.len() <= room { kept } else { from };
            for (index, row) in rows.iter().enumerate() {
                let next = rows.get(index + 1).map(|next| next.int(0)).transpose()?;
                let is_summed_up = !parts.calls || upto >= kept || next.is_some_and(|next| next <= upto);
                if room == 0 || !is_summed_up {
                    reached = row.int(0)?;
                    break;
                }
                let lying = Lying { boot: place.0, lane: place.1, packed: row.blob(1)?.to_vec() };
                unpack(&mut tx, &lying, (&Wanted::default(), parts), &mut recorded).await?;
                room -= 1;
                last = Some(place);
            }
            read.insert(place, reached);
        }
        tx.rollback().await?;
        cursors.read.append(&mut read);
        cursors.last = last;
        recorded.sort_by_key(|recorded| recorded.entry.at_us);
        Ok(recorded)
    }
}
