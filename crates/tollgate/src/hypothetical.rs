//! What would be decided now about a request that is described, not sent.
//!
//! The same steps as a request takes in the gateway, over a snapshot of the database, with `cost`
//! 0 so that nothing is counted; the judge is `core::admit`. What a running node alone knows
//! (rates, requests in flight) is assumed to be unused, and said so.

use std::net::IpAddr;

use tollgate_core::{
    admit::{Case, admit},
    authenticate::{Recognised, recognise},
    code::Code,
    counters::Measure,
    explain::{Step, StepOutcome, trace},
    facts::Facts,
    id::KeyId,
    key::Digest,
    keyring::{KeyRecord, KeyState, Narrowing},
    path::normalise,
    period::Window,
    policy::Policy,
    secret::Secret,
    service::Service,
    signature::SignatureFact,
    tables::{Snapshot, Tables},
    time::Clock as _,
};
use tollgate_counters::LocalCounters;
use tollgate_gateway::slow_hash::SlowHashes;
use tollgate_store::{KeyView, Store};

use crate::{cli::ExplainArgs, context::Context, failure::Failure};

/// What would be decided.
pub(crate) struct Hypothetical {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) key: Option<KeyId>,
    pub(crate) service: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) notes: Vec<String>,
}

/// The steps so far of a request that is refused before the checks of its key.
struct Refusal {
    code: Code,
    detail: String,
}

/// Decides about the request that the flags describe.
pub(crate) async fn decide(
    context: &Context,
    store: &Store,
    credential: &Secret<String>,
    args: &ExplainArgs,
) -> Result<Hypothetical, Failure> {
    let snapshot = Snapshot::with_capacity(0);
    store.load(&snapshot).await?;
    let tables = snapshot.tables();
    let mut steps = Vec::new();
    let method = args.method.to_ascii_uppercase();
    let path = match path(args, &mut steps) {
        Ok(path) => path,
        Err(refusal) => return Ok(refused(refusal, steps)),
    };
    let service = match service(args, &tables, &method, path.as_deref(), &mut steps) {
        Ok(service) => service,
        Err(refusal) => return Ok(refused(refusal, steps)),
    };
    let record = match record(store, &snapshot, &tables, credential, &mut steps).await? {
        Ok(record) => record,
        Err(refusal) => return Ok(refused(refusal, steps)),
    };
    let policy = record.policy.and_then(|id| tables.policies.get(&id)).map(AsRef::as_ref);
    let mut notes = Vec::new();
    let bound = bound_addresses(&record, &mut notes).await;
    let counters = counters(context, store, policy, &mut notes).await?;
    let scopes: Vec<&str> = args.scopes.iter().map(String::as_str).collect();
    let header =
        |name: &str| args.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let facts = Facts {
        service,
        method: Some(&method),
        path: path.as_deref(),
        address: args.ip,
        bound_host_addresses: bound.as_deref(),
        referer: header("referer"),
        origin: header("origin"),
        user_agent: header("user-agent"),
        android_package: header("x-android-package"),
        android_certificate: header("x-android-cert"),
        ios_bundle: header("x-ios-bundle-identifier"),
        scopes: &scopes,
        signature: SignatureFact::Unknown,
        model: args.model.as_deref(),
        tokens: None,
        cost: 0,
    };
    let blocks = snapshot.blocks();
    let case = Case { facts: &facts, record: &record, policy, blocks: &blocks, now: context.clock.now() };
    let mut decision = admit(case, &counters);
    if let Some(policy) = policy {
        decision.conclude_alone(policy, &counters, case.now);
    }
    steps.extend(trace(case, &decision));
    Ok(Hypothetical {
        code: decision.code,
        detail: decision.detail.map(String::from).unwrap_or_default(),
        key: Some(record.id),
        service: service.map(|service| service.name().to_owned()),
        policy: policy.map(|policy| policy.name.to_string()),
        steps,
        notes,
    })
}

fn refused(refusal: Refusal, steps: Vec<Step>) -> Hypothetical {
    Hypothetical {
        code: refusal.code,
        detail: refusal.detail,
        key: None,
        service: None,
        policy: None,
        steps,
        notes: Vec::new(),
    }
}

fn passed(check: &'static str, detail: String) -> Step {
    Step { check, outcome: StepOutcome::Passed, detail }
}

fn fail(check: &'static str, code: Code, detail: String, steps: &mut Vec<Step>) -> Refusal {
    steps.push(Step { check, outcome: StepOutcome::Failed, detail: detail.clone() });
    Refusal { code, detail }
}

fn path(args: &ExplainArgs, steps: &mut Vec<Step>) -> Result<Option<String>, Refusal> {
    let Some(written) = &args.path else { return Ok(None) };
    let bare = written.split(['?', '#']).next().unwrap_or(written);
    match normalise(bare) {
        Ok(path) => {
            if path != *bare {
                steps.push(passed("path", format!("{bare} is matched as {path}")));
            }
            Ok(Some(path.into_owned()))
        }
        Err(error) => Err(fail("path", Code::MalformedRequest, error.to_string(), steps)),
    }
}

