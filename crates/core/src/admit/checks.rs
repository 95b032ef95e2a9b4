//! What each check compares. A check sees the case and nothing else; it moves no counter.

use std::net::IpAddr;

use super::{
    Case, Check, scope_of_method,
    words::{clipped, listed},
};
use crate::{
    address::in_networks,
    code::Code,
    keyring::{KeyRecord, KeyState},
    policy::{App, Policy, certificate},
    service::Service,
    signature::SignatureFact,
    time::rfc3339,
};

/// What one check says.
pub(crate) enum Outcome {
    /// Nothing to compare with.
    Open,
    /// Passes.
    Pass,
    /// Fails: the code, and the words.
    Fail(Code, String),
}

/// Asks one check. [`Check::Limits`] and [`Check::Budget`] are not asked here: they need counters and
/// funds.
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
        Check::Signature => signature(case),
        Check::Limits | Check::Budget => Outcome::Open,
    }
}

fn state(case: Case<'_>) -> Outcome {
    let (code, words) = match case.record.state {
        KeyState::Active => return unblocked(case),
        KeyState::Disabled => {
            (Code::KeyDisabled, "the key is switched off; an administrator can switch it on")
        }
        KeyState::Blocked => (Code::KeyBlocked, "the key is blocked; an administrator can unblock it"),
        KeyState::Revoked => (Code::KeyRevoked, "the key was revoked and will not work again"),
    };
    Outcome::Fail(code, words.to_owned())
}

/// No block of a rule holds.
fn unblocked(case: Case<'_>) -> Outcome {
    let service = case.facts.service.map(|service| service.id);
    match case.blocks.find(case.record, service, case.now.wall_us) {
        None => Outcome::Pass,
        Some(block) => Outcome::Fail(Code::KeyBlocked, block.words()),
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
    let refused = |words: String| Outcome::Fail(Code::ServiceNotGranted, words);
    // What an unknown policy restricts is unknown, so that it refuses even where no service is asked.
    let known = match case.policy {
        Some(policy) => policy.project == case.record.project,
        None => case.record.policy.is_none(),
    };
    if !known {
        return refused(
            "the key's policy is not known here, and an unknown policy grants nothing".to_owned(),
        );
    }
    let Some(service) = case.facts.service else { return Outcome::Open };
    let name = service.name();
    if service.project != case.record.project {
        // Of another project's service nothing is told but the name that was asked for.
        return refused(format!("the key does not grant service {name}"));
    }
    match case.policy {
        None => refused("the key has no policy, and a key without policy grants no service".to_owned()),
        Some(policy) if policy.services.covers(service.id) => Outcome::Pass,
        Some(policy) => refused(format!("policy {} does not grant service {name}", policy.name)),
    }
}

fn scope(case: Case<'_>) -> Outcome {
    let Some((policy, granted)) = restriction(case, |policy| policy.scopes.as_deref()) else {
        return Outcome::Open;
    };
    let refused = |words: String| {
        let own =
            if granted.is_empty() { "no scope".to_owned() } else { listed(granted.iter().map(|own| &**own)) };
        Outcome::Fail(Code::ScopeMissing, format!("{words}; policy {} grants {own}", policy.name))
    };
    let facts = case.facts;
    let grants = |wanted: &str| granted.iter().any(|own| **own == *wanted || **own == *"admin");
    if facts.service.is_some() && facts.method.is_none() && facts.scopes.is_empty() && !grants("admin") {
        return refused("neither a method nor scopes were given".to_owned());
    }
    let mut asked = facts.method.map(scope_of_method).into_iter().chain(facts.scopes.iter().copied());
    let missing = asked
        .find(|wanted| !grants(wanted))
        .or_else(|| asked_by_endpoints(facts.service?, facts.method, facts.path).find(|own| !grants(own)));
    match missing {
        None => Outcome::Pass,
        Some(wanted) => refused(format!("scope {} is needed", clipped(wanted))),
    }
}

/// The scopes that a service's endpoints ask for. An endpoint that is not told apart from others,
/// because method or path is not known, asks for all of its scopes.
fn asked_by_endpoints<'a>(
    service: &'a Service,
    method: Option<&'a str>,
    path: Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    service
        .endpoint_scopes
        .iter()
        .filter(move |(endpoint, _)| endpoint.could_match(method, path))
        .flat_map(|(_, scopes)| scopes.iter().map(|scope| &**scope))
}

fn endpoint(case: Case<'_>) -> Outcome {
    let Some((policy, endpoints)) = restriction(case, |policy| policy.endpoints.as_deref()) else {
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
        "{} {} matches none of {}, set in policy {}",
        clipped(method),
        clipped(path),
        listed(endpoints.iter()),
        policy.name
    );
    Outcome::Fail(Code::EndpointNotAllowed, detail)
}

