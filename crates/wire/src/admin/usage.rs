//! Usage, summed by group.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Usage by group, and in all.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Usage {
    /// By group, in the order of the columns.
    pub rows: Vec<UsageRow>,
    /// In all.
    pub total: UsageSums,
    /// How long allowed requests took; `null` unless it is asked for all of the tenant, or for one
    /// service, by time alone.
    pub latency: Option<UsageLatency>,
    /// Whether everything answered before the call is included; always with `wait=true` unless a
    /// node did not deliver within five seconds.
    pub complete: bool,
}

/// How long allowed requests took, from head to last byte. Each is off by an eighth of itself at most.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageLatency {
    /// How many requests.
    pub requests: u64,
    /// Milliseconds, the median.
    pub p50_ms: f64,
    /// Milliseconds, the 95th percentile.
    pub p95_ms: f64,
    /// Milliseconds, the 99th percentile.
    pub p99_ms: f64,
}

/// Usage of one group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageRow {
    /// What it was grouped by, by column; `null` where a request had none.
    pub group: BTreeMap<String, Option<String>>,
    /// The sums.
    #[serde(flatten)]
    pub sums: UsageSums,
}

/// Sums of usage.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UsageSums {
    /// Answered requests, denied ones too.
    pub requests: u64,
    /// Requests with another outcome than `valid`.
    pub denied: u64,
    /// Tokens sent to models.
    pub tokens_in: u64,
    /// Tokens received from models.
    pub tokens_out: u64,
    /// What calls of models cost, as a decimal number in `currency`; `null` when there are several.
    #[schema(example = "0")]
    pub cost: Option<String>,
    /// The currency of the cost; `null` without any.
    #[schema(example = "USD")]
    pub currency: Option<String>,
    /// What they cost in each currency.
    pub costs: BTreeMap<String, String>,
    /// Units charged; `null`, as the following, of a group by model, of which they are not known.
    pub units: Option<u64>,
    /// Bytes of request bodies.
    pub bytes_in: Option<u64>,
    /// Bytes of answer bodies.
    pub bytes_out: Option<u64>,
    /// Milliseconds from head to last byte, the mean.
    pub latency_ms_mean: Option<f64>,
    /// Milliseconds of waiting for upstreams, the mean.
    pub upstream_ms_mean: Option<f64>,
}
