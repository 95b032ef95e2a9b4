//! The list of consumers.

use askama::Template;
use axum::response::Response;
use tollgate_core::{authz::Action, resource::ConsumerSpec};
use tollgate_store::{Entity, KeyFilter, ResourceFilter, ResourceSpec, ResourceView};

use super::{
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

#[derive(Template)]
#[template(path = "consumers.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    projects: Vec<String>,
    project: String,
    search: String,
    may_create: bool,
}

struct Row {
    id: String,
    project: String,
    keys: u64,
    spec: ConsumerSpec,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadConsumers)?, Entity::Consumer);
    filter.search = visit.query.owned("search");
    if let Some(project) = visit.query.text("project") {
        filter.project = Some(visit.store().project_of(filter.scope.clone(), project).await?.id);
    }
    let page = visit.store().list_resources(&filter, &visit.rows()).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for item in page.items {
        rows.extend(row(&visit, item).await?);
    }
    html(&Page {
        rows,
        older: visit.older(page.next.as_deref()),
        projects: projects(&visit).await?,
        project: visit.query.owned("project").unwrap_or_default(),
        search: visit.query.owned("search").unwrap_or_default(),
        may_create: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Consumers"),
    })
}

async fn row(visit: &Visit, item: ResourceView) -> Result<Option<Row>, Trouble> {
    let ResourceSpec::Consumer(spec) = item.spec else { return Ok(None) };
    let id = item.id.to_string();
    let filter =
        KeyFilter { tenant: Some(visit.tenant()), consumer: Some(id.clone()), ..KeyFilter::default() };
    let keys = visit.store().count_keys_of(&filter).await?;
    Ok(Some(Row { id, project: item.project.name, keys, spec }))
}
