//! The explorer of events: every decision about a request, by key, consumer, service, code and time.

use std::net::IpAddr;

use askama::Template;
use axum::response::Response;
use ipnet::IpNet;
use tollgate_core::{authz::Action, code::Code, id::KeyId};
use tollgate_store::{DecisionFilter, DecisionRow, PageRequest};

use super::{
    chart::{Chart, Whose},
    pieces::Outcome,
    range::{Choice, Range},
    shell::Shell,
    trouble::{Trouble, html, sentence},
    visit::Visit,
};
use crate::problem::Refused;

/// Rows that are looked at for one page when outcome or address choose among them.
const LOOKED_AT: u32 = 200;
/// How often that is done for one page.
const LOOKS_MAX: usize = 10;
/// Rows that a page wants.
const WANTED: usize = 50;
/// How long a page waits for what was answered just now, milliseconds.
const WAIT_MS: u64 = 300;

#[derive(Template)]
#[template(path = "events.html")]
struct Page {
    shell: Shell,
    chart: Option<Chart>,
    rows: Vec<DecisionRow>,
    older: Option<String>,
    ranges: Vec<Choice>,
    range: Range,
    asked: Asked,
    codes: &'static [Code],
    chips: Vec<Chip>,
    problem: Option<String>,
    here: String,
    live: Option<String>,
    quiet: String,
}

/// What the filter says, as it was typed.
struct Asked {
    key: String,
    consumer: String,
    service: String,
    code: String,
    outcome: String,
    address: String,
}

/// A part of the filter that can be taken away.
struct Chip {
    name: &'static str,
    value: String,
    without: String,
}

const NAMES: [&str; 6] = ["key", "consumer", "service", "code", "outcome", "address"];

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadEvents)?;
    let range = Range::of(&visit.query, "24h", visit.now_us);
    let text = |name: &str| visit.query.owned(name).unwrap_or_default();
    let asked = Asked {
        key: text("key"),
        consumer: text("consumer"),
        service: text("service"),
        code: text("code"),
        outcome: text("outcome"),
        address: text("address"),
    };
    // What a node answered just now is asked for, not waited for: the page is not held up by it.
    let _shipped = visit.store().wait_shipped(visit.now_us, WAIT_MS).await?;
    let whose = match whose(&visit, Whose::all(&visit, &permit)).await {
        Ok(whose) => Ok(whose),
        Err(Trouble::Refused(
            refused @ (Refused::NotFound(_) | Refused::Invalid(_) | Refused::Conflict(_)),
        )) => Err(sentence(&refused.detail())),
        Err(trouble) => return Err(trouble),
    };
    let (mut chart, mut rows, mut older, mut problem) = (None, Vec::new(), None, None);
    match whose {
        Ok(Some(whose)) => {
            chart = Some(Chart::read(&visit, &whose, &range, true).await?);
            let found = decisions(&visit, &whose, &range).await?;
            (rows, older) = (found.0, visit.older(found.1.as_deref()));
        }
        Ok(None) => problem = Some("You are mapped to no consumer, so there is nothing to see.".to_owned()),
        Err(words) => problem = Some(words),
    }
    let chips = NAMES.into_iter().filter_map(|name| {
        let value = visit.query.owned(name)?;
        Some(Chip { name, value, without: visit.link(&[(name, None)]) })
    });
    let is_live = visit.query.text("live").is_some();
    html(&Page {
        chips: chips.collect(),
        ranges: range.choices(|name| visit.link(&[("range", Some(name)), ("from", None), ("to", None)])),
        here: visit.link(&[("from", None), ("to", None)]),
        live: is_live.then(|| visit.link(&[])),
        quiet: visit.link(&[("live", if is_live { None } else { Some("on") })]),
        codes: Code::ALL,
        chart,
        rows,
        older,
        range,
        asked,
        problem,
        shell: visit.shell("Events"),
    })
}

/// Whose requests the filter chooses, of those that may be seen.
async fn whose(visit: &Visit, all: Option<Whose>) -> Result<Option<Whose>, Trouble> {
    let Some(mut whose) = all else { return Ok(None) };
    let limited_to = whose.consumer;
    let (store, tenant, query) = (visit.store(), visit.tenant(), &visit.query);
    let scope = visit.scope(Action::ReadEvents)?;
    if let Some(text) = query.text("consumer") {
        whose.consumer = Some(store.consumer_of(scope.clone(), text).await?.id);
    }
    if let Some(text) = query.text("key") {
        let id: KeyId = text.parse().map_err(|_| Refused::invalid("key", "write a key id such as key_…"))?;
        whose.key = Some(id);
        whose.consumer = Some(store.key_of(tenant, id).await?.key.consumer.id);
    }
    if let Some(text) = query.text("service") {
        whose.service = Some(store.service_of(scope, text).await?.id);
    }
    if query.text("address").is_some_and(|text| network(text).is_none()) {
        return Err(Refused::invalid("address", "write an address, or a network such as 10.0.0.0/8").into());
    }
    let is_limited = !visit.may_all(Action::ReadEvents);
    if is_limited && whose.consumer != limited_to {
        let own = visit.permit(Action::ReadEvents)?;
        let own = own.consumers().unwrap_or_default();
        if !whose.consumer.is_some_and(|consumer| own.contains(&consumer)) {
            return Err(Trouble::absent("consumer"));
        }
    }
    Ok(Some(whose))
}

/// A page of decisions, and where the next begins.
async fn decisions(
    visit: &Visit,
    whose: &Whose,
    range: &Range,
) -> Result<(Vec<DecisionRow>, Option<String>), Trouble> {
    let filter = DecisionFilter {
        tenant: Some(visit.tenant()),
        key: whose.key,
        consumer: whose.consumer,
        service: whose.service,
        code: visit.query.text("code").and_then(|code| code.parse().ok()),
        from_us: Some(range.from_us),
        to_us: (range.name.is_empty()).then_some(range.to_us),
        oldest_first: false,
    };
    let fits = Fits::of(visit);
    if fits.all() {
        let page = visit.store().decisions(&filter, &visit.rows()).await?;
        return Ok((page.items, page.next));
    }
    let mut rows = Vec::new();
    let mut cursor = visit.query.owned("cursor");
    for _ in 0..LOOKS_MAX {
        let page = visit.store().decisions(&filter, &PageRequest { limit: LOOKED_AT, cursor }).await?;
        rows.extend(page.items.into_iter().filter(|row| fits.one(row)));
        cursor = page.next;
        if cursor.is_none() || rows.len() >= WANTED {
            break;
        }
    }
    if rows.len() > WANTED {
        rows.truncate(WANTED);
        cursor = rows.last().map(DecisionRow::cursor);
    }
    Ok((rows, cursor))
}

/// What the store does not choose by.
struct Fits {
    outcome: Option<String>,
    network: Option<IpNet>,
}

impl Fits {
    fn of(visit: &Visit) -> Self {
        let network = visit.query.text("address").and_then(network);
        Self { outcome: visit.query.owned("outcome"), network }
    }

    const fn all(&self) -> bool {
        self.outcome.is_none() && self.network.is_none()
    }

    fn one(&self, row: &DecisionRow) -> bool {
        let outcome = Outcome::of_answer(row.code, row.status);
        let is_wanted = match self.outcome.as_deref() {
            None => true,
            Some("refused") => outcome != Outcome::Allowed,
            Some(class) => outcome.class() == class,
        };
        is_wanted && self.network.is_none_or(|network| network.contains(&row.address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