/// The service named, or the one that host, path and method lead to.
fn service<'t>(
    args: &ExplainArgs,
    tables: &'t Tables,
    method: &str,
    path: Option<&str>,
    steps: &mut Vec<Step>,
) -> Result<Option<&'t Service>, Refusal> {
    if let Some(name) = &args.service {
        let wanted = name.rsplit('/').next().unwrap_or(name);
        let mut found = tables.services.values().filter(|service| {
            service.name() == wanted
                && (wanted == name
                    || full_name(tables, service).ends_with(&format!("/{name}"))
                    || full_name(tables, service) == *name)
        });
        return match (found.next(), found.next()) {
            (Some(service), None) => Ok(Some(service)),
            (Some(_), Some(_)) => {
                let detail =
                    format!("more than one project has a service {name}; write tenant/project/service");
                Err(fail("route", Code::NoService, detail, steps))
            }
            (None, _) => Err(fail("route", Code::NoService, format!("there is no service {name}"), steps)),
        };
    }
    let Some(path) = path else { return Ok(None) };
    let host = args.headers.iter().find(|(name, _)| name == "host").map(|(_, value)| bare_host(value));
    match tables.router.find(host, path, method) {
        Some(service) => {
            let detail = format!("{method} {path} goes to service {}", full_name(tables, service));
            steps.push(passed("route", detail));
            Ok(Some(service.as_ref()))
        }
        None => {
            let host = host.map(|host| format!(" of host {host}")).unwrap_or_default();
            Err(fail("route", Code::NoService, format!("no service takes {method} {path}{host}"), steps))
        }
    }
}

/// A host without its port.
fn bare_host(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    }
}

fn full_name(tables: &Tables, service: &Service) -> String {
    let tenant = tables.tenants.get(&service.tenant).map_or("?", |tenant| &*tenant.name);
    let project = tables.projects.get(&service.project).map_or("?", |project| &*project.name);
    format!("{tenant}/{project}/{}", service.name())
}

/// The record of a whole key, or of a key named by its id.
async fn record(
    store: &Store,
    snapshot: &Snapshot,
    tables: &Tables,
    credential: &Secret<String>,
    steps: &mut Vec<Step>,
) -> Result<Result<KeyRecord, Refusal>, Failure> {
    if let Ok(id) = credential.expose().parse::<KeyId>() {
        let detail = store.show_key(&id.to_string()).await?;
        steps.push(passed("key", format!("{id}, its current secret")));
        return Ok(Ok(record_of(&detail.key)));
    }
    let bytes = credential.expose().as_bytes();
    let found = match recognise(bytes, &snapshot.keyring, &tables.foreign) {
        Recognised::Key { record, .. } => Some(record),
        Recognised::Nothing { code, detail } => {
            return Ok(Err(fail("key", code, detail.to_owned(), steps)));
        }
        Recognised::Slow(candidates) => {
            let hashes = SlowHashes::start(1, 1)?;
            let fits = hashes.verify(bytes, candidates.clone()).await.map_err(Failure::failed)?;
            fits.then(|| hashes.recall(&Digest::of(bytes), &candidates)).flatten()
        }
    };
    Ok(match found {
        Some(record) => {
            steps.push(passed("key", format!("{}, secret {}", record.id, record.generation)));
            Ok(record)
        }
        None => Err(fail("key", Code::KeyUnknown, "no such key".to_owned(), steps)),
    })
}

/// A key as the keyring would hold it.
fn record_of(key: &KeyView) -> KeyRecord {
    let networks = key.allow_ips.as_ref().map(|list| {
        list.iter().filter_map(|text| tollgate_core::address::parse_network(text).ok()).collect()
    });
    let narrowing = Narrowing { bind_host: key.bind_host.as_deref().map(Into::into), networks };
    KeyRecord {
        id: key.id,
        consumer: key.consumer.id,
        project: key.project.id,
        policy: key.policy.as_ref().map(|policy| policy.id),
        expires_us: key.expires_us.unwrap_or(i64::MAX),
        secret_until_us: i64::MAX,
        version: key.version,
        generation: key.generation,
        state: KeyState::from_number(key.state as u8),
        environment: key.face.environment,
        narrowing: (narrowing != Narrowing::default()).then(|| Box::new(narrowing)),
    }
}

/// The addresses of the host that the key is bound to.
async fn bound_addresses(record: &KeyRecord, notes: &mut Vec<String>) -> Option<Vec<IpAddr>> {
    let host = record.narrowing.as_ref()?.bind_host.as_deref()?;
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => {
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            notes.push(format!("{host} has the addresses {} as seen from here", shown.join(", ")));
            Some(addresses)
        }
        Err(_) => {
            notes.push(format!("{host} could not be resolved from here"));
            None
        }
    }
}

/// Counters that know what the database knows of the policy's quotas.
async fn counters(
    context: &Context,
    store: &Store,
    policy: Option<&Policy>,
    notes: &mut Vec<String>,
) -> Result<LocalCounters, Failure> {
    let Some(policy) = policy.filter(|policy| !policy.rules.is_empty()) else {
        return Ok(LocalCounters::new(1));
    };
    let is_live = |measure: &Measure| !matches!(measure, Measure::Quota(_));
    if policy.rules.iter().any(|rule| is_live(&rule.measure)) {
        notes.push(
            "limits and concurrency are counted in the running node; here they count as unused".to_owned(),
        );
    }
    if policy.rules.iter().any(|rule| matches!(rule.measure, Measure::Rate { shared: Some(_), .. })) {
        notes.push("limits that all nodes count together are not asked here".to_owned());
    }
    let used = store.quota_usage(context.now_us()).await?;
    let own: Vec<_> =
        used.into_iter().filter(|total| policy.rules.iter().any(|rule| rule.id == total.rule)).collect();
    let counters = LocalCounters::new(own.len() + policy.rules.len() + 16);
    for total in own {
        let window = Window { start_us: total.period_start_us, end_us: total.period_end_us };
        // There is room for every one of them.
        let _seeded = counters.seed(total.rule, total.subject, window, total.used);
    }
    Ok(counters)
}
