//! The JSON schemas of all bodies, by name. Those of this module's types are derived from them; what
//! resources say is described in `resources.json`, for the types of `core` know nothing of HTTP, and
//! a test holds both to the same fields.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

/// The schemas of what resources say.
const RESOURCES: &str = include_str!("resources.json");
/// The schemas of signing in, whose bodies hold secrets and are read where they are used.
const SESSION: &str = include_str!("session.json");

macro_rules! collect {
    ($($kind:ty),+ $(,)?) => {{
        let mut found = Found::new();
        $(
            found.push((<$kind as ToSchema>::name().into_owned(), <$kind as PartialSchema>::schema()));
            <$kind as ToSchema>::schemas(&mut found);
        )+
        found
    }};
}

/// All schemas by name, as they stand under `components.schemas`.
#[must_use]
pub fn schemas() -> BTreeMap<String, Value> {
    let mut schemas: BTreeMap<String, Value> = of_resources()
        .into_iter()
        .chain(of_keys_and_people())
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    for written in [RESOURCES, SESSION] {
        let written: BTreeMap<String, Value> = serde_json::from_str(written).unwrap_or_default();
        schemas.extend(written);
    }
    schemas
}

/// Schemas by name, a name perhaps more than once.
type Found = Vec<(String, RefOr<Schema>)>;

/// Problems, resources, and what is done with them.
fn of_resources() -> Found {
    collect![
        super::AdminProblem,
        super::FieldProblem,
        super::Named,
        super::Tenant,
        super::Project,
        super::NewProject,
        super::ProjectChange,
        super::Service,
        super::Policy,
        super::Consumer,
        super::Budget,
        super::Spending,
        super::NewFunding,
        super::LedgerEntry,
        super::Price,
        super::EventType,
        super::NewEventType,
        super::RecordTrial,
        super::RecordVerdict,
        super::ParkedEvent,
        super::Secret,
        super::NewSecret,
        super::Webhook,
        super::WebhookSecret,
        super::WebhookRotation,
        super::WebhookReplay,
        super::WebhookReplayed,
        super::WebhookTest,
        super::Delivery,
        super::Notice,
        super::Meter,
        super::Dashboard,
        super::DashboardChange,
        super::MeterValues,
        super::Rule,
        super::RuleFiring,
        super::Block,
    ]
}

/// Keys, what they did, who looks after them, and how the node is.
fn of_keys_and_people() -> Found {
    collect![
        super::ApplyPlan,
        super::Key,
        super::KeyWithSecrets,
        super::KeyChange,
        super::NewKey,
        super::NewKeys,
        super::CreatedKey,
        super::CreatedKeys,
        super::Rotate,
        super::RevokedKey,
        super::Job,
        super::NewJob,
        super::JobPreview,
        super::Tags,
        super::KeySelection,
        super::Event,
        super::EventDetail,
        super::EventCall,
        super::EventCount,
        super::Usage,
        super::Invoices,
        super::AuditEntry,
        super::AuditVerdict,
        super::ServiceToken,
        super::NewServiceToken,
        super::CreatedServiceToken,
        super::Member,
        super::MemberChange,
        super::MemberConsumers,
        super::Invitation,
        super::NewInvitation,
        super::CreatedInvitation,
        super::CreatedReset,
        super::Model,
        super::NewModelAlias,
        super::Status,
    ]
}
