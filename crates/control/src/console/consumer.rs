//! One consumer: who it is, its keys, what they did.

use std::collections::BTreeSet;

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{
    authz::Action,
    id::{ConsumerId, KeyId, ProjectId},
    resource::{ConsumerKind, ConsumerSpec},
};
use tollgate_store::{
    AuditFilter, AuditRow, DecisionFilter, DecisionRow, KeyFilter, KeyView, Named, PageRequest, ResourceId,
    ResourceSpec, Scope, UsageBy, UsageFilter, UsageSums,
};

use super::{
    budgets,
    form::encoded,
    keys::rotating,
    shell::Shell,
    trail::named,
    trouble::{Trouble, html},
    visit::Visit,
    words::DAY_US,
};

/// Rows of the parts of the page.
const PART: PageRequest = PageRequest { limit: 10, cursor: None };
/// Days that usage is summed over.
const DAYS: i64 = 30;

#[derive(Template)]
#[template(path = "consumer.html")]
struct Page {
    shell: Shell,
    id: ConsumerId,
    project: Named<ProjectId>,
    spec: ConsumerSpec,
    keys: Vec<KeyView>,
    rotating: BTreeSet<KeyId>,
    more_keys: bool,
    sums: UsageSums,
    decisions: Vec<DecisionRow>,
    history: Vec<AuditRow>,
    may_create_keys: bool,
    may_invite: bool,
    may_change: bool,
    budgets: Vec<budgets::Row>,
    may_budget: bool,
    new_budget: String,
}

/// A consumer that may be seen.
pub(super) struct Seen {
    pub(super) id: ConsumerId,
    pub(super) version: u64,
    pub(super) project: Named<ProjectId>,
    pub(super) spec: ConsumerSpec,
}

/// The consumer of a path; one that may not be seen is as absent as one that is not there.
pub(super) async fn seen(visit: &Visit, scope: &Scope, text: &str) -> Result<Seen, Trouble> {
    let id: ConsumerId = text.parse().map_err(|_| Trouble::absent("consumer"))?;
    let found = visit.store().resource(scope, ResourceId::Consumer(id)).await?;
    match found.spec {
        ResourceSpec::Consumer(spec) => Ok(Seen { id, version: found.version, project: found.project, spec }),
        _ => Err(Trouble::absent("consumer")),
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let Seen { id, project, spec, .. } = seen(&visit, &visit.scope(Action::ReadConsumers)?, &id).await?;
    let store = visit.store();
    let filter =
        KeyFilter { tenant: Some(visit.tenant()), consumer: Some(id.to_string()), ..KeyFilter::default() };
    let keys = store.list_keys(&filter, &PageRequest { limit: 50, cursor: None }).await?;
    let usage = UsageFilter {
        tenant: Some(visit.tenant()),
        consumer: Some(id),
        from_us: Some(visit.now_us.saturating_sub(DAYS * DAY_US)),
        ..UsageFilter::default()
    };
    let usage = store.usage(&[] as &[UsageBy], &usage).await?;
    let decisions =
        DecisionFilter { tenant: Some(visit.tenant()), consumer: Some(id), ..DecisionFilter::default() };
    let decisions = store.decisions(&decisions, &PART).await?;
    html(&Page {
        budgets: budgets::held_by(&visit, None, Some(id)).await?,
        may_budget: visit.may_all(Action::ChangeResources),
        new_budget: format!(
            "/budgets/new?project={}&consumer={}",
            encoded(&project.name),
            encoded(&spec.name)
        ),
        more_keys: keys.next.is_some(),
        rotating: rotating(&visit, &keys.items).await?,
        keys: keys.items,
        sums: usage.total,
        decisions: decisions.items,
        history: history(&visit, &id.to_string()).await?,
        may_create_keys: visit.may(Action::TendKeys),
        may_invite: visit.may_all(Action::ChangeMembers),
        may_change: visit.may_all(Action::ChangeResources),
        shell: visit.shell(format!("{}, consumer", spec.name)),
        id,
        project,
        spec,
    })
}

/// The last changes of something, where the role may see them.
pub(super) async fn history(visit: &Visit, subject: &str) -> Result<Vec<AuditRow>, Trouble> {
    if !visit.may(Action::ReadAudit) {
        return Ok(Vec::new());
    }
    let filter = AuditFilter {
        tenant: Some(visit.tenant()),
        subject: Some(subject.to_owned()),
        ..AuditFilter::default()
    };
    named(visit, visit.store().audit_list(&filter, &PART).await?.items).await
}

/// The word of a kind of consumer.
pub(super) const fn kind_name(kind: ConsumerKind) -> &'static str {
    match kind {
        ConsumerKind::Partner => "partner",
        ConsumerKind::User => "user",
        ConsumerKind::Service => "service",
        ConsumerKind::Host => "host",
    }
}

impl Shell {
    /// The word of a kind of consumer.
    pub(crate) const fn kind(&self, kind: &ConsumerKind) -> &'static str {
        kind_name(*kind)
    }
}
