//! `tollgate policies backtest`: what a draft policy would have answered to recorded traffic.
//!
//! Each recorded decision that the policy of the draft's name has made is made again, by `core::admit` with the
//! draft, with counters of its own that live in recorded time. What is not recorded (most headers) restricts
//! nothing here, and that is said.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use serde::Serialize;
use tollgate_core::{
    admit::{Case, admit},
    blocks::Blocks,
    code::Code,
    facts::{Facts, TokenAsk},
    id::{ConsumerId, KeyId, PolicyId, ProjectId, ServiceId},
    key::Environment,
    keyring::{KeyRecord, KeyState},
    policy::{Policy, PolicyRow},
    resource::PolicySpec,
    tables::{Snapshot, Tables},
    time::Now,
};
use tollgate_counters::LocalCounters;
use tollgate_store::{Parts, Recorded, ReplaySpan, Store};

use super::{apply, going::Going, recorded, rules::is_project};
use crate::{
    cli::{PoliciesCommand, PolicyBacktestArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print, resource_file,
};

/// Counters of a replay: more subjects than these are refused, and the notes say so.
const CELLS_MAX: usize = 1_000_000;
/// Keys and codes that are told apart; more are counted together.
const CHANGES_MAX: usize = 10_000;

#[derive(Serialize)]
struct Outcomes {
    policies: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    policy: String,
    from: String,
    to: String,
    /// Requests that the policy decided.
    requests: u64,
    newly_denied: u64,
    newly_allowed: u64,
    changes: Vec<Change>,
    /// Changes of keys that are not in the list.
    more: u64,
    notes: Vec<String>,
}

/// What changes for one key.
#[derive(Serialize)]
struct Change {
    key_id: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<String>,
    before: &'static str,
    after: &'static str,
    requests: u64,
    first: String,
    /// Why, in words, the first time.
    reason: String,
}

/// A draft, and whose traffic it is tried on.
struct Draft {
    name: String,
    policy: Policy,
    instead_of: PolicyId,
    notes: Vec<String>,
}

pub(crate) async fn run(context: &Context, command: PoliciesCommand) -> Result<(), Failure> {
    let PoliciesCommand::Backtest(args) = command;
    let (shown, text) = apply::read(&args.file)?;
    let file = resource_file::parse(&shown, &text).map_err(|errors| apply::refused(&shown, &errors))?;
    if file.resources.policies.is_empty() {
        return Err(Failure::Usage(format!("{shown} has no [[policy]] to try")));
    }
    let store = context.store().await?;
    recorded::bring_in(context, &store).await?;
    let snapshot = Snapshot::with_capacity(0);
    store.load(&snapshot).await?;
    let tables = snapshot.tables();
    let mut drafts = Vec::new();
    for spec in &file.resources.policies {
        drafts.push(draft(spec, &tables, &args)?);
    }
    let to_us = context.now_us();
    let from_us = to_us.saturating_sub(i64::try_from(args.last.as_micros()).unwrap_or(i64::MAX));
    let mut policies = Vec::new();
    for draft in drafts {
        policies.push(tried(context, &store, (&snapshot, &tables), draft, (from_us, to_us)).await?);
    }
    let outcomes = Outcomes { policies };
    context.printer.result(&outcomes, || outcomes.policies.iter().map(in_words).collect())
}

/// Compiles a draft without what cannot be tried.
fn draft(spec: &PolicySpec, tables: &Tables, args: &PolicyBacktestArgs) -> Result<Draft, Failure> {
    let project = tables.projects.keys().find(|id| is_project(tables, **id, &spec.project)).copied();
    let project = project.ok_or_else(|| {
        Failure::failed(format!("there is no project `{}`, so nothing of it was recorded", spec.project))
    })?;
    let wanted = args.instead_of.as_deref().unwrap_or(&spec.name);
    let present = tables.policies.values().find(|own| own.project == project && &*own.name == wanted);
    let present = present.ok_or_else(|| {
        Failure::failed(format!(
            "no policy `{wanted}` of `{}` has decided anything; name one that has with --instead-of",
            spec.project
        ))
    })?;
    let (spec, notes) = without_unrecorded(spec);
    let row = PolicyRow { id: present.id, project, version: present.version };
    let named = |name: &str| {
        let own = |service: &&Arc<tollgate_core::service::Service>| {
            service.project == project && service.name() == name
        };
        tables.services.values().find(own).map(|service| service.id)
    };
    let policy = Policy::compile(&spec, row, named).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
        Failure::failed(format!("policy `{}` is wrong:\n{}", spec.name, lines.join("\n")))
    })?;
    Ok(Draft { name: format!("{}/{}", spec.project, spec.name), policy, instead_of: present.id, notes })
}

