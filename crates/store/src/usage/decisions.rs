//! Reading raw decisions: which blocks can hold what is asked, and out of those only what fits.
//!
//! Blocks come in the order of the page, by their last moment (or their first, oldest first). A page
//! is complete once no later block can hold anything that belongs before its last row; so the latest
//! fifty of anything that is not rare cost one block.

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use tollgate_core::id::{ConsumerId, DecisionId, KeyId, ServiceId, TenantId};
use tollgate_journal::Entry;

use super::{
    DecisionFilter, DecisionRow,
    block::{Block, Found, Kind, Unpacked, Wanted, code_bit, mark, may_hold},
    shown::named,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    page::{PAGE_ROWS_MAX, Page, PageRequest},
    sql::{Columns as _, Row, Statement, all, built, only, sql},
};

/// Candidates listed at first; doubled each time, up to the most.
const LISTED_FIRST: usize = 4;
const LISTED_MAX: usize = 256;

/// The place of a decision in the order of pages: moment, boot, lane, number.
type Place = [i64; 4];

/// A decision as it came out of its block.
pub(super) struct Kept {
    pub(super) id: DecisionId,
    pub(super) entry: Entry,
    pub(super) path: String,
    pub(super) detail: String,
    pub(super) user_agent: String,
}

impl Store {
    /// Decisions, newest first unless asked otherwise.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRow>, StoreError> {
        let limit = page.limit.clamp(1, PAGE_ROWS_MAX) as usize;
        let cursor = page.cursor.as_deref().map(parse_cursor).transpose()?;
        let mut rows = Best { newest: !filter.oldest_first, cursor, room: limit + 1, rows: BTreeMap::new() };
        let mut tx = self.begin_read().await?;
        let mut blocks = Candidates::of(filter, cursor);
        'all: while let Some(listed) = blocks.next(&mut tx).await? {
            for block in &listed {
                if rows.is_complete_before(block) {
                    break 'all;
                }
                if blocks.may_fit(block) {
                    let packed = block.load(&mut tx).await?;
                    rows.take(block, &packed, &blocks.wanted).ok_or_else(unreadable)?;
                }
            }
        }
        let more = rows.rows.len() > limit;
        let kept: Vec<Kept> = rows.into_rows().take(limit).collect();
        let items = named(&mut tx, kept).await?;
        tx.rollback().await?;
        let next = more.then(|| items.last().map(DecisionRow::cursor)).flatten();
        Ok(Page { items, next })
    }

    /// How many there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_decisions(&self, filter: &DecisionFilter) -> Result<u64, StoreError> {
        let mut tx = self.begin_read().await?;
        let mut blocks = Candidates::of(filter, None);
        let mut count = 0;
        while let Some(listed) = blocks.next(&mut tx).await? {
            for block in &listed {
                if blocks.fits_whole(block) {
                    count += block.records;
                } else if blocks.may_fit(block) {
                    let packed = block.load(&mut tx).await?;
                    let found = Block::open(&packed).and_then(|block| block.find(&blocks.wanted));
                    count += found.ok_or_else(unreadable)?.len() as u64;
                }
            }
        }
        tx.rollback().await?;
        Ok(count)
    }

    /// One decision.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it was never kept, is not shipped yet, or is forgotten.
    pub async fn decision(&self, id: DecisionId) -> Result<DecisionRow, StoreError> {
        let number = id.number as i64;
        let select = sql("SELECT packed FROM decision_blocks \
                          WHERE boot = $1 AND lane = $2 AND number_max >= $3 AND number_min <= $3 ORDER BY number_max");
        let select = select.bind(id.boot as i64).bind(i64::from(id.lane)).bind(number);
        let mut tx = self.begin_read().await?;
        let mut kept = Vec::new();
        for row in all(select, &mut tx).await? {
            let block = Block::open(row.blob(0)?).ok_or_else(unreadable)?;
            let mut found = block.find(&Wanted::default()).ok_or_else(unreadable)?;
            found.retain(|found| found.number == id.number);
            block.unpack(&found, |_, decision| kept.push(Kept::of(id, &decision))).ok_or_else(unreadable)?;
        }
        let found = named(&mut tx, kept).await?.pop();
        tx.rollback().await?;
        found.ok_or_else(|| StoreError::not_found(Entity::Decision, id))
    }

    /// The moment of the oldest decision that is kept, wall microseconds; `None` when none is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn oldest_decision_us(&self) -> Result<Option<i64>, StoreError> {
        let mut conn = self.reader().await?;
        only(sql("SELECT MIN(from_us) FROM decision_blocks"), &mut conn).await?.opt_int(0)
    }
}

