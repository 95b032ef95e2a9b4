//! `tollgate usage invoice`: a month summed up for bills.

use serde_json::{Value, json};
use tollgate_store::{Invoice, InvoiceLine, UsageFilter};

use super::recorded;
use crate::{
    cli::{InvoiceArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

pub(super) async fn run(context: &Context, args: InvoiceArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    recorded::bring_in(context, &store).await?;
    let consumer = match &args.consumer {
        Some(name) => Some(store.find_consumer(name).await?.id),
        None => None,
    };
    let (from_us, to_us) = (Some(args.month.from_us), Some(args.month.to_us));
    let invoices =
        store.invoices(&UsageFilter { from_us, to_us, consumer, ..UsageFilter::default() }).await?;
    if context.printer.is_csv() {
        return context.printer.csv(&Invoice::table(&args.month.name, &invoices));
    }
    let shown = json!({
        "month": args.month.name,
        "from": rfc3339(args.month.from_us),
        "to": rfc3339(args.month.to_us),
        "is_over": context.now_us() >= args.month.to_us,
        "invoices": invoices.iter().map(shown).collect::<Vec<_>>(),
    });
    context.printer.result(&shown, || {
        let rows = Invoice::table(&args.month.name, &invoices);
        let header: Vec<&str> = rows.first().into_iter().flatten().map(String::as_str).collect();
        print::columns(&header, rows.iter().skip(1).cloned())
    })
}

fn shown(invoice: &Invoice) -> Value {
    let consumer = invoice.consumer.as_ref();
    json!({
        "consumer": consumer.map(|named| named.name.clone()),
        "consumer_id": consumer.map(|named| named.id.to_string()),
        "lines": invoice.lines.iter().map(line).collect::<Vec<_>>(),
        "totals": invoice.totals,
    })
}

fn line(line: &InvoiceLine) -> Value {
    let calls = &line.calls;
    json!({
        "service": line.service,
        "model": line.model,
        "quantity": line.quantity,
        "tokens_in": calls.tokens_in,
        "cached_input": calls.cached_input,
        "cache_write": calls.cache_write,
        "tokens_out": calls.tokens_out,
        "reasoning": calls.reasoning,
        "amount": line.amount,
        "currency": line.currency,
    })
}
