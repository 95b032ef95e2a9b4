//! The decision. One pure function, the only judge of the whole product.
//!
//! The checks stand in one list, in the order they are asked; the first that fails decides. Checks
//! that cost nothing come first, those that move counters last, so that a refused request moves
//! none.

use smallvec::SmallVec;

use crate::{
    address::in_networks,
    code::Code,
    counters::{Charge, Counters, Measure, Refusal, Rule, Standings, subject_of_address},
    facts::Facts,
    keyring::{KeyRecord, KeyState},
    policy::{App, Policy, certificate},
    resource::{Per, Unit},
    time::Now,
};

/// What a decision is made of besides the facts.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What is known of the request.
    pub facts: &'a Facts<'a>,
    /// The key.
    pub record: &'a KeyRecord,
    /// The key's policy; `None` grants nothing.
    pub policy: Option<&'a Policy>,
    /// The moment.
    pub now: Now,
}

/// One check. Its number is its bit in a [`CheckSet`] and is stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Check {
    /// The key is active.
    State = 0,
    /// Key and secret have not expired.
    Expiry = 1,
    /// The key's environment fits the service.
    Environment = 2,
    /// The policy grants the service.
    Service = 3,
    /// The policy grants the scopes.
    Scope = 4,
    /// An endpoint pattern matches.
    Endpoint = 5,
    /// The model is granted.
    Model = 6,
    /// The policy's networks hold the address.
    Network = 7,
    /// The key's own networks hold the address.
    KeyNetwork = 8,
    /// The peer is the host the key is bound to.
    Host = 9,
    /// The Referer matches.
    Referer = 10,
    /// The Origin matches.
    Origin = 11,
    /// The User-Agent matches.
    UserAgent = 12,
    /// The mobile app is allowed.
    App = 13,
    /// Concurrency, limits and quotas have room.
    Limits = 14,
}

/// The checks in the order they are asked; [`Check::Limits`] comes after them.
pub const ORDER: [Check; 14] = [
    Check::State,
    Check::Expiry,
    Check::Environment,
    Check::Service,
    Check::Scope,
    Check::Endpoint,
    Check::Model,
    Check::Network,
    Check::KeyNetwork,
    Check::Host,
    Check::Referer,
    Check::Origin,
    Check::UserAgent,
    Check::App,
];

impl Check {
    /// The check's name in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Expiry => "expiry",
            Self::Environment => "environment",
            Self::Service => "service",
            Self::Scope => "scope",
            Self::Endpoint => "endpoint",
            Self::Model => "model",
            Self::Network => "network",
            Self::KeyNetwork => "key_network",
            Self::Host => "host",
            Self::Referer => "referer",
            Self::Origin => "origin",
            Self::UserAgent => "user_agent",
            Self::App => "app",
            Self::Limits => "limits",
        }
    }
}

/// A set of checks, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckSet(pub u32);

impl CheckSet {
    /// Puts a check in.
    pub const fn insert(&mut self, check: Check) {
        self.0 |= 1 << check as u8;
    }

    /// Whether a check is in.
    #[must_use]
    pub const fn contains(self, check: Check) -> bool {
        self.0 & (1 << check as u8) != 0
    }
}

/// The answer, with what is needed to explain it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// `valid`, or why not.
    pub code: Code,
    /// Checks that were asked and had something to compare with.
    pub configured: CheckSet,
    /// Of these, the ones that passed.
    pub passed: CheckSet,
    /// The check that failed.
    pub failed: Option<Check>,
    /// In words, for the client: what was compared with what, set where. Only on refusal.
    pub detail: Option<Box<str>>,
    /// Standings of the policy's rules, in the order of `charged`.
    pub standings: Standings,
    /// Which of the policy's rules the standings belong to, and for whom.
    pub charged: SmallVec<[Charged; 4]>,
    /// Nanoseconds until it is worth trying again, for refusals that pass.
    pub retry_after_ns: Option<u64>,
}

/// One rule that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Its index in the policy's rules.
    pub rule: u8,
    /// Whose count.
    pub subject: u64,
    /// How much was taken.
    pub amount: u32,
}

