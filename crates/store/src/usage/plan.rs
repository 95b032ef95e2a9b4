//! Which tables answer a question about a span of time: the coarsest that answer it exactly, and finer
//! ones at its edges.
//!
//! Where finer rows are forgotten already, an edge is as wide as the coarser row that holds it: such a
//! span begins with the hour (or day) that holds its beginning and ends with the one that holds its end.

use super::{
    cubes::{DAY_US, HOUR_US, MINUTE_US, Step},
    fold::Folds,
};

/// A part of a span, read from one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) step: Step,
    /// From rows that begin here,
    pub(super) from_us: i64,
    /// up to rows that begin before this.
    pub(super) to_us: i64,
    /// Only what is not folded yet.
    pub(super) is_unfolded: bool,
}

/// What is asked, and what the tables hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// From the minute that holds this moment; from the beginning when `None`.
    pub(super) from_us: Option<i64>,
    /// Up to the minute that holds the last moment before this; to the end when `None`.
    pub(super) to_us: Option<i64>,
    /// The longest step that may be used.
    pub(super) coarsest: Step,
    /// Up to which minute hours and days hold everything; `None` when they always do.
    pub(super) folded_us: Option<i64>,
}

const BEGINNING: i64 = i64::MIN;
const END: i64 = i64::MAX;

/// The parts of a span. They do not overlap, and together are the whole of it.
pub(super) fn pieces(asked: &Asked, folds: &Folds) -> Vec<Piece> {
    let from = asked.from_us.map_or(BEGINNING, |from| down(from, MINUTE_US));
    let to = asked.to_us.map_or(END, |to| up(to, MINUTE_US));
    let minutes = |from_us, to_us| Piece { step: Step::Minute, from_us, to_us, is_unfolded: false };
    if asked.coarsest == Step::Minute {
        return some([minutes(from, to)]);
    }
    // Whether the span reaches to where hours are not complete: they are taken up to their end then,
    // and what is missing in them comes from the minutes.
    let tail_us = asked.folded_us.filter(|folded_us| to > *folded_us);
    let (from_hour, to_hour) = edges((from, to), HOUR_US, folds.minutes_from_us, tail_us.is_some());
    let is_behind = tail_us.is_some_and(|folded_us| from_hour > folded_us);
    if from_hour >= to_hour || is_behind {
        return some([minutes(from, to)]);
    }
    let hours = |from_us, to_us| Piece { step: Step::Hour, ..minutes(from_us, to_us) };
    let left = minutes(from, from_hour.max(from));
    let right = tail_us.map_or(minutes(to_hour.min(to), to), |folded_us| Piece {
        is_unfolded: true,
        ..minutes(folded_us.max(from), to)
    });
    let (from_day, to_day) = edges((from_hour, to_hour), DAY_US, folds.hours_from_us, to_hour == END);
    if asked.coarsest == Step::Hour || from_day >= to_day || tail_us.is_some_and(|tail| from_day > tail) {
        return some([left, hours(from_hour, to_hour), right]);
    }
    let days = Piece { step: Step::Day, ..minutes(from_day, to_day) };
    let (before, after) = (hours(from_hour, from_day.max(from_hour)), hours(to_day.min(to_hour), to_hour));
    some([left, before, days, after, right])
}

/// The first whole step in a span and the one behind the last; those that hold its ends where what is
/// shorter is forgotten before `kept_us`.
pub(super) fn edges((from, to): (i64, i64), step: i64, kept_us: i64, is_open: bool) -> (i64, i64) {
    let first = if from < kept_us { down(from, step) } else { up(from, step) };
    let behind = match (is_open, down(to, step)) {
        (true, _) => END,
        (_, end) if end < kept_us => up(to, step),
        (_, end) => end,
    };
    (first, behind)
}

fn some<const N: usize>(pieces: [Piece; N]) -> Vec<Piece> {
    pieces.into_iter().filter(|piece| piece.from_us < piece.to_us).collect()
}

