//! `tollgate usage`

use serde_json::{Map, Value, json};
use tollgate_store::{UsageBy, UsageFilter, UsageReport, UsageRow, UsageSums};

use super::recorded;
use crate::{
    cli::{UsageArgs, UsageColumn, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

pub(crate) async fn run(context: &Context, args: UsageArgs) -> Result<(), Failure> {
    let mut columns = Vec::new();
    for column in args.by {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    recorded::bring_in(context, &store).await?;
    let mut filter = UsageFilter {
        from_us: args.from.map(|moment| moment.at_us(now_us)),
        to_us: args.to.map(|moment| moment.at_us(now_us)),
        ..UsageFilter::default()
    };
    if let Some(key) = &args.key {
        filter.key = Some(store.find_key(key).await?);
    }
    if let Some(service) = &args.service {
        filter.service = Some(store.find_service(service).await?.id);
    }
    if let Some(consumer) = &args.consumer {
        filter.consumer = Some(store.find_consumer(consumer).await?.id);
    }
    let by: Vec<UsageBy> = columns.iter().filter_map(|column| stored(*column)).collect();
    let report = store.usage(&by, &filter).await?;
    let shown = json!({
        "rows": report.rows.iter().map(|row| shown_row(&columns, row)).collect::<Vec<_>>(),
        "total": sums(&report.total),
    });
    context.printer.result(&shown, || in_words(&columns, &report))
}

/// The stored column; no call to a model is recorded in this version, so `model` is always empty.
const fn stored(column: UsageColumn) -> Option<UsageBy> {
    Some(match column {
        UsageColumn::Key => UsageBy::Key,
        UsageColumn::Service => UsageBy::Service,
        UsageColumn::Code => UsageBy::Code,
        UsageColumn::Consumer => UsageBy::Consumer,
        UsageColumn::Day => UsageBy::Day,
        UsageColumn::Hour => UsageBy::Hour,
        UsageColumn::Minute => UsageBy::Minute,
        UsageColumn::Project => UsageBy::Project,
        UsageColumn::Tenant => UsageBy::Tenant,
        UsageColumn::Model => return None,
    })
}

const fn name(column: UsageColumn) -> &'static str {
    match column {
        UsageColumn::Key => "key",
        UsageColumn::Service => "service",
        UsageColumn::Code => "code",
        UsageColumn::Consumer => "consumer",
        UsageColumn::Model => "model",
        UsageColumn::Day => "day",
        UsageColumn::Hour => "hour",
        UsageColumn::Minute => "minute",
        UsageColumn::Project => "project",
        UsageColumn::Tenant => "tenant",
    }
}

fn value(column: UsageColumn, row: &UsageRow) -> Option<String> {
    match column {
        UsageColumn::Key => row.key.map(|id| id.to_string()),
        UsageColumn::Service => row.service.as_ref().map(|service| service.name.clone()),
        UsageColumn::Code => row.code.map(|code| code.name().to_owned()),
        UsageColumn::Consumer => row.consumer.as_ref().map(|consumer| consumer.name.clone()),
        UsageColumn::Project => row.project.as_ref().map(|project| project.name.clone()),
        UsageColumn::Tenant => row.tenant.as_ref().map(|tenant| tenant.name.clone()),
        UsageColumn::Day => row.time_us.map(|at_us| rfc3339(at_us).chars().take(10).collect()),
        UsageColumn::Hour | UsageColumn::Minute => row.time_us.map(rfc3339),
        UsageColumn::Model => None,
    }
}

fn shown_row(columns: &[UsageColumn], row: &UsageRow) -> Value {
    let mut shown = Map::new();
    for column in columns {
        shown.insert(name(*column).to_owned(), json!(value(*column, row)));
    }
    if let Value::Object(sums) = sums(&row.sums) {
        shown.extend(sums);
    }
    Value::Object(shown)
}

/// Tokens and cost are there for programs that will read them once models are called.
fn sums(sums: &UsageSums) -> Value {
    json!({
        "requests": sums.requests,
        "denied": sums.denied,
        "tokens_in": 0,
        "tokens_out": 0,
        "cost": "0",
        "units": sums.units,
        "bytes_in": sums.bytes_in,
        "bytes_out": sums.bytes_out,
        "latency_ms_mean": mean_ms(sums.latency_us, sums.requests),
        "upstream_ms_mean": mean_ms(sums.upstream_us, sums.requests),
    })
}

/// The mean in milliseconds, to the microsecond.
fn mean_ms(total_us: u64, requests: u64) -> f64 {
    total_us.checked_div(requests).unwrap_or(0) as f64 / 1000.0
}

fn in_words(columns: &[UsageColumn], report: &UsageReport) -> String {
    let header: Vec<&str> = columns
        .iter()
        .map(|column| name(*column))
        .chain(["requests", "denied", "units", "bytes in", "bytes out", "mean ms"])
        .collect();
    let line = |row: &UsageRow| -> Vec<String> {
        let keys = columns.iter().map(|column| value(*column, row).unwrap_or_else(|| "-".to_owned()));
        keys.chain(numbers(&row.sums)).collect()
    };
    let mut rows: Vec<Vec<String>> =
        if columns.is_empty() { Vec::new() } else { report.rows.iter().map(line).collect() };
    let total = columns.iter().enumerate().map(|(index, _)| if index == 0 { "total" } else { "" }.to_owned());
    rows.push(total.chain(numbers(&report.total)).collect());
    print::columns(&header, rows)
}

fn numbers(sums: &UsageSums) -> [String; 6] {
    [
        sums.requests.to_string(),
        sums.denied.to_string(),
        sums.units.to_string(),
        sums.bytes_in.to_string(),
        sums.bytes_out.to_string(),
        format!("{:.3}", mean_ms(sums.latency_us, sums.requests)),
    ]
}