impl Decision {
    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.code == Code::Valid
    }

    /// The policy's rules that a refusal by limits names.
    pub fn violated<'p>(&self, policy: &'p Policy) -> Option<&'p Rule> {
        if self.failed != Some(Check::Limits) {
            return None;
        }
        self.charged.last().and_then(|charged| policy.rules.get(usize::from(charged.rule)))
    }
}

/// What one check says.
pub(crate) enum Outcome {
    /// Nothing to compare with.
    Open,
    /// Passes.
    Pass,
    /// Fails: the code, and the words.
    Fail(Code, String),
}

/// Decides. Pure but for `counters`, which are moved only when everything else allows.
pub fn admit(case: Case<'_>, counters: &impl Counters) -> Decision {
    let mut decision = Decision {
        code: Code::Valid,
        configured: CheckSet::default(),
        passed: CheckSet::default(),
        failed: None,
        detail: None,
        standings: Standings::new(),
        charged: SmallVec::new(),
        retry_after_ns: None,
    };
    for check in ORDER {
        match ask(check, case) {
            Outcome::Open => {}
            Outcome::Pass => {
                decision.configured.insert(check);
                decision.passed.insert(check);
            }
            Outcome::Fail(code, detail) => {
                decision.configured.insert(check);
                decision.refuse(check, code, detail);
                return decision;
            }
        }
    }
    if let Some(policy) = case.policy
        && !policy.rules.is_empty()
    {
        charge(case, policy, counters, &mut decision);
    }
    decision
}

impl Decision {
    fn refuse(&mut self, check: Check, code: Code, detail: String) {
        self.code = code;
        self.failed = Some(check);
        self.detail = Some(detail.into());
    }
}

pub(crate) fn ask(check: Check, case: Case<'_>) -> Outcome {
    match check {
        Check::State => state(case),
        Check::Expiry => expiry(case),
        Check::Environment => environment(case),
        Check::Service => service(case),
        Check::Scope => scope(case),
        Check::Endpoint => endpoint(case),
        Check::Model => model(case),
        Check::Network => network(case),
        Check::KeyNetwork => key_network(case),
        Check::Host => host(case),
        Check::Referer => referer(case),
        Check::Origin => origin(case),
        Check::UserAgent => user_agent(case),
        Check::App => app(case),
        Check::Limits => Outcome::Open,
    }
}

fn state(case: Case<'_>) -> Outcome {
    match case.record.state {
        KeyState::Active => Outcome::Pass,
        KeyState::Disabled => Outcome::Fail(
            Code::KeyDisabled,
            "the key is switched off; an administrator can switch it on".into(),
        ),
        KeyState::Blocked => {
            Outcome::Fail(Code::KeyBlocked, "the key is blocked; an administrator can unblock it".into())
        }
        KeyState::Revoked => {
            Outcome::Fail(Code::KeyRevoked, "the key was revoked and will not work again".into())
        }
    }
}

fn expiry(case: Case<'_>) -> Outcome {
    let KeyRecord { expires_us, secret_until_us, .. } = *case.record;
    if case.now.wall_us >= expires_us {
        return Outcome::Fail(Code::KeyExpired, format!("the key expired at {}", rfc3339(expires_us)));
    }
    if case.now.wall_us >= secret_until_us {
        let detail = format!(
            "this secret was rotated away; its overlap ended at {}, use the new one",
            rfc3339(secret_until_us)
        );
        return Outcome::Fail(Code::KeyExpired, detail);
    }
    if expires_us == i64::MAX && secret_until_us == i64::MAX { Outcome::Open } else { Outcome::Pass }
}

/// A moment as people read it: RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(wall_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(wall_us) {
        Ok(moment) => format!("{moment:.0}"),
        Err(_) => "a moment outside the calendar".to_owned(),
    }
}

fn environment(case: Case<'_>) -> Outcome {
    let Some(wanted) = case.facts.service.and_then(|service| service.environment) else {
        return Outcome::Open;
    };
    if wanted == case.record.environment {
        return Outcome::Pass;
    }
    let detail =
        format!("a {} key was used at a service that takes {wanted} keys only", case.record.environment);
    Outcome::Fail(Code::EnvironmentMismatch, detail)
}

