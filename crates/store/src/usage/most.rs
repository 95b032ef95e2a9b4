//! The groups that used most, without all the others: of a hundred thousand keys a page shows a few.
//!
//! The most of all keys over hours and days come from their lists (`tops`): candidates in the order of
//! what they can have at most, then what they have. They are the most once the last of them has more than
//! any other key can have; where that is not so, because all keys are used alike, all are summed up.

use sqlx::AnyConnection;
use tollgate_core::id::TenantId;

use super::{
    UsageBy, UsageFilter, UsageMost,
    cubes::{Cube, Step},
    fold::Folds,
    plan::{Asked, Piece, pieces},
    report::{named, sums},
    source::{Source, expression},
    tops::rests,
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, Statement, all, built},
};

/// The sums of a group, by the names that the statement gives them.
const NAMED: &str = "CAST(SUM(requests) AS BIGINT) AS requests, \
     CAST(SUM(CASE WHEN code = 0 THEN 0 ELSE requests END) AS BIGINT) AS denied, \
     CAST(SUM(units) AS BIGINT) AS units, CAST(SUM(latency_us) AS BIGINT) AS latency_us, \
     CAST(SUM(upstream_us) AS BIGINT) AS upstream_us, CAST(SUM(bytes_in) AS BIGINT) AS bytes_in, \
     CAST(SUM(bytes_out) AS BIGINT) AS bytes_out";
const COLUMNS: &str = "requests, denied, units, latency_us, upstream_us, bytes_in, bytes_out";
/// More candidates than are asked for: so many times, and so many.
const CANDIDATES_TIMES: u32 = 2;
const CANDIDATES_MORE: u32 = 20;
/// Of more groups than this all are summed up.
const LISTED_MAX: u32 = 250;

impl Store {
    /// Sums usage by one column, as [`Store::usage`] does, and returns the `most` groups with the most
    /// requests, the largest first, with the total of all and, where it is known, how many groups there
    /// are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn usage_most(
        &self,
        by: UsageBy,
        filter: &UsageFilter,
        most: u32,
    ) -> Result<UsageMost, StoreError> {
        let mut tx = self.begin_read().await?;
        let listed = match (by, tenant_only(filter)) {
            (UsageBy::Key, Some(tenant)) if most <= LISTED_MAX => {
                from_lists(&mut tx, tenant, filter, most).await?
            }
            _ => None,
        };
        let found = match listed {
            Some(found) => found,
            None => from_all(&mut tx, by, filter, most).await?,
        };
        tx.rollback().await?;
        Ok(found)
    }
}

async fn from_all(
    conn: &mut AnyConnection,
    by: UsageBy,
    filter: &UsageFilter,
    most: u32,
) -> Result<UsageMost, StoreError> {
    let group = expression(by);
    let source = Source::of(conn, &[by], filter).await?;
    let totals: Vec<String> =
        COLUMNS.split(", ").map(|name| format!("CAST(COALESCE(SUM({name}), 0) AS BIGINT)")).collect();
    let text = format!(
        "WITH all_groups AS (SELECT {group} AS own_group, {NAMED} FROM {} GROUP BY 1) \
         SELECT own_group, {COLUMNS}, 1 AS is_group FROM \
         (SELECT * FROM all_groups ORDER BY requests DESC, own_group LIMIT {most}) AS largest \
         UNION ALL SELECT COUNT(*), {}, 0 FROM all_groups ORDER BY 9 DESC, 2 DESC, 1",
        source.relation,
        totals.join(", ")
    );
    let mut rows = all(source.ask(text), conn).await?;
    let mut found = UsageMost::default();
    if let Some(last) = rows.pop() {
        found.groups = Some(last.count(0)?);
        found.total = sums(&last, 1)?;
    }
    found.rows = named(conn, &[by], &rows).await?;
    Ok(found)
}

/// The tenant when nothing but it and the span is restricted: lists are kept by tenant.
fn tenant_only(filter: &UsageFilter) -> Option<TenantId> {
    let UsageFilter { from_us: _, to_us: _, key, consumer, consumers, service, project, tenant, code } =
        filter;
    let is_whole = key.is_none()
        && consumer.is_none()
        && consumers.is_none()
        && service.is_none()
        && project.is_none()
        && code.is_none();
    tenant.filter(|_| is_whole)
}

