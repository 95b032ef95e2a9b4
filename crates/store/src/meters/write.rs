//! Adding what was counted to the rows.
//!
//! The row of a series is held while anything of it is written, and series come in their order: two who count
//! never wait for each other in a circle, and what is read of a series stays as it is.

use std::collections::{BTreeMap, HashSet};

use sqlx::AnyConnection;
use tollgate_core::meter::{
    number::Number,
    partial::Partial,
    set::{OTHER, SeriesTally, Tally, group_number},
    sketch::Sketch,
};

use crate::{
    error::StoreError,
    sql::{Bulk, Columns as _, all, built, list, one, rows_max, run, sql},
};

/// One hour, microseconds.
pub(super) const HOUR_US: i64 = 3_600_000_000;
/// What stands before the values of rows that are added, and behind them.
type Text = (&'static str, &'static str);
/// Values by beginning and group.
type Parts = BTreeMap<(i64, i64), Partial>;

/// Columns of a row of values.
const COLUMNS: usize = 10;

/// A sum that grows up to 10¹⁸ in either direction.
macro_rules! table {
    ($name:literal) => {
        (
            concat!(
                "INSERT INTO ",
                $name,
                " (series, start_us, number, count, whole, part, min_whole, min_part, max_whole, max_part) VALUES "
            ),
            concat!(
                " ON CONFLICT (series, start_us, number) DO UPDATE SET count = ",
                $name,
                ".count + excluded.count, whole = CASE WHEN ",
                $name,
                ".whole > 1000000000000000000 - excluded.whole THEN 1000000000000000000 WHEN ",
                $name,
                ".whole < -1000000000000000000 - excluded.whole THEN -1000000000000000000 ELSE ",
                $name,
                ".whole + excluded.whole END, part = ",
                $name,
                ".part + excluded.part, min_whole = CASE WHEN ",
                table!(@before $name, "min", "<"),
                " THEN excluded.min_whole ELSE ",
                $name,
                ".min_whole END, min_part = CASE WHEN ",
                table!(@before $name, "min", "<"),
                " THEN excluded.min_part ELSE ",
                $name,
                ".min_part END, max_whole = CASE WHEN ",
                table!(@before $name, "max", ">"),
                " THEN excluded.max_whole ELSE ",
                $name,
                ".max_whole END, max_part = CASE WHEN ",
                table!(@before $name, "max", ">"),
                " THEN excluded.max_part ELSE ",
                $name,
                ".max_part END"
            ),
        )
    };
    (@before $name:literal, $which:literal, $than:literal) => {
        concat!(
            "excluded.", $which, "_whole ", $than, " ", $name, ".", $which, "_whole OR (excluded.", $which,
            "_whole = ", $name, ".", $which, "_whole AND excluded.", $which, "_part ", $than, " ", $name, ".",
            $which, "_part)"
        )
    };
}

const MINUTES: Text = table!("meter_minute");
const HOURS: Text = table!("meter_hour");

/// Adds what was counted to the rows. A series that is gone meanwhile is passed over.
pub(crate) async fn write_tally(conn: &mut AnyConnection, tally: &Tally) -> Result<(), StoreError> {
    for (series, counted) in &tally.series {
        let hold = sql("UPDATE meter_series SET skipped = skipped + $1 WHERE series = $2 RETURNING groups");
        let Some(row) = one(hold.bind(counted.skipped as i64).bind(*series), conn).await? else { continue };
        let kept = groups(conn, *series, counted, row.count(0)?).await?;
        let mut minutes = Parts::new();
        let mut hours = minutes.clone();
        for ((minute_us, group), part) in &counted.parts {
            let number = kept.get(&**group).copied().unwrap_or(OTHER);
            minutes.entry((*minute_us, number)).or_default().merge(part);
            hours.entry((minute_us - minute_us.rem_euclid(HOUR_US), number)).or_default().merge(part);
        }
        write_parts(conn, *series, (MINUTES, &minutes)).await?;
        write_parts(conn, *series, (HOURS, &hours)).await?;
        for (step, parts) in [(0, &minutes), (1, &hours)] {
            write_sketches(conn, (*series, step), parts).await?;
        }
    }
    Ok(())
}

