//! `tollgate usage`

use serde_json::{Map, Value, json};
use tollgate_store::{CallReport, CallRow, CallSums, UsageBy, UsageFilter, UsageSums};

use super::{invoice, recorded};
use crate::{
    cli::{UsageArgs, UsageColumn, UsageCommand, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// The columns of sums in CSV.
const SUMS: [&str; 13] = [
    "requests",
    "denied",
    "tokens_in",
    "tokens_out",
    "cost",
    "currency",
    "cached_input",
    "cache_write",
    "reasoning",
    "units",
    "bytes_in",
    "bytes_out",
    "latency_ms_mean",
];

pub(crate) async fn run(context: &Context, args: UsageArgs) -> Result<(), Failure> {
    if let Some(UsageCommand::Invoice(args)) = args.command {
        return invoice::run(context, args).await;
    }
    let mut columns = Vec::new();
    for column in &args.by {
        if !columns.contains(column) {
            columns.push(*column);
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
    let by_model = columns.contains(&UsageColumn::Model);
    let report = store.usage_with_calls(&by, by_model, &filter).await?;
    if context.printer.is_csv() {
        return context.printer.csv(&in_csv(&columns, &report));
    }
    let shown = json!({
        "rows": report.rows.iter().map(|row| shown_row(&columns, row)).collect::<Vec<_>>(),
        "total": sums(&report.total, &report.calls, false),
    });
    context.printer.result(&shown, || in_words(&columns, &report))
}

/// The stored column; `None` for the model, which is asked for beside the others.
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

fn value(column: UsageColumn, row: &CallRow) -> Option<String> {
    let usage = &row.usage;
    match column {
        UsageColumn::Key => usage.key.map(|id| id.to_string()),
        UsageColumn::Service => usage.service.as_ref().map(|service| service.name.clone()),
        UsageColumn::Code => usage.code.map(|code| code.name().to_owned()),
        UsageColumn::Consumer => usage.consumer.as_ref().map(|consumer| consumer.name.clone()),
        UsageColumn::Project => usage.project.as_ref().map(|project| project.name.clone()),
        UsageColumn::Tenant => usage.tenant.as_ref().map(|tenant| tenant.name.clone()),
        UsageColumn::Day => usage.time_us.map(|at_us| rfc3339(at_us).chars().take(10).collect()),
        UsageColumn::Hour | UsageColumn::Minute => usage.time_us.map(rfc3339),
        UsageColumn::Model => row.model.clone(),
    }
}

fn shown_row(columns: &[UsageColumn], row: &CallRow) -> Value {
    let mut shown = Map::new();
    for column in columns {
        shown.insert(name(*column).to_owned(), json!(value(*column, row)));
    }
    if let Value::Object(sums) = sums(&row.usage.sums, &row.calls, row.is_partial) {
        shown.extend(sums);
    }
    Value::Object(shown)
}

/// `cost` is a decimal in `currency`; both are null where there are several, which `costs` has each of. What is not known
/// of a group is null.
fn sums(sums: &UsageSums, calls: &CallSums, is_partial: bool) -> Value {
    let known = (!is_partial).then_some(sums);
    let (currency, cost) = calls.cost_text().map_or((None, None), |(currency, cost)| (currency, Some(cost)));
    json!({
        "requests": sums.requests,
        "denied": sums.denied,
        "tokens_in": calls.tokens_in,
        "tokens_out": calls.tokens_out,
        "cost": cost,
        "currency": currency,
        "costs": calls.costs_text(),
        "cached_input": calls.cached_input,
        "cache_write": calls.cache_write,
        "reasoning": calls.reasoning,
        "estimated": calls.estimated,
        "units": known.map(|known| known.units),
        "bytes_in": known.map(|known| known.bytes_in),
        "bytes_out": known.map(|known| known.bytes_out),
        "latency_ms_mean": known.map(|known| mean_ms(known.latency_us, known.requests)),
        "upstream_ms_mean": known.map(|known| mean_ms(known.upstream_us, known.requests)),
    })
}

/// The mean in milliseconds, to the microsecond.
fn mean_ms(total_us: u64, requests: u64) -> f64 {
    total_us.checked_div(requests).unwrap_or(0) as f64 / 1000.0
}

/// What it cost in words, by currency.
fn cost_words(calls: &CallSums) -> String {
    let costs: Vec<String> =
        calls.costs_text().iter().map(|(currency, cost)| format!("{cost} {currency}")).collect();
    costs.join(" + ")
}

/// RFC 4180: a line of names first, a line for each group; the total when there are none.
fn in_csv(columns: &[UsageColumn], report: &CallReport) -> Vec<Vec<String>> {
    let header = columns.iter().map(|column| name(*column)).chain(SUMS).map(str::to_owned).collect();
    let line = |row: &CallRow| -> Vec<String> {
        let (sums, calls) = (&row.usage.sums, &row.calls);
        let (currency, cost) = calls.cost_text().unwrap_or((None, cost_words(calls)));
        let keys = columns.iter().map(|column| value(*column, row).unwrap_or_default());
        let mut numbers = [
            sums.requests.to_string(),
            sums.denied.to_string(),
            calls.tokens_in.to_string(),
            calls.tokens_out.to_string(),
            cost,
            currency.unwrap_or_default(),
            calls.cached_input.to_string(),
            calls.cache_write.to_string(),
            calls.reasoning.to_string(),
            sums.units.to_string(),
            sums.bytes_in.to_string(),
            sums.bytes_out.to_string(),
            mean_ms(sums.latency_us, sums.requests).to_string(),
        ];
        if row.is_partial {
            // Units, bytes and times; a zero would be a lie.
            numbers.iter_mut().rev().take(4).for_each(String::clear);
        }
        keys.chain(numbers).collect()
    };
    let mut lines = vec![header];
    if columns.is_empty() {
        let mut row = CallRow { calls: report.calls.clone(), ..CallRow::default() };
        row.usage.sums = report.total;
        lines.push(line(&row));
    } else {
        lines.extend(report.rows.iter().map(line));
    }
    lines
}

fn in_words(columns: &[UsageColumn], report: &CallReport) -> String {
    let header: Vec<&str> = columns
        .iter()
        .map(|column| name(*column))
        .chain([
            "requests",
            "denied",
            "tokens in",
            "tokens out",
            "cost",
            "units",
            "bytes in",
            "bytes out",
            "mean ms",
        ])
        .collect();
    let line = |row: &CallRow| -> Vec<String> {
        let keys = columns.iter().map(|column| value(*column, row).unwrap_or_else(|| "-".to_owned()));
        let mut numbers = numbers(&row.usage.sums, &row.calls);
        if row.is_partial {
            numbers.iter_mut().rev().take(4).for_each(String::clear);
        }
        keys.chain(numbers).collect()
    };
    let mut rows: Vec<Vec<String>> =
        if columns.is_empty() { Vec::new() } else { report.rows.iter().map(line).collect() };
    let total = columns.iter().enumerate().map(|(index, _)| if index == 0 { "total" } else { "" }.to_owned());
    rows.push(total.chain(numbers(&report.total, &report.calls)).collect());
    print::columns(&header, rows)
}

fn numbers(sums: &UsageSums, calls: &CallSums) -> [String; 9] {
    [
        sums.requests.to_string(),
        sums.denied.to_string(),
        calls.tokens_in.to_string(),
        calls.tokens_out.to_string(),
        cost_words(calls),
        sums.units.to_string(),
        sums.bytes_in.to_string(),
        sums.bytes_out.to_string(),
        format!("{:.3}", mean_ms(sums.latency_us, sums.requests)),
    ]
}
