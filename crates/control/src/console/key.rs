//! One key: its state, what it may do, what it did, how far its rotation is.

use std::{collections::BTreeSet, net::IpAddr};

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{
    authz::{Action, Permit},
    id::{KeyId, PolicyId, ProjectId},
    keyring::KeyState,
    resource::PolicySpec,
};
use tollgate_store::{
    AuditFilter, AuditRow, BlockView, DecisionFilter, DecisionRow, Entity, KeyDetail, KeySecret, KeyView,
    PageRequest, Reminder, ResourceFilter, ResourceId, ResourceSpec, Scope, UsageBy, UsageFilter, UsageSums,
};

use super::{
    attention, budgets,
    consumer::history,
    pieces::{Html, bar},
    policy_words::{Sentence, of_key, of_policy},
    rules,
    shell::Shell,
    trail::named,
    trouble::{Trouble, html},
    visit::Visit,
    words::{self, DAY_US},
};

/// Decisions that the picture of recent traffic is drawn from.
const RECENT_MAX: u32 = 500;
/// Rows of recent decisions that are shown.
const SHOWN: usize = 10;
/// How far back the rate of calls looks, microseconds.
const RATE_US: i64 = 600_000_000;

#[derive(Template)]
#[template(path = "key.html")]
struct Page {
    shell: Shell,
    key: KeyView,
    title: String,
    rotation: Option<Rotation>,
    sentences: Vec<Sentence>,
    traffic: Traffic,
    month: UsageSums,
    decisions: Vec<DecisionRow>,
    history: Vec<AuditRow>,
    switches: Vec<Switch>,
    reminders: Vec<Reminder>,
    is_live: bool,
    may_tend: bool,
    may_change: bool,
    /// The policies that the key may be given, for who may give them.
    policies: Vec<String>,
    /// The tags as they are typed, one a line.
    tags: String,
    budgets: Vec<budgets::Row>,
    may_budget: bool,
    new_budget: String,
    enable_problem: Option<&'static str>,
    /// Blocks of rules that keep it out, and did.
    blocks: Vec<BlockView>,
    may_lift: bool,
}

/// A change of whether the key may be used.
struct Switch {
    row: AuditRow,
    /// Why, where whoever or whatever did it said so.
    reason: Option<String>,
}

/// A rotation that is not finished: both secrets are valid.
pub(super) struct Rotation {
    pub(super) secrets: Vec<Secret>,
    pub(super) until_us: i64,
    pub(super) calls: u64,
}

/// One secret during a rotation.
pub(super) struct Secret {
    pub(super) row: KeySecret,
    pub(super) is_current: bool,
    pub(super) calls: u64,
    pub(super) picture: Html,
    pub(super) addresses: usize,
}

/// What a key does at present, for pages that say what will break.
pub(super) struct Traffic {
    pub(super) last_used_us: Option<i64>,
    pub(super) addresses: usize,
    pub(super) per_second: String,
}

/// A key that may be seen; one that may not is as absent as one that is not there.
pub(super) async fn seen(visit: &Visit, permit: &Permit, text: &str) -> Result<KeyDetail, Trouble> {
    let id: KeyId = text.parse().map_err(|_| Trouble::absent("key"))?;
    let found = visit.store().key_of(visit.tenant(), id).await?;
    let is_own = permit.consumers().is_none_or(|own| own.contains(&found.key.consumer.id));
    if is_own { Ok(found) } else { Err(Trouble::absent("key")) }
}

/// What people call a key: its name, or else its id.
pub(super) fn title(key: &KeyView) -> String {
    key.name.clone().unwrap_or_else(|| key.id.to_string())
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadKeys)?;
    let KeyDetail { key, secrets } = seen(&visit, &permit, &id).await?;
    let mut recent = recent(&visit, &key).await?;
    let traffic = traffic(&visit, &key, &recent).await?;
    let rotation = rotation(secrets, &recent, visit.now_us);
    let month = usage_of(&visit, &key, 30 * DAY_US).await?;
    recent.truncate(SHOWN);
    let mut sentences = match &key.policy {
        Some(policy) => policy_of(&visit, policy.id).await?.map(|spec| of_policy(&spec)).unwrap_or_default(),
        None => {
            vec![Sentence { text: "Nothing: it has no policy".to_owned(), set_in: "this key".to_owned() }]
        }
    };
    sentences.extend(of_key(&key));
    let history = history(&visit, &key.id.to_string()).await?;
    let (is_live, may_change) = (key.state != KeyState::Revoked, visit.may_all(Action::ChangeKeys));
    let tags: Vec<String> = key.metadata.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    html(&Page {
        blocks: rules::of_key(&visit, key.id).await?,
        may_lift: visit.may_all(Action::ChangeBlocks),
        policies: if is_live && may_change { policies(&visit, key.project.id).await? } else { Vec::new() },
        tags: tags.join("\n"),
        budgets: budgets::held_by(&visit, Some(key.id), None).await?,
        may_budget: visit.may_all(Action::ChangeResources),
        new_budget: format!("/budgets/new?key={}", key.id),
        title: title(&key),
        reminders: attention::of_key(&visit, &key, rotation.is_some(), &history).await?,
        rotation,
        sentences,
        traffic,
        month,
        decisions: recent,
        history,
        switches: switches(&visit, key.id).await?,
        is_live,
        may_tend: visit.may(Action::TendKeys),
        may_change,
        enable_problem: (!may_change).then_some("An administrator can switch it on again"),
        shell: visit.shell(format!("{}, key", title(&key))),
        key,
    })
}

