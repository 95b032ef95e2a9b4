//! Events: what was decided about requests.

use serde::Serialize;
use utoipa::ToSchema;

use super::Named;

/// One decision.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// What kind of event it is: `decision`.
    #[serde(rename = "type")]
    #[schema(example = "decision")]
    pub kind: String,
    /// The decision; also the `X-Request-Id` of the request.
    #[schema(example = "dec_0000000000000000000001")]
    pub decision_id: String,
    /// When.
    #[schema(format = DateTime)]
    pub time: String,
    /// The outcome.
    #[schema(example = "rate_limited")]
    pub code: String,
    /// The status of the answer; 0 when none was sent.
    #[schema(example = 429)]
    pub status: u16,
    /// The method.
    #[schema(example = "GET")]
    pub method: String,
    /// The path.
    #[schema(example = "/tiles/1/2/3.png")]
    pub path: String,
    /// The project.
    pub project: Option<Named>,
    /// The service.
    pub service: Option<Named>,
    /// The consumer.
    pub consumer: Option<Named>,
    /// The key.
    #[schema(example = "key_5TzX0qLm3aB")]
    pub key_id: Option<String>,
    /// Which secret of the key was used.
    pub generation: u16,
    /// The client's address.
    #[schema(example = "10.2.3.4")]
    pub address: String,
    /// The User-Agent.
    pub user_agent: String,
    /// Why it was denied.
    pub detail: String,
    /// Units charged.
    pub units: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Milliseconds from head to last byte.
    pub latency_ms: f64,
    /// Milliseconds of waiting for the upstream.
    pub upstream_ms: f64,
    /// `aborted`, `replayed`, `retried`, `upgraded`, `verified`, `estimated`.
    pub marks: Vec<String>,
    /// What it used of a model; `null` when it called none.
    pub call: Option<EventCall>,
}

/// What a decision used of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventCall {
    /// The model.
    pub model: String,
    /// Tokens read, cached ones too.
    pub tokens_in: u64,
    /// Tokens produced, thoughts too.
    pub tokens_out: u64,
    /// Of the tokens read: from a cache.
    pub cached_input: u64,
    /// Of the tokens read: written to a cache.
    pub cache_write: u64,
    /// Of the tokens produced: thoughts.
    pub reasoning: u64,
    /// What it cost, as a decimal number in `currency`; `null` without a price.
    pub cost: Option<String>,
    /// The currency; `null` without a price.
    pub currency: Option<String>,
    /// Whether tokens or cost were counted or bounded here, because the provider did not say them.
    pub estimated: bool,
}

/// One decision with its trace of checks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventDetail {
    /// The decision.
    #[serde(flatten)]
    pub event: Event,
    /// The policy that was asked.
    #[schema(example = "pol_1qAz2wSx3eD")]
    pub policy_id: Option<String>,
    /// Its checks, in the order they are asked; empty when no key was recognised.
    pub trace: Vec<TraceStep>,
}

/// One check of a decision.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TraceStep {
    /// The check.
    #[schema(example = "network")]
    pub check: String,
    /// `passed`, `failed` (it decided), `open` (nothing restricts it), `not_reached`.
    #[schema(example = "failed")]
    pub outcome: String,
    /// In words.
    pub detail: String,
}

/// How many events there are.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct EventCount {
    /// How many.
    pub count: u64,
}