/// A block that may hold what is asked.
struct Candidate {
    boot: i64,
    lane: i64,
    starts: i64,
    from_us: i64,
    to_us: i64,
    records: u64,
    codes: i64,
    /// Empty when no id is asked for.
    holds: Vec<u8>,
}

impl Candidate {
    fn of(row: &Row, with_holds: bool) -> Result<Self, StoreError> {
        Ok(Self {
            boot: row.int(0)?,
            lane: row.int(1)?,
            starts: row.int(2)?,
            from_us: row.int(3)?,
            to_us: row.int(4)?,
            codes: row.int(5)?,
            records: row.count(6)?,
            holds: if with_holds { row.blob(7)?.to_vec() } else { Vec::new() },
        })
    }

    async fn load(&self, conn: &mut AnyConnection) -> Result<Vec<u8>, StoreError> {
        let select = sql("SELECT packed FROM decision_blocks WHERE boot = $1 AND lane = $2 AND starts = $3");
        let row = only(select.bind(self.boot).bind(self.lane).bind(self.starts), conn).await?;
        Ok(row.blob(0)?.to_vec())
    }
}

/// Lists blocks, more and more at a time.
struct Candidates {
    wanted: Wanted,
    /// What a block must hold.
    marks: Vec<u64>,
    oldest_first: bool,
    /// The moment of the page's cursor: blocks wholly before it are done.
    cursor_us: Option<i64>,
    listed: usize,
    after: Option<Place>,
    is_done: bool,
}

impl Candidates {
    fn of(filter: &DecisionFilter, cursor: Option<Place>) -> Self {
        let wanted = Wanted {
            key: filter.key.map(|id: KeyId| id.0),
            consumer: filter.consumer.map(|id: ConsumerId| id.0),
            tenant: filter.tenant.map(|id: TenantId| id.0),
            service: filter.service.map(|id: ServiceId| id.0),
            code: filter.code.map(|code| code.number()),
            from_us: filter.from_us,
            to_us: filter.to_us,
        };
        let ids = [
            (Kind::Key, wanted.key),
            (Kind::Consumer, wanted.consumer),
            (Kind::Tenant, wanted.tenant),
            (Kind::Service, wanted.service),
        ];
        let marks = ids.into_iter().filter_map(|(kind, id)| Some(mark(kind, id?))).collect();
        let (oldest_first, cursor_us) = (filter.oldest_first, cursor.map(|[at_us, ..]| at_us));
        Self { wanted, marks, oldest_first, cursor_us, listed: LISTED_FIRST, after: None, is_done: false }
    }

    /// The next ones; `None` after the last.
    async fn next(&mut self, conn: &mut AnyConnection) -> Result<Option<Vec<Candidate>>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        let rows = all(self.statement(), conn).await?;
        let with_holds = !self.marks.is_empty();
        let listed: Vec<_> =
            rows.iter().map(|row| Candidate::of(row, with_holds)).collect::<Result<_, _>>()?;
        self.is_done = listed.len() < self.listed;
        self.listed = (self.listed * 2).min(LISTED_MAX);
        self.after = listed.last().map(|last| {
            let at_us = if self.oldest_first { last.from_us } else { last.to_us };
            [at_us, last.boot, last.lane, last.starts]
        });
        Ok(Some(listed))
    }

    fn statement(&self) -> Statement {
        let (mut wheres, mut values) = (Vec::new(), Vec::new());
        let mut is = |test: String, value: i64| {
            values.push(value);
            wheres.push(test.replace('?', &format!("${}", values.len())));
        };
        let asked = [
            ("to_us >= ?", self.wanted.from_us),
            ("from_us < ?", self.wanted.to_us),
            ("(codes & ?) <> 0", self.wanted.code.map(code_bit)),
            (if self.oldest_first { "to_us >= ?" } else { "from_us <= ?" }, self.cursor_us),
        ];
        for (test, value) in asked {
            if let Some(value) = value {
                is(test.to_owned(), value);
            }
        }
        let (time, than, order) =
            if self.oldest_first { ("from_us", ">", "ASC") } else { ("to_us", "<", "DESC") };
        if let Some(after) = self.after {
            let first = values.len() + 1;
            wheres.push(format!(
                "({time}, boot, lane, starts) {than} (${first}, ${}, ${}, ${})",
                first + 1,
                first + 2,
                first + 3
            ));
            values.extend(after);
        }
        let wheres =
            if wheres.is_empty() { String::new() } else { format!(" WHERE {}", wheres.join(" AND ")) };
        let holds = if self.marks.is_empty() { "" } else { ", holds" };
        let text = format!(
            "SELECT boot, lane, starts, from_us, to_us, codes, records{holds} FROM decision_blocks{wheres} \
             ORDER BY {time} {order}, boot {order}, lane {order}, starts {order} LIMIT {}",
            self.listed
        );
        values.into_iter().fold(built(text), Statement::bind)
    }

    /// Whether it is worth loading.
    fn may_fit(&self, block: &Candidate) -> bool {
        self.marks.iter().all(|mark| may_hold(&block.holds, *mark))
    }

    /// Whether all that is in it is wanted, without looking inside.
    fn fits_whole(&self, block: &Candidate) -> bool {
        self.marks.is_empty()
            && self.wanted.code.is_none_or(|code| code < 63 && block.codes == code_bit(code))
            && self.wanted.from_us.is_none_or(|from| block.from_us >= from)
            && self.wanted.to_us.is_none_or(|to| block.to_us < to)
    }
}

