//! `tollgate events …`

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use serde::Serialize;
use tollgate_core::{
    id::{DecisionId, KeyId},
    notice::NoticeKind,
};
use tollgate_store::{DecisionFilter, DecisionRow, PAGE_ROWS_MAX, PageRequest, Store};

use super::{
    ingested,
    listed::{Count, Listed, with_more},
    notices, recorded, reminders, thresholds,
};
use crate::{
    cli::{EventFilter, EventType, EventsCommand, QueryArgs, time::rfc3339},
    context::Context,
    failure::Failure,
    print,
};

/// How often `tail` looks.
const TAIL_STEP: Duration = Duration::from_millis(250);
/// After so many looks `tail` asks the nodes to ship: under load they would do so every ten seconds.
const LOOKS_AN_ASK: u32 = 4;
/// Records reach the database a little out of order; `tail` looks back this far for late ones.
const LATE_US: i64 = 3_000_000;
/// Events `tail` remembers having shown, to tell late ones from old ones.
const SEEN_MAX: usize = 100_000;

/// One decision as it is shown.
#[derive(Serialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    kind: &'static str,
    decision_id: DecisionIdText,
    time: String,
    code: &'static str,
    status: u16,
    method: &'static str,
    path: String,
    tenant: Option<String>,
    project: Option<String>,
    service: Option<String>,
    consumer: Option<String>,
    key_id: Option<KeyId>,
    /// Which secret of the key was used.
    generation: u16,
    address: String,
    user_agent: String,
    detail: String,
    units: u32,
    bytes_in: u64,
    bytes_out: u64,
    latency_ms: f64,
    upstream_ms: f64,
    marks: Vec<&'static str>,
    /// What it used of a model; only there when it called one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    call: Option<Call>,
}

/// What a decision used of a model.
#[derive(Serialize)]
struct Call {
    model: String,
    tokens_in: u64,
    tokens_out: u64,
    cached_input: u64,
    cache_write: u64,
    reasoning: u64,
    cost: Option<String>,
    currency: Option<String>,
    /// Whether tokens or cost were counted or bounded here.
    estimated: bool,
}

/// A decision's id, written as text.
struct DecisionIdText(DecisionId);

impl Serialize for DecisionIdText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

pub(crate) async fn run(context: &Context, command: EventsCommand) -> Result<(), Failure> {
    match command {
        EventsCommand::Tail(filter) => tail(context, &filter).await,
        EventsCommand::Query(args) => query(context, args).await,
    }
}

