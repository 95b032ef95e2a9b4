//! `tollgate meters …`: which there are, and what they counted.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::meter::window::WindowUnit;
use tollgate_store::{GroupValues, MeterQuestion, MeterValue, MeterValues, MeterView, PageRequest, Store};
use tollgate_workers::METERS_SINK;

use super::recorded;
use crate::{
    cli::{MeterQueryArgs, MetersCommand, WindowName, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// How far back values are shown where nothing is said, microseconds.
const SPAN_US: i64 = 86_400_000_000;
/// How long to wait until records that are there are counted.
const PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(50);

pub(crate) async fn run(context: &Context, command: MetersCommand) -> Result<(), Failure> {
    let store = context.store().await?;
    match command {
        MetersCommand::List => list(context, &store).await,
        MetersCommand::Query(args) => query(context, &store, args).await,
    }
}

async fn list(context: &Context, store: &Store) -> Result<(), Failure> {
    let mut meters = Vec::new();
    let mut page = PageRequest { limit: tollgate_store::PAGE_ROWS_MAX, cursor: None };
    loop {
        let part = store.list_meters(None, &page).await?;
        meters.extend(part.items);
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    let shown = json!({ "meters": meters.iter().map(listed).collect::<Vec<_>>() });
    context.printer.result(&shown, || {
        let rows = meters.iter().map(|meter| {
            let spec = &meter.spec;
            let value = spec.value.as_deref().unwrap_or_default();
            [
                meter.id.to_string(),
                format!("{}/{}", meter.spec.project, spec.name),
                spec.event_type.clone(),
                format!("{} {value}", spec.aggregate.name()).trim_end().to_owned(),
                spec.group_by.join(", "),
                meter.groups.to_string(),
                past_words(meter),
            ]
        });
        print::table(["id", "meter", "event type", "counts", "group by", "groups", "past"], rows)
    })
}

/// How far what was there before a meter is counted, and what of it is not.
fn past_words(meter: &MeterView) -> String {
    let Some(past) = meter.past else { return "not counted".to_owned() };
    let mut words = if past.is_done { "counted".to_owned() } else { format!("{} % counted", past.percent()) };
    if past.damaged > 0 {
        words.push_str(&format!(", {} damaged and passed over", past.damaged));
    }
    if past.unsummed > 0 {
        words.push_str(&format!(", up to {} without tokens", past.unsummed));
    }
    words
}

fn listed(meter: &MeterView) -> Value {
    let past = meter.past.map(|past| {
        json!({
            "done": past.is_done,
            "events": past.events,
            "left": past.left,
            "damaged": past.damaged,
            "unsummed": past.unsummed,
        })
    });
    json!({
        "id": meter.id.to_string(),
        "project": meter.spec.project,
        "name": meter.spec.name,
        "event_type": meter.spec.event_type,
        "value": meter.spec.value,
        "aggregate": meter.spec.aggregate,
        "group_by": meter.spec.group_by,
        "counts_from": rfc3339(meter.from_us),
        "past": past,
        "groups": meter.groups,
        "other_events": meter.others,
        "skipped_events": meter.skipped,
    })
}

async fn query(context: &Context, store: &Store, args: MeterQueryArgs) -> Result<(), Failure> {
    let now_us = context.now_us();
    recorded::bring_in(context, store).await?;
    counted(context, store).await?;
    let meter = past_counted(context, store, &args.meter).await?;
    let mut by = Vec::new();
    for word in &args.group_by {
        let Some(index) = meter.spec.group_by.iter().position(|own| own == word) else {
            let own = meter.spec.group_by.join(", ");
            return Err(Failure::Usage(format!(
                "meter `{}` does not group by `{word}`; it groups by: {}",
                meter.spec.name,
                if own.is_empty() { "nothing" } else { &own }
            )));
        };
        if !by.contains(&index) {
            by.push(index);
        }
    }
    let to_us = args.to.map_or(now_us, |moment| moment.at_us(now_us));
    let question = MeterQuestion {
        unit: unit(args.window),
        zone: args.time_zone,
        from_us: args.from.map_or_else(|| to_us.saturating_sub(SPAN_US), |moment| moment.at_us(now_us)),
        to_us,
        by,
        groups_max: args.groups as usize,
    };
    let values = store.meter_values(&meter, &question).await?;
    let shown = in_json(&meter, &question, &values);
    if context.printer.is_csv() {
        return context.printer.csv(&in_rows(&meter, &question, &values));
    }
    context.printer.result(&shown, || {
        let rows = in_rows(&meter, &question, &values);
        let (header, rows) =
            rows.split_first().map_or((Vec::new(), &rows[..]), |(first, rest)| (first.clone(), rest));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        print::columns(&header, rows.iter().cloned())
    })
}

/// Waits until the records that are there are counted, where a node runs that counts them.
async fn counted(context: &Context, store: &Store) -> Result<(), Failure> {
    let end = store.events_end().await?;
    let mut waited = Duration::ZERO;
    loop {
        let lag = store.outbox_lag().await?;
        let behind = lag.iter().find(|lag| lag.sink == METERS_SINK).map_or(end, |lag| lag.records);
        if behind == 0 || !runs(context, store).await? || waited >= PATIENCE {
            if behind > 0 {
                print::say(&format!(
                    "warning: {behind} record(s) are not counted yet; they are not included"
                ));
            }
            return Ok(());
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
}

/// The meter, when what was there before it is counted; waits for that where a node runs that counts.
async fn past_counted(context: &Context, store: &Store, name: &str) -> Result<MeterView, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let meter = store.meter_of(None, name).await?;
        let left = meter.past.filter(|past| !past.is_done);
        if left.is_none() || !runs(context, store).await? || waited >= PATIENCE {
            if let Some(past) = left {
                print::say(&format!(
                    "warning: {} % of what was there before this meter is counted; the rest is not included",
                    past.percent()
                ));
            }
            return Ok(meter);
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
}

/// Whether a node runs.
async fn runs(context: &Context, store: &Store) -> Result<bool, Failure> {
    let seen_us = context.now_us() - 5_000_000;
    Ok(store.live_nodes().await?.iter().any(|node| node.seen_us > seen_us))
}

const fn unit(name: WindowName) -> WindowUnit {
    match name {
        WindowName::Minute => WindowUnit::Minute,
        WindowName::Hour => WindowUnit::Hour,
        WindowName::Day => WindowUnit::Day,
        WindowName::Week => WindowUnit::Week,
        WindowName::Month => WindowUnit::Month,
        WindowName::Total => WindowUnit::Total,
    }
}

fn in_json(meter: &MeterView, question: &MeterQuestion, values: &MeterValues) -> Value {
    let one = |value: &MeterValue| {
        json!({
            "value": value.value.map(tollgate_core::meter::number::Number::to_float),
            "events": value.events,
            "exact": value.is_exact,
        })
    };
    let group = |group: &GroupValues| {
        json!({
            "words": group.words,
            "other": group.words.is_none(),
            "values": group.values.iter().map(one).collect::<Vec<_>>(),
            "total": one(&group.total),
        })
    };
    let by: Vec<&String> = question.by.iter().filter_map(|index| meter.spec.group_by.get(*index)).collect();
    json!({
        "meter": listed(meter),
        "window": question.unit,
        "time_zone": question.zone,
        "group_by": by,
        "windows": values.starts_us.iter().map(|start| rfc3339(*start)).collect::<Vec<_>>(),
        "values": values.values.iter().map(one).collect::<Vec<_>>(),
        "total": one(&values.total),
        "groups": values.groups.iter().map(group).collect::<Vec<_>>(),
        "groups_left": values.groups_left,
    })
}

/// A line for each window and group that has something, names first.
fn in_rows(meter: &MeterView, question: &MeterQuestion, values: &MeterValues) -> Vec<Vec<String>> {
    let by = question.by.iter().filter_map(|index| meter.spec.group_by.get(*index).cloned());
    let header = std::iter::once("from".to_owned())
        .chain(by)
        .chain([meter.spec.aggregate.name().to_owned(), "events".to_owned()]);
    let mut rows = vec![header.collect()];
    let all = [GroupValues { words: Some(Vec::new()), values: values.values.clone(), total: values.total }];
    let groups = if question.by.is_empty() { &all[..] } else { &values.groups };
    for group in groups {
        for (start, value) in values.starts_us.iter().zip(&group.values).filter(|(_, value)| value.events > 0)
        {
            let words = match &group.words {
                Some(words) => words.iter().map(|word| word.clone().unwrap_or_default()).collect(),
                None => vec!["(other)".to_owned(); question.by.len()],
            };
            let number = value.value.map(|number| number.to_string()).unwrap_or_default();
            let row = std::iter::once(rfc3339(*start)).chain(words).chain([number, value.events.to_string()]);
            rows.push(row.collect());
        }
    }
    rows
}
