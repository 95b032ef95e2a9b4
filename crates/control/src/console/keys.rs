//! The list of keys.

use std::collections::BTreeSet;

use askama::Template;
use axum::response::Response;
use tollgate_core::{
    authz::Action,
    id::{ConsumerId, KeyId},
    key::Environment,
    keyring::KeyState,
};
use tollgate_store::{Entity, KeyFilter, KeySecret, KeyView, PageRequest, ResourceFilter, StoreError};

use super::{
    attention,
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
    words::DAY_US,
};
use crate::problem::Refused;

/// Projects that a choice offers.
const PROJECTS_MAX: u32 = 200;

#[derive(Template)]
#[template(path = "keys.html")]
struct Page {
    shell: Shell,
    keys: Vec<KeyView>,
    /// Those whose rotation is in progress.
    rotating: BTreeSet<KeyId>,
    older: Option<String>,
    projects: Vec<String>,
    query: Asked,
    is_filtered: bool,
    may_create: bool,
    /// Where the keys of the filter are changed, all at once; only for who may.
    change: Option<String>,
    may_change: bool,
    problem: Option<String>,
}

/// What the filter says, as it was typed.
struct Asked {
    job: String,
    metadata: String,
    project: String,
    consumer: String,
    policy: String,
    state: String,
    environment: String,
    search: String,
    expires: String,
    attention: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let own = permit.consumers().map(<[ConsumerId]>::to_vec);
    let text = |name: &str| visit.query.owned(name).unwrap_or_default();
    let query = Asked {
        job: text("job"),
        metadata: text("metadata"),
        project: text("project"),
        consumer: text("consumer"),
        policy: text("policy"),
        state: text("state"),
        environment: text("environment"),
        search: text("search"),
        expires: text("expires"),
        attention: text("attention"),
    };
    let found = match filter(&visit, own).await {
        Ok(filter) => visit.store().list_keys(&filter, &visit.rows()).await.map_err(Trouble::from),
        Err(trouble) => Err(trouble),
    };
    // What is typed into a filter and is nowhere is no error of the page.
    let (keys, next, problem) = match found {
        Ok(page) => (page.items, page.next, None),
        Err(Trouble::Refused(refused @ (Refused::NotFound(_) | Refused::Invalid(_)))) => {
            (Vec::new(), None, Some(super::trouble::sentence(&refused.detail())))
        }
        Err(trouble) => return Err(trouble),
    };
    let filters = [
        "project",
        "consumer",
        "policy",
        "state",
        "environment",
        "search",
        "expires",
        "metadata",
        "job",
        "attention",
    ];
    // What selects keys for a while only is nothing to change many by.
    let passing = ["job", "attention"];
    let may_change = visit.may_all(Action::ChangeKeys);
    let selects =
        filters.iter().filter(|name| !passing.contains(name)).any(|name| visit.query.text(name).is_some());
    let change = (may_change
        && selects
        && !keys.is_empty()
        && passing.iter().all(|name| visit.query.text(name).is_none()))
    .then(|| format!("/keys/bulk?{}", visit.query.with(&[("cursor", None), ("done", None)])));
    html(&Page {
        rotating: rotating(&visit, &keys).await?,
        keys,
        older: visit.older(next.as_deref()),
        projects: projects(&visit).await?,
        query,
        is_filtered: filters.iter().any(|name| visit.query.text(name).is_some()),
        may_create: visit.may(Action::TendKeys),
        change,
        may_change,
        problem,
        shell: visit.shell("Keys"),
    })
}

async fn filter(visit: &Visit, consumers: Option<Vec<ConsumerId>>) -> Result<KeyFilter, Trouble> {
    let query = &visit.query;
    let scope = visit.scope(Action::ReadKeys)?;
    let project = match query.text("project") {
        Some(text) => {
            let found = visit.store().project_of(scope.clone(), text).await?;
            Some(format!("{}/{}", visit.who.tenant.name, found.name))
        }
        None => None,
    };
    let consumer = match query.text("consumer") {
        Some(text) => Some(visit.store().consumer_of(scope, text).await?.id.to_string()),
        None => None,
    };
    let states = [KeyState::Active, KeyState::Disabled, KeyState::Blocked, KeyState::Revoked];
    Ok(KeyFilter {
        tenant: Some(visit.tenant()),
        consumers,
        project,
        consumer,
        policy: query.owned("policy"),
        state: query.text("state").and_then(|name| states.into_iter().find(|state| state.name() == name)),
        environment: query.text("environment").and_then(|name| name.parse::<Environment>().ok()),
        search: query.owned("search"),
        metadata: query.text("metadata").and_then(|text| text.split_once('=')).map(owned),
        job: query.text("job").map(|text| text.parse().map_err(|_| Trouble::absent("job"))).transpose()?,
        expires_before_us: query
            .text("expires")
            .and_then(|days| days.parse::<i64>().ok())
            .map(|days| visit.now_us.saturating_add(days.clamp(0, 36_500) * DAY_US)),
        attention: query.text("attention").and_then(attention::kind),
        ..KeyFilter::default()
    })
}

/// Those of a page of keys whose old secret is still valid.
pub(super) async fn rotating(visit: &Visit, keys: &[KeyView]) -> Result<BTreeSet<KeyId>, Trouble> {
    let mut found = BTreeSet::new();
    // Only what was rotated at all is looked at more closely.
    for key in keys.iter().filter(|key| key.generation > 0 && key.state == KeyState::Active) {
        let secrets = match visit.store().key_of(visit.tenant(), key.id).await {
            Err(StoreError::NotFound { .. }) => continue,
            found => found?.secrets,
        };
        let is_old = |secret: &KeySecret| secret.until_us.is_some_and(|until| until > visit.now_us);
        if secrets.iter().any(is_old) {
            found.insert(key.id);
        }
    }
    Ok(found)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The names of the projects that may be seen.
pub(super) async fn projects(visit: &Visit) -> Result<Vec<String>, Trouble> {
    let filter = ResourceFilter::all(visit.scope(Action::ReadProjects)?, Entity::Project);
    let page = PageRequest { limit: PROJECTS_MAX, cursor: None };
    let found = visit.store().list_resources(&filter, &page).await?;
    Ok(found.items.into_iter().map(|item| item.project.name).collect())
}
