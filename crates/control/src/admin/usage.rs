//! Usage, summed by group, as JSON or CSV.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::body::Body;
use tollgate_store::{CallReport, CallRow, CallSums, LatencyFilter, UsageBy, UsageFilter, UsageSums};
use tollgate_wire::admin as wire;

use super::{
    answer::Answer,
    call::Call,
    events::{bring_in, selection},
    moment::rfc3339,
};
use crate::problem::Refused;

/// The columns that usage is grouped by, as they are written.
pub(crate) const COLUMNS: &[&str] =
    &["key", "service", "code", "consumer", "project", "model", "day", "hour", "minute"];
/// Groups that one answer may have.
const ROWS_MAX: usize = 10_000;

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let columns: Vec<&str> = call.query.words("by").collect();
    let complete = bring_in(&call).await?;
    let by: Vec<UsageBy> = columns.iter().filter_map(|name| column(name)).collect();
    let (report, latency) = match filter(&call).await? {
        Some(filter) => {
            let by_model = columns.contains(&"model");
            let report = call.store().usage_with_calls(&by, by_model, &filter).await?;
            (report, latency(&call, &filter).await?)
        }
        None => (CallReport::default(), None),
    };
    if report.rows.len() > ROWS_MAX {
        let problem = format!(
            "there are {} groups; at most {ROWS_MAX} are answered: choose fewer columns or a shorter time",
            report.rows.len()
        );
        return Err(Refused::invalid("by", problem));
    }
    let usage = wire::Usage {
        rows: report.rows.iter().map(|row| shown_row(&columns, row)).collect(),
        total: sums(&report.total, &report.calls, false),
        latency,
        complete,
    };
    if call.query.text("format") == Some("csv") {
        return Ok(Answer::other("text/csv; charset=utf-8", Body::from(csv(&columns, &usage))));
    }
    Answer::ok(&usage)
}

async fn filter(call: &Call) -> Result<Option<UsageFilter>, Refused> {
    let Some(selection) = selection(call).await? else { return Ok(None) };
    let project = match call.query.text("project") {
        Some(name) => Some(call.store().project_of(call.scope(), name).await?.id),
        None => None,
    };
    Ok(Some(UsageFilter {
        from_us: call.query.moment_us("from", call.now_us),
        to_us: call.query.moment_us("to", call.now_us),
        key: selection.key,
        consumer: selection.consumer,
        consumers: None,
        service: selection.service,
        code: selection.code,
        project,
        tenant: Some(call.tenant()),
    }))
}

/// How long allowed requests took. It is counted by service and minute: what is restricted otherwise
/// has no answer.
async fn latency(call: &Call, filter: &UsageFilter) -> Result<Option<wire::UsageLatency>, Refused> {
    let UsageFilter { from_us, to_us, key, consumer, service, project, tenant, code, consumers } =
        filter.clone();
    let is_whole =
        key.is_none() && consumer.is_none() && consumers.is_none() && project.is_none() && code.is_none();
    if !is_whole || call.permit.consumers().is_some() {
        return Ok(None);
    }
    let latency = call.store().latency(&LatencyFilter { from_us, to_us, tenant, service }).await?;
    let ms = |share| latency.per_mille(share).map(|us| us as f64 / 1000.0);
    let shown = || {
        let (p50_ms, p95_ms, p99_ms) = (ms(500)?, ms(950)?, ms(990)?);
        Some(wire::UsageLatency { requests: latency.requests(), p50_ms, p95_ms, p99_ms })
    };
    Ok(shown())
}

/// The stored column; none for `model`, which is asked for beside the others.
fn column(name: &str) -> Option<UsageBy> {
    Some(match name {
        "key" => UsageBy::Key,
        "service" => UsageBy::Service,
        "code" => UsageBy::Code,
        "consumer" => UsageBy::Consumer,
        "project" => UsageBy::Project,
        "day" => UsageBy::Day,
        "hour" => UsageBy::Hour,
        "minute" => UsageBy::Minute,
        _ => return None,
    })
}