/// The step that holds a moment; the ends of time stay.
pub(super) const fn down(at_us: i64, step: i64) -> i64 {
    if at_us == BEGINNING || at_us == END { at_us } else { at_us.saturating_sub(at_us.rem_euclid(step)) }
}

/// The first step that begins at a moment or after it.
const fn up(at_us: i64, step: i64) -> i64 {
    let below = down(at_us, step);
    if below == at_us { at_us } else { below.saturating_add(step) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Asked, DAY_US, Folds, HOUR_US, MINUTE_US, Step, down, pieces};

    /// How often a minute is counted: rows of its hour and day hold it once it is folded.
    fn counted(asked: &Asked, folds: &Folds, minute_us: i64) -> usize {
        let is_folded = asked.folded_us.is_none_or(|folded_us| minute_us < folded_us);
        pieces(asked, folds)
            .into_iter()
            .filter(|piece| {
                let row_us = down(minute_us, piece.step.length_us());
                (piece.from_us..piece.to_us).contains(&row_us)
                    && if piece.step == Step::Minute { !(piece.is_unfolded && is_folded) } else { is_folded }
            })
            .count()
    }

    fn moments() -> impl Strategy<Value = Option<i64>> {
        proptest::option::of(
            (0..5 * 1440i64, 0..MINUTE_US).prop_map(|(minute, rest)| minute * MINUTE_US + rest),
        )
    }

    proptest! {
        #[test]
        fn each_minute_of_a_span_counts_once_and_no_other(
            from_us in moments(),
            to_us in moments(),
            folded in proptest::option::of(0..5 * 1440i64),
            coarsest in prop::sample::select(vec![Step::Minute, Step::Hour, Step::Day]),
        ) {
            let asked = Asked { from_us, to_us, coarsest, folded_us: folded.map(|minute| minute * MINUTE_US) };
            for minute in 0..5 * 1440 {
                let at_us = minute * MINUTE_US;
                let is_in = from_us.is_none_or(|from| at_us >= down(from, MINUTE_US))
                    && to_us.is_none_or(|to| at_us < to);
                prop_assert_eq!(counted(&asked, &Folds::default(), at_us), usize::from(is_in), "{}", minute);
            }
        }
    }

    #[test]
    fn a_month_is_read_from_days_and_its_edges_from_less() {
        let asked = Asked {
            from_us: Some(10 * DAY_US - 2 * HOUR_US - MINUTE_US),
            to_us: Some(40 * DAY_US + HOUR_US + MINUTE_US),
            coarsest: Step::Day,
            folded_us: None,
        };
        let lengths: Vec<_> = pieces(&asked, &Folds::default())
            .iter()
            .map(|piece| (piece.step, (piece.to_us - piece.from_us) / piece.step.length_us()))
            .collect();
        let (minute, hour) = ((Step::Minute, 1), Step::Hour);
        assert_eq!(lengths, [minute, (hour, 2), (Step::Day, 30), (hour, 1), minute]);
    }

    #[test]
    fn what_is_forgotten_makes_edges_wider() {
        let folds = Folds { minutes_from_us: 9 * DAY_US, hours_from_us: 5 * DAY_US, ..Folds::default() };
        let asked = |from_us, to_us| Asked {
            from_us: Some(from_us),
            to_us: Some(to_us),
            coarsest: Step::Day,
            folded_us: None,
        };
        let found = pieces(&asked(3 * DAY_US + MINUTE_US, 6 * DAY_US + MINUTE_US), &folds);
        let found: Vec<_> = found.iter().map(|piece| (piece.step, piece.from_us, piece.to_us)).collect();
        let (first, last) = (3 * DAY_US, 6 * DAY_US);
        assert_eq!(found, [(Step::Day, first, last), (Step::Hour, last, last + HOUR_US)]);
    }
}
