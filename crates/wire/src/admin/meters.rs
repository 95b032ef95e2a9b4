//! Meters, and what they counted.

use serde::Serialize;
use tollgate_core::meter::spec::MeterSpec;
use utoipa::ToSchema;

use super::Named;

/// A meter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Meter {
    /// Its id.
    #[schema(example = "mtr_5tGb6yHn7uJ")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its project.
    pub project: Named,
    /// What it says, as in an `apply` file.
    #[schema(value_type = crate::admin::described::MeterSpecSchema)]
    pub spec: MeterSpec,
}

/// What a meter counted in a span, by window and group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MeterValues {
    /// The meter.
    pub meter: Named,
    /// How values became one.
    #[schema(example = "sum")]
    pub aggregate: String,
    /// What groups are told apart by, in the order of their words.
    #[schema(example = json!(["$.zoom"]))]
    pub group_by: Vec<String>,
    /// How long windows are.
    #[schema(example = "day")]
    pub window: String,
    /// Whose calendar counts.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// Where windows begin, and as the last where the last of them ends.
    #[schema(example = json!(["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]))]
    pub windows: Vec<String>,
    /// One a window, over all groups.
    pub values: Vec<MeterValue>,
    /// Over all windows and groups.
    pub total: MeterValue,
    /// By group, those that have most first; none when nothing is grouped by.
    pub groups: Vec<MeterGroup>,
    /// Groups that are not listed.
    pub groups_left: u64,
    /// From when on the meter counts events as they come.
    #[schema(format = DateTime)]
    pub counts_from: String,
    /// How far what was there before it is counted.
    pub past: MeterPast,
    /// Events since then that found no room for a group of their own and are in the group `other`.
    pub other_events: u64,
    /// Events since then without a value that could be counted.
    pub skipped_events: u64,
}

/// How far events that were there before a meter are counted, as far as the database still keeps them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MeterPast {
    /// `counted`: all of it. `counting`: it goes on in the background. `none`: the meter is from before there was that
    /// and counts from `counts_from` on.
    #[schema(example = "counting")]
    pub state: MeterPastState,
    /// How much of it is counted, 0 to 1; 1 only when all is.
    #[schema(example = 0.25, minimum = 0, maximum = 1)]
    pub share: f64,
    /// From when on values are whole, because every event since then was counted as it came; `null` when they are as
    /// far back as the database keeps events.
    #[schema(format = DateTime)]
    pub whole_from: Option<String>,
    /// Events that were to be looked at.
    pub events: u64,
    /// Of these, those that are still to be looked at.
    pub left: u64,
    /// Of these, those that are damaged and were passed over.
    pub damaged: u64,
    /// Records of lost journals at most: their requests count without tokens, model and cost.
    pub unsummed: u64,
}

/// How it is with the past of a meter.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MeterPastState {
    /// All of it is counted.
    Counted,
    /// It is being counted.
    Counting,
    /// It is not counted.
    None,
}

/// A value of a window.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct MeterValue {
    /// The value; `null` of nothing, as a mean of no events.
    #[schema(example = 12.5)]
    pub value: Option<f64>,
    /// How many events it is of.
    #[schema(example = 3)]
    pub events: u64,
    /// Whether it is exact: the number of very many different values is not.
    pub exact: bool,
}

/// The values of a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MeterGroup {
    /// Its words, `null` where an event had none.
    #[schema(example = json!(["12"]))]
    pub words: Vec<Option<String>>,
    /// Whether it is what had no room for a group of its own; it has no words.
    pub other: bool,
    /// One a window.
    pub values: Vec<MeterValue>,
    /// Over all windows.
    pub total: MeterValue,
}
