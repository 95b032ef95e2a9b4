//! The answer of `GET /v1/me`: what the caller's key is, what it may do, and what remains.
//!
//! Asked rarely and read by people, so it goes through serde and says everything in words.

use serde::Serialize;
use tollgate_core::{
    counters::{Measure, Rule, Standing},
    id::DecisionId,
    keyring::KeyRecord,
    policy::{App, Grant, Policy},
    resource::{Per, Unit},
    tables::Consumer,
};

use crate::text::rfc3339;

/// What the answer is made of.
#[derive(Clone, Copy)]
pub struct Me<'a> {
    /// The decision's id.
    pub id: DecisionId,
    /// The key that asks.
    pub record: &'a KeyRecord,
    /// The name of its tenant.
    pub tenant: &'a str,
    /// The name of its project.
    pub project: &'a str,
    /// Who holds it.
    pub consumer: Option<&'a Consumer>,
    /// Its policy.
    pub policy: Option<&'a Policy>,
    /// The names of the services that the policy grants one by one.
    pub services: &'a [&'a str],
    /// Where each rule of the policy stands for this key, nothing taken.
    pub standings: &'a [(&'a Rule, Standing)],
}

impl Me<'_> {
    /// The body, JSON.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let record = self.record;
        let answer = Answer {
            key: Key {
                id: record.id.to_string(),
                state: record.state.name(),
                environment: record.environment.name(),
                expires_at: moment(record.expires_us),
                bound_host: record.narrowing.as_ref().and_then(|own| own.bind_host.as_deref()),
                networks: record.narrowing.as_ref().and_then(|own| {
                    own.networks.as_ref().map(|list| list.iter().map(ToString::to_string).collect())
                }),
            },
            rotation: Rotation {
                generation: record.generation,
                is_current: record.secret_until_us == i64::MAX,
                secret_valid_until: moment(record.secret_until_us),
            },
            tenant: self.tenant,
            project: self.project,
            consumer: self.consumer.map(|consumer| Holder {
                id: consumer.id.to_string(),
                name: &consumer.name,
                external_id: consumer.external_id.as_deref(),
                metadata: consumer.metadata.iter().map(|(name, value)| (&**name, &**value)).collect(),
            }),
            policy: self.policy.map(|policy| PolicyWords {
                name: &policy.name,
                words: policy_words(policy, self.project, self.services),
            }),
            limits: self.rules(|rule| matches!(rule.measure, Measure::Rate { .. })),
            quotas: self.rules(|rule| matches!(rule.measure, Measure::Quota(_))),
            concurrency: self
                .standings
                .iter()
                .find(|(rule, _)| matches!(rule.measure, Measure::Concurrency))
                .map(|(rule, standing)| Concurrency { limit: rule.amount, remaining: standing.remaining }),
            decision_id: self.id.to_string(),
        };
        // Strings and numbers in memory: writing them cannot fail.
        serde_json::to_vec(&answer).unwrap_or_default()
    }

    fn rules(&self, wanted: impl Fn(&Rule) -> bool) -> Vec<RuleStands<'_>> {
        self.standings
            .iter()
            .filter(|(rule, _)| wanted(rule))
            .map(|(rule, standing)| RuleStands {
                name: &rule.name,
                limit: rule.amount,
                unit: unit_name(rule.unit),
                per: per_name(rule.per),
                window: match &rule.measure {
                    Measure::Rate { window, .. } => Some(window.to_string()),
                    _ => None,
                },
                period: match &rule.measure {
                    Measure::Quota(period) => Some(period.unit().to_string()),
                    _ => None,
                },
                remaining: standing.remaining,
                reset_after_ms: standing.reset_after_ns.div_ceil(1_000_000),
            })
            .collect()
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    key: Key<'a>,
    rotation: Rotation,
    tenant: &'a str,
    project: &'a str,
    consumer: Option<Holder<'a>>,
    policy: Option<PolicyWords<'a>>,
    limits: Vec<RuleStands<'a>>,
    quotas: Vec<RuleStands<'a>>,
    concurrency: Option<Concurrency>,
    decision_id: String,
}

#[derive(Serialize)]
struct Key<'a> {
    id: String,
    state: &'static str,
    environment: &'static str,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    networks: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Rotation {
    generation: u16,
    is_current: bool,
    secret_valid_until: Option<String>,
}

#[derive(Serialize)]
struct Holder<'a> {
    id: String,
    name: &'a str,
    external_id: Option<&'a str>,
    metadata: std::collections::BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct PolicyWords<'a> {
    name: &'a str,
    words: Vec<String>,
}

#[derive(Serialize)]
struct RuleStands<'a> {
    name: &'a str,
    limit: u64,
    unit: &'static str,
    per: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    remaining: u64,
    reset_after_ms: u64,
}

#[derive(Serialize)]
struct Concurrency {
    limit: u64,
    remaining: u64,
}

/// The policy in words, one sentence a restriction; what restricts nothing is left out.
fn policy_words(policy: &Policy, project: &str, services: &[&str]) -> Vec<String> {
    let mut words = vec![match &policy.services {
        Grant::All => format!("grants all services of project {project}"),
        Grant::Only(ids) if ids.is_empty() => "grants no service".to_owned(),
        Grant::Only(_) => format!("grants the services {}", services.join(", ")),
    }];
    let mut say = |what: &str, items: Option<Vec<String>>| match items {
        None => {}
        Some(items) if items.is_empty() => words.push(format!("allows no {what}")),
        Some(items) => words.push(format!("allows only the {what} {}", items.join(", "))),
    };
    say("scopes", texts(policy.scopes.as_deref()));
    say("endpoints", texts(policy.endpoints.as_deref()));
    say("networks", texts(policy.networks.as_deref()));
    let patterns = |list: Option<&[tollgate_core::url_pattern::UrlPattern]>| {
        list.map(|list| list.iter().map(|own| own.as_str().to_owned()).collect())
    };
    say("pages (Referer)", patterns(policy.referers.as_deref()));
    say("origins", patterns(policy.origins.as_deref()));
    let patterns = |list: Option<&[tollgate_core::pattern::TextPattern]>| {
        list.map(|list| list.iter().map(|own| own.as_str().to_owned()).collect())
    };
    say("user agents", patterns(policy.user_agents.as_deref()));
    say("apps", policy.apps.as_deref().map(|list| list.iter().map(app_name).collect()));
    say("models", patterns(policy.models.as_deref()));
    words
}

fn texts<T: std::fmt::Display>(list: Option<&[T]>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(ToString::to_string).collect())
}

fn app_name(app: &App) -> String {
    match app {
        App::Android { package, certificate } => format!("android:{package}:{certificate}"),
        App::Ios { bundle } => format!("ios:{bundle}"),
    }
}

const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Tokens => "tokens",
        Unit::Units => "units",
    }
}

const fn per_name(per: Per) -> &'static str {
    match per {
        Per::Key => "key",
        Per::Consumer => "consumer",
        Per::Project => "project",
        Per::Ip => "ip",
    }
}

fn moment(wall_us: i64) -> Option<String> {
    (wall_us != i64::MAX).then(|| rfc3339(wall_us))
}