fn value(column: &str, found: &CallRow) -> Option<String> {
    let row = &found.usage;
    match column {
        "model" => found.model.clone(),
        "key" => row.key.map(|id| id.to_string()),
        "service" => row.service.as_ref().map(|service| service.name.clone()),
        "code" => row.code.map(|code| code.name().to_owned()),
        "consumer" => row.consumer.as_ref().map(|consumer| consumer.name.clone()),
        "project" => row.project.as_ref().map(|project| project.name.clone()),
        "day" => row.time_us.map(|at_us| rfc3339(at_us).chars().take(10).collect()),
        "hour" | "minute" => row.time_us.map(rfc3339),
        _ => None,
    }
}

fn shown_row(columns: &[&str], row: &CallRow) -> wire::UsageRow {
    let group: BTreeMap<String, Option<String>> =
        columns.iter().map(|column| ((*column).to_owned(), value(column, row))).collect();
    wire::UsageRow { group, sums: sums(&row.usage.sums, &row.calls, row.is_partial) }
}

fn sums(sums: &UsageSums, calls: &CallSums, is_partial: bool) -> wire::UsageSums {
    let known = (!is_partial).then_some(sums);
    let (currency, cost) = calls.cost_text().map_or((None, None), |(currency, cost)| (currency, Some(cost)));
    wire::UsageSums {
        requests: sums.requests,
        denied: sums.denied,
        tokens_in: calls.tokens_in,
        tokens_out: calls.tokens_out,
        cost,
        currency,
        costs: calls.costs_text(),
        units: known.map(|known| known.units),
        bytes_in: known.map(|known| known.bytes_in),
        bytes_out: known.map(|known| known.bytes_out),
        latency_ms_mean: known.map(|known| mean_ms(known.latency_us, known.requests)),
        upstream_ms_mean: known.map(|known| mean_ms(known.upstream_us, known.requests)),
    }
}

/// The mean in milliseconds, to the microsecond.
fn mean_ms(total_us: u64, requests: u64) -> f64 {
    total_us.checked_div(requests).unwrap_or(0) as f64 / 1000.0
}

/// RFC 4180, with a line of names first.
fn csv(columns: &[&str], usage: &wire::Usage) -> String {
    let mut text = columns.join(",");
    if !columns.is_empty() {
        text.push(',');
    }
    text.push_str(
        "requests,denied,units,bytes_in,bytes_out,latency_ms_mean,upstream_ms_mean,tokens_in,tokens_out,cost,currency\r\n",
    );
    let total = [wire::UsageRow { group: BTreeMap::new(), sums: usage.total.clone() }];
    let rows = if columns.is_empty() { &total } else { usage.rows.as_slice() };
    for row in rows {
        for column in columns {
            let value = row.group.get(*column).and_then(Option::as_deref).unwrap_or_default();
            text.push_str(&field(value));
            text.push(',');
        }
        let sums = &row.sums;
        let wire::UsageSums { requests, denied, tokens_in, tokens_out, .. } = sums;
        let (units, bytes_in, bytes_out) = (known(sums.units), known(sums.bytes_in), known(sums.bytes_out));
        let (latency, upstream) = (known(sums.latency_ms_mean), known(sums.upstream_ms_mean));
        let (cost, currency) = (known(sums.cost.as_deref()), known(sums.currency.as_deref()));
        // Writing to a string cannot fail.
        let _written = write!(
            text,
            "{requests},{denied},{units},{bytes_in},{bytes_out},{latency},{upstream},{tokens_in},{tokens_out},\
             {cost},{currency}\r\n",
        );
    }
    text
}

/// A number as it is, and nothing where it is not known.
fn known(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A field, in quotes where it needs them. What a spreadsheet would take for a formula is no name here.
pub(super) fn field(value: &str) -> String {
    if value.contains(['"', ',', '\r', '\n']) {
        return format!("\"{}\"", value.replace('"', "\"\""));
    }
    value.to_owned()
}