fn service(case: Case<'_>) -> Outcome {
    let Some(service) = case.facts.service else { return Outcome::Open };
    let name = service.name();
    if service.project != case.record.project {
        // Another project's service: the same words as for one that is not granted, so that
        // nothing is learnt about it.
        return Outcome::Fail(Code::ServiceNotGranted, format!("the key does not grant service {name}"));
    }
    match case.policy {
        None => Outcome::Fail(
            Code::ServiceNotGranted,
            "the key has no policy, and a key without policy grants no service".into(),
        ),
        Some(policy) if policy.project == case.record.project && policy.services.covers(service.id) => {
            Outcome::Pass
        }
        Some(policy) => Outcome::Fail(
            Code::ServiceNotGranted,
            format!("policy {} does not grant service {name}", policy.name),
        ),
    }
}

/// The scope that a method needs (CONTRACT §3). Methods outside the table need `admin`.
#[must_use]
pub fn scope_of_method(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" | "OPTIONS" => "read",
        "POST" | "PUT" | "PATCH" => "write",
        "DELETE" => "delete",
        _ => "admin",
    }
}

fn scope(case: Case<'_>) -> Outcome {
    let Some((policy, granted)) = case.policy.and_then(|policy| Some((policy, policy.scopes.as_deref()?)))
    else {
        return Outcome::Open;
    };
    let grants = |wanted: &str| granted.iter().any(|own| **own == *wanted || **own == *"admin");
    let asked = case.facts.method.map(scope_of_method).into_iter().chain(case.facts.scopes.iter().copied());
    let missing = asked.into_iter().find(|wanted| !grants(wanted)).or_else(|| {
        let (service, method, path) = (case.facts.service?, case.facts.method?, case.facts.path?);
        let endpoints = service.endpoint_scopes.iter().filter(|(endpoint, _)| endpoint.matches(method, path));
        endpoints.flat_map(|(_, scopes)| scopes.iter()).map(|scope| &**scope).find(|wanted| !grants(wanted))
    });
    match missing {
        None => Outcome::Pass,
        Some(wanted) => Outcome::Fail(
            Code::ScopeMissing,
            format!(
                "scope {wanted} is needed; policy {} grants {}",
                policy.name,
                listed(granted.iter().map(|own| &**own))
            ),
        ),
    }
}

fn endpoint(case: Case<'_>) -> Outcome {
    let Some((policy, endpoints)) =
        case.policy.and_then(|policy| Some((policy, policy.endpoints.as_deref()?)))
    else {
        return Outcome::Open;
    };
    let (Some(method), Some(path)) = (case.facts.method, case.facts.path) else {
        if case.facts.service.is_none() {
            return Outcome::Open;
        }
        return Outcome::Fail(
            Code::EndpointNotAllowed,
            format!("policy {} allows certain endpoints only, and method or path was not given", policy.name),
        );
    };
    if endpoints.iter().any(|endpoint| endpoint.matches(method, path)) {
        return Outcome::Pass;
    }
    let detail = format!(
        "{method} {path} matches none of {}, set in policy {}",
        listed(endpoints.iter()),
        policy.name
    );
    Outcome::Fail(Code::EndpointNotAllowed, detail)
}

fn model(case: Case<'_>) -> Outcome {
    let Some(model) = case.facts.model else { return Outcome::Open };
    let Some((policy, models)) = case.policy.and_then(|policy| Some((policy, policy.models.as_deref()?)))
    else {
        return Outcome::Open;
    };
    if models.iter().any(|pattern| pattern.matches(model)) {
        return Outcome::Pass;
    }
    let detail = format!(
        "model {model} matches none of {}, set in policy {}",
        listed(models.iter().map(|own| own.as_str())),
        policy.name
    );
    Outcome::Fail(Code::ModelNotAllowed, detail)
}

fn network(case: Case<'_>) -> Outcome {
    let Some((policy, networks)) = case.policy.and_then(|policy| Some((policy, policy.networks.as_deref()?)))
    else {
        return Outcome::Open;
    };
    in_allowed(case, networks, || format!("policy {}", policy.name))
}

