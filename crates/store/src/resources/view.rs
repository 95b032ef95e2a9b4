//! Resources as they are shown and asked for: which, what they say, and who may see them.

use std::borrow::Cow;

use serde::Serialize;
use tollgate_core::{
    authz::Permit,
    id::{ConsumerId, MeterId, ModelId, PolicyId, ProjectId, RuleId, ServiceId, TenantId},
    meter::spec::MeterSpec,
    predict_spec::ModelSpec,
    resource::{ConsumerSpec, PolicySpec, ProjectSpec, Resources, ServiceSpec},
    rule::spec::RuleSpec,
};

use crate::{error::Entity, named::Named};

/// Which resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceId {
    /// A project.
    Project(ProjectId),
    /// A service.
    Service(ServiceId),
    /// A policy.
    Policy(PolicyId),
    /// A consumer.
    Consumer(ConsumerId),
    /// A rule.
    Rule(RuleId),
    /// A meter.
    Meter(MeterId),
    /// A version of a model.
    Model(ModelId),
}

impl ResourceId {
    /// What kind of thing it is.
    #[must_use]
    pub const fn kind(self) -> Entity {
        match self {
            Self::Project(_) => Entity::Project,
            Self::Service(_) => Entity::Service,
            Self::Policy(_) => Entity::Policy,
            Self::Consumer(_) => Entity::Consumer,
            Self::Rule(_) => Entity::Rule,
            Self::Meter(_) => Entity::Meter,
            Self::Model(_) => Entity::Model,
        }
    }

    /// The id as SQL stores it.
    pub(crate) fn to_sql(self) -> i64 {
        match self {
            Self::Project(id) => id.to_sql(),
            Self::Service(id) => id.to_sql(),
            Self::Policy(id) => id.to_sql(),
            Self::Consumer(id) => id.to_sql(),
            Self::Rule(id) => id.to_sql(),
            Self::Meter(id) => id.to_sql(),
            Self::Model(id) => id.to_sql(),
        }
    }

    /// The id of a row of this kind; what has no specification of its own counts as a consumer.
    pub(crate) fn from_sql(kind: Entity, id: i64) -> Self {
        match kind {
            Entity::Project => Self::Project(ProjectId::from_sql(id)),
            Entity::Service => Self::Service(ServiceId::from_sql(id)),
            Entity::Policy => Self::Policy(PolicyId::from_sql(id)),
            Entity::Rule => Self::Rule(RuleId::from_sql(id)),
            Entity::Meter => Self::Meter(MeterId::from_sql(id)),
            Entity::Model => Self::Model(ModelId::from_sql(id)),
            _ => Self::Consumer(ConsumerId::from_sql(id)),
        }
    }
}

impl std::fmt::Display for ResourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Project(id) => id.fmt(f),
            Self::Service(id) => id.fmt(f),
            Self::Policy(id) => id.fmt(f),
            Self::Consumer(id) => id.fmt(f),
            Self::Rule(id) => id.fmt(f),
            Self::Meter(id) => id.fmt(f),
            Self::Model(id) => id.fmt(f),
        }
    }
}

/// What a resource says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ResourceSpec {
    /// A project.
    Project(ProjectSpec),
    /// A service.
    Service(Box<ServiceSpec>),
    /// A policy.
    Policy(Box<PolicySpec>),
    /// A consumer.
    Consumer(ConsumerSpec),
    /// A rule.
    Rule(Box<RuleSpec>),
    /// A meter.
    Meter(Box<MeterSpec>),
    /// A version of a model.
    Model(Box<ModelSpec>),
}

impl ResourceSpec {
    /// What kind of resource it is.
    #[must_use]
    pub const fn kind(&self) -> Entity {
        match self {
            Self::Project(_) => Entity::Project,
            Self::Service(_) => Entity::Service,
            Self::Policy(_) => Entity::Policy,
            Self::Consumer(_) => Entity::Consumer,
            Self::Meter(_) => Entity::Meter,
            Self::Model(_) => Entity::Model,
            Self::Rule(_) => Entity::Rule,
        }
    }

