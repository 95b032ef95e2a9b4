//! A consumer's own page: their keys, what these may do and did, how to call, what an error means. People of
//! partners see this and their account; everything else looks absent to them ([`is_for_members`]). Read is
//! with the right to the consumers' keys, so that nobody sees another's; of services only names and addresses
//! are shown, never what stands behind them.

use std::collections::BTreeSet;

use askama::Template;
use axum::response::{IntoResponse as _, Redirect, Response};
use tollgate_core::{
    authz::{Action, Role},
    code::Code,
    id::{ConsumerId, PolicyId, ProjectId},
    keyring::KeyState,
};
use tollgate_store::{
    Entity, KeyFilter, KeyView, Named, PageRequest, ResourceFilter, ResourceId, ResourceSpec, Scope, UsageBy,
    UsageFilter, UsageRow, UsageSums,
};
use tollgate_wire::codes;

use super::{
    chart::{Chart, Whose},
    form::encoded,
    new_key::address,
    overview,
    policy_words::{Sentence, of_policy},
    range::{Choice, Range},
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

/// Where their keys are.
pub(super) const KEYS: &str = "/own/keys";
/// Keys and services that the page shows.
const SHOWN: PageRequest = PageRequest { limit: 200, cursor: None };

/// Whether a page is for people of partners too.
pub(super) fn is_for_members(path: &str) -> bool {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path == "/" || below("/own") || below("/account") || path == "/sign-out" || path == "/confirm"
}

#[derive(Template)]
#[template(path = "own.html")]
struct Page {
    shell: Shell,
    /// The other consumers of whoever visits; empty when there is one.
    consumers: Vec<Own>,
    name: String,
    project: String,
    keys: Vec<KeyView>,
    policies: Vec<Policy>,
    services: Vec<Service>,
    ranges: Vec<Choice>,
    range: Range,
    chart: Chart,
    sums: UsageSums,
    refused: Vec<CodeRow>,
    codes: Vec<CodeRow>,
}

/// The page of somebody who is mapped to nobody.
#[derive(Template)]
#[template(path = "own_none.html")]
struct Nobody {
    shell: Shell,
}

/// A consumer of whoever visits.
struct Own {
    name: String,
    href: String,
    is_chosen: bool,
}

/// What keys with a policy may do.
struct Policy {
    name: String,
    keys: usize,
    sentences: Vec<Sentence>,
}

/// A service that may be called.
struct Service {
    name: String,
    address: String,
}

/// A code, what it means and what to do; how often it came.
#[derive(Clone, Copy)]
struct CodeRow {
    code: Code,
    status: u16,
    title: &'static str,
    remedy: &'static str,
    count: u64,
}

/// The first page: the overview, or of people of partners their own.
pub(crate) async fn front(visit: Visit) -> Result<Response, Trouble> {
    if visit.who.role == Role::Member {
        return Ok(Redirect::to("/own").into_response());
    }
    overview::show(visit).await
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let scope = Scope::of(visit.tenant(), &permit);
    // Whoever sees all of the tenant has no consumers of their own, and other pages.
    let own = if permit.consumers().is_some() {
        visit.store().list_resources(&ResourceFilter::all(scope, Entity::Consumer), &SHOWN).await?.items
    } else {
        Vec::new()
    };
    let asked: Option<ConsumerId> = visit.query.text("consumer").and_then(|text| text.parse().ok());
    let is_asked = |id: ResourceId| asked.is_some_and(|asked| id == ResourceId::Consumer(asked));
    let chosen =
        own.iter().find(|item| is_asked(item.id)).or_else(|| own.first().filter(|_| asked.is_none()));
    let Some(chosen) = chosen else {
        if asked.is_some() {
            return Err(Trouble::absent("consumer"));
        }
        return html(&Nobody { shell: visit.shell("Your keys") });
    };
    let ResourceId::Consumer(id) = chosen.id else { return Err(Trouble::absent("consumer")) };
    let consumers = if own.len() > 1 {
        own.iter()
            .map(|item| Own {
                name: item.spec.name().to_owned(),
                href: format!("/own?consumer={}", encoded(&item.id.to_string())),
                is_chosen: item.id == chosen.id,
            })
            .collect()
    } else {
        Vec::new()
    };
    page(&visit, (id, chosen.spec.name(), &chosen.project), consumers).await
}

async fn page(
    visit: &Visit,
    (id, name, project): (ConsumerId, &str, &Named<ProjectId>),
    consumers: Vec<Own>,
) -> Result<Response, Trouble> {
    let store = visit.store();
    let filter =
        KeyFilter { tenant: Some(visit.tenant()), consumers: Some(vec![id]), ..KeyFilter::default() };
    let keys = store.list_keys(&filter, &SHOWN).await?.items;
    let policies = policies(visit, &keys).await?;
    let range = Range::of(&visit.query, "24h", visit.now_us);
    let whose = Whose { consumer: Some(id), ..Whose::default() };
    let usage: UsageFilter = whose.usage(visit, &range);
    let report = store.usage(&[UsageBy::Code], &usage).await?;
    let codes = codes_of(&report.rows);
    let (services, policies) = services(visit, project.id, policies).await?;
    html(&Page {
        chart: Chart::read(visit, &whose, &range, false).await?,
        ranges: range.choices(|name| visit.link(&[("range", Some(name))])),
        refused: codes.iter().filter(|row| row.count > 0).copied().collect(),
        codes,
        sums: report.total,
        shell: visit.shell(format!("{name}, your keys")),
        name: name.to_owned(),
        project: project.name.clone(),
        keys,
        policies,
        services,
        consumers,
        range,
    })
}

/// The policies of keys that are not revoked.
async fn policies(visit: &Visit, keys: &[KeyView]) -> Result<Vec<(Policy, Vec<String>)>, Trouble> {
    let live = || keys.iter().filter(|key| key.state != KeyState::Revoked);
    let ids: BTreeSet<PolicyId> = live().filter_map(|key| Some(key.policy.as_ref()?.id)).collect();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(spec) = super::key::policy_of(visit, id).await? else { continue };
        let keys = live().filter(|key| key.policy.as_ref().is_some_and(|own| own.id == id)).count();
        let policy = Policy { name: spec.name.clone(), keys, sentences: of_policy(&spec) };
        found.push((policy, spec.services));
    }
    Ok(found)
}

