//! Creating a key. The whole key is in the answer of the form that made it and nowhere else (I6): that
//! answer is never cached, a reload leads to the key's page, and nothing of it is logged.

use askama::Template;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action, field_error::FieldError, id::ConsumerId, key::Environment, resource::MatchSpec, time::Span,
};
use tollgate_store::{
    CreatedKey, Entity, KeyDetail, KeyView, NewKey, PageRequest, ResourceFilter, ResourceSpec, Scope,
    StoreError,
};

use super::{
    consumer::{Seen, seen},
    consumer_form::{Errors, tags},
    form::Fields,
    once,
    policy_words::{Sentence, of_policy},
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit, random_secret},
};
use crate::problem::Refused;

/// Consumers that a choice offers; others are typed.
const OFFERED: PageRequest = PageRequest { limit: 200, cursor: None };

/// The first step, where nobody was chosen yet.
#[derive(Template)]
#[template(path = "key_for.html")]
struct For {
    shell: Shell,
    /// What may be chosen from, where there is more than one.
    projects: Vec<String>,
    /// The chosen one; empty for any.
    project: String,
    consumers: Vec<String>,
    problem: Option<String>,
    typed: String,
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct Page {
    shell: Shell,
    consumer: Seen,
    policies: Vec<String>,
    sentences: Vec<Sentence>,
    draft: Draft,
    errors: Errors,
    once: String,
    may_any_policy: bool,
}

/// What was typed.
struct Draft {
    name: String,
    policy: String,
    environment: Environment,
    expires: String,
    allow_ips: String,
    bind_host: String,
    metadata: String,
}

impl Draft {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            name: text("name"),
            policy: text("policy"),
            environment: fields
                .text("environment")
                .and_then(|text| text.parse().ok())
                .unwrap_or(Environment::Live),
            expires: fields.owned("expires").unwrap_or_else(|| "90d".to_owned()),
            allow_ips: fields.exact("allow_ips").to_owned(),
            bind_host: text("bind_host"),
            metadata: fields.exact("metadata").to_owned(),
        }
    }
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::TendKeys)?;
    let scope = Scope::of(visit.tenant(), &permit);
    let typed = visit.query.owned("consumer").unwrap_or_default();
    let project = visit.query.owned("project").unwrap_or_default();
    let meant = meant(&project, &typed);
    let found =
        if typed.is_empty() { None } else { Some(visit.store().consumer_of(scope.clone(), &meant).await) };
    match found {
        Some(Ok(named)) => {
            let consumer = seen(&visit, &scope, &named.id.to_string()).await?;
            let draft = Draft::read(&visit.query);
            form(&visit, consumer, (draft, Errors::default())).await
        }
        other => {
            let problem =
                other.and_then(Result::err).map(|error| super::trouble::sentence(&error.to_string()));
            let consumers = consumers(&visit, scope, &project).await?;
            if let ([only], None) = (consumers.as_slice(), &problem) {
                let address = format!("/keys/new?consumer={}", super::form::encoded(only));
                return Ok(Redirect::to(&address).into_response());
            }
            let projects = super::keys::projects(&visit).await?;
            html(&For { shell: visit.shell("New key"), projects, project, consumers, problem, typed })
        }
    }
}

/// The consumer that is meant: a bare name is one of the chosen project; an id, or a name with its project,
/// says itself whose it is.
fn meant(project: &str, typed: &str) -> String {
    let is_bare = !typed.contains('/') && typed.parse::<ConsumerId>().is_err();
    if is_bare && !project.is_empty() { format!("{project}/{typed}") } else { typed.to_owned() }
}

/// Consumers to choose from: of the chosen project, of all where it is none.
async fn consumers(visit: &Visit, scope: Scope, project: &str) -> Result<Vec<String>, Trouble> {
    let mut filter = ResourceFilter::all(scope.clone(), Entity::Consumer);
    if !project.is_empty() {
        match visit.store().project_of(scope, project).await {
            Ok(found) => filter.project = Some(found.id),
            // What was chosen is nowhere: there is nothing to choose from.
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    }
    let found = visit.store().list_resources(&filter, &OFFERED).await?;
    Ok(found.items.iter().map(|item| format!("{}/{}", item.project.name, item.spec.name())).collect())
}

async fn form(visit: &Visit, consumer: Seen, (draft, errors): (Draft, Errors)) -> Result<Response, Trouble> {
    let may_any_policy = visit.may_all(Action::ChangeKeys);
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadPolicies)?, Entity::Policy);
    filter.project = Some(consumer.project.id);
    let found = visit.store().list_resources(&filter, &OFFERED).await?.items;
    let chosen = found.iter().find(|item| item.spec.name() == draft.policy).or_else(|| found.first());
    let sentences = match chosen.map(|item| &item.spec) {
        Some(ResourceSpec::Policy(spec)) => of_policy(spec),
        _ => Vec::new(),
    };
    let policies = found.iter().map(|item| item.spec.name().to_owned()).collect();
    let shell = visit.shell("New key");
    html(&Page { shell, consumer, policies, sentences, draft, errors, once: once::name()?, may_any_policy })
}

/// Creates the key and shows it, once.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    once::whole(create_whole(posted)).await
}