/// A request that names no model uses none; a model call always names it.
fn model(case: Case<'_>) -> Outcome {
    let Some(model) = case.facts.model else { return Outcome::Open };
    let Some((policy, models)) = restriction(case, |policy| policy.models.as_deref()) else {
        return Outcome::Open;
    };
    if models.iter().any(|pattern| pattern.matches(model)) {
        return Outcome::Pass;
    }
    let detail = format!(
        "model {} matches none of {}, set in policy {}",
        clipped(model),
        listed(models.iter().map(|own| own.as_str())),
        policy.name
    );
    Outcome::Fail(Code::ModelNotAllowed, detail)
}

fn network(case: Case<'_>) -> Outcome {
    match restriction(case, |policy| policy.networks.as_deref()) {
        None => Outcome::Open,
        Some((policy, networks)) => in_allowed(case, networks, || format!("policy {}", policy.name)),
    }
}

fn key_network(case: Case<'_>) -> Outcome {
    match case.record.narrowing.as_ref().and_then(|own| own.networks.as_deref()) {
        None => Outcome::Open,
        Some(networks) => in_allowed(case, networks, || "the key itself".to_owned()),
    }
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
    let is_own = |known: &[IpAddr]| known.iter().any(|own| own.to_canonical() == address);
    match case.facts.bound_host_addresses {
        Some(known) if is_own(known) => Outcome::Pass,
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
    match restriction(case, |policy| policy.referers.as_deref()) {
        None => Outcome::Open,
        Some((policy, patterns)) => {
            let header = Header { name: "Referer", text: case.facts.referer, code: Code::RefererNotAllowed };
            header.compare(policy, patterns, |own, text| own.matches(text), |own| own.as_str())
        }
    }
}

fn origin(case: Case<'_>) -> Outcome {
    match restriction(case, |policy| policy.origins.as_deref()) {
        None => Outcome::Open,
        Some((policy, patterns)) => {
            let header = Header { name: "Origin", text: case.facts.origin, code: Code::OriginNotAllowed };
            header.compare(policy, patterns, |own, text| own.matches(text), |own| own.as_str())
        }
    }
}

fn user_agent(case: Case<'_>) -> Outcome {
    match restriction(case, |policy| policy.user_agents.as_deref()) {
        None => Outcome::Open,
        Some((policy, patterns)) => {
            let (name, code) = ("User-Agent", Code::UserAgentNotAllowed);
            let header = Header { name, text: case.facts.user_agent, code };
            header.compare(policy, patterns, |own, text| own.matches(text), |own| own.as_str())
        }
    }
}

/// A header that patterns are compared with.
struct Header<'a> {
    name: &'static str,
    text: Option<&'a str>,
    code: Code,
}

impl Header<'_> {
    fn compare<P>(
        &self,
        policy: &Policy,
        patterns: &[P],
        matches: impl Fn(&P, &str) -> bool,
        written: impl Fn(&P) -> &str,
    ) -> Outcome {
        let (name, by) = (self.name, &policy.name);
        let names = || listed(patterns.iter().map(&written));
        let detail = match self.text {
            Some(text) if patterns.iter().any(|own| matches(own, text)) => return Outcome::Pass,
            Some(text) => {
                format!("{name} {} matches none of {}, set in policy {by}", clipped(text), names())
            }
            None => format!("the request has no {name}, and policy {by} allows {} only", names()),
        };
        Outcome::Fail(self.code, detail)
    }
}

fn app(case: Case<'_>) -> Outcome {
    let Some((policy, apps)) = restriction(case, |policy| policy.apps.as_deref()) else {
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

/// A signature that nobody has looked at refuses: what only the gateway can see, nobody else can vouch for.
fn signature(case: Case<'_>) -> Outcome {
    let Some(spec) = case.facts.service.and_then(|service| service.spec.signature.as_ref()) else {
        return Outcome::Open;
    };
    let field = spec.fields().signature;
    let (code, words) = match case.facts.signature {
        SignatureFact::Valid => return Outcome::Pass,
        // To be asked again once the body is read.
        SignatureFact::Unread => return Outcome::Open,
        SignatureFact::Unknown => (
            Code::SignatureMissing,
            "the service takes signed requests only, and only the gateway can see whether one is".to_owned(),
        ),
        SignatureFact::Missing => (
            Code::SignatureMissing,
            format!("the service takes signed requests only, and {field} is not there or not whole"),
        ),
        SignatureFact::Invalid => (Code::SignatureInvalid, format!("{field} fits neither body nor secret")),
        SignatureFact::Expired => (
            Code::SignatureExpired,
            format!("the moment in the signature is more than {} from now", spec.tolerance),
        ),
        SignatureFact::Repeated => (
            Code::SignatureExpired,
            "a request with this very signature was here before; sign each one anew".to_owned(),
        ),
    };
    Outcome::Fail(code, words)
}

/// The case's policy with one of its restrictions, when it has it.
fn restriction<'a, T: ?Sized>(
    case: Case<'a>,
    field: impl Fn(&'a Policy) -> Option<&'a T>,
) -> Option<(&'a Policy, &'a T)> {
    let policy = case.policy?;
    Some((policy, field(policy)?))
}