async fn query(context: &Context, args: QueryArgs) -> Result<(), Failure> {
    if let Some(kind) = args.filter.kind.as_ref().and_then(EventType::reminder) {
        return reminders::query(context, kind, args).await;
    }
    if let Some(EventType::Record(kind)) = args.filter.kind.clone() {
        if kind == thresholds::TYPE {
            return thresholds::query(context, args).await;
        }
        if let Some(kind) = NoticeKind::from_name(&kind) {
            return notices::query(context, kind, args).await;
        }
        return ingested::query(context, kind, args).await;
    }
    let store = context.store().await?;
    let now_us = context.now_us();
    recorded::bring_in(context, &store).await?;
    let mut filter = resolve(&store, &args.filter).await?;
    filter.from_us = args.from.map(|moment| moment.at_us(now_us));
    filter.to_us = args.to.map(|moment| moment.at_us(now_us));
    if args.count {
        let shown = Count { count: store.count_decisions(&filter).await? };
        return context.printer.result(&shown, || shown.count.to_string());
    }
    let mut page = PageRequest { limit: args.limit.clamp(1, PAGE_ROWS_MAX), cursor: None };
    let mut shown = Listed::empty();
    let wanted = args.limit as usize;
    while shown.events.len() < wanted {
        let part = store.decisions(&filter, &page).await?;
        let room = wanted - shown.events.len();
        shown.more = part.next.is_some() || part.items.len() > room;
        shown.events.extend(part.items.into_iter().take(room).map(Event::of));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    context
        .printer
        .result(&shown, || with_more(print::table(HEADER, shown.events.iter().map(Event::row)), shown.more))
}

async fn tail(context: &Context, filter: &EventFilter) -> Result<(), Failure> {
    if filter.kind.as_ref().is_some_and(|kind| *kind != EventType::Decision) {
        let problem = "tail follows decisions; ask for other types with `tollgate events query --type`";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let store = context.store().await?;
    let mut filter = resolve(&store, filter).await?;
    filter.oldest_first = true;
    let mut seen = Seen::default();
    let mut from_us = context.now_us();
    if !context.printer.is_json() {
        print::say("Waiting for decisions; press Ctrl-C to end.");
    }
    for look in 0u32.. {
        if look.is_multiple_of(LOOKS_AN_ASK) {
            store.ask_to_ship().await?;
        }
        filter.from_us = Some(from_us - LATE_US);
        let mut page = PageRequest { limit: PAGE_ROWS_MAX, cursor: None };
        loop {
            let part = store.decisions(&filter, &page).await?;
            for row in part.items {
                from_us = from_us.max(row.at_us);
                if seen.is_new(row.id) && row.at_us >= from_us - LATE_US {
                    show(context, row)?;
                }
            }
            page.cursor = part.next;
            if page.cursor.is_none() {
                break;
            }
        }
        tokio::time::sleep(TAIL_STEP).await;
    }
    Ok(())
}

fn show(context: &Context, row: DecisionRow) -> Result<(), Failure> {
    let event = Event::of(row);
    if context.printer.is_json() {
        context.printer.json_line(&event)
    } else {
        context.printer.text(&event.line())
    }
}

/// The last events that were shown.
#[derive(Default)]
struct Seen {
    ids: HashSet<DecisionId>,
    order: VecDeque<DecisionId>,
}

impl Seen {
    fn is_new(&mut self, id: DecisionId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// Names to ids.
pub(super) async fn resolve(store: &Store, filter: &EventFilter) -> Result<DecisionFilter, Failure> {
    let mut resolved = DecisionFilter { code: filter.code, ..DecisionFilter::default() };
    if let Some(key) = &filter.key {
        resolved.key = Some(store.find_key(key).await?);
    }
    if let Some(consumer) = &filter.consumer {
        resolved.consumer = Some(store.find_consumer(consumer).await?.id);
    }
    if let Some(service) = &filter.service {
        resolved.service = Some(store.find_service(service).await?.id);
    }
    Ok(resolved)
}

const HEADER: [&str; 8] = ["time", "code", "status", "request", "key", "consumer", "from", "decision"];

impl Event {
    pub(super) fn of(row: DecisionRow) -> Self {
        let marks = row.marks();
        Self {
            kind: "decision",
            decision_id: DecisionIdText(row.id),
            time: rfc3339(row.at_us),
            code: row.code.name(),
            status: row.status,
            method: method_name(row.method),
            path: row.path,
            tenant: row.tenant.map(|tenant| tenant.name),
            project: row.project.map(|project| project.name),
            service: row.service.map(|service| service.name),
            consumer: row.consumer.map(|consumer| consumer.name),
            key_id: row.key,
            generation: row.generation,
            address: row.address.to_string(),
            user_agent: row.user_agent,
            detail: row.detail,
            units: row.units,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            latency_ms: f64::from(row.latency_us) / 1000.0,
            upstream_ms: f64::from(row.upstream_us) / 1000.0,
            call: row.call.map(|call| Call {
                model: call.model,
                tokens_in: call.tokens_in,
                tokens_out: call.tokens_out,
                cached_input: call.cached_input,
                cache_write: call.cache_write,
                reasoning: call.reasoning,
                cost: call.cost,
                currency: call.currency,
                estimated: marks.contains(&"estimated"),
            }),
            marks,
        }
    }

    /// What it used of a model, in words.
    fn called(&self) -> [(&'static str, String); 3] {
        let Some(call) = &self.call else {
            return [("model", String::new()), ("tokens", String::new()), ("cost", String::new())];
        };
        let cost = call.cost.clone().zip(call.currency.clone());
        [
            ("model", call.model.clone()),
            ("tokens", format!("{} in, {} out", call.tokens_in, call.tokens_out)),
            ("cost", cost.map(|(cost, currency)| format!("{cost} {currency}")).unwrap_or_default()),
        ]
    }

    /// All that is known of it, a line each.
    pub(super) fn in_words(&self) -> String {
        let [model, tokens, cost] = self.called();
        print::fields(&[
            ("decision", self.decision_id.0.to_string()),
            ("time", self.time.clone()),
            ("request", self.request()),
            ("status", self.status.to_string()),
            ("service", self.service.clone().unwrap_or_default()),
            ("project", self.project.clone().unwrap_or_default()),
            ("consumer", self.consumer.clone().unwrap_or_default()),
            ("key", self.key_id.map(|id| format!("{id}, secret {}", self.generation)).unwrap_or_default()),
            ("from", self.address.clone()),
            ("user agent", self.user_agent.clone()),
            ("took", format!("{} ms, upstream {} ms", self.latency_ms, self.upstream_ms)),
            model,
            tokens,
            cost,
            ("marks", self.marks.join(", ")),
        ])
    }

    fn request(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn row(&self) -> [String; 8] {
        [
            self.time.clone(),
            self.code.to_owned(),
            self.status.to_string(),
            self.request(),
            self.key_id.map(|id| id.to_string()).unwrap_or_default(),
            self.consumer.clone().unwrap_or_default(),
            self.address.clone(),
            self.decision_id.0.to_string(),
        ]
    }

    /// One line for `tail`.
    fn line(&self) -> String {
        let Self { time, code, status, address, .. } = self;
        let who = self.consumer.as_deref().unwrap_or("-");
        let request = self.request();
        format!("{time}  {code:<20}  {status}  {request:<32}  {who}  {address}  {}", self.decision_id.0)
    }
}

/// The name of a method from its number in the journal.
pub(super) fn method_name(number: u8) -> &'static str {
    usize::from(number)
        .checked_sub(1)
        .and_then(|index| tollgate_gateway::METHODS.get(index))
        .copied()
        .unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_admin_api_calls_methods_as_the_gateway_counts_them() {
        assert_eq!(tollgate_control::METHODS, tollgate_gateway::METHODS);
    }
}
