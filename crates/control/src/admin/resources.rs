//! Tenants, projects, services, policies, consumers, rules and meters, one at a time. What is written goes through
//! the same comparison, checks and transaction as a whole document.

use tollgate_core::{
    id::{ConsumerId, MeterId, PolicyId, ProjectId, RuleId, ServiceId, TenantId},
    meter::spec::MeterSpec,
    resource::{ConsumerSpec, PolicySpec, ProjectSpec, ServiceSpec},
    rule::spec::RuleSpec,
};
use tollgate_store::{Entity, ResourceAt, ResourceFilter, ResourceId, ResourceSpec};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, view};
use crate::{hidden::seen_by, problem::Refused};

/// What a project's keys begin with when it is not said.
const PREFIX: &str = "tg";

pub(crate) async fn list_tenants(call: Call) -> Result<Answer, Refused> {
    let (tenant, version) = call.store().tenant(call.tenant()).await?;
    let items = vec![wire::Tenant { id: tenant.id.to_string(), version, name: tenant.name }];
    Answer::ok(&wire::List { items, next: None })
}

pub(crate) async fn show_tenant(call: Call) -> Result<Answer, Refused> {
    let id: TenantId = call.id()?;
    if id != call.tenant() {
        return Err(Refused::NotFound(format!("there is no tenant `{id}`; list them, or correct the id")));
    }
    let (tenant, version) = call.store().tenant(id).await?;
    let body = wire::Tenant { id: tenant.id.to_string(), version, name: tenant.name };
    Ok(Answer::ok(&body)?.version(version))
}

pub(crate) async fn list(call: Call, kind: Entity) -> Result<Answer, Refused> {
    let project = match call.query.text("project") {
        Some(name) => Some(call.store().project_of(call.scope(), name).await?.id),
        None => None,
    };
    let filter = ResourceFilter {
        project,
        name: call.query.owned("name"),
        search: call.query.owned("search"),
        external_id: call.query.owned("external_id"),
        ..ResourceFilter::all(call.scope(), kind)
    };
    let page = call.store().list_resources(&filter, &call.page()).await?;
    let items = page.items.into_iter().map(|item| view::resource(seen_by(&call.who, item))).collect();
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call, kind: Entity) -> Result<Answer, Refused> {
    let found = call.store().resource(&call.scope(), resource_id(&call, kind)?).await?;
    let version = found.version;
    Ok(Answer::ok(&view::resource(seen_by(&call.who, found)))?.version(version))
}

pub(crate) async fn create(call: Call, kind: Entity) -> Result<Answer, Refused> {
    let new = match kind {
        Entity::Project => {
            let new: wire::NewProject = call.body()?;
            ResourceSpec::Project(ProjectSpec {
                tenant: call.who.tenant.name.clone(),
                name: new.name,
                key_prefix: new.key_prefix.unwrap_or_else(|| PREFIX.to_owned()),
            })
        }
        _ => spec(&call, kind)?,
    };
    let made = call.store().create_resource(&call.permit, new, call.now_us).await?;
    call.known_here(made.seq).await;
    let (version, location) = (made.value.version, format!("{BASE}/{}/{}", path(kind), made.value.id));
    Ok(Answer::created(&view::resource(made.value), location)?.version(version))
}

pub(crate) async fn replace(call: Call, kind: Entity) -> Result<Answer, Refused> {
    let at = at(&call, kind)?;
    let new = match kind {
        Entity::Project => {
            let new: wire::ProjectChange = call.body()?;
            let tenant = call.who.tenant.name.clone();
            ResourceSpec::Project(ProjectSpec { tenant, name: new.name, key_prefix: new.key_prefix })
        }
        _ => spec(&call, kind)?,
    };
    let done = call.store().replace_resource(&call.permit, at, new, call.now_us).await?;
    call.known_here(done.seq).await;
    let version = done.value.version;
    Ok(Answer::ok(&view::resource(done.value))?.version(version))
}

pub(crate) async fn delete(call: Call, kind: Entity) -> Result<Answer, Refused> {
    let at = at(&call, kind)?;
    let done = call.store().delete_resource(&call.permit, at, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

fn spec(call: &Call, kind: Entity) -> Result<ResourceSpec, Refused> {
    Ok(match kind {
        Entity::Service => ResourceSpec::Service(call.body::<Box<ServiceSpec>>()?),
        Entity::Policy => ResourceSpec::Policy(call.body::<Box<PolicySpec>>()?),
        Entity::Meter => ResourceSpec::Meter(call.body::<Box<MeterSpec>>()?),
        Entity::Rule => ResourceSpec::Rule(call.body::<Box<RuleSpec>>()?),
        _ => ResourceSpec::Consumer(call.body::<ConsumerSpec>()?),
    })
}

fn at(call: &Call, kind: Entity) -> Result<ResourceAt, Refused> {
    let version = call.expected_version()?;
    Ok(ResourceAt { tenant: call.tenant(), id: resource_id(call, kind)?, version })
}

fn resource_id(call: &Call, kind: Entity) -> Result<ResourceId, Refused> {
    Ok(match kind {
        Entity::Project => ResourceId::Project(call.id::<ProjectId>()?),
        Entity::Service => ResourceId::Service(call.id::<ServiceId>()?),
        Entity::Policy => ResourceId::Policy(call.id::<PolicyId>()?),
        Entity::Meter => ResourceId::Meter(call.id::<MeterId>()?),
        Entity::Rule => ResourceId::Rule(call.id::<RuleId>()?),
        _ => ResourceId::Consumer(call.id::<ConsumerId>()?),
    })
}

const fn path(kind: Entity) -> &'static str {
    match kind {
        Entity::Project => "projects",
        Entity::Service => "services",
        Entity::Policy => "policies",
        Entity::Meter => "meters",
        Entity::Rule => "rules",
        _ => "consumers",
    }
}
