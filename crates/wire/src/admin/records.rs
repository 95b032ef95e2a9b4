//! Types of events, and records that a sink did not take.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Named;

/// A version of a type of events.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventType {
    /// Its project.
    pub project: Named,
    /// The type, as records write it.
    #[schema(example = "tile.served")]
    pub name: String,
    /// Which version of it.
    #[schema(example = 1, minimum = 1)]
    pub version: u32,
    /// Its JSON Schema, as text.
    #[schema(example = "{\"type\":\"object\"}")]
    pub schema: String,
}

/// A version of a type to register, or to change.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEventType {
    /// Its project.
    #[schema(example = "maps")]
    pub project: String,
    /// The type, as records write it.
    #[schema(example = "tile.served")]
    pub name: String,
    /// Which version of it; 1 when not said.
    #[schema(example = 1, minimum = 1)]
    pub version: Option<u32>,
    /// Its JSON Schema, as text: complete in itself.
    #[schema(example = "{\"type\":\"object\"}")]
    pub schema: String,
}

/// A record to hold against a type.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordTrial {
    /// The project of the type.
    #[schema(example = "maps")]
    pub project: String,
    /// The type.
    #[schema(example = "tile.served")]
    pub name: String,
    /// Which version; the latest when not said.
    #[schema(example = 1, minimum = 1)]
    pub version: Option<u32>,
    /// The record, JSON as text.
    #[schema(example = "{\"bytes\":2048}")]
    pub record: String,
}

/// How a record fits its type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordVerdict {
    /// Whether it would be taken.
    pub fits: bool,
    /// What does not fit.
    pub problems: Vec<RecordMisfit>,
}

/// What does not fit of a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordMisfit {
    /// Where, a JSON Pointer; empty is the whole.
    #[schema(example = "/bytes")]
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A record that a sink did not take.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ParkedEvent {
    /// Its event id.
    #[schema(example = "bat_4fQn2SVkIqT-7")]
    pub event_id: String,
    /// The sink.
    #[schema(example = "kafka")]
    pub sink: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(example = "tile.served")]
    pub kind: String,
    /// Why the sink does not take it.
    pub reason: String,
    /// `held` (later records of the tenant wait), `retry`, `skip`, or `passed`, which is left out for good.
    #[schema(example = "held")]
    pub state: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub parked_at: String,
}