/// The draft without restrictions on what is not recorded, and what that is.
fn without_unrecorded(spec: &PolicySpec) -> (PolicySpec, Vec<String>) {
    let mut spec = spec.clone();
    let mut notes = vec![
        "limits begin unused, and quotas as if nothing had been used before the first request".to_owned(),
        "services and their endpoints are taken as they are now".to_owned(),
    ];
    let mut open = |name: &str, is_set: bool| {
        if is_set {
            notes.push(format!(
                "`{name}` cannot be tried: what it compares is not recorded; it refuses nothing here"
            ));
        }
    };
    open("allow_referers", spec.allow_referers.take().is_some());
    open("allow_origins", spec.allow_origins.take().is_some());
    open("allow_apps", spec.allow_apps.take().is_some());
    open("max_concurrency", spec.max_concurrency.take().is_some());
    if spec.allow_user_agents.is_some() {
        notes.push("of a User-Agent the first 128 bytes are recorded".to_owned());
    }
    (spec, notes)
}

/// Requests of one key that are answered otherwise: their consumer, when the first was (wall microseconds), how many
/// there are, and why.
type Answered = (u64, i64, u64, String);

/// What became of requests that are answered otherwise.
#[derive(Default)]
struct Tally {
    requests: u64,
    newly_denied: u64,
    newly_allowed: u64,
    /// By key, the code before and the code now.
    changes: HashMap<(u64, Code, Code), Answered>,
    more: u64,
}

async fn tried(
    context: &Context,
    store: &Store,
    (snapshot, tables): (&Snapshot, &Tables),
    draft: Draft,
    (from_us, to_us): (i64, i64),
) -> Result<Outcome, Failure> {
    let tenant = tables.projects.get(&draft.policy.project).map(|project| project.tenant);
    let parts = Parts { texts: true, calls: true };
    let mut replay =
        store.replay(ReplaySpan { from_us, to_us, tenant, parts, records_max: u64::MAX }).await?;
    let counters = LocalCounters::new(CELLS_MAX);
    let (mut tally, mut going) = (Tally::default(), Going::new(context, (from_us, to_us)));
    loop {
        let part = replay.next().await?;
        let Some(last) = part.last() else { break };
        going.on(part.len() as u64, last.entry.at_us);
        for recorded in part.iter().filter(|recorded| recorded.entry.policy == draft.instead_of.0) {
            tally.take(recorded, from_us, (tables, &draft.policy), &counters);
        }
    }
    let mut notes = draft.notes;
    if let Some(oldest) = store.oldest_decision_us().await?.filter(|oldest| *oldest > from_us) {
        notes.push(format!("the oldest decision that is kept is of {}", rfc3339(oldest)));
    }
    let mut changes: Vec<Change> = tally
        .changes
        .into_iter()
        .map(|((key, before, after), (consumer, first_us, requests, reason))| Change {
            key_id: KeyId(key),
            consumer: snapshot.consumer(ConsumerId(consumer)).map(|consumer| consumer.name.to_string()),
            before: before.name(),
            after: after.name(),
            requests,
            first: rfc3339(first_us),
            reason,
        })
        .collect();
    changes.sort_by_key(|change| (std::cmp::Reverse(change.requests), change.key_id));
    Ok(Outcome {
        policy: draft.name,
        from: rfc3339(from_us),
        to: rfc3339(to_us),
        requests: tally.requests,
        newly_denied: tally.newly_denied,
        newly_allowed: tally.newly_allowed,
        changes,
        more: tally.more,
        notes,
    })
}