async fn create_whole(posted: Posted) -> Result<Response, Trouble> {
    let tending = posted.visit.permit(Action::TendKeys)?;
    let scope = Scope::of(posted.visit.tenant(), &tending);
    let consumer = seen(&posted.visit, &scope, posted.fields.exact("consumer")).await?;
    let draft = Draft::read(&posted.fields);
    let new = match new_key(&posted.visit, &consumer, &draft) {
        Ok(new) => new,
        Err(errors) => return form(&posted.visit, consumer, (draft, Errors(errors))).await,
    };
    let first = match once::take(&posted, &format!("create for {}", consumer.id)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    // Whoever may give any policy does so by that right; others by what their consumers hold.
    let permit = visit.permit(Action::ChangeKeys).unwrap_or(tending);
    match visit.store().create_key(&permit, new, &random_secret()?, visit.now_us).await {
        Ok(made) => {
            visit.known_here(made.seq).await;
            first.done(visit, format!("/keys/{}", made.value.id)).await;
            let KeyDetail { key, .. } = visit.store().key_of(visit.tenant(), made.value.id).await?;
            shown_once(visit, &made.value, &key).await
        }
        Err(error) => {
            let trouble = error.into();
            first.undone(visit, &trouble).await;
            let errors = Errors::from(trouble)?;
            form(visit, consumer, (draft, errors)).await
        }
    }
}

fn new_key(visit: &Visit, consumer: &Seen, draft: &Draft) -> Result<NewKey, Vec<FieldError>> {
    let expires_us = expiry(&draft.expires, visit.now_us).map_err(|refused| match refused {
        Refused::Invalid(errors) => errors,
        other => vec![FieldError::new("expires", other.detail())],
    })?;
    let networks: Vec<String> = draft
        .allow_ips
        .split(['\n', ',', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(NewKey {
        project: format!("{}/{}", visit.who.tenant.name, consumer.project.name),
        consumer: consumer.spec.name.clone(),
        policy: (!draft.policy.is_empty()).then(|| draft.policy.clone()),
        environment: draft.environment,
        name: (!draft.name.is_empty()).then(|| draft.name.clone()),
        expires_us,
        bind_host: (!draft.bind_host.is_empty()).then(|| draft.bind_host.clone()),
        allow_ips: (!networks.is_empty()).then_some(networks),
        metadata: tags(&draft.metadata)?,
    })
}

/// When a key expires: `90d`, a day, or `never`.
pub(super) fn expiry(text: &str, now_us: i64) -> Result<Option<i64>, Refused> {
    if text == "never" {
        return Ok(None);
    }
    if let Ok(span) = text.parse::<Span>() {
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        return Ok(Some(now_us.saturating_add(span)));
    }
    let day = format!("{text}T00:00:00Z").parse::<jiff::Timestamp>();
    let moment = text.parse::<jiff::Timestamp>().or(day).map(jiff::Timestamp::as_microsecond);
    moment.map(Some).map_err(|_| Refused::invalid("expires", "write 90d, a day such as 2027-01-31, or never"))
}

/// The one page with a whole key.
#[derive(Template)]
#[template(path = "key_created.html")]
struct Created<'a> {
    shell: Shell,
    /// Where the pages of keys are.
    base: &'static str,
    key: &'a KeyView,
    title: String,
    secret: &'a str,
    face: &'a tollgate_core::key::KeyFace,
    previous_until_us: Option<i64>,
    curl: Option<Curl>,
}

/// Where the key can be tried.
struct Curl {
    address: String,
}

/// The answer that shows a key.
pub(super) async fn shown_once(visit: &Visit, made: &CreatedKey, key: &KeyView) -> Result<Response, Trouble> {
    let page = Created {
        shell: visit.shell("Key"),
        base: visit.keys_base(),
        title: super::key::title(key),
        secret: made.key.expose(),
        face: &made.face,
        previous_until_us: made.previous_until_us,
        curl: curl(visit, key).await?,
        key,
    };
    let mut response = html(&page)?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A call that fits a service which the policy grants.
async fn curl(visit: &Visit, key: &KeyView) -> Result<Option<Curl>, Trouble> {
    let Some(policy) = &key.policy else { return Ok(None) };
    let Some(spec) = super::key::policy_of(visit, policy.id).await? else { return Ok(None) };
    let mut filter = ResourceFilter::all(Scope::whole(visit.tenant()), Entity::Service);
    filter.project = Some(key.project.id);
    let found = visit.store().list_resources(&filter, &OFFERED).await?.items;
    let granted = |name: &str| spec.services.iter().any(|own| own == "*" || own == name);
    let matches = found.iter().find_map(|item| match &item.spec {
        ResourceSpec::Service(service) if granted(&service.name) => Some(&service.matches),
        _ => None,
    });
    Ok(matches.map(|matches| Curl { address: address(visit, matches) }))
}

/// Where clients call a service that takes these requests.
pub(super) fn address(visit: &Visit, matches: &MatchSpec) -> String {
    let path = matches.path_prefix.as_deref().unwrap_or("/");
    match matches.host.as_deref().filter(|host| !host.starts_with('*')) {
        Some(host) => format!("https://{host}{path}"),
        None => {
            let gateway = visit.app.control().health.gateway_url();
            let gateway = gateway.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
            format!("{gateway}{path}")
        }
    }
}
