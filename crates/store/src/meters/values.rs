//! What a meter counted in a span, by window and group.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::AnyConnection;
use tollgate_core::meter::{
    number::Number,
    partial::{Aggregate, Partial},
    set::{OTHER, group_words},
    sketch::Sketch,
    window::{WindowUnit, windows},
};

use super::{
    views::MeterView,
    write::{HOUR_US, unpacked},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Columns as _, all, built, only, sql},
};

/// Values of one answer at most, before the groups that have most are chosen.
const VALUES_MAX: usize = 200_000;
/// Bytes of the sketches of one answer at most, before the groups that have most are chosen; as many again are
/// made of them.
const SKETCH_BYTES_MAX: usize = 64 << 20;
/// Groups of one answer at most.
pub const GROUPS_SHOWN_MAX: usize = 1_000;
/// Rows that are read at once.
const ROWS: i64 = 10_000;

/// What is asked of a meter.
#[derive(Clone, Debug)]
pub struct MeterQuestion {
    /// How long windows are.
    pub unit: WindowUnit,
    /// Whose calendar counts, an IANA name.
    pub zone: String,
    /// From the window that holds this moment, wall microseconds,
    pub from_us: i64,
    /// to the one that holds the last moment before this.
    pub to_us: i64,
    /// Which of the things that the meter groups by are told apart, by their place there.
    pub by: Vec<usize>,
    /// Groups that are given, those that have most: 1 to 1,000, and no more than have 200,000 values together.
    pub groups_max: usize,
}

/// A value of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterValue {
    /// The value; `None` of nothing.
    pub value: Option<Number>,
    /// How many events it is of.
    pub events: u64,
    /// Whether it is exact.
    pub is_exact: bool,
}

/// The values of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValues {
    /// What it is told apart by, in the order that was asked for; `None` for what had no room of its own.
    pub words: Option<Vec<Option<String>>>,
    /// One a window.
    pub values: Vec<MeterValue>,
    /// Over all windows.
    pub total: MeterValue,
}

/// What a meter counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterValues {
    /// Where windows begin, and where the last of them ends, wall microseconds.
    pub starts_us: Vec<i64>,
    /// By group, those that have most first.
    pub groups: Vec<GroupValues>,
    /// Groups that are not among them.
    pub groups_left: usize,
    /// One a window, over all groups.
    pub values: Vec<MeterValue>,
    /// Over all windows and groups.
    pub total: MeterValue,
}

#[derive(Default)]
struct Found {
    /// By window, and number of the group.
    parts: BTreeMap<(usize, i64), Partial>,
    sketch_bytes: usize,
}

impl Found {
    /// Adds a part.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for more than an answer may be made of.
    fn add(&mut self, place: (usize, i64), part: &Partial) -> Result<(), StoreError> {
        let bytes = |part: &Partial| part.sketch.as_ref().map_or(0, Sketch::bytes);
        let own = self.parts.entry(place).or_default();
        let before = bytes(own);
        own.merge(part);
        self.sketch_bytes = (self.sketch_bytes + bytes(own)).saturating_sub(before);
        let what = if self.parts.len() > VALUES_MAX {
            format!("{VALUES_MAX} values")
        } else if self.sketch_bytes > SKETCH_BYTES_MAX {
            format!("{} MiB of different values", SKETCH_BYTES_MAX >> 20)
        } else {
            return Ok(());
        };
        let problem = format!("these are more than {what}; ask for longer windows, or for a shorter span");
        Err(StoreError::invalid("window", problem))
    }
}

impl Store {
    /// The values of a meter.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a span that has no windows, or too many values.
    pub async fn meter_values(
        &self,
        meter: &MeterView,
        question: &MeterQuestion,
    ) -> Result<MeterValues, StoreError> {
        let span = (question.from_us, question.to_us);
        let starts_us = windows(question.unit, &question.zone, span)
            .map_err(|error| StoreError::invalid("window", error.to_string()))?;
        let mut tx = self.begin_read().await?;
        let kept_us =
            only(sql("SELECT minutes_from_us FROM meter_head WHERE id = 1"), &mut tx).await?.int(0)?;
        let mut found = Found::default();
        for piece in pieces(&starts_us, question.unit, kept_us) {
            read(&mut tx, (meter, piece), &starts_us, &mut found).await?;
        }
        let words = words(&mut tx, meter.series).await?;
        tx.rollback().await?;
        Ok(answer((meter, question), starts_us, &found.parts, &words))
    }
}

