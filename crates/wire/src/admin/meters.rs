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
    /// From when on the meter counts.
    #[schema(format = DateTime)]
    pub counts_from: String,
    /// Events since then that found no room for a group of their own and are in the group `other`.
    pub other_events: u64,
    /// Events since then without a value that could be counted.
    pub skipped_events: u64,
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