impl Tally {
    /// Decides a recorded request again.
    fn take(
        &mut self,
        recorded: &Recorded,
        from_us: i64,
        (tables, policy): (&Tables, &Policy),
        counters: &LocalCounters,
    ) {
        let entry = &recorded.entry;
        let Some(before) = Code::from_number(entry.code) else { return };
        // State and expiry of the key, or something before the policy, decided.
        let passed_own = entry.checks_passed & 0b11 != 0;
        if entry.checks_configured == 0 || !passed_own || is_of_key(before) {
            return;
        }
        self.requests += 1;
        let was_allowed = entry.checks_configured == entry.checks_passed;
        let decision = decided(recorded, from_us, (tables, policy), counters);
        let (after, reason) = (decision.0, decision.1);
        match (was_allowed, after == Code::Valid) {
            (true, false) => self.newly_denied += 1,
            (false, true) => self.newly_allowed += 1,
            _ => return,
        }
        let before = if was_allowed { Code::Valid } else { before };
        let place = (entry.key, before, after);
        if self.changes.len() >= CHANGES_MAX && !self.changes.contains_key(&place) {
            self.more += 1;
            return;
        }
        let fresh = || (entry.consumer, entry.at_us, 0, reason.unwrap_or_default());
        self.changes.entry(place).or_insert_with(fresh).2 += 1;
    }
}

/// Whether the key itself was refused, whatever its policy says.
const fn is_of_key(code: Code) -> bool {
    matches!(code, Code::KeyDisabled | Code::KeyBlocked | Code::KeyRevoked | Code::KeyExpired)
}

fn decided(
    recorded: &Recorded,
    from_us: i64,
    (tables, policy): (&Tables, &Policy),
    counters: &LocalCounters,
) -> (Code, Option<String>) {
    let (entry, used) = (&recorded.entry, &recorded.used);
    let service = tables.services.get(&ServiceId(entry.service)).map(|service| &**service);
    let tokens = u32::try_from(used.tokens()).unwrap_or(u32::MAX);
    let facts = Facts {
        service,
        method: Some(super::events::method_name(entry.method)),
        path: (!recorded.path.is_empty()).then_some(recorded.path.as_str()),
        address: Some(IpAddr::from(std::net::Ipv6Addr::from(entry.address)).to_canonical()),
        user_agent: (!recorded.user_agent.is_empty()).then_some(recorded.user_agent.as_str()),
        model: (!used.model.is_empty()).then_some(used.model.as_str()),
        tokens: (used.tokens() > 0).then_some(TokenAsk { least: tokens, most: tokens }),
        cost: entry.units.max(1),
        ..Facts::default()
    };
    let record = KeyRecord {
        id: KeyId(entry.key),
        consumer: ConsumerId(entry.consumer),
        project: ProjectId(entry.project),
        policy: Some(policy.id),
        expires_us: i64::MAX,
        secret_until_us: i64::MAX,
        version: 1,
        generation: entry.generation,
        state: KeyState::Active,
        environment: service.and_then(|service| service.environment).unwrap_or(Environment::Live),
        narrowing: None,
    };
    let since_us = entry.at_us.saturating_sub(from_us).max(0).unsigned_abs();
    // Any beginning will do: rates count differences.
    let now = Now { wall_us: entry.at_us, mono_ns: (1 << 60) + since_us.saturating_mul(1_000) };
    let case = Case { facts: &facts, record: &record, policy: Some(policy), blocks: Blocks::NONE, now };
    let mut decision = admit(case, counters);
    decision.conclude_alone(policy, counters, now);
    (decision.code, decision.detail.map(String::from))
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome { policy, requests, newly_denied, newly_allowed, .. } = outcome;
    let mut text = format!(
        "Policy {policy} on {requests} requests: {newly_denied} that were allowed it would refuse, {newly_allowed} \
         that were refused it would allow.\n"
    );
    if !outcome.changes.is_empty() {
        let rows = outcome.changes.iter().map(|change| {
            [
                change.key_id.to_string(),
                change.consumer.clone().unwrap_or_default(),
                change.before.to_owned(),
                change.after.to_owned(),
                change.requests.to_string(),
                change.first.clone(),
                change.reason.clone(),
            ]
        });
        let header = ["key", "consumer", "was", "would be", "requests", "first", "because"];
        text.push_str(&print::table(header, rows));
        text.push('\n');
    }
    for note in &outcome.notes {
        text.push_str(&format!("Note: {note}.\n"));
    }
    text
}
