//! Versions of models: registered, changed and taken away like other resources, and shown with how they are on this
//! node. What cannot be run is refused before it is kept.

use tollgate_core::{id::ModelId, predict_spec::ModelSpec};
use tollgate_store::{Entity, ResourceAt, ResourceFilter, ResourceId, ResourceSpec, ResourceView};
use tollgate_wire::admin as wire;

use super::{BASE, answer::Answer, call::Call, view};
use crate::{ModelCondition, model_trial::try_sample, problem::Refused};

/// How a version is that this node has not looked at, or runs none.
const UNKNOWN: &str = "unknown";

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    let project = match call.query.text("project") {
        Some(name) => Some(call.store().project_of(call.scope(), name).await?.id),
        None => None,
    };
    let search = call.query.owned("search");
    let filter = ResourceFilter { project, search, ..ResourceFilter::all(call.scope(), Entity::Model) };
    let page = call.store().list_resources(&filter, &call.page()).await?;
    let conditions = call.app().control().health.models();
    let items = page.items.into_iter().filter_map(|item| shown(item, &conditions)).collect();
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let id = ResourceId::Model(call.id()?);
    let found = call.store().resource(&call.scope(), id).await?;
    let version = found.version;
    Ok(Answer::ok(&alone(&call, found)?)?.version(version))
}

pub(crate) async fn create(call: Call) -> Result<Answer, Refused> {
    let new = ResourceSpec::Model(call.body::<Box<ModelSpec>>()?);
    let made = call.store().create_resource(&call.permit, new, call.now_us).await?;
    call.known_here(made.seq).await;
    let (version, location) = (made.value.version, format!("{BASE}/models/{}", made.value.id));
    Ok(Answer::created(&alone(&call, made.value)?, location)?.version(version))
}

pub(crate) async fn replace(call: Call) -> Result<Answer, Refused> {
    let (at, new) = (at(&call, call.expected_version()?)?, call.body::<Box<ModelSpec>>()?);
    try_sample(call.app(), (&call.scope(), call.id::<ModelId>()?), &new).await?;
    let new = ResourceSpec::Model(new);
    let done = call.store().replace_resource(&call.permit, at, new, call.now_us).await?;
    call.known_here(done.seq).await;
    let version = done.value.version;
    Ok(Answer::ok(&alone(&call, done.value)?)?.version(version))
}

pub(crate) async fn delete(call: Call) -> Result<Answer, Refused> {
    let at = at(&call, call.expected_version()?)?;
    let done = call.store().delete_resource(&call.permit, at, call.now_us).await?;
    call.known_here(done.seq).await;
    Ok(Answer::nothing())
}

pub(crate) async fn give_alias(call: Call) -> Result<Answer, Refused> {
    let wire::NewModelAlias { alias } = call.body()?;
    let done = call.store().give_model_alias(&call.permit, at(&call, None)?, &alias, call.now_us).await?;
    call.known_here(done.seq).await;
    let version = done.value.version;
    Ok(Answer::ok(&alone(&call, done.value)?)?.version(version))
}

fn at(call: &Call, version: Option<u64>) -> Result<ResourceAt, Refused> {
    Ok(ResourceAt { tenant: call.tenant(), id: ResourceId::Model(call.id()?), version })
}

fn alone(call: &Call, found: ResourceView) -> Result<wire::Model, Refused> {
    shown(found, &call.app().control().health.models()).ok_or_else(Refused::not_found)
}

/// A version with how it is on this node; nothing of what is no model.
pub(crate) fn shown(found: ResourceView, conditions: &[ModelCondition]) -> Option<wire::Model> {
    let (ResourceId::Model(id), ResourceSpec::Model(spec)) = (found.id, found.spec) else { return None };
    let here = conditions.iter().find(|model| model.id == id);
    let source = match (&spec.file, &spec.remote) {
        (Some(file), _) => file.clone(),
        (None, remote) => remote.as_ref().map(|remote| remote.url.clone()).unwrap_or_default(),
    };
    let tallied = here.map(|model| model.tallied).unwrap_or_default();
    Some(wire::Model {
        id: id.to_string(),
        project: view::named(&found.project),
        name: spec.name.clone(),
        version: spec.version.clone(),
        revision: found.version,
        aliases: here.map_or_else(|| spec.aliases.clone(), |model| model.aliases.clone()),
        source,
        state: here.map_or(UNKNOWN, |model| model.state).to_owned(),
        problem: here.and_then(|model| model.problem.clone()),
        under_way: here.map_or(0, |model| model.under_way),
        answered: tallied.answered,
        failed: tallied.failed,
        refused: tallied.refused,
        median_us: tallied.median_us,
        p99_us: tallied.p99_us,
        spec: *spec,
    })
}