/// The numbers of the groups that are kept apart; those beyond the bound of their meter are not among them.
async fn groups<'t>(
    conn: &mut AnyConnection,
    series: i64,
    counted: &'t SeriesTally,
    present: u64,
) -> Result<BTreeMap<&'t str, i64>, StoreError> {
    let mut kept = BTreeMap::new();
    for (_, group) in counted.parts.keys() {
        kept.entry(&**group).or_insert_with(|| group_number(group));
    }
    let numbers: Vec<i64> = kept.values().copied().collect();
    let mut known = HashSet::new();
    for part in numbers.chunks(rows_max(1) - 1) {
        let text = format!(
            "SELECT number FROM meter_groups WHERE series = $1 AND number IN ({})",
            list(2, part.len())
        );
        let select = part.iter().fold(built(text).bind(series), |select, number| select.bind(*number));
        for row in all(select, conn).await? {
            known.insert(row.int(0)?);
        }
    }
    let room = u64::from(counted.groups_max).saturating_sub(present) as usize;
    let fresh: Vec<(&str, i64)> = kept
        .iter()
        .filter(|(_, number)| !known.contains(number))
        .map(|(text, number)| (*text, *number))
        .collect();
    let (new, beyond) = fresh.split_at(room.min(fresh.len()));
    let mut insert = Bulk::new(conn, "INSERT INTO meter_groups (series, number, words) VALUES ", 3, "");
    for part in new.chunks(insert.rows_max()) {
        let statement = part.iter().fold(insert.of(part.len()), |statement, (text, number)| {
            statement.bind(series).bind(*number).bind((*text).to_owned())
        });
        run(statement, conn).await?;
    }
    for (text, _) in beyond {
        kept.remove(text);
    }
    if !fresh.is_empty() {
        let others = counted.parts.iter().filter(|((_, group), _)| !kept.contains_key(&**group));
        let others: u64 = others.map(|(_, part)| part.count).sum();
        let note =
            sql("UPDATE meter_series SET groups = groups + $1, others = others + $2 WHERE series = $3");
        run(note.bind(new.len() as i64).bind(others as i64).bind(series), conn).await?;
    }
    Ok(kept)
}

async fn write_parts(
    conn: &mut AnyConnection,
    series: i64,
    (table, parts): (Text, &Parts),
) -> Result<(), StoreError> {
    let rows: Vec<_> = parts.iter().collect();
    let mut insert = Bulk::new(conn, table.0, COLUMNS, table.1);
    let ends = |number: Option<Number>| number.map(Number::parts).unzip();
    for some in rows.chunks(insert.rows_max()) {
        let mut statement = insert.of(some.len());
        for ((start_us, number), part) in some {
            let ((whole, rest), (min_whole, min_part)) = (part.sum.parts(), ends(part.min));
            let (max_whole, max_part): (Option<i64>, Option<i64>) = ends(part.max);
            statement = statement.bind(series).bind(*start_us).bind(*number).bind(part.count as i64);
            statement = statement.bind(whole).bind(rest).bind(min_whole).bind(min_part);
            statement = statement.bind(max_whole).bind(max_part);
        }
        run(statement, conn).await?;
    }
    Ok(())
}

async fn write_sketches(
    conn: &mut AnyConnection,
    (series, step): (i64, i64),
    parts: &Parts,
) -> Result<(), StoreError> {
    for ((start_us, number), part) in parts {
        let Some(sketch) = &part.sketch else { continue };
        let select = sql("SELECT packed FROM meter_sketches \
                          WHERE series = $1 AND step = $2 AND start_us = $3 AND number = $4");
        let row = one(select.bind(series).bind(step).bind(*start_us).bind(*number), conn).await?;
        let mut whole = row.map_or(Ok(Sketch::default()), |row| unpacked(row.blob(0)?))?;
        whole.merge(sketch);
        let put = sql("INSERT INTO meter_sketches (series, step, start_us, number, packed) \
                       VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (series, step, start_us, number) DO UPDATE SET packed = excluded.packed");
        let put = put.bind(series).bind(step).bind(*start_us).bind(*number).bind(whole.packed());
        run(put, conn).await?;
    }
    Ok(())
}

pub(super) fn unpacked(packed: &[u8]) -> Result<Sketch, StoreError> {
    Sketch::unpacked(packed).ok_or_else(|| StoreError::corrupt("a sketch of a meter cannot be read"))
}
