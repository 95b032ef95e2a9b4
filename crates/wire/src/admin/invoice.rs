//! A month summed up for bills.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What each consumer used in a month.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invoices {
    /// The month, as it was asked for.
    #[schema(example = "2026-11")]
    pub month: String,
    /// Its beginning, RFC 3339, in UTC.
    pub from: String,
    /// Its end.
    pub to: String,
    /// Whether it has ended: no more is added to it then.
    pub is_over: bool,
    /// Whether everything answered before the call is included; see the usage.
    pub complete: bool,
    /// By consumer.
    pub invoices: Vec<Invoice>,
}

/// What one consumer used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invoice {
    /// The consumer's name; `null` for requests of none.
    pub consumer: Option<String>,
    /// Its id.
    pub consumer_id: Option<String>,
    /// A line for each service, model and currency.
    pub lines: Vec<InvoiceLine>,
    /// The sum of the amounts in each currency, as decimal numbers.
    pub totals: BTreeMap<String, String>,
}

/// What a consumer used of a model of a service, in one currency.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InvoiceLine {
    /// The service.
    pub service: Option<String>,
    /// The model; `null` for requests that called none.
    pub model: Option<String>,
    /// Requests that were served.
    pub quantity: u64,
    /// Tokens read, cached ones too.
    pub tokens_in: u64,
    /// Of these: read from a cache.
    pub cached_input: u64,
    /// Of these: written to a cache.
    pub cache_write: u64,
    /// Tokens produced, thoughts too.
    pub tokens_out: u64,
    /// Of these: thoughts.
    pub reasoning: u64,
    /// A decimal number in the currency; `0` for what has no price.
    #[schema(example = "12.50")]
    pub amount: String,
    /// The currency.
    #[schema(example = "USD")]
    pub currency: Option<String>,
}
