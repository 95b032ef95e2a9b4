//! The bodies of the admin API (CONTRACT §7): what is sent, what is answered, and the JSON schemas
//! of both, which its OpenAPI document is made from.
//!
//! Requests refuse fields that they do not know. Moments are RFC 3339 in UTC, to the microsecond;
//! lengths of time are written `90d`, `12h`, `250ms`. No type here can hold a key or token but
//! [`CreatedKey`] and [`CreatedServiceToken`], which are answered once and stored nowhere.

mod audit;
mod budgets;
mod dashboards;
mod described;
mod events;
mod invoice;
mod jobs;
mod keys;
mod meters;
mod models;
mod people;
mod problem;
mod records;
mod resources;
mod rules;
mod schemas;
mod status;
mod tokens;
mod usage;
mod webhooks;

pub use audit::{AuditEntry, AuditVerdict};
pub use budgets::{Budget, LedgerEntry, NewFunding, NewSecret, Price, Secret, Spending};
pub use dashboards::{Dashboard, DashboardChange, DashboardForm, DashboardWidget};
pub use events::{Event, EventCall, EventCount, EventDetail, TraceStep};
pub use invoice::{Invoice, InvoiceLine, Invoices};
pub use jobs::{Job, JobPreview, JobState, KeySelection, NewJob, Tags};
pub use keys::{
    CreatedKey, CreatedKeys, Key, KeyChange, KeySecret, KeyState, KeyWithSecrets, NewKey, NewKeys,
    RevokedKey, Rotate, Waited,
};
pub use meters::{Meter, MeterGroup, MeterPast, MeterPastState, MeterValue, MeterValues};
pub use models::{Model, NewModelAlias};
pub use people::{
    CreatedInvitation, CreatedReset, Invitation, Member, MemberChange, MemberConsumers, MemberRole,
    NewInvitation,
};
pub use problem::{AdminProblem, FieldProblem};
pub use records::{EventType, NewEventType, ParkedEvent, RecordMisfit, RecordTrial, RecordVerdict};
pub use resources::{
    ApplyPlan, Consumer, NewProject, PlannedChange, Policy, Project, ProjectChange, Service, Tenant,
};
pub use rules::{Block, Rule, RuleFiring, RuleSubject};
pub use schemas::schemas;
pub use status::{Status, StatusPart};
pub use tokens::{CreatedServiceToken, NewServiceToken, ServiceToken};
pub use usage::{Usage, UsageLatency, UsageRow, UsageSums};
pub use webhooks::{
    Delivery, Notice, Webhook, WebhookReplay, WebhookReplayed, WebhookRotation, WebhookSecret, WebhookTest,
};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A page of a list.
#[derive(Clone, Debug, Serialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` at the end.
    pub next: Option<String>,
}

/// A thing and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Named {
    /// Its id.
    #[schema(example = "prj_3kXw09aQpLz")]
    pub id: String,
    /// Its name; the id when the thing was deleted since.
    #[schema(example = "maps")]
    pub name: String,
}

/// Tells a field that is `null` from one that is not there.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
