//! The list of policies.

use askama::Template;
use axum::response::Response;
use tollgate_core::{authz::Action, resource::PolicySpec};
use tollgate_store::{Entity, KeyFilter, ResourceFilter, ResourceSpec};

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
    let mut rows = Vec::with_capacity(page.items.len());
    for item in page.items {
        let ResourceSpec::Policy(spec) = item.spec else { continue };
        let id = item.id.to_string();
        let keys = keys_of(&visit, &id).await?;
        let mut sentences = of_policy(&spec);
        sentences.truncate(SENTENCES);
        rows.push(Row { id, project: item.project.name, spec: *spec, sentences, keys });
    }
    html(&Page {
        rows,
        older: visit.older(page.next.as_deref()),
        search: visit.query.owned("search").unwrap_or_default(),
        may_create: visit.may_all(Action::ChangeResources),
        shell: visit.shell("Policies"),
    })
}

/// How many keys that are not revoked have a policy, of those that may be seen.
pub(super) async fn keys_of(visit: &Visit, policy: &str) -> Result<u64, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let all = KeyFilter {
        tenant: Some(visit.tenant()),
        consumers: permit.consumers().map(<[_]>::to_vec),
        policy: Some(policy.to_owned()),
        ..KeyFilter::default()
    };
    let revoked = KeyFilter { state: Some(tollgate_core::keyring::KeyState::Revoked), ..all.clone() };
    let all = visit.store().count_keys_of(&all).await?;
    Ok(all.saturating_sub(visit.store().count_keys_of(&revoked).await?))
}