/// A part of a span, read from one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    is_minutes: bool,
    from_us: i64,
    to_us: i64,
}

/// The parts of a span: hours, and minutes where a window begins or ends within one. Where minutes are forgotten,
/// an hour belongs to the window that holds its beginning.
fn pieces(starts_us: &[i64], unit: WindowUnit, kept_us: i64) -> Vec<Piece> {
    let (Some(from_us), Some(to_us)) = (starts_us.first().copied(), starts_us.last().copied()) else {
        return Vec::new();
    };
    if unit == WindowUnit::Minute {
        return vec![Piece { is_minutes: true, from_us, to_us }];
    }
    let hour = |at_us: i64| at_us - at_us.rem_euclid(HOUR_US);
    let cut: BTreeSet<i64> =
        starts_us.iter().filter(|at_us| hour(**at_us) != **at_us).map(|at_us| hour(*at_us)).collect();
    let mut pieces = Vec::new();
    let mut at_us = from_us;
    for hour_us in cut {
        if hour_us >= kept_us {
            pieces.push(Piece { is_minutes: false, from_us: at_us, to_us: hour_us });
            let end_us = to_us.min(hour_us + HOUR_US);
            pieces.push(Piece { is_minutes: true, from_us: at_us.max(hour_us), to_us: end_us });
            at_us = end_us;
        }
    }
    // Only where minutes are gone does it begin within an hour, which is read whole then.
    pieces.push(Piece { is_minutes: false, from_us: at_us, to_us });
    pieces.retain(|piece| piece.from_us < piece.to_us);
    if let Some(first) = pieces.first_mut().filter(|first| !first.is_minutes) {
        first.from_us = hour(first.from_us);
    }
    pieces
}

async fn read(
    conn: &mut AnyConnection,
    (meter, piece): (&MeterView, Piece),
    starts_us: &[i64],
    found: &mut Found,
) -> Result<(), StoreError> {
    let table = if piece.is_minutes { "meter_minute" } else { "meter_hour" };
    let with_sketch = meter.spec.aggregate == Aggregate::Unique;
    let text = if with_sketch {
        format!(
            "SELECT x.start_us, x.number, x.count, x.whole, x.part, x.min_whole, x.min_part, x.max_whole, x.max_part, \
             s.packed FROM {table} x LEFT JOIN meter_sketches s ON s.series = x.series AND s.step = {} \
             AND s.start_us = x.start_us AND s.number = x.number WHERE x.series = $1 \
             AND x.start_us >= $2 AND x.start_us < $3 AND (x.start_us > $2 OR x.number > $4) \
             ORDER BY x.start_us, x.number LIMIT $5",
            i32::from(!piece.is_minutes)
        )
    } else {
        format!(
            "SELECT start_us, number, count, whole, part, min_whole, min_part, max_whole, max_part FROM {table} x \
             WHERE series = $1 AND start_us >= $2 AND start_us < $3 AND (start_us > $2 OR number > $4) \
             ORDER BY start_us, number LIMIT $5"
        )
    };
    let rows_max = if with_sketch { ROWS / 40 } else { ROWS };
    let mut from = (piece.from_us, -1);
    loop {
        let select = built(text.clone()).bind(meter.series).bind(from.0).bind(piece.to_us);
        let rows = all(select.bind(from.1).bind(rows_max), conn).await?;
        for row in &rows {
            from = (row.int(0)?, row.int(1)?);
            let ends = |column: usize| {
                Ok::<_, StoreError>(row.opt_int(column)?.zip(row.opt_int(column + 1)?).map(of_parts))
            };
            let mut part = Partial {
                count: row.count(2)?,
                sum: of_parts((row.int(3)?, row.int(4)?)),
                min: ends(5)?,
                max: ends(7)?,
                sketch: None,
            };
            if with_sketch {
                part.sketch = row.opt_blob(9)?.map(unpacked).transpose()?;
            }
            // The window that holds it; the first where an hour begins before it.
            let window = starts_us.partition_point(|start| *start <= from.0).saturating_sub(1);
            found.add((window, from.1), &part)?;
        }
        if (rows.len() as i64) < rows_max {
            return Ok(());
        }
    }
}

const fn of_parts((whole, part): (i64, i64)) -> Number {
    Number::of_parts(whole, part)
}

