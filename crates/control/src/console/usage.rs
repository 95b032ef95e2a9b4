//! Usage, summed by group, over a span of time.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;
use tollgate_store::{CallRow, UsageBy, UsageFilter, UsageMost, UsageReport, UsageRow, UsageSums};

use super::{
    chart::Whose,
    range::{Choice, Range},
    shell::Shell,
    spend::cost_words,
    trouble::{Trouble, html},
    visit::Visit,
    words,
};

/// Groups of a page; the rest is told apart.
const ROWS_MAX: u32 = 200;

/// The groups on offer: name in addresses, words, column; none is by model.
const GROUPS: [(&str, &str, Option<UsageBy>); 8] = [
    ("consumer", "Consumer", Some(UsageBy::Consumer)),
    ("key", "Key", Some(UsageBy::Key)),
    ("service", "Service", Some(UsageBy::Service)),
    ("model", "Model", None),
    ("code", "Code", Some(UsageBy::Code)),
    ("project", "Project", Some(UsageBy::Project)),
    ("hour", "Hour", Some(UsageBy::Hour)),
    ("day", "Day", Some(UsageBy::Day)),
];

#[derive(Template)]
#[template(path = "usage.html")]
struct Page {
    shell: Shell,
    ranges: Vec<Choice>,
    range: Range,
    groups: Vec<Choice>,
    group: &'static str,
    rows: Vec<Row>,
    total: UsageSums,
    left_out: Option<String>,
    of_key: Option<String>,
    /// Of models there are other columns.
    models: Option<Models>,
}

/// Usage by model, the most asked first.
struct Models {
    rows: Vec<Model>,
    total: [u64; 2],
    cost: String,
}

struct Model {
    /// `None` called no model.
    name: Option<String>,
    requests: u64,
    denied: u64,
    /// Read and written.
    tokens: [u64; 2],
    cost: String,
}

struct Row {
    name: String,
    href: Option<String>,
    time_us: Option<i64>,
    sums: UsageSums,
    mean: String,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadUsage)?;
    let range = Range::of(&visit.query, "24h", visit.now_us);
    let asked = visit.query.text("by").unwrap_or("consumer");
    let (name, group, by) = GROUPS.into_iter().find(|(name, ..)| *name == asked).unwrap_or(GROUPS[0]);
    let (mut of_key, mut models) = (None, None);
    let report = match Whose::all(&visit, &permit) {
        Some(mut whose) => {
            if let Some(text) = visit.query.text("key") {
                let found = super::key::seen(&visit, &permit, text).await?.key;
                (whose.key, whose.consumer) = (Some(found.id), Some(found.consumer.id));
                of_key = Some(super::key::title(&found));
            }
            let filter = whose.usage(&visit, &range);
            match by {
                Some(by) => used(&visit, by, &filter).await?,
                None => {
                    let (report, found) = by_model(&visit, &filter).await?;
                    models = Some(found);
                    report
                }
            }
        }
        None => UsageMost::default(),
    };
    let listed = models.as_ref().map_or(report.rows.len(), |models| models.rows.len()) as u64;
    let left_out = report.groups.map(|groups| groups.saturating_sub(listed));
    let left_out = left_out.map_or(Some("Smaller".to_owned()), |count| {
        (count > 0).then(|| format!("{} smaller", words::grouped(count)))
    });
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
        rows: report.rows.iter().map(|row| shown(row, &range)).collect(),
        total: report.total,
        left_out,
        group,
        range,
        of_key,
        models,
        shell: visit.shell("Usage"),
    })
}

/// The largest groups, or, of hours and days, the latest.
async fn used(visit: &Visit, by: UsageBy, filter: &UsageFilter) -> Result<UsageMost, Trouble> {
    if !matches!(by, UsageBy::Hour | UsageBy::Day) {
        return Ok(visit.store().usage_most(by, filter, ROWS_MAX).await?);
    }
    let UsageReport { mut rows, total } = visit.store().usage(&[by], filter).await?;
    let groups = rows.len() as u64;
    rows.reverse();
    rows.truncate(ROWS_MAX as usize);
    Ok(UsageMost { rows, groups: Some(groups), total })
}

/// The models that were asked most, and what asked none.
async fn by_model(visit: &Visit, filter: &UsageFilter) -> Result<(UsageMost, Models), Trouble> {
    let report = visit.store().usage_with_calls(&[], true, filter).await?;
    let mut rows: Vec<Model> = report.rows.iter().map(model).collect();
    rows.sort_by_key(|row| (row.name.is_none(), std::cmp::Reverse(row.requests)));
    let groups = Some(rows.len() as u64);
    rows.truncate(ROWS_MAX as usize);
    let models = Models {
        rows,
        total: [report.calls.tokens_in, report.calls.tokens_out],
        cost: cost_words(&report.calls),
    };
    Ok((UsageMost { rows: Vec::new(), groups, total: report.total }, models))
}

fn model(row: &CallRow) -> Model {
    let UsageSums { requests, denied, .. } = row.usage.sums;
    let tokens = [row.calls.tokens_in, row.calls.tokens_out];
    Model { name: row.model.clone(), requests, denied, tokens, cost: cost_words(&row.calls) }
}

fn shown(row: &UsageRow, range: &Range) -> Row {
    let events = |name: &str, value: &str| {
        let span = if range.name.is_empty() { "24h" } else { range.name };
        Some(format!("/events?{name}={value}&range={span}"))
    };
    let (name, href) = if let Some(key) = row.key {
        (key.to_string(), Some(format!("/keys/{key}")))
    } else if let Some(consumer) = &row.consumer {
        (consumer.name.clone(), Some(format!("/consumers/{}", consumer.id)))
    } else if let Some(service) = &row.service {
        (service.name.clone(), events("service", &service.id.to_string()))
    } else if let Some(project) = &row.project {
        (project.name.clone(), None)
    } else if let Some(code) = row.code {
        (code.name().to_owned(), events("code", code.name()))
    } else {
        ("none".to_owned(), None)
    };
    let mean = words::length(row.sums.latency_us.checked_div(row.sums.requests).unwrap_or(0));
    Row { name, href, time_us: row.time_us, sums: row.sums, mean }
}
