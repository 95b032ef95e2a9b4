//! Folding minutes into hours and days, each record once.
//!
//! One place, `(minute, key)`, says how far it has come. A step takes the next rows of the minutes in
//! the order of their primary key, adds them to hours and days, and moves the place behind them, in one
//! transaction. A shipment that finds records before the place (a node was away, a clock ran behind)
//! adds them to hours and days itself, in its own transaction. It holds the place shared until it has
//! committed and a step holds it alone: no row is counted by both or by neither.

use sqlx::AnyConnection;

use super::{
    cubes::{FOLDED, MINUTES, SHIPPED, SUMS, SUMS_OF_GROUP, Step, Table},
    plan::down,
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, Row, all, built, one, only, run, sql},
};

/// Rows from one place of the minutes up to another.
const BETWEEN: &str = "minute_us >= $1 AND minute_us <= $3 AND (minute_us, key) >= ($1, $2) \
                       AND (minute_us, key) < ($3, $4)";

const SELECT: &str = "SELECT minute_us, key, service_from_us, minutes_from_us, hours_from_us, hours_ranked_us, \
                      days_ranked_us FROM usage_folds WHERE id = 1";

/// How far minutes are folded, and what may be forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Folds {
    /// The place, `(minute, key)`, of the first row that is not folded.
    pub(super) place: (i64, i64),
    /// Minutes from this one on are in the sums by service as soon as they are shipped; those before as
    /// soon as they are folded.
    pub(super) service_from_us: i64,
    /// Minutes before this may be forgotten.
    pub(super) minutes_from_us: i64,
    /// Hours before this may be forgotten.
    pub(super) hours_from_us: i64,
    /// Hours and days before these have lists of the keys with the most requests.
    pub(super) hours_ranked_us: i64,
    pub(super) days_ranked_us: i64,
}

impl Folds {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            place: (row.int(0)?, row.int(1)?),
            service_from_us: row.int(2)?,
            minutes_from_us: row.int(3)?,
            hours_from_us: row.int(4)?,
            hours_ranked_us: row.int(5)?,
            days_ranked_us: row.int(6)?,
        })
    }

    /// As they stand in the state that a transaction reads.
    pub(super) async fn read(conn: &mut AnyConnection) -> Result<Self, StoreError> {
        Self::of(&only(sql(SELECT), conn).await?)
    }

    /// As they stand until the transaction ends: nobody folds before that.
    pub(super) async fn hold(conn: &mut AnyConnection, share: &'static str) -> Result<Self, StoreError> {
        Self::of(&only(built(format!("{SELECT}{share}")), conn).await?)
    }

    /// Whether a row of the minutes is in hours and days.
    pub(super) fn has(&self, minute_us: i64, key: i64) -> bool {
        (minute_us, key) < self.place
    }

    /// Before which moment minutes or hours may be gone.
    pub(super) fn forgotten_us(&self, column: &str) -> i64 {
        if column == "minutes_from_us" { self.minutes_from_us } else { self.hours_from_us }
    }

    /// Up to where there are lists of hours or days.
    pub(super) const fn ranked_us(&self, step: Step) -> i64 {
        match step {
            Step::Day => self.days_ranked_us,
            Step::Hour | Step::Minute => self.hours_ranked_us,
        }
    }

    /// Whether sums by service hold all that was shipped.
    pub(super) const fn has_services(&self) -> bool {
        self.place.0 >= self.service_from_us
    }
}

