//! `tollgate usage invoice`: a month summed up for bills.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use tollgate_store::{CallRow, UsageBy, UsageFilter};

use super::recorded;
use crate::{
    cli::{InvoiceArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// One line: what a consumer used of a model of a service, in one currency.
#[derive(Clone, Debug, Serialize)]
struct Line {
    service: Option<String>,
    model: Option<String>,
    /// Requests.
    quantity: u64,
    tokens_in: u64,
    cached_input: u64,
    cache_write: u64,
    tokens_out: u64,
    reasoning: u64,
    /// A decimal in the currency; `0` for what has no price.
    amount: String,
    currency: Option<String>,
}

/// What one consumer used.
#[derive(Debug, Serialize)]
struct Invoice {
    consumer: Option<String>,
    consumer_id: Option<String>,
    lines: Vec<Line>,
    /// The sum of the amounts in each currency.
    totals: BTreeMap<String, String>,
}

pub(super) async fn run(context: &Context, args: InvoiceArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    recorded::bring_in(context, &store).await?;
    let consumer = match &args.consumer {
        Some(name) => Some(store.find_consumer(name).await?.id),
        None => None,
    };
    let (from_us, to_us) = (Some(args.month.from_us), Some(args.month.to_us));
    let filter = UsageFilter { from_us, to_us, consumer, ..UsageFilter::default() };
    let by = [UsageBy::Consumer, UsageBy::Service];
    let report = store.usage_with_calls(&by, true, &filter).await?;
    let invoices = invoices(&report.rows);
    if context.printer.is_csv() {
        return context.printer.csv(&in_csv(&args.month.name, &invoices));
    }
    let shown = json!({
        "month": args.month.name,
        "from": rfc3339(args.month.from_us),
        "to": rfc3339(args.month.to_us),
        "is_over": context.now_us() >= args.month.to_us,
        "invoices": invoices,
    });
    context.printer.result(&shown, || {
        let rows = in_csv(&args.month.name, &invoices);
        let header: Vec<&str> = rows.first().into_iter().flatten().map(String::as_str).collect();
        print::columns(&header, rows.iter().skip(1).cloned())
    })
}

/// Lines by consumer, each in the order of its services.
fn invoices(rows: &[CallRow]) -> Vec<Invoice> {
    let mut invoices: BTreeMap<Option<u64>, (Invoice, BTreeMap<String, i64>)> = BTreeMap::new();
    for row in rows {
        let consumer = row.usage.consumer.as_ref();
        let (invoice, totals) = invoices.entry(consumer.map(|named| named.id.0)).or_insert_with(|| {
            let (name, id) =
                (consumer.map(|named| named.name.clone()), consumer.map(|named| named.id.to_string()));
            let invoice =
                Invoice { consumer: name, consumer_id: id, lines: Vec::new(), totals: BTreeMap::new() };
            (invoice, BTreeMap::new())
        });
        let costs = row.calls.costs_text();
        let line = Line {
            service: row.usage.service.as_ref().map(|named| named.name.clone()),
            model: row.model.clone(),
            quantity: row.usage.sums.requests,
            tokens_in: row.calls.tokens_in,
            cached_input: row.calls.cached_input,
            cache_write: row.calls.cache_write,
            tokens_out: row.calls.tokens_out,
            reasoning: row.calls.reasoning,
            amount: "0".to_owned(),
            currency: None,
        };
        if costs.is_empty() {
            invoice.lines.push(line.clone());
        }
        for (index, (currency, amount)) in costs.into_iter().enumerate() {
            let mut line = Line { amount, currency: Some(currency), ..line.clone() };
            if index > 0 {
                // The same calls in another currency are counted once.
                (line.quantity, line.tokens_in, line.tokens_out) = (0, 0, 0);
                (line.cached_input, line.cache_write, line.reasoning) = (0, 0, 0);
            }
            invoice.lines.push(line);
        }
        for (currency, atoms) in &row.calls.costs {
            let total = totals.entry(currency.clone()).or_default();
            *total = total.saturating_add(*atoms);
        }
    }
    invoices
        .into_values()
        .map(|(mut invoice, costs)| {
            let sums = tollgate_store::CallSums { costs, ..tollgate_store::CallSums::default() };
            invoice.totals = sums.costs_text();
            invoice
        })
        .collect()
}

fn in_csv(month: &str, invoices: &[Invoice]) -> Vec<Vec<String>> {
    const HEADER: [&str; 12] = [
        "month",
        "consumer",
        "consumer_id",
        "service",
        "model",
        "quantity",
        "tokens_in",
        "cached_input",
        "tokens_out",
        "reasoning",
        "amount",
        "currency",
    ];
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    for invoice in invoices {
        for line in &invoice.lines {
            rows.push(vec![
                month.to_owned(),
                word(&invoice.consumer),
                word(&invoice.consumer_id),
                word(&line.service),
                word(&line.model),
                line.quantity.to_string(),
                line.tokens_in.to_string(),
                line.cached_input.to_string(),
                line.tokens_out.to_string(),
                line.reasoning.to_string(),
                line.amount.clone(),
                word(&line.currency),
            ]);
        }
        for (currency, amount) in &invoice.totals {
            let mut total = vec![month.to_owned(), word(&invoice.consumer), word(&invoice.consumer_id)];
            total.extend(["total", "", "", "", "", "", ""].map(str::to_owned));
            total.extend([amount.clone(), currency.clone()]);
            rows.push(total);
        }
    }
    rows
}