fn key_network(case: Case<'_>) -> Outcome {
    let Some(networks) = case.record.narrowing.as_ref().and_then(|own| own.networks.as_deref()) else {
        return Outcome::Open;
    };
    in_allowed(case, networks, || "the key itself".to_owned())
}

fn in_allowed(case: Case<'_>, networks: &[ipnet::IpNet], place: impl Fn() -> String) -> Outcome {
    match case.facts.address {
        Some(address) if in_networks(networks, address) => Outcome::Pass,
        Some(address) => Outcome::Fail(
            Code::IpNotAllowed,
            format!("{} is not in {}, set in {}", address.to_canonical(), listed(networks), place()),
        ),
        None => Outcome::Fail(
            Code::IpNotAllowed,
            format!("no address was given, and {} allows {} only", place(), listed(networks)),
        ),
    }
}

fn host(case: Case<'_>) -> Outcome {
    let Some(host) = case.record.narrowing.as_ref().and_then(|own| own.bind_host.as_deref()) else {
        return Outcome::Open;
    };
    let Some(address) = case.facts.address.map(|address| address.to_canonical()) else {
        return Outcome::Fail(
            Code::HostMismatch,
            format!("no address was given, and the key is bound to host {host}"),
        );
    };
    match case.facts.bound_host_addresses {
        Some(known) if known.iter().any(|own| own.to_canonical() == address) => Outcome::Pass,
        Some(_) => Outcome::Fail(
            Code::HostMismatch,
            format!("{address} is not an address of {host}, which the key is bound to"),
        ),
        None => Outcome::Fail(
            Code::HostMismatch,
            format!("the key is bound to host {host}, whose addresses are not known now"),
        ),
    }
}

fn referer(case: Case<'_>) -> Outcome {
    let Some((policy, patterns)) = case.policy.and_then(|policy| Some((policy, policy.referers.as_deref()?)))
    else {
        return Outcome::Open;
    };
    let matches = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let names = || listed(patterns.iter().map(|own| own.as_str()));
    compare(Code::RefererNotAllowed, "Referer", case.facts.referer, matches, names, policy)
}

fn origin(case: Case<'_>) -> Outcome {
    let Some((policy, patterns)) = case.policy.and_then(|policy| Some((policy, policy.origins.as_deref()?)))
    else {
        return Outcome::Open;
    };
    let matches = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let names = || listed(patterns.iter().map(|own| own.as_str()));
    compare(Code::OriginNotAllowed, "Origin", case.facts.origin, matches, names, policy)
}

fn user_agent(case: Case<'_>) -> Outcome {
    let Some((policy, patterns)) =
        case.policy.and_then(|policy| Some((policy, policy.user_agents.as_deref()?)))
    else {
        return Outcome::Open;
    };
    let matches = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let names = || listed(patterns.iter().map(|own| own.as_str()));
    compare(Code::UserAgentNotAllowed, "User-Agent", case.facts.user_agent, matches, names, policy)
}

fn compare(
    code: Code,
    what: &str,
    text: Option<&str>,
    matches: impl Fn(&str) -> bool,
    names: impl Fn() -> String,
    policy: &Policy,
) -> Outcome {
    match text {
        Some(text) if matches(text) => Outcome::Pass,
        Some(text) => Outcome::Fail(
            code,
            format!("{what} {} matches none of {}, set in policy {}", clipped(text), names(), policy.name),
        ),
        None => Outcome::Fail(
            code,
            format!("the request has no {what}, and policy {} allows {} only", policy.name, names()),
        ),
    }
}

fn app(case: Case<'_>) -> Outcome {
    let Some((policy, apps)) = case.policy.and_then(|policy| Some((policy, policy.apps.as_deref()?))) else {
        return Outcome::Open;
    };
    let facts = case.facts;
    let presented = facts.android_certificate.and_then(certificate);
    let allowed = apps.iter().any(|app| match app {
        App::Android { package, certificate } => {
            facts.android_package == Some(package) && presented.as_ref() == Some(certificate)
        }
        App::Ios { bundle } => facts.ios_bundle == Some(bundle),
    });
    if allowed {
        return Outcome::Pass;
    }
    let who = match (facts.android_package, facts.ios_bundle) {
        (Some(package), _) => format!("Android app {} with this certificate", clipped(package)),
        (None, Some(bundle)) => format!("iOS app {}", clipped(bundle)),
        (None, None) => "a request that names no app".to_owned(),
    };
    Outcome::Fail(Code::AppNotAllowed, format!("{who} is not among the apps of policy {}", policy.name))
}