/// The rows of a page while it is put together.
struct Best {
    newest: bool,
    /// The last row of the page before.
    cursor: Option<Place>,
    /// The most rows that are held.
    room: usize,
    /// In ascending order.
    rows: BTreeMap<Place, Kept>,
}

impl Best {
    /// Whether neither this block nor any later one can hold a row that belongs here.
    fn is_complete_before(&self, block: &Candidate) -> bool {
        self.rows.len() >= self.room
            && self.worst().is_some_and(
                |[at_us, ..]| {
                    if self.newest { block.to_us < at_us } else { block.from_us > at_us }
                },
            )
    }

    fn worst(&self) -> Option<Place> {
        let worst = if self.newest { self.rows.first_key_value() } else { self.rows.last_key_value() };
        worst.map(|(place, _)| *place)
    }

    /// Takes what belongs here out of a block.
    fn take(&mut self, from: &Candidate, packed: &[u8], wanted: &Wanted) -> Option<()> {
        let place = |found: &Found| [found.at_us, from.boot, from.lane, found.number as i64];
        let block = Block::open(packed)?;
        let mut found = block.find(wanted)?;
        let worst = self.worst().filter(|_| self.rows.len() >= self.room);
        found.retain(|found| {
            let place = place(found);
            let is_behind = |than: Place| if self.newest { place < than } else { place > than };
            self.cursor.is_none_or(is_behind) && worst.is_none_or(|worst| !is_behind(worst))
        });
        if found.len() > self.room {
            found.sort_unstable_by_key(place);
            if self.newest {
                found.drain(..found.len() - self.room);
            } else {
                found.truncate(self.room);
            }
        }
        found.sort_unstable_by_key(|found| found.row);
        let (boot, lane) = (from.boot as u64, crate::keys::small(from.lane));
        block.unpack(&found, |found, decision| {
            let id = DecisionId { boot, lane, number: found.number };
            self.rows.insert(place(found), Kept::of(id, &decision));
        })?;
        while self.rows.len() > self.room {
            let _worst = if self.newest { self.rows.pop_first() } else { self.rows.pop_last() };
        }
        Some(())
    }

    fn into_rows(self) -> Box<dyn Iterator<Item = Kept> + Send> {
        let rows = self.rows.into_values();
        if self.newest { Box::new(rows.rev()) } else { Box::new(rows) }
    }
}

impl Kept {
    fn of(id: DecisionId, decision: &Unpacked<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            id,
            entry: decision.entry,
            path: text(decision.path),
            detail: text(decision.detail),
            user_agent: text(decision.user_agent),
        }
    }
}

pub(super) fn unreadable() -> StoreError {
    StoreError::corrupt("a block of decisions cannot be read; it is damaged, or a later Tollgate wrote it")
}

fn parse_cursor(cursor: &str) -> Result<Place, StoreError> {
    let problem = || StoreError::invalid("cursor", "it is none of this list");
    let (at_us, id) = cursor.split_once('.').ok_or_else(problem)?;
    let id: DecisionId = id.parse().map_err(|_| problem())?;
    let at_us = at_us.parse().map_err(|_| problem())?;
    Ok([at_us, id.boot as i64, i64::from(id.lane), id.number as i64])
}