/// `None` when the lists do not tell.
async fn from_lists(
    conn: &mut AnyConnection,
    tenant: TenantId,
    filter: &UsageFilter,
    most: u32,
) -> Result<Option<UsageMost>, StoreError> {
    let folds = Folds::read(conn).await?;
    let parts = Parts::of(filter, &folds);
    if parts.lists.is_empty() {
        return Ok(None);
    }
    let rest = rests(conn, tenant.to_sql(), &parts.lists).await?;
    let candidates_max = most * CANDIDATES_TIMES + CANDIDATES_MORE;
    let found = all(parts.candidates(tenant, &folds, candidates_max + 1), conn).await?;
    // What the first of the others can have at most; nothing where there is no other.
    let others = match found.get(candidates_max as usize) {
        Some(row) => row.int(1)?.saturating_add(rest),
        None => rest,
    };
    let keys =
        found.iter().take(candidates_max as usize).map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    let source = Source::of_keys(conn, filter, &keys).await?;
    let text = format!(
        "SELECT key AS own_group, {NAMED} FROM {} GROUP BY key ORDER BY requests DESC, key LIMIT {most}",
        source.relation
    );
    let rows: Vec<Row> = all(source.ask(text), conn).await?;
    let least = match rows.get((most as usize).saturating_sub(1)) {
        Some(row) => row.int(1)?,
        None => 0,
    };
    // Among equals the first in order counts: others must have less, or be none.
    let are_these = others == 0 || least > others;
    if !are_these {
        return Ok(None);
    }
    let whole = Source::of(conn, &[], filter).await?;
    let text = format!("SELECT code, {NAMED} FROM {} GROUP BY code", whole.relation);
    let mut total = super::UsageSums::default();
    for row in all(whole.ask(text), conn).await? {
        total = total.plus(sums(&row, 1)?);
    }
    let groups = (others == 0 && found.len() <= most as usize).then_some(rows.len() as u64);
    Ok(Some(UsageMost { rows: named(conn, &[UsageBy::Key], &rows).await?, groups, total }))
}

/// A span, as lists and as what no list is of.
struct Parts {
    /// Step, from, to.
    lists: Vec<(Step, i64, i64)>,
    rows: Vec<Piece>,
}

impl Parts {
    fn of(filter: &UsageFilter, folds: &Folds) -> Self {
        let asked = Asked {
            from_us: filter.from_us,
            to_us: filter.to_us,
            coarsest: Step::Day,
            folded_us: Some(folds.place.0),
        };
        let mut parts = Self { lists: Vec::new(), rows: Vec::new() };
        for piece in pieces(&asked, folds) {
            match piece.step {
                Step::Minute => parts.rows.push(piece),
                Step::Hour => parts.hours(piece, folds),
                Step::Day => {
                    let listed_to = piece.to_us.min(folds.ranked_us(Step::Day)).max(piece.from_us);
                    parts.list(Step::Day, piece.from_us, listed_to);
                    // The last day has no list, but its hours have.
                    parts.hours(Piece { step: Step::Hour, from_us: listed_to, ..piece }, folds);
                }
            }
        }
        parts
    }

    fn hours(&mut self, piece: Piece, folds: &Folds) {
        // Lists of hours go with the minutes.
        let from_us = piece.from_us.max(folds.minutes_from_us).min(piece.to_us);
        let to_us = piece.to_us.min(folds.ranked_us(Step::Hour)).max(from_us);
        self.list(Step::Hour, from_us, to_us);
        self.rows.extend([Piece { to_us: from_us, ..piece }, Piece { from_us: to_us, ..piece }]);
        self.rows.retain(|piece| piece.from_us < piece.to_us);
    }

    fn list(&mut self, step: Step, from_us: i64, to_us: i64) {
        if from_us < to_us {
            self.lists.push((step, from_us, to_us));
        }
    }

    /// Keys by what they can have at most, less the rests.
    fn candidates(&self, tenant: TenantId, folds: &Folds, limit: u32) -> Statement {
        let mut values = vec![tenant.to_sql()];
        let mut selects = Vec::new();
        for (step, from_us, to_us) in &self.lists {
            let first = values.len() + 1;
            values.extend([step.length_us(), *from_us, *to_us]);
            selects.push(format!(
                "SELECT key, above AS requests FROM usage_tops WHERE step_us = ${first} AND start_us >= ${} \
                 AND start_us < ${} AND tenant = $1",
                first + 1,
                first + 2
            ));
        }
        for piece in &self.rows {
            let table = Cube::Key.table(piece.step);
            let first = values.len() + 1;
            values.extend([piece.from_us, piece.to_us]);
            let mut unfolded = String::new();
            if piece.is_unfolded {
                unfolded = format!(" AND ({}, key) >= (${}, ${})", table.time, first + 2, first + 3);
                values.extend([folds.place.0, folds.place.1]);
            }
            selects.push(format!(
                "SELECT key, requests FROM {} WHERE {time} >= ${first} AND {time} < ${}{unfolded} AND tenant = $1",
                table.name,
                first + 1,
                time = table.time
            ));
        }
        let text = format!(
            "SELECT key, CAST(SUM(requests) AS BIGINT) FROM ({}) AS parts GROUP BY key ORDER BY 2 DESC, 1 \
             LIMIT {limit}",
            selects.join(" UNION ALL ")
        );
        values.into_iter().fold(built(text), Statement::bind)
    }
}