fn charge(case: Case<'_>, policy: &Policy, counters: &impl Counters, decision: &mut Decision) {
    let mut charges: SmallVec<[Charge<'_>; 4]> = SmallVec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let Some(charge) = charge_of(case, rule) else { continue };
        let Ok(index) = u8::try_from(index) else { continue };
        charges.push(charge);
        decision.charged.push(Charged { rule: index, subject: charge.subject, amount: charge.amount });
    }
    if charges.is_empty() {
        return;
    }
    decision.configured.insert(Check::Limits);
    match counters.take(&charges, case.now, &mut decision.standings) {
        Ok(()) => decision.passed.insert(Check::Limits),
        Err(Refusal::Full) => {
            decision.charged.clear();
            decision.refuse(
                Check::Limits,
                Code::Overloaded,
                "there is no room to count another caller now".into(),
            );
        }
        Err(Refusal::Exhausted { index, retry_after_ns }) => {
            decision.charged.truncate(index + 1);
            decision.retry_after_ns = retry_after_ns;
            if let Some(rule) = charges.get(index).map(|charge| charge.rule) {
                decision.refuse(Check::Limits, code_of(rule), limit_detail(rule, policy));
            }
        }
    }
}

fn charge_of<'p>(case: Case<'_>, rule: &'p Rule) -> Option<Charge<'p>> {
    let subject = match rule.per {
        Per::Key => case.record.id.0,
        Per::Consumer => case.record.consumer.0,
        Per::Project => case.record.project.0,
        // An unknown address shares one count with all unknown addresses.
        Per::Ip => case.facts.address.map_or(u64::MAX, subject_of_address),
    };
    let amount = match rule.unit {
        Unit::Requests => case.facts.cost.min(1),
        Unit::Units => case.facts.cost,
        // Counted when a model call reports them.
        Unit::Tokens => return None,
    };
    Some(Charge { rule, subject, amount })
}

const fn code_of(rule: &Rule) -> Code {
    match rule.measure {
        Measure::Concurrency => Code::ConcurrencyExceeded,
        Measure::Rate { .. } => Code::RateLimited,
        Measure::Quota(_) => Code::QuotaExhausted,
    }
}

pub(crate) fn limit_detail(rule: &Rule, policy: &Policy) -> String {
    let (name, amount) = (&rule.name, rule.amount);
    let unit = match rule.unit {
        Unit::Requests => "requests",
        Unit::Tokens => "tokens",
        Unit::Units => "units",
    };
    let whose = match rule.per {
        Per::Key => "key",
        Per::Consumer => "consumer",
        Per::Project => "project",
        Per::Ip => "address",
    };
    match &rule.measure {
        Measure::Concurrency => format!(
            "{amount} requests of this key are in flight already, the most that policy {} allows",
            policy.name
        ),
        Measure::Rate { window, .. } => {
            format!("limit {name} of policy {} allows {amount} {unit} per {window} and {whose}", policy.name)
        }
        Measure::Quota(period) => format!(
            "quota {name} of policy {} allows {amount} {unit} per {} and {whose}, all used",
            policy.name,
            period.unit()
        ),
    }
}

/// At most five items in words, then how many more.
pub(crate) fn listed(items: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    let mut count = 0usize;
    for item in items {
        if count < SHOWN {
            if count > 0 {
                text.push_str(", ");
            }
            text.push_str(&item.to_string());
        }
        count += 1;
    }
    match count {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{text} and {} more", count - SHOWN),
        _ => text,
    }
}

/// A client's text, cut to what fits a message.
fn clipped(text: &str) -> String {
    text.chars().take(120).filter(|sign| !sign.is_control()).collect()
}
