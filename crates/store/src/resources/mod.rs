//! Declarative resources: `apply` brings the rows to what a file says, `export` writes them out.

mod apply;
mod audited;
mod budget_views;
mod budgets;
mod checks;
mod consumers;
mod diff;
mod event_schema;
mod event_type_view;
mod event_types;
mod export;
mod find;
mod meters;
mod model_alias;
mod models;
mod one;
mod price_views;
mod prices;
mod prune;
mod reach;
mod read;
mod rows;
mod rules;
mod view;
mod webhook_one;
mod webhooks;

use crate::error::Entity;

pub use budget_views::{BudgetAt, BudgetFilter, BudgetView};
pub(crate) use budgets::BudgetRow;
pub(crate) use consumers::{metadata_problem, named as consumers_named};
pub use event_type_view::{EventTypeView, Misfits};
pub(crate) use find::find;
pub use one::ResourceAt;
pub(crate) use one::same_version;
pub use price_views::{PriceAt, PriceView};
pub(crate) use prices::PriceRow;
pub(crate) use rows::{ProjectRow, State, find_project, from_json, to_json};
pub(crate) use rules::compiled as compiled_rules;
pub use view::{ResourceFilter, ResourceId, ResourceSpec, ResourceView, Scope};
pub(crate) use webhook_one::{create_webhook_row, delete_webhook_row, replace_webhook_row};

/// How a file is applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyMode {
    /// Say what would change, change nothing.
    pub dry_run: bool,
    /// Delete services, policies, consumers and budgets that the file does not name, in the projects that it
    /// does name (as `[[project]]` or in any other resource); prices and budgets of tenants that it names by
    /// themselves; and the operator's prices when it has any of these. Tenants, projects and keys are never
    /// deleted. What live keys still need is refused: a consumer or policy of a key that is not
    /// revoked, a service that a remaining policy grants.
    pub prune: bool,
}

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It is new.
    Create,
    /// It was there and differs.
    Update,
    /// It is taken away.
    Delete,
}

impl Op {
    /// The word in plans and in the audit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChange {
    /// What is done.
    pub op: Op,
    /// To what kind of resource.
    pub kind: Entity,
    /// Its full name: `acme`, `acme/maps`, `acme/maps/tiles`.
    pub name: String,
    /// The top-level fields that differ, for updates.
    pub fields: Vec<String>,
}

/// What an apply did, or with `dry_run` would do. Empty when everything was so already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order they are done.
    pub changes: Vec<PlannedChange>,
    /// The number of the last change; 0 when nothing was changed.
    pub seq: u64,
}
