//! Dashboards: widgets that people put together from meters, their own or shared with their tenant.

use serde::{Deserialize, Serialize};
use tollgate_core::meter::window::WindowUnit;
use utoipa::ToSchema;

/// A dashboard.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dashboard {
    /// Its id.
    #[schema(example = "dsh_5tGb6yHn7uJ")]
    pub id: String,
    /// The version of its row, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// Its name.
    #[schema(example = "Tiles")]
    pub name: String,
    /// Whether all of the tenant who may see meters see it.
    pub shared: bool,
    /// Who made it.
    #[schema(example = "usr_2wErT3yUi4o")]
    pub owner: String,
    /// Its widgets, in their order.
    pub widgets: Vec<DashboardWidget>,
}

/// What a dashboard is to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardChange {
    /// Its name.
    #[schema(example = "Tiles", min_length = 1, max_length = 80)]
    pub name: String,
    /// Whether all of the tenant who may see meters see it; needs `resources.change`.
    #[serde(default)]
    pub shared: bool,
    /// Its widgets, in their order.
    #[serde(default)]
    #[schema(max_items = 24)]
    pub widgets: Vec<DashboardWidget>,
}

/// One widget.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardWidget {
    /// The id of the meter that it shows, one of the tenant.
    #[schema(example = "mtr_5tGb6yHn7uJ")]
    pub meter: String,
    /// What stands above it; the meter's name when empty.
    #[serde(default)]
    #[schema(max_length = 80)]
    pub title: String,
    /// How it shows values.
    pub form: DashboardForm,
    /// How long windows are.
    #[schema(value_type = String, pattern = "^(minute|hour|day|week|month)$", example = "hour")]
    pub window: WindowUnit,
    /// How far back it looks, in hours.
    #[schema(example = 24, minimum = 1, maximum = 9600)]
    pub hours: u32,
    /// By which of what the meter groups by, 0 the first; all together when not said.
    #[serde(default)]
    #[schema(maximum = 3)]
    pub by: Option<u32>,
    /// Whether it takes the whole width.
    #[serde(default)]
    pub wide: bool,
}

/// How a widget shows values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DashboardForm {
    /// A line for each group.
    Line,
    /// Bars.
    Bars,
    /// One number over the whole span.
    Number,
    /// A table of groups.
    Table,
}
