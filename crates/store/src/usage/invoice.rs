//! Usage of a span as bills need it: by consumer, with a line for each service, model and currency.

use std::collections::BTreeMap;

use tollgate_core::id::ConsumerId;

use super::{CallRow, CallSums, UsageBy, UsageFilter};
use crate::{error::StoreError, named::Named, open::Store};

/// What a consumer used of a model of a service, in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine {
    /// The service.
    pub service: Option<String>,
    /// The model; `None` for requests that called none.
    pub model: Option<String>,
    /// Requests that were served. What was refused is not on a bill.
    pub quantity: u64,
    /// Their calls of models. Its costs are `amount`.
    pub calls: CallSums,
    /// A decimal in the currency; `0` for what has no price.
    pub amount: String,
    /// The currency.
    pub currency: Option<String>,
}

/// What one consumer used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invoice {
    /// The consumer; `None` for requests of none.
    pub consumer: Option<Named<ConsumerId>>,
    /// In the order of services and models.
    pub lines: Vec<InvoiceLine>,
    /// The sum of the amounts in each currency.
    pub totals: BTreeMap<String, String>,
}

impl Store {
    /// What each consumer used, as bills need it, as far as it was shipped.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn invoices(&self, filter: &UsageFilter) -> Result<Vec<Invoice>, StoreError> {
        let report = self.usage_with_calls(&[UsageBy::Consumer, UsageBy::Service], true, filter).await?;
        let mut invoices: BTreeMap<Option<u64>, (Invoice, CallSums)> = BTreeMap::new();
        for row in report.rows {
            if !is_billed(&row) {
                continue;
            }
            let consumer = row.usage.consumer.clone();
            let (invoice, sums) = invoices.entry(consumer.as_ref().map(|named| named.id.0)).or_default();
            invoice.consumer = consumer;
            for (currency, cost) in &row.calls.costs {
                let sum = sums.costs.entry(currency.clone()).or_default();
                *sum = sum.saturating_add(*cost);
            }
            invoice.lines.extend(lines(row));
        }
        let total = |(invoice, sums): (Invoice, CallSums)| Invoice { totals: sums.costs_text(), ..invoice };
        Ok(invoices.into_values().map(total).collect())
    }
}

impl Invoice {
    /// Invoices as a table, names first: `month` is what the first column says.
    #[must_use]
    pub fn table(month: &str, invoices: &[Self]) -> Vec<Vec<String>> {
        const NAMES: [&str; 13] = [
            "month",
            "consumer",
            "consumer_id",
            "service",
            "model",
            "quantity",
            "tokens_in",
            "cached_input",
            "cache_write",
            "tokens_out",
            "reasoning",
            "amount",
            "currency",
        ];
        let mut rows = vec![NAMES.map(str::to_owned).to_vec()];
        for invoice in invoices {
            let consumer = invoice.consumer.as_ref();
            let (name, id) =
                (consumer.map(|named| named.name.clone()), consumer.map(|named| named.id.to_string()));
            let first = [month.to_owned(), name.unwrap_or_default(), id.unwrap_or_default()];
            for line in &invoice.lines {
                rows.push(first.iter().cloned().chain(line.row()).collect());
            }
            for (currency, amount) in &invoice.totals {
                let empty = ["total", "", "", "", "", "", "", ""].map(str::to_owned);
                rows.push(
                    first.iter().cloned().chain(empty).chain([amount.clone(), currency.clone()]).collect(),
                );
            }
        }
        rows
    }
}

impl InvoiceLine {
    fn row(&self) -> [String; 10] {
        let calls = &self.calls;
        [
            self.service.clone().unwrap_or_default(),
            self.model.clone().unwrap_or_default(),
            self.quantity.to_string(),
            calls.tokens_in.to_string(),
            calls.cached_input.to_string(),
            calls.cache_write.to_string(),
            calls.tokens_out.to_string(),
            calls.reasoning.to_string(),
            self.amount.clone(),
            self.currency.clone().unwrap_or_default(),
        ]
    }
}

/// Requests of a row that were served.
const fn served(row: &CallRow) -> u64 {
    row.usage.sums.requests.saturating_sub(row.usage.sums.denied)
}

/// Whether there is anything to bill: requests that were served, or calls that were refused afterwards (because a
/// provider did not answer in time, say) and cost something all the same.
fn is_billed(row: &CallRow) -> bool {
    let calls = &row.calls;
    served(row) > 0
        || calls.tokens_in > 0
        || calls.tokens_out > 0
        || calls.costs.values().any(|cost| *cost > 0)
}

/// A line for each currency. The same calls in a second currency are counted in the first line only.
fn lines(row: CallRow) -> Vec<InvoiceLine> {
    let quantity = served(&row);
    let line = InvoiceLine {
        service: row.usage.service.map(|named| named.name),
        model: row.model,
        quantity,
        amount: "0".to_owned(),
        currency: None,
        calls: row.calls,
    };
    let costs = line.calls.costs_text();
    if costs.is_empty() {
        return vec![line];
    }
    let of = |(index, (currency, amount)): (usize, (String, String))| {
        let line = InvoiceLine { amount, currency: Some(currency), ..line.clone() };
        if index == 0 { line } else { InvoiceLine { quantity: 0, calls: CallSums::default(), ..line } }
    };
    costs.into_iter().enumerate().map(of).collect()
}
