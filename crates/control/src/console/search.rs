//! One box that looks everywhere: keys, consumers, policies, services, decisions, codes. What is typed
//! comes in the body of a request, for it may be a key; and a whole key is looked for by its last four
//! characters and never repeated.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tollgate_core::{
    authz::Action,
    code::Code,
    id::{ConsumerId, DecisionId, KeyId},
    key::check_shape,
};
use tollgate_store::{Entity, KeyFilter, KeyView, PageRequest, ResourceFilter, ResourceId};

use super::{
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};

/// Hits of a kind that are shown.
const HITS: PageRequest = PageRequest { limit: 6, cursor: None };
/// Characters that are looked for.
const CHARS_MAX: usize = 200;

/// What was found.
struct Found {
    keys: Vec<KeyView>,
    places: Vec<Place>,
    codes: Vec<Code>,
    nothing: bool,
}

struct Place {
    icon: &'static str,
    kind: &'static str,
    name: String,
    href: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    shell: Shell,
    typed: String,
    found: Option<Found>,
}

#[derive(Template)]
#[template(path = "search_results.html")]
struct Part {
    shell: Shell,
    found: Found,
}

pub(crate) async fn page(visit: Visit) -> Result<Response, Trouble> {
    html(&Page { shell: visit.shell("Search"), typed: String::new(), found: None })
}

pub(crate) async fn find(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let typed: String = fields.text("q").unwrap_or_default().chars().take(CHARS_MAX).collect();
    // A decision or key that is named exactly is gone to at once.
    if !visit.is_part && (typed.parse::<DecisionId>().is_ok() || typed.parse::<KeyId>().is_ok()) {
        let place = if typed.starts_with("dec_") { "events" } else { "keys" };
        return Ok(Redirect::to(&format!("/{place}/{typed}")).into_response());
    }
    let found = look(&visit, &wanted(&typed)).await?;
    if visit.is_part {
        return html(&Part { shell: visit.shell("Search"), found });
    }
    let typed = if check_shape(typed.as_bytes()).is_ok() { String::new() } else { typed };
    html(&Page { shell: visit.shell("Search"), typed, found: Some(found) })
}

/// What is looked for: of a whole key its last four characters.
fn wanted(typed: &str) -> String {
    if check_shape(typed.as_bytes()).is_err() {
        return typed.to_owned();
    }
    let skipped = typed.chars().count().saturating_sub(4);
    typed.chars().skip(skipped).collect()
}

async fn look(visit: &Visit, wanted: &str) -> Result<Found, Trouble> {
    let mut found = Found { keys: Vec::new(), places: Vec::new(), codes: Vec::new(), nothing: false };
    if wanted.is_empty() {
        return Ok(found);
    }
    let permit = visit.permit(Action::ReadKeys)?;
    let filter = KeyFilter {
        tenant: Some(visit.tenant()),
        consumers: permit.consumers().map(<[ConsumerId]>::to_vec),
        search: Some(wanted.to_owned()),
        ..KeyFilter::default()
    };
    found.keys = visit.store().list_keys(&filter, &HITS).await?.items;
    let kinds = [
        (Entity::Consumer, Action::ReadConsumers, "people", "consumer", "consumers"),
        (Entity::Policy, Action::ReadPolicies, "policy", "policy", "policies"),
        (Entity::Service, Action::ReadServices, "service", "service", "services"),
    ];
    for (entity, action, icon, kind, path) in kinds {
        let mut filter = ResourceFilter::all(visit.scope(action)?, entity);
        filter.search = Some(wanted.to_owned());
        for item in visit.store().list_resources(&filter, &HITS).await?.items {
            let name = format!("{} in {}", item.spec.name(), item.project.name);
            found.places.push(Place { icon, kind, name, href: format!("/{path}/{}", item.id) });
        }
    }
    found.places.extend(named(visit, wanted).await?);
    let word = wanted.to_lowercase();
    found.codes = Code::ALL.iter().copied().filter(|code| code.name().contains(&word)).take(6).collect();
    found.nothing = found.keys.is_empty() && found.places.is_empty() && found.codes.is_empty();
    Ok(found)
}

/// What is named by its id.
async fn named(visit: &Visit, wanted: &str) -> Result<Vec<Place>, Trouble> {
    let mut places = Vec::new();
    if let Ok(id) = wanted.parse::<DecisionId>() {
        let href = format!("/events/{id}");
        places.push(Place { icon: "events", kind: "decision", name: id.to_string(), href });
    }
    if let Ok(id) = wanted.parse::<KeyId>() {
        let href = format!("/keys/{id}");
        places.push(Place { icon: "key", kind: "key", name: id.to_string(), href });
    }
    if let Ok(id) = wanted.parse::<ConsumerId>() {
        let scope = visit.scope(Action::ReadConsumers)?;
        if let Ok(item) = visit.store().resource(&scope, ResourceId::Consumer(id)).await {
            let (name, href) = (item.spec.name().to_owned(), format!("/consumers/{id}"));
            places.push(Place { icon: "people", kind: "consumer", name, href });
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use tollgate_core::{
        key::{Environment, mint},
        secret::Secret,
    };

    use super::wanted;

    #[test]
    fn a_whole_key_is_looked_for_by_its_last_four_characters() {
        let key = mint("tg", Environment::Live, &Secret::new([7; 32])).unwrap();
        let last4 = wanted(key.expose());
        assert_eq!(last4.len(), 4);
        assert!(key.expose().ends_with(&last4));
        assert_eq!(wanted("android"), "android");
    }
}