    /// Its own name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Project(spec) => &spec.name,
            Self::Service(spec) => &spec.name,
            Self::Policy(spec) => &spec.name,
            Self::Consumer(spec) => &spec.name,
            Self::Rule(spec) => &spec.name,
            Self::Meter(spec) => &spec.name,
            Self::Model(spec) => &spec.name,
        }
    }

    /// What tells it from others of its kind in its project: its name, of a version of a model with the version.
    pub(crate) fn row_name(&self) -> Cow<'_, str> {
        match self {
            Self::Model(spec) => Cow::Owned(spec.full_version()),
            other => Cow::Borrowed(other.name()),
        }
    }

    /// The project it is in, as written; a project has none.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        match self {
            Self::Project(_) => None,
            Self::Service(spec) => Some(&spec.project),
            Self::Policy(spec) => Some(&spec.project),
            Self::Consumer(spec) => Some(&spec.project),
            Self::Rule(spec) => Some(&spec.project),
            Self::Meter(spec) => Some(&spec.project),
            Self::Model(spec) => Some(&spec.project),
        }
    }

    /// The same, in the project of this name.
    #[must_use]
    pub(crate) fn in_project(self, project: String) -> Self {
        match self {
            Self::Project(spec) => Self::Project(spec),
            Self::Service(spec) => Self::Service(Box::new(ServiceSpec { project, ..*spec })),
            Self::Policy(spec) => Self::Policy(Box::new(PolicySpec { project, ..*spec })),
            Self::Consumer(spec) => Self::Consumer(ConsumerSpec { project, ..spec }),
            Self::Rule(spec) => Self::Rule(Box::new(RuleSpec { project, ..*spec })),
            Self::Meter(spec) => Self::Meter(Box::new(MeterSpec { project, ..*spec })),
            Self::Model(spec) => Self::Model(Box::new(ModelSpec { project, ..*spec })),
        }
    }

    /// A file that holds nothing else.
    pub(crate) fn alone(self) -> Resources {
        let mut resources = Resources::default();
        match self {
            Self::Project(spec) => resources.projects.push(spec),
            Self::Service(spec) => resources.services.push(*spec),
            Self::Policy(spec) => resources.policies.push(*spec),
            Self::Consumer(spec) => resources.consumers.push(spec),
            Self::Rule(spec) => resources.rules.push(*spec),
            Self::Meter(spec) => resources.meters.push(*spec),
            Self::Model(spec) => resources.models.push(*spec),
        }
        resources
    }
}

/// A resource as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceView {
    /// Its id.
    pub id: ResourceId,
    /// The project it is in; of a project itself.
    pub project: Named<ProjectId>,
    /// The version of its row: 1 when it is new, one more with each change.
    pub version: u64,
    /// What it says; projects are named without their tenant.
    pub spec: ResourceSpec,
}

/// What a reader may see.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Of this tenant.
    pub tenant: TenantId,
    /// What these consumers have, and what that hangs on; `None` everything of the tenant.
    pub consumers: Option<Vec<ConsumerId>>,
}

impl Scope {
    /// Everything of a tenant.
    #[must_use]
    pub const fn whole(tenant: TenantId) -> Self {
        Self { tenant, consumers: None }
    }

    /// What a permit in a tenant lets be seen there.
    #[must_use]
    pub fn of(tenant: TenantId, permit: &Permit) -> Self {
        Self { tenant, consumers: permit.consumers().map(<[ConsumerId]>::to_vec) }
    }
}

impl From<TenantId> for Scope {
    fn from(tenant: TenantId) -> Self {
        Self::whole(tenant)
    }
}

/// Which resources to list; what is `None` restricts nothing.
#[derive(Clone, Debug)]
pub struct ResourceFilter {
    /// That may be seen.
    pub scope: Scope,
    /// Of which kind: project, service, policy, consumer, rule, meter or model.
    pub kind: Entity,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With exactly this name; of a model with its version, `fraud@3`.
    pub name: Option<String>,
    /// With this in their name, whatever the case.
    pub search: Option<String>,
    /// Consumers with this id in the user's own systems.
    pub external_id: Option<String>,
}

impl ResourceFilter {
    /// All of a kind that may be seen.
    #[must_use]
    pub const fn all(scope: Scope, kind: Entity) -> Self {
        Self { scope, kind, project: None, name: None, search: None, external_id: None }
    }
}
