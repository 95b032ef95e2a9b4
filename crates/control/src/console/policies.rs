//! The list of policies.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use tollgate_core::{authz::Action, id::PolicyId, resource::PolicySpec};
use tollgate_store::{Entity, KeyFilter, ResourceFilter, ResourceId, ResourceSpec};

use super::{
    policy_words::{Sentence, of_policy},
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

/// Sentences of a policy that the list shows.
const SENTENCES: usize = 2;

#[derive(Template)]
#[template(path = "policies.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    search: String,
    may_create: bool,
}

struct Row {
    id: String,
    project: String,
    spec: PolicySpec,
    sentences: Vec<Sentence>,
    keys: u64,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadPolicies)?, Entity::Policy);
    filter.search = visit.query.owned("search");
    let page = visit.store().list_resources(&filter, &visit.rows()).await?;
    let ids: Vec<PolicyId> = page.items.iter().filter_map(|item| policy_id(item.id)).collect();
    let counts = keys_of(&visit, &ids).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for item in page.items {
        let ResourceSpec::Policy(spec) = item.spec else { continue };
        let keys = policy_id(item.id).and_then(|id| counts.get(&id)).copied().unwrap_or(0);
        let mut sentences = of_policy(&spec);
        sentences.truncate(SENTENCES);
        let (id, project) = (item.id.to_string(), item.project.name);
        rows.push(Row { id, project, spec: *spec, sentences, keys });
    }
    html(&Page {
        rows,
        older: visit.older(page.next.as_deref()),
        search: visit.query.owned("search").unwrap_or_default(),
        may_create: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Policies"),
    })
}

/// How many keys that are not revoked have each policy, of those that may be seen.
pub(super) async fn keys_of(visit: &Visit, policies: &[PolicyId]) -> Result<HashMap<PolicyId, u64>, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let filter = KeyFilter {
        tenant: Some(visit.tenant()),
        consumers: permit.consumers().map(<[_]>::to_vec),
        ..KeyFilter::default()
    };
    Ok(visit.store().count_keys_by_policy(&filter, policies).await?)
}

const fn policy_id(id: ResourceId) -> Option<PolicyId> {
    match id {
        ResourceId::Policy(id) => Some(id),
        _ => None,
    }
}
