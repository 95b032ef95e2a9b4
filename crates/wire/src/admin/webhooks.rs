//! Webhooks, what is on its way to them, and what happened that they are told.

use serde::{Deserialize, Serialize};
use tollgate_core::webhook::WebhookSpec;
use utoipa::ToSchema;

/// A webhook, without its secrets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(example = "whk_2wS3eD4rF5t")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// `active`, `failing`, `disabled` by what it says, `switched_off` because its receiver failed, or
    /// `without_secret`, when nothing is sent either.
    #[schema(example = "active")]
    pub state: String,
    /// Why it is switched off.
    pub reason: Option<String>,
    /// Since when every attempt failed.
    #[schema(format = DateTime)]
    pub failing_since: Option<String>,
    /// Until when an older secret signs along with the newest.
    #[schema(format = DateTime)]
    pub former_secret_until: Option<String>,
    /// Deliveries that are to be sent.
    #[schema(example = 0)]
    pub pending: u64,
    /// Deliveries that were given up.
    #[schema(example = 0)]
    pub failed: u64,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::WebhookSpecSchema)]
    pub spec: WebhookSpec,
}

/// A secret of a webhook. This answer is the only place where it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookSecret {
    /// The webhook.
    #[schema(example = "whk_2wS3eD4rF5t")]
    pub id: String,
    /// What deliveries are signed with; not there when the answer is a replay for an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    pub secret: Option<String>,
    /// Until when the former secret signs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub former_until: Option<String>,
    /// Why `secret` is not there: it is shown once, and was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// How a webhook is given another secret.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRotation {
    /// For how long the former secret signs too, up to 30d; `24h` when not said.
    #[serde(default)]
    #[schema(example = "24h", pattern = "^(0|[1-9][0-9]{0,8})(ms|s|m|h|d|w)$")]
    pub overlap: Option<String>,
}

/// What is sent again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookReplay {
    /// One delivery, whatever became of it.
    #[serde(default)]
    #[schema(example = "ntc_7uJ8iK9oL0p", pattern = "^ntc_[0-9A-Za-z]{11}$")]
    pub delivery: Option<String>,
    /// All that were given up of those made since: a moment, or that long ago.
    #[serde(default)]
    #[schema(example = "24h", min_length = 1, max_length = 64)]
    pub failed_since: Option<String>,
}

/// How many are sent again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookReplayed {
    /// How many.
    #[schema(example = 3)]
    pub replayed: u64,
}

/// What is sent as a test.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookTest {
    /// The delivery; what became of it stands in the list of deliveries.
    #[schema(example = "ntc_7uJ8iK9oL0p")]
    pub delivery: String,
}

/// A delivery to a webhook.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// Its id: what receivers get as `webhook-id`.
    #[schema(example = "ntc_7uJ8iK9oL0p")]
    pub id: String,
    /// What is told.
    #[serde(rename = "type")]
    #[schema(example = "key.expiring")]
    pub kind: String,
    /// `pending`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    pub state: String,
    /// How often it was tried since it was last asked for.
    #[schema(example = 1)]
    pub attempts: u64,
    /// When it was first to be sent.
    #[schema(format = DateTime)]
    pub made_at: String,
    /// When it is tried next.
    #[schema(format = DateTime)]
    pub next_at: Option<String>,
    /// When it was last tried.
    #[schema(format = DateTime)]
    pub last_at: Option<String>,
    /// The status of the last answer.
    #[schema(example = 200)]
    pub status: Option<u16>,
    /// How long the last attempt took, milliseconds.
    #[schema(example = 12.5)]
    pub took_ms: f64,
    /// The first characters of the last answer, or why there was none.
    pub answer: String,
}

/// Something that happened and that people want told, as webhooks send it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Notice {
    /// Its id.
    #[schema(example = "ntc_7uJ8iK9oL0p")]
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(example = "key.expiring")]
    pub kind: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// What there is to say.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}