/// The services that any of the policies grants.
async fn services(
    visit: &Visit,
    project: ProjectId,
    policies: Vec<(Policy, Vec<String>)>,
) -> Result<(Vec<Service>, Vec<Policy>), Trouble> {
    let granted =
        |name: &str| policies.iter().any(|(_, own)| own.iter().any(|own| own == "*" || own == name));
    let mut filter = ResourceFilter::all(Scope::whole(visit.tenant()), Entity::Service);
    filter.project = Some(project);
    let found = visit.store().list_resources(&filter, &SHOWN).await?.items;
    let services = found.iter().filter_map(|item| match &item.spec {
        ResourceSpec::Service(spec) if granted(&spec.name) => {
            Some(Service { name: spec.name.clone(), address: address(visit, &spec.matches) })
        }
        _ => None,
    });
    let services = services.collect();
    Ok((services, policies.into_iter().map(|(policy, _)| policy).collect()))
}

/// Every code that refuses, with how often it came.
fn codes_of(rows: &[UsageRow]) -> Vec<CodeRow> {
    let refusing = Code::ALL.iter().copied().filter(|code| *code != Code::Valid);
    refusing
        .map(|code| {
            let entry = codes::entry(code);
            let count = rows.iter().filter(|row| row.code == Some(code)).map(|row| row.sums.requests).sum();
            CodeRow { code, status: entry.status.number(), title: entry.title, remedy: entry.remedy, count }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_for_members;

    #[test]
    fn people_of_partners_have_their_pages_and_no_others() {
        for path in
            ["/", "/own", "/own/keys/key_1/rotate", "/account", "/account/password", "/sign-out", "/confirm"]
        {
            assert!(is_for_members(path), "{path}");
        }
        for path in ["/keys", "/events", "/owner", "/accounts", "/settings", "/search", "/own2", "//own"] {
            assert!(!is_for_members(path), "{path}");
        }
    }
}
