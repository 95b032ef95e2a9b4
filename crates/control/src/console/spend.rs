//! What calls of models cost and used, summed by model, consumer, key, project or day. Costs of several
//! currencies stand beside each other and are never added.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;
use tollgate_store::{CallReport, CallRow, CallSums, UsageBy, UsageFilter};

use super::{
    chart::Whose,
    pieces::{Html, bar},
    range::{Choice, Range},
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
};

/// Groups of a page; the rest is told apart.
const ROWS_MAX: usize = 200;
/// Groups of the part on the overview.
const TOP: usize = 5;

/// The groups on offer: name in addresses, words, column; none is by model.
const GROUPS: [(&str, &str, Option<UsageBy>); 5] = [
    ("model", "Model", None),
    ("consumer", "Consumer", Some(UsageBy::Consumer)),
    ("key", "Key", Some(UsageBy::Key)),
    ("project", "Project", Some(UsageBy::Project)),
    ("day", "Day", Some(UsageBy::Day)),
];

#[derive(Template)]
#[template(path = "spend.html")]
struct Page {
    shell: Shell,
    ranges: Vec<Choice>,
    range: Range,
    groups: Vec<Choice>,
    group: &'static str,
    rows: Vec<Row>,
    total: CallSums,
    cost: String,
    left_out: usize,
}

/// What one group spent.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) href: Option<String>,
    pub(crate) time_us: Option<i64>,
    pub(crate) calls: CallSums,
    pub(crate) cost: String,
    pub(crate) bar: Html,
}

/// What was spent, for the overview; nothing where no model was called.
pub(crate) struct Spent {
    pub(crate) cost: String,
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
    pub(crate) models: Vec<Row>,
    pub(crate) consumers: Vec<Row>,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadUsage)?;
    let range = Range::of(&visit.query, "30d", visit.now_us);
    let asked = visit.query.text("by").unwrap_or("model");
    let (name, group, by) = GROUPS.into_iter().find(|(name, ..)| *name == asked).unwrap_or(GROUPS[0]);
    let report = match Whose::all(&visit, &permit) {
        Some(whose) => read(&visit, by, &whose.usage(&visit, &range)).await?,
        None => CallReport::default(),
    };
    let mut rows = rows(&report);
    if by == Some(UsageBy::Day) {
        rows.sort_by_key(|row| std::cmp::Reverse(row.time_us));
    }
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    html(&Page {
        ranges: range.choices(|name| visit.link(&[("range", Some(name))])),
        groups: GROUPS
            .into_iter()
            .map(|(own, words, _)| Choice {
                href: visit.link(&[("by", Some(own))]),
                words,
                is_chosen: own == name,
            })
            .collect(),
        cost: cost_words(&report.calls),
        total: report.calls,
        rows,
        left_out,
        group,
        range,
        shell: visit.shell("Spend"),
    })
}

/// What was spent in a time, by the largest models and consumers.
pub(super) async fn summed(visit: &Visit, filter: &UsageFilter) -> Result<Option<Spent>, Trouble> {
    let models = read(visit, None, filter).await?;
    // Predictions cost nothing and have no tokens.
    let tokens = models.calls.tokens_in.saturating_add(models.calls.tokens_out);
    if tokens == 0 && models.calls.costs.is_empty() {
        return Ok(None);
    }
    let consumers = read(visit, Some(UsageBy::Consumer), filter).await?;
    let top = |report: &CallReport| {
        let mut rows = rows(report);
        rows.truncate(TOP);
        rows
    };
    Ok(Some(Spent {
        cost: cost_words(&models.calls),
        calls: models.calls.calls,
        tokens,
        models: top(&models),
        consumers: top(&consumers),
    }))
}

async fn read(visit: &Visit, by: Option<UsageBy>, filter: &UsageFilter) -> Result<CallReport, Trouble> {
    let columns: Vec<UsageBy> = by.into_iter().collect();
    Ok(visit.store().usage_with_calls(&columns, by.is_none(), filter).await?)
}

/// The groups that called a model, the dearest first.
fn rows(report: &CallReport) -> Vec<Row> {
    let weight = |calls: &CallSums| calls.costs.values().copied().max().unwrap_or(0).max(0).unsigned_abs();
    let mut called: Vec<&CallRow> = report.rows.iter().filter(|row| row.calls.calls > 0).collect();
    called.sort_by_key(|row| std::cmp::Reverse((weight(&row.calls), row.calls.calls)));
    let whole = called.first().map_or(0, |row| weight(&row.calls));
    called.into_iter().map(|row| shown(row, bar(weight(&row.calls), whole, "1"))).collect()
}

fn shown(row: &CallRow, bar: Html) -> Row {
    let usage = &row.usage;
    let (name, href) = if let Some(model) = &row.model {
        (model.clone(), None)
    } else if let Some(key) = usage.key {
        (key.to_string(), Some(format!("/keys/{key}")))
    } else if let Some(consumer) = &usage.consumer {
        (consumer.name.clone(), Some(format!("/consumers/{}", consumer.id)))
    } else if let Some(project) = &usage.project {
        (project.name.clone(), None)
    } else {
        ("none".to_owned(), None)
    };
    let cost = cost_words(&row.calls);
    Row { name, href, time_us: usage.time_us, calls: row.calls.clone(), cost, bar }
}

/// `0.0042 USD`, with every currency that something cost in.
pub(super) fn cost_words(calls: &CallSums) -> String {
    let costs: Vec<String> =
        calls.costs_text().into_iter().map(|(currency, cost)| format!("{cost} {currency}")).collect();
    if costs.is_empty() { "0".to_owned() } else { costs.join(", ") }
}
