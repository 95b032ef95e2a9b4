//! Raw decisions as they are counted anew: one after the other, with what rules look at.

use std::collections::HashMap;

use sqlx::AnyConnection;
use tollgate_core::{
    code::Code,
    id::{DecisionId, ProjectId},
    money::amount::Currency,
    rule::watch::Seen,
};
use tollgate_journal::Entry;

use super::{
    block::{Block, Wanted},
    decisions::unreadable,
};
use crate::{
    error::StoreError,
    sql::{Columns as _, all, sql},
};

/// A decision of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Which.
    pub id: DecisionId,
    /// What was recorded of it.
    pub entry: Entry,
    /// The path; empty unless it was asked for.
    pub path: String,
    /// The User-Agent; empty unless it was asked for.
    pub user_agent: String,
    /// What it used of a model.
    pub used: Used,
}

/// What a decision used of a model, as far as rules look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The model; empty when none was called.
    pub model: String,
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// What it cost, in atoms.
    pub cost: u64,
    /// Of which money.
    pub currency: Option<Currency>,
}

impl Used {
    /// Tokens read and written.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

impl Recorded {
    /// As rules look at it; `None` for a code that this version does not know.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        let Entry { at_us, key, consumer, project, service, status, .. } = self.entry;
        Some(Seen {
            at_us,
            key,
            consumer,
            project: ProjectId(project),
            service,
            code: Code::from_number(self.entry.code)?,
            status,
            tokens: self.used.tokens(),
            cost: self.used.cost,
            currency: self.used.currency,
            address: u128::from_be_bytes(self.entry.address),
        })
    }
}

/// What of decisions is wanted beside what all have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// Path and User-Agent.
    pub texts: bool,
    /// What they used of models.
    pub calls: bool,
}

/// A block as it lies in its table.
pub(super) struct Lying {
    pub(super) boot: i64,
    pub(super) lane: i64,
    pub(super) packed: Vec<u8>,
}

/// Takes a block apart, adding what fits to `into`.
pub(super) async fn unpack(
    conn: &mut AnyConnection,
    lying: &Lying,
    (wanted, parts): (&Wanted, Parts),
    into: &mut Vec<Recorded>,
) -> Result<(), StoreError> {
    try_unpack(conn, lying, (wanted, parts), into).await?.ok_or_else(unreadable)
}

/// As [`unpack`]; `None` when the block is damaged, or a later version packed it. Some of it may be in `into` then.
async fn try_unpack(
    conn: &mut AnyConnection,
    lying: &Lying,
    (wanted, parts): (&Wanted, Parts),
    into: &mut Vec<Recorded>,
) -> Result<Option<()>, StoreError> {
    let Some(block) = Block::open(&lying.packed) else { return Ok(None) };
    let Some(found) = block.find(wanted) else { return Ok(None) };
    let numbers = found.iter().map(|found| found.number);
    let mut calls = match numbers.clone().min().zip(numbers.max()) {
        Some(range) if parts.calls => calls(conn, lying, range).await?,
        _ => HashMap::new(),
    };
    let (boot, lane) = (lying.boot as u64, crate::keys::small(lying.lane));
    let text = |bytes: &[u8]| {
        if parts.texts { String::from_utf8_lossy(bytes).into_owned() } else { String::new() }
    };
    Ok(block.unpack(&found, |found, decision| {
        into.push(Recorded {
            id: DecisionId { boot, lane, number: found.number },
            entry: decision.entry,
            path: text(decision.path),
            user_agent: text(decision.user_agent),
            used: calls.remove(&found.number).unwrap_or_default(),
        });
    }))
}

/// Blocks of a lane that begin from one position to before another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlocksOf {
    /// Run and lane.
    pub(crate) lane: (i64, i64),
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What the first of them hold.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) recorded: Vec<Recorded>,
    /// Where damaged blocks begin, and how many decisions each had; none of them is in `recorded`.
    pub(crate) damaged: Vec<(u64, u64)>,
    /// From where on the others begin; `None` when there are none.
    pub(crate) next: Option<i64>,
}

impl BlocksOf {
    /// The decisions of the first of them.
    pub(crate) async fn read(
        self,
        conn: &mut AnyConnection,
        blocks_max: usize,
    ) -> Result<Opened, StoreError> {
        let (boot, lane) = self.lane;
        let text = "SELECT starts, packed, records FROM decision_blocks WHERE boot = $1 AND lane = $2 \
                    AND starts >= $3 AND starts < $4 ORDER BY starts LIMIT $5";
        let ask = sql(text).bind(boot).bind(lane).bind(self.from).bind(self.to).bind(blocks_max as i64 + 1);
        let rows = all(ask, conn).await?;
        let (mut recorded, mut damaged) = (Vec::new(), Vec::new());
        let wanted = (&Wanted::default(), Parts { texts: false, calls: true });
        for row in rows.iter().take(blocks_max) {
            let lying = Lying { boot, lane, packed: row.blob(1)?.to_vec() };
            let before = recorded.len();
            if try_unpack(conn, &lying, wanted, &mut recorded).await?.is_none() {
                recorded.truncate(before);
                damaged.push((row.count(0)?, row.count(2)?));
            }
        }
        Ok(Opened { recorded, damaged, next: rows.get(blocks_max).map(|row| row.int(0)).transpose()? })
    }
}

async fn calls(
    conn: &mut AnyConnection,
    lying: &Lying,
    (first, last): (u64, u64),
) -> Result<HashMap<u64, Used>, StoreError> {
    let text = "SELECT number, model, input, output, cost, currency FROM decision_calls \
                WHERE boot = $1 AND lane = $2 AND number >= $3 AND number <= $4";
    let ask = sql(text).bind(lying.boot).bind(lying.lane).bind(first as i64).bind(last as i64);
    let mut calls = HashMap::new();
    for row in all(ask, conn).await? {
        let used = Used {
            model: row.text(1)?.to_owned(),
            input: row.count(2)?,
            output: row.count(3)?,
            cost: row.count(4)?,
            currency: row.text(5)?.parse().ok(),
        };
        calls.insert(row.count(0)?, used);
    }
    Ok(calls)
}
