//! Values of a meter as a page shows them: drawn, as one number, as a table, and in words for whoever does not see
//! the drawing.

use serde_json::json;
use tollgate_core::meter::{number::Number, partial::Aggregate};
use tollgate_store::{GroupValues, MeterValue, MeterValues, MeterView};

/// Series of a drawing at most; the rest is in the table.
const SERIES_MAX: usize = 6;
/// The colours of series, names of the style.
const COLOURS: [&str; SERIES_MAX] =
    ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--ink-3"];

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    Lines,
    Bars,
}

/// Values to be shown.
pub(crate) struct Drawn {
    /// For the script, JSON; empty when there is nothing to draw.
    pub(crate) points: String,
    /// What the drawing says, in words.
    pub(crate) finding: String,
    /// The value over all windows and groups.
    pub(crate) total: String,
    /// Names, colours and values of the series.
    pub(crate) legend: Vec<(String, &'static str, String)>,
    /// Groups with their values over all windows, and how many events they are of.
    pub(crate) rows: Vec<(String, String, u64)>,
    /// Groups that are not listed.
    pub(crate) left: usize,
    /// Values by window.
    pub(crate) windows: Vec<(i64, String)>,
    /// Whether there is nothing at all.
    pub(crate) is_empty: bool,
    /// Whether all numbers are exact.
    pub(crate) is_exact: bool,
}

/// Makes values fit to be shown.
pub(crate) fn draw(meter: &MeterView, values: &MeterValues, looks: Looks) -> Drawn {
    let aggregate = meter.spec.aggregate;
    let (starts, _) = values.starts_us.split_at(values.starts_us.len().saturating_sub(1));
    let named: Vec<(String, &[MeterValue], &MeterValue)> = match values.groups.is_empty() {
        true => vec![(meter.spec.name.clone(), &values.values, &values.total)],
        false => values.groups.iter().map(|group| (name(group), &*group.values, &group.total)).collect(),
    };
    let drawn = || named.iter().take(SERIES_MAX).zip(COLOURS);
    let series: Vec<_> = drawn()
        .map(|((name, values, _), colour)| {
            let values: Vec<Option<f64>> = values.iter().map(|value| height(*value, aggregate)).collect();
            json!({ "name": name, "colour": colour, "values": values })
        })
        .collect();
    let times: Vec<i64> = starts.iter().map(|start| start / 1_000_000).collect();
    let is_empty = values.total.events == 0;
    let points = json!({
        "times": times, "series": series, "bars": looks == Looks::Bars, "lines": looks == Looks::Lines,
    });
    let total = text(values.total.value);
    let of = values.values.iter().filter(|value| value.events > 0).count();
    Drawn {
        points: if is_empty { String::new() } else { points.to_string() },
        finding: format!(
            "{} of {}: {total} over {} events, in {of} of {} windows",
            aggregate.name(),
            meter.spec.name,
            values.total.events,
            values.values.len()
        ),
        legend: drawn()
            .map(|((name, _, total), colour)| {
                (name.clone(), colour.trim_start_matches('-'), text(total.value))
            })
            .collect(),
        rows: named.iter().map(|(name, _, total)| (name.clone(), text(total.value), total.events)).collect(),
        left: values.groups_left,
        windows: starts
            .iter()
            .zip(&values.values)
            .filter(|(_, value)| value.events > 0)
            .map(|(start, value)| (*start, text(value.value)))
            .collect(),
        is_exact: values.total.is_exact,
        total,
        is_empty,
    }
}

/// How high a point is; a window without events is none, but for what is counted or added up.
fn height(value: MeterValue, aggregate: Aggregate) -> Option<f64> {
    let adds_up = matches!(aggregate, Aggregate::Count | Aggregate::Sum | Aggregate::Unique);
    match value.value {
        Some(number) if value.events > 0 => Some(number.to_float()),
        _ => adds_up.then_some(0.0),
    }
}

fn name(group: &GroupValues) -> String {
    let Some(words) = &group.words else { return "other".to_owned() };
    let words: Vec<&str> = words.iter().map(|word| word.as_deref().unwrap_or("none")).collect();
    let name = words.join(", ");
    if name.is_empty() { "(empty)".to_owned() } else { name }
}

/// A number as people read it.
fn text(number: Option<Number>) -> String {
    let Some(number) = number else { return "–".to_owned() };
    let text = number.to_string();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let grouped = digits.parse().map_or_else(|_| digits.to_owned(), super::words::grouped);
    let rest: String = rest.chars().take(3).collect();
    let rest = rest.trim_end_matches('0');
    if rest.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        for (number, words) in [
            ("1234567", "1,234,567"),
            ("-1234.5", "-1,234.5"),
            ("0.3339", "0.333"),
            ("2.0001", "2"),
            ("0", "0"),
        ] {
            assert_eq!(text(Number::parse(number)), words);
        }
        assert_eq!(text(None), "–");
    }
}