impl Store {
    /// Folds the next minutes that began before a moment into hours and days, about so many rows at most,
    /// and says how many rows of hours changed; call again until it says 0. A moment some minutes ago is
    /// best: what is shipped for a folded minute costs more.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn fold_usage_before(&self, before_us: i64, rows_max: u32) -> Result<u64, StoreError> {
        let before_us = down(before_us, Step::Minute.length_us());
        // Mostly there is little to do, and then nobody has to wait.
        let mut conn = self.reader().await?;
        let Folds { place, .. } = Folds::read(&mut conn).await?;
        let any = "SELECT 1 FROM usage_minute WHERE minute_us >= $1 AND (minute_us, key) >= ($1, $2) \
                   AND minute_us < $3 LIMIT 1";
        if one(sql(any).bind(place.0).bind(place.1).bind(before_us), &mut conn).await?.is_none() {
            return Ok(0);
        }
        drop(conn);
        let mut tx = self.begin_write().await?;
        let folds = Folds::hold(&mut tx, self.engine().hold_row()).await?;
        let Some(to) = end(&mut tx, folds.place, before_us, rows_max).await? else {
            tx.rollback().await?;
            return Ok(0);
        };
        let rows = fold(&mut tx, &folds, to).await?;
        run(
            sql("UPDATE usage_folds SET minute_us = $1, key = $2 WHERE id = 1").bind(to.0).bind(to.1),
            &mut tx,
        )
        .await?;
        tx.commit().await?;
        Ok(rows)
    }
}

/// Behind which place the next step ends; `None` when somebody else has taken it.
async fn end(
    conn: &mut AnyConnection,
    from: (i64, i64),
    before_us: i64,
    rows_max: u32,
) -> Result<Option<(i64, i64)>, StoreError> {
    if from.0 >= before_us {
        return Ok(None);
    }
    let text = format!(
        "SELECT minute_us, key FROM usage_minute WHERE minute_us >= $1 AND (minute_us, key) >= ($1, $2) \
         AND minute_us < $3 ORDER BY minute_us, key LIMIT 1 OFFSET {rows_max}"
    );
    let found = one(built(text).bind(from.0).bind(from.1).bind(before_us), conn).await?;
    let Some(row) = found else { return Ok(Some((before_us, i64::MIN))) };
    let end = (row.int(0)?, row.int(1)?);
    // One key with more rows in a minute than a step takes is taken whole.
    Ok(Some(if end > from { end } else { (end.0, end.1.saturating_add(1)) }))
}

/// Adds the rows up to a place to what they are folded into.
async fn fold(conn: &mut AnyConnection, folds: &Folds, to: (i64, i64)) -> Result<u64, StoreError> {
    let from = folds.place;
    let mut hours = 0;
    for (index, (table, step)) in FOLDED.into_iter().enumerate() {
        let statement = built(folding(&table, step, ""));
        let rows = run(statement.bind(from.0).bind(from.1).bind(to.0).bind(to.1), conn).await?;
        if index == 0 {
            hours = rows;
        }
    }
    if from.0 < folds.service_from_us {
        for (table, step) in SHIPPED {
            let statement = built(folding(&table, step, " AND minute_us < $5")).bind(from.0).bind(from.1);
            run(statement.bind(to.0).bind(to.1).bind(folds.service_from_us), conn).await?;
        }
    }
    Ok(hours)
}

fn folding(table: &Table, step: Step, also: &str) -> String {
    let length = step.length_us();
    let columns: Vec<String> = table
        .columns
        .split(", ")
        .map(|column| match column {
            "start_us" => format!("minute_us / {length} * {length}"),
            other => other.to_owned(),
        })
        .collect();
    let groups: Vec<String> = (1..=columns.len()).map(|number| number.to_string()).collect();
    format!(
        "INSERT INTO {} ({}, {SUMS}) SELECT {}, {SUMS_OF_GROUP} FROM {} WHERE {BETWEEN}{also} GROUP BY {}{}",
        table.name,
        table.columns,
        columns.join(", "),
        MINUTES.name,
        groups.join(", "),
        table.add
    )
}

/// Notes that what began before a moment may be forgotten, and says up to which moment that may be: rows
/// that are not folded stay.
pub(super) async fn note_forgotten(
    conn: &mut AnyConnection,
    column: &'static str,
    before_us: i64,
) -> Result<i64, StoreError> {
    let text = format!(
        "UPDATE usage_folds SET {column} = CASE WHEN {column} >= $1 THEN {column} \
         WHEN minute_us < $1 THEN minute_us ELSE $1 END WHERE id = 1 RETURNING {column}"
    );
    let rows = all(built(text).bind(before_us), conn).await?;
    rows.first().map_or(Ok(before_us), |row| Ok(row.int(0)?.min(before_us)))
}
