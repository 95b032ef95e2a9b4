//! Models of one tenant as this node sees them: the process holds those of all tenants.

use tollgate_core::id::ProjectId;
use tollgate_store::{Entity, Named, PageRequest, ResourceFilter, Scope, StoreError};

use crate::{health::ModelCondition, state::Control};

/// Projects that are looked through; those of a tenant are dozens.
const PROJECTS_MAX: u32 = 1000;

/// Those that may be seen, with their projects.
pub(crate) async fn of_tenant(
    control: &Control,
    scope: Scope,
) -> Result<Vec<(Named<ProjectId>, ModelCondition)>, StoreError> {
    let models = control.health.models();
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let filter = ResourceFilter::all(scope, Entity::Project);
    let page = PageRequest { limit: PROJECTS_MAX, cursor: None };
    let projects: Vec<Named<ProjectId>> = control
        .store
        .list_resources(&filter, &page)
        .await?
        .items
        .into_iter()
        .map(|item| item.project)
        .collect();
    let with_project = |model: ModelCondition| {
        let project = projects.iter().find(|project| project.id == model.project)?;
        Some((Named { id: project.id, name: project.name.clone() }, model))
    };
    Ok(models.into_iter().filter_map(with_project).collect())
}
