//! Creating a key for each of many consumers. The whole keys are on the page that answers the form, to be
//! downloaded there, and nowhere else.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, field_error::FieldError, key::Environment};
use tollgate_store::{CreatedKey, Entity, KEYS_AT_ONCE_MAX, NewKey, PageRequest, ResourceFilter, Scope};

use super::{
    bulk::csv,
    consumer_form::{Errors, tags},
    form::{Fields, encoded},
    keys::projects,
    new_key::expiry,
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit, random_secret},
};
use crate::problem::Refused;

/// Policies that a choice offers.
const OFFERED: PageRequest = PageRequest { limit: 200, cursor: None };

#[derive(Template)]
#[template(path = "keys_many.html")]
struct Page {
    shell: Shell,
    projects: Vec<String>,
    policies: Vec<String>,
    draft: Draft,
    errors: Errors,
    once: String,
}

/// The one page with the whole keys.
#[derive(Template)]
#[template(path = "keys_made.html")]
struct Made {
    shell: Shell,
    count: usize,
    /// The table for spreadsheets, as text and as an address.
    table: String,
    address: String,
}

/// What was typed.
struct Draft {
    project: String,
    policy: String,
    environment: Environment,
    expires: String,
    consumers: String,
    metadata: String,
}

impl Draft {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            project: text("project"),
            policy: text("policy"),
            environment: fields
                .text("environment")
                .and_then(|text| text.parse().ok())
                .unwrap_or(Environment::Live),
            expires: fields.owned("expires").unwrap_or_else(|| "90d".to_owned()),
            consumers: fields.exact("consumers").to_owned(),
            metadata: fields.exact("metadata").to_owned(),
        }
    }

    /// The keys that shall be, with whose they are.
    fn keys(&self, visit: &Visit) -> Result<Vec<NewKey>, Refused> {
        let expires_us = expiry(&self.expires, visit.now_us)?;
        let metadata = tags(&self.metadata).map_err(Refused::Invalid)?;
        let mut seen = BTreeSet::new();
        let mut keys = Vec::new();
        let lines = self.consumers.lines().map(str::trim).filter(|line| !line.is_empty());
        for line in lines {
            let (consumer, name) = line.split_once(',').unwrap_or((line, ""));
            let unquoted = |text: &str| text.trim().trim_matches('"').trim().to_owned();
            let (consumer, name) = (unquoted(consumer), unquoted(name));
            if !seen.insert((consumer.clone(), name.clone())) {
                return Err(Refused::invalid("consumers", format!("`{line}` is there twice")));
            }
            keys.push(NewKey {
                project: format!("{}/{}", visit.who.tenant.name, self.project),
                consumer,
                policy: (!self.policy.is_empty()).then(|| self.policy.clone()),
                environment: self.environment,
                name: (!name.is_empty()).then_some(name),
                expires_us,
                bind_host: None,
                allow_ips: None,
                metadata: metadata.clone(),
            });
        }
        match keys.len() {
            0 => Err(Refused::invalid("consumers", "name at least one consumer, one a line")),
            count if count > KEYS_AT_ONCE_MAX => {
                let problem = format!("there are {count}; at most {KEYS_AT_ONCE_MAX} at once");
                Err(Refused::invalid("consumers", problem))
            }
            _ => Ok(keys),
        }
    }
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    let mut draft = Draft::read(&visit.query);
    if draft.project.is_empty() {
        draft.project = projects(&visit).await?.into_iter().next().unwrap_or_default();
    }
    page(&visit, (draft, Errors::default())).await
}

async fn page(visit: &Visit, (draft, errors): (Draft, Errors)) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeKeys)?;
    let mut filter = ResourceFilter::all(Scope::whole(visit.tenant()), Entity::Policy);
    if !draft.project.is_empty() {
        filter.project = Some(visit.store().project_of(visit.tenant(), &draft.project).await?.id);
    }
    let found = visit.store().list_resources(&filter, &OFFERED).await?.items;
    html(&Page {
        projects: projects(visit).await?,
        policies: found.iter().map(|item| item.spec.name().to_owned()).collect(),
        draft,
        errors,
        once: once::name()?,
        shell: visit.shell("Create many keys"),
    })
}

/// Creates the keys, all or none, and shows them, once.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    once::whole(create_whole(posted)).await
}

async fn create_whole(posted: Posted) -> Result<Response, Trouble> {
    let permit = posted.visit.permit(Action::ChangeKeys)?;
    let draft = Draft::read(&posted.fields);
    let keys = match draft.keys(&posted.visit) {
        Ok(keys) => keys,
        Err(refused) => return page(&posted.visit, (draft, Errors::from(refused.into())?)).await,
    };
    let first = match once::take(&posted, "create many").await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    let named: Vec<(String, String)> =
        keys.iter().map(|key| (key.consumer.clone(), key.name.clone().unwrap_or_default())).collect();
    let made = async {
        let mut new = Vec::with_capacity(keys.len());
        for key in keys {
            new.push((key, random_secret()?));
        }
        Ok::<_, Trouble>(visit.store().create_keys(&permit, new, visit.now_us).await?)
    };
    match made.await {
        Ok(made) => {
            visit.known_here(made.seq).await;
            let back = format!("/keys?project={}", encoded(&draft.project));
            first.done(visit, back).await;
            shown_once(visit, (&named, &made.value))
        }
        Err(trouble) => {
            first.undone(visit, &trouble).await;
            page(visit, (draft, of_list(Errors::from(trouble)?))).await
        }
    }
}

/// What is wrong with one of the keys is wrong with the list.
fn of_list(errors: Errors) -> Errors {
    let own = |error: FieldError| match error.field.as_str() {
        "form" | "policy" | "project" | "expires" | "metadata" => error,
        field => FieldError::new("consumers", format!("{field}: {}", error.problem)),
    };
    Errors(errors.0.into_iter().map(own).collect())
}

fn shown_once(
    visit: &Visit,
    (named, made): (&[(String, String)], &[CreatedKey]),
) -> Result<Response, Trouble> {
    let mut table = "consumer,name,id,key\r\n".to_owned();
    for ((consumer, name), key) in named.iter().zip(made) {
        let fields = [csv(consumer), csv(name), key.id.to_string(), key.key.expose().to_owned()];
        table.push_str(&fields.join(","));
        table.push_str("\r\n");
    }
    let address = format!("data:text/csv;charset=utf-8,{}", encoded(&table));
    let shell = visit.shell("Keys created");
    let mut response = html(&Made { shell, count: made.len(), table, address })?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