/// The names of the policies of a project, as many as a choice offers.
async fn policies(visit: &Visit, project: ProjectId) -> Result<Vec<String>, Trouble> {
    const OFFERED: PageRequest = PageRequest { limit: 200, cursor: None };
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadPolicies)?, Entity::Policy);
    filter.project = Some(project);
    let found = visit.store().list_resources(&filter, &OFFERED).await?;
    Ok(found.items.iter().map(|item| item.spec.name().to_owned()).collect())
}

/// When the key was switched off, on, blocked or revoked, by whom and why, newest first, of its last 200
/// changes; where the role may see them.
async fn switches(visit: &Visit, key: KeyId) -> Result<Vec<Switch>, Trouble> {
    const LOOKED_AT: PageRequest = PageRequest { limit: 200, cursor: None };
    const ACTIONS: [&str; 5] = ["key.disable", "key.enable", "key.block", "key.revoke", "key.expire"];
    if !visit.may(Action::ReadAudit) {
        return Ok(Vec::new());
    }
    let filter = AuditFilter {
        tenant: Some(visit.tenant()),
        subject: Some(key.to_string()),
        ..AuditFilter::default()
    };
    let mut rows = visit.store().audit_list(&filter, &LOOKED_AT).await?.items;
    rows.retain(|row| ACTIONS.contains(&row.action.as_str()));
    Ok(named(visit, rows).await?.into_iter().map(|row| Switch { reason: reason(&row), row }).collect())
}

fn reason(row: &AuditRow) -> Option<String> {
    let after: serde_json::Value = serde_json::from_str(row.after.as_deref()?).ok()?;
    Some(after.get("reason")?.as_str()?.to_owned())
}

/// What a policy says, for words about a key that has it.
pub(super) async fn policy_of(visit: &Visit, id: PolicyId) -> Result<Option<PolicySpec>, Trouble> {
    let scope = Scope::whole(visit.tenant());
    match visit.store().resource(&scope, ResourceId::Policy(id)).await?.spec {
        ResourceSpec::Policy(spec) => Ok(Some(*spec)),
        _ => Ok(None),
    }
}

/// The last decisions about a key, newest first.
pub(super) async fn recent(visit: &Visit, key: &KeyView) -> Result<Vec<DecisionRow>, Trouble> {
    let filter = DecisionFilter {
        tenant: Some(visit.tenant()),
        consumer: Some(key.consumer.id),
        key: Some(key.id),
        from_us: Some(visit.now_us.saturating_sub(7 * DAY_US)),
        ..DecisionFilter::default()
    };
    let page = PageRequest { limit: RECENT_MAX, cursor: None };
    Ok(visit.store().decisions(&filter, &page).await?.items)
}

pub(super) async fn usage_of(visit: &Visit, key: &KeyView, span_us: i64) -> Result<UsageSums, Trouble> {
    let filter = UsageFilter {
        tenant: Some(visit.tenant()),
        consumer: Some(key.consumer.id),
        key: Some(key.id),
        from_us: Some(visit.now_us.saturating_sub(span_us)),
        ..UsageFilter::default()
    };
    Ok(visit.store().usage(&[] as &[UsageBy], &filter).await?.total)
}

/// What a key does at present.
pub(super) async fn traffic(
    visit: &Visit,
    key: &KeyView,
    recent: &[DecisionRow],
) -> Result<Traffic, Trouble> {
    let day = visit.now_us.saturating_sub(DAY_US);
    let today = recent.iter().filter(|row| row.at_us >= day);
    let addresses: BTreeSet<IpAddr> = today.map(|row| row.address).collect();
    let rate = usage_of(visit, key, RATE_US).await?;
    Ok(Traffic {
        last_used_us: key.last_used_us,
        addresses: addresses.len(),
        per_second: words::per_second(rate.requests, RATE_US),
    })
}

/// How far a rotation is, when an older secret is still valid.
pub(super) fn rotation(secrets: Vec<KeySecret>, recent: &[DecisionRow], now_us: i64) -> Option<Rotation> {
    let valid = |secret: &KeySecret| secret.until_us.is_none_or(|until| until > now_us);
    let until_us = secrets.iter().filter(|secret| valid(secret)).find_map(|secret| secret.until_us)?;
    let calls = recent.len() as u64;
    let secrets = secrets.into_iter().filter(valid).map(|row| {
        let own = recent.iter().filter(|decision| decision.generation == row.generation);
        let addresses: BTreeSet<IpAddr> = own.clone().map(|decision| decision.address).collect();
        let own = own.count() as u64;
        let is_current = row.until_us.is_none();
        let picture = bar(own, calls, if is_current { "1" } else { "limited" });
        Secret { row, is_current, calls: own, picture, addresses: addresses.len() }
    });
    Some(Rotation { secrets: secrets.collect(), until_us, calls })
}
