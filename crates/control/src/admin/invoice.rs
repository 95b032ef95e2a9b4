//! A month summed up for bills, as JSON or CSV.

use axum::body::Body;
use tollgate_store::{Invoice, UsageFilter};
use tollgate_wire::admin as wire;

use super::{
    answer::Answer,
    call::Call,
    events::{bring_in, selection},
    moment::rfc3339,
    usage::field,
};
use crate::problem::Refused;

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let month = call.query.text("month").unwrap_or_default();
    let Some((from_us, to_us)) = span(month) else {
        return Err(Refused::invalid("month", "say which, as YYYY-MM, e.g. 2026-11"));
    };
    let complete = bring_in(&call).await?;
    let invoices = match selection(&call).await? {
        Some(selection) => {
            let filter = UsageFilter {
                from_us: Some(from_us),
                to_us: Some(to_us),
                consumer: selection.consumer,
                tenant: Some(call.tenant()),
                ..UsageFilter::default()
            };
            call.store().invoices(&filter).await?
        }
        None => Vec::new(),
    };
    if call.query.text("format") == Some("csv") {
        let line =
            |row: &Vec<String>| row.iter().map(|value| field(value)).collect::<Vec<_>>().join(",") + "\r\n";
        let text: String = Invoice::table(month, &invoices).iter().map(line).collect();
        return Ok(Answer::other("text/csv; charset=utf-8", Body::from(text)));
    }
    Answer::ok(&wire::Invoices {
        month: month.to_owned(),
        from: rfc3339(from_us),
        to: rfc3339(to_us),
        is_over: call.now_us >= to_us,
        complete,
        invoices: invoices.iter().map(shown).collect(),
    })
}

/// The beginning and the end of a month, in UTC.
fn span(month: &str) -> Option<(i64, i64)> {
    let first: jiff::civil::Date = format!("{month}-01").parse().ok()?;
    let next = first.checked_add(jiff::Span::new().months(1)).ok()?;
    let at_us = |date: jiff::civil::Date| {
        let moment: jiff::Timestamp = format!("{date}T00:00:00Z").parse().ok()?;
        Some(moment.as_microsecond()).filter(|at_us| *at_us >= 0)
    };
    Some((at_us(first)?, at_us(next)?))
}

fn shown(invoice: &Invoice) -> wire::Invoice {
    let consumer = invoice.consumer.as_ref();
    wire::Invoice {
        consumer: consumer.map(|named| named.name.clone()),
        consumer_id: consumer.map(|named| named.id.to_string()),
        lines: invoice.lines.iter().map(line).collect(),
        totals: invoice.totals.clone(),
    }
}

fn line(line: &tollgate_store::InvoiceLine) -> wire::InvoiceLine {
    let calls = &line.calls;
    wire::InvoiceLine {
        service: line.service.clone(),
        model: line.model.clone(),
        quantity: line.quantity,
        tokens_in: calls.tokens_in,
        cached_input: calls.cached_input,
        cache_write: calls.cache_write,
        tokens_out: calls.tokens_out,
        reasoning: calls.reasoning,
        amount: line.amount.clone(),
        currency: line.currency.clone(),
    }
}