async fn words(conn: &mut AnyConnection, series: i64) -> Result<HashMap<i64, String>, StoreError> {
    let select = sql("SELECT number, words FROM meter_groups WHERE series = $1").bind(series);
    all(select, conn).await?.iter().map(|row| Ok((row.int(0)?, row.text(1)?.to_owned()))).collect()
}

type Words = Option<Vec<Option<String>>>;

fn answer(
    (meter, question): (&MeterView, &MeterQuestion),
    starts_us: Vec<i64>,
    found: &BTreeMap<(usize, i64), Partial>,
    words: &HashMap<i64, String>,
) -> MeterValues {
    let aggregate = meter.spec.aggregate;
    let count = starts_us.len().saturating_sub(1);
    let of = |part: &Partial| MeterValue {
        value: part.value(aggregate),
        events: part.count,
        is_exact: part.is_exact(),
    };
    let words_of = |number: i64| -> Words {
        let own = words.get(&number).filter(|_| number != OTHER)?;
        let own = group_words(own, meter.spec.group_by.len());
        Some(question.by.iter().map(|index| own.get(*index).cloned().flatten()).collect())
    };
    let mut all = vec![Partial::default(); count];
    let mut whole = Partial::default();
    let mut totals: BTreeMap<Words, Partial> = BTreeMap::new();
    for ((window, number), part) in found {
        let Some(place) = all.get_mut(*window) else { continue };
        place.merge(part);
        whole.merge(part);
        if !question.by.is_empty() {
            totals.entry(words_of(*number)).or_default().merge(part);
        }
    }
    let mut totals: Vec<(Words, MeterValue)> =
        totals.into_iter().map(|(words, total)| (words, of(&total))).collect();
    totals.sort_by_key(|(_, total)| std::cmp::Reverse(total.value));
    let room = (VALUES_MAX / count.max(1)).max(1);
    let shown = question.groups_max.clamp(1, GROUPS_SHOWN_MAX).min(room).min(totals.len());
    let groups_left = totals.len() - shown;
    totals.truncate(shown);
    // Only those that are shown have values for all windows.
    let places: BTreeMap<&Words, usize> =
        totals.iter().enumerate().map(|(place, (words, _))| (words, place)).collect();
    let mut parts = vec![Partial::default(); shown * count];
    for ((window, number), part) in found.iter().filter(|_| shown > 0) {
        let place = places.get(&words_of(*number)).filter(|_| *window < count);
        if let Some(own) = place.and_then(|place| parts.get_mut(place * count + window)) {
            own.merge(part);
        }
    }
    drop(places);
    let mut values = parts.iter().map(of);
    let groups = totals
        .into_iter()
        .map(|(words, total)| GroupValues { words, values: values.by_ref().take(count).collect(), total })
        .collect();
    MeterValues { starts_us, groups, groups_left, values: all.iter().map(of).collect(), total: of(&whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sketches_count_against_a_bound_of_their_own() {
        let registers = Sketch::Registers(vec![0; 4096].into());
        let part = Partial { sketch: Some(registers), ..Partial::default() };
        let mut found = Found::default();
        let room = (SKETCH_BYTES_MAX / 4096) as i64;
        for number in 0..room {
            found.add((0, number), &part).unwrap();
            // What merges into one that is there takes no more.
            found.add((0, number), &part).unwrap();
        }
        assert!(found.add((0, room), &part).is_err());
    }

    #[test]
    fn hours_that_a_window_cuts_are_read_by_minute() {
        let half = HOUR_US / 2;
        let piece = |is_minutes, from_us, to_us| Piece { is_minutes, from_us, to_us };
        let starts = [half, 24 * HOUR_US + half];
        assert_eq!(
            pieces(&starts, WindowUnit::Day, 0),
            [
                piece(true, half, HOUR_US),
                piece(false, HOUR_US, 24 * HOUR_US),
                piece(true, 24 * HOUR_US, 24 * HOUR_US + half)
            ]
        );
        assert_eq!(pieces(&[0, 24 * HOUR_US], WindowUnit::Day, 0), [piece(false, 0, 24 * HOUR_US)]);
        let forgotten = pieces(&starts, WindowUnit::Day, i64::MAX);
        assert_eq!(forgotten, [piece(false, 0, 24 * HOUR_US + half)]);
    }
}
