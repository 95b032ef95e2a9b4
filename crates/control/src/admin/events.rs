//! Events: the decisions that were made about requests, and one of them with its trace.

use tollgate_core::{
    code::Code,
    explain::{StepOutcome, trace_of_record},
    id::{ConsumerId, DecisionId, KeyId, PolicyId, ServiceId},
};
use tollgate_store::{DecisionFilter, DecisionRow};
use tollgate_wire::admin as wire;

use super::{answer::Answer, call::Call, moment::rfc3339, view::named};
use crate::problem::Refused;

/// The methods by their numbers in the journal, beginning with 1; 0 is any other. The gateway counts
/// them (`tollgate_gateway::METHODS`), which this crate never sees.
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// How long `wait=true` waits for what was answered before the call, milliseconds.
const WAIT_MS: u64 = 5_000;

pub(crate) async fn list(call: Call) -> Result<Answer, Refused> {
    bring_in(&call).await?;
    let Some(filter) = filter(&call).await? else {
        return Answer::ok(&wire::List::<wire::Event> { items: Vec::new(), next: None });
    };
    let page = call.store().decisions(&filter, &call.page()).await?;
    let items = page.items.into_iter().map(|row| event(&row)).collect::<Vec<_>>();
    Answer::ok(&wire::List { items, next: page.next })
}

pub(crate) async fn count(call: Call) -> Result<Answer, Refused> {
    bring_in(&call).await?;
    let count = match filter(&call).await? {
        Some(filter) => call.store().count_decisions(&filter).await?,
        None => 0,
    };
    Answer::ok(&wire::EventCount { count })
}

pub(crate) async fn show(call: Call) -> Result<Answer, Refused> {
    let id: DecisionId = call.id()?;
    let row = call.store().decision(id).await?;
    let is_here = row.tenant.as_ref().is_some_and(|tenant| tenant.id == call.tenant());
    let consumer = row.consumer.as_ref().map(|consumer| consumer.id);
    let is_own = call.permit.consumers().is_none_or(|own| consumer.is_some_and(|id| own.contains(&id)));
    if !is_here || !is_own {
        return Err(Refused::NotFound(format!("there is no decision `{id}`; list them, or correct the id")));
    }
    let policy_id = row.policy.map(|policy: PolicyId| policy.to_string());
    Answer::ok(&wire::EventDetail { event: event(&row), policy_id, trace: trace(&row) })
}

/// Waits until everything answered before the call is in the database, where that is asked for;
/// `false` when it may not be.
pub(crate) async fn bring_in(call: &Call) -> Result<bool, Refused> {
    if !call.query.flag("wait") {
        return Ok(false);
    }
    Ok(call.store().wait_shipped(call.now_us, WAIT_MS).await?)
}

/// What a call selects by.
pub(crate) struct Selection {
    pub(crate) key: Option<KeyId>,
    pub(crate) consumer: Option<ConsumerId>,
    pub(crate) service: Option<ServiceId>,
    pub(crate) code: Option<Code>,
}

/// Reads what a call selects by; `None` when whoever calls has nothing to see.
pub(crate) async fn selection(call: &Call) -> Result<Option<Selection>, Refused> {
    let (store, tenant, query) = (call.store(), call.tenant(), &call.query);
    let mut selection = Selection { key: None, consumer: None, service: None, code: None };
    if let Some(text) = query.text("key_id") {
        let id: KeyId = text.parse().map_err(|error| Refused::invalid("key_id", error))?;
        let key = store.key_of(tenant, id).await?.key;
        selection.key = Some(id);
        selection.consumer = Some(key.consumer.id);
    }
    if let Some(text) = query.text("consumer") {
        selection.consumer = Some(store.consumer_of(call.scope(), text).await?.id);
    }
    if let Some(text) = query.text("service") {
        selection.service = Some(store.service_of(call.scope(), text).await?.id);
    }
    if let Some(text) = query.text("code") {
        selection.code = Some(text.parse().map_err(|error| Refused::invalid("code", error))?);
    }
    let Some(own) = call.permit.consumers() else {
        // A key tells its consumer already.
        selection.consumer = selection.consumer.filter(|_| query.text("consumer").is_some());
        return Ok(Some(selection));
    };
    match (selection.consumer, own) {
        (Some(consumer), own) if own.contains(&consumer) => Ok(Some(selection)),
        (Some(_), _) | (None, []) => Ok(None),
        (None, [only]) => Ok(Some(Selection { consumer: Some(*only), ..selection })),
        (None, _) => Err(Refused::invalid("consumer", "you have several; say which")),
    }
}

async fn filter(call: &Call) -> Result<Option<DecisionFilter>, Refused> {
    let Some(selection) = selection(call).await? else { return Ok(None) };
    Ok(Some(DecisionFilter {
        key: selection.key,
        consumer: selection.consumer,
        service: selection.service,
        code: selection.code,
        tenant: Some(call.tenant()),
        from_us: call.query.moment_us("from", call.now_us),
        to_us: call.query.moment_us("to", call.now_us),
        oldest_first: call.query.text("order") == Some("oldest"),
    }))
}

fn event(row: &DecisionRow) -> wire::Event {
    wire::Event {
        kind: "decision".to_owned(),
        decision_id: row.id.to_string(),
        time: rfc3339(row.at_us),
        code: row.code.name().to_owned(),
        status: row.status,
        method: method_name(row.method).to_owned(),
        path: row.path.clone(),
        project: row.project.as_ref().map(named),
        service: row.service.as_ref().map(named),
        consumer: row.consumer.as_ref().map(named),
        key_id: row.key.map(|key| key.to_string()),
        generation: row.generation,
        address: row.address.to_string(),
        user_agent: row.user_agent.clone(),
        detail: row.detail.clone(),
        units: row.units,
        bytes_in: row.bytes_in,
        bytes_out: row.bytes_out,
        latency_ms: f64::from(row.latency_us) / 1000.0,
        upstream_ms: f64::from(row.upstream_us) / 1000.0,
        marks: row.marks().into_iter().map(str::to_owned).collect(),
        call: row.call.as_ref().map(|call| wire::EventCall {
            model: call.model.clone(),
            tokens_in: call.tokens_in,
            tokens_out: call.tokens_out,
            cached_input: call.cached_input,
            cache_write: call.cache_write,
            reasoning: call.reasoning,
            cost: call.cost.clone(),
            currency: call.currency.clone(),
            estimated: row.marks().contains(&"estimated"),
        }),
    }
}

fn method_name(number: u8) -> &'static str {
    usize::from(number).checked_sub(1).and_then(|index| METHODS.get(index)).copied().unwrap_or("OTHER")
}

/// The checks as the record left them.
fn trace(row: &DecisionRow) -> Vec<wire::TraceStep> {
    let steps = trace_of_record(row.code, (row.checks_configured, row.checks_passed), &row.detail);
    let word = |outcome| match outcome {
        StepOutcome::Passed => "passed",
        StepOutcome::Failed => "failed",
        StepOutcome::Open => "open",
        StepOutcome::NotReached => "not_reached",
    };
    steps
        .into_iter()
        .map(|step| wire::TraceStep {
            check: step.check.to_owned(),
            outcome: word(step.outcome).to_owned(),
            detail: step.detail,
        })
        .collect()
}
