//! Usage, summed by group, over a span of time.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;
use tollgate_store::{UsageBy, UsageFilter, UsageMost, UsageReport, UsageRow, UsageSums};

use super::{
    chart::Whose,
    range::{Choice, Range},
    shell::Shell,
    trouble::{Trouble, html},
    visit::Visit,
    words,
};

/// Groups of a page; the rest is told apart.
const ROWS_MAX: u32 = 200;

/// The groups on offer: name in addresses, words, column.
const GROUPS: [(&str, &str, UsageBy); 7] = [
    ("consumer", "Consumer", UsageBy::Consumer),
    ("key", "Key", UsageBy::Key),
    ("service", "Service", UsageBy::Service),
    ("code", "Code", UsageBy::Code),
    ("project", "Project", UsageBy::Project),
    ("hour", "Hour", UsageBy::Hour),
    ("day", "Day", UsageBy::Day),
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
    let mut of_key = None;
    let report = match Whose::all(&visit, &permit) {
        Some(mut whose) => {
            if let Some(text) = visit.query.text("key") {
                let found = super::key::seen(&visit, &permit, text).await?.key;
                (whose.key, whose.consumer) = (Some(found.id), Some(found.consumer.id));
                of_key = Some(super::key::title(&found));
            }
            used(&visit, by, &whose.usage(&visit, &range)).await?
        }
        None => UsageMost::default(),
    };
    let listed = report.rows.len() as u64;
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
