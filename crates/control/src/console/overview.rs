//! The overview: what happened lately, what was refused, who asked most, and how the parts are.

use askama::Template;
use axum::response::Response;
use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{KeyFilter, KeyView, UsageBy, UsageFilter, UsageRow, UsageSums};

use super::{
    attention::{self, Attention},
    chart::{Chart, Whose},
    pieces::{Html, Outcome, bar},
    range::{Choice, Range},
    shell::Shell,
    spend::{self, Spent},
    times::{self, Times},
    trouble::{Trouble, html},
    visit::Visit,
    words::{self, DAY_US},
};
use crate::health::Report;

/// Rows of a list of the most.
const TOP: u32 = 5;
/// Refused codes that are listed.
const CODES: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    shell: Shell,
    chart: Chart,
    ranges: Vec<Choice>,
    range: Range,
    per_second: String,
    mean: String,
    times: Option<Times>,
    attention: Attention,
    upstream: String,
    codes: Vec<CodeBar>,
    keys: Vec<TopKey>,
    consumers: Vec<UsageRow>,
    services: Vec<UsageRow>,
    /// What calls of models cost.
    spent: Option<Spent>,
    /// For those who may see how nodes are.
    report: Option<Report>,
    broken: usize,
    expiring: u64,
    is_new: bool,
}

struct CodeBar {
    code: tollgate_core::code::Code,
    count: u64,
    bar: Html,
}

struct TopKey {
    key: KeyView,
    sums: UsageSums,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    let permit = visit.permit(Action::ReadUsage)?;
    let range = Range::of(&visit.query, "6h", visit.now_us);
    let limited = permit.consumers().map(<[_]>::to_vec);
    // Whoever is mapped to no consumer has a page, and nothing on it.
    let whose = Whose::all(&visit, &permit);
    let own = whose.clone().unwrap_or_default();
    let attention = attention::all(&visit, limited.clone()).await?;
    let keys = KeyFilter { tenant: Some(visit.tenant()), consumers: limited, ..KeyFilter::default() };
    let filter = own.usage(&visit, &range);
    // Each is a question of its own to the database: together they take as long as the longest.
    let (chart, times, top, consumers, services) = match &whose {
        Some(whose) => tokio::try_join!(
            Chart::read(&visit, whose, &range, false),
            times::read(&visit, &range, None),
            most(&visit, UsageBy::Key, &filter),
            most(&visit, UsageBy::Consumer, &filter),
            most(&visit, UsageBy::Service, &filter),
        )?,
        None => (Chart::none(&range), None, Vec::new(), Vec::new(), Vec::new()),
    };
    let total = chart.codes.values().fold(UsageSums::default(), |total, sums| total.plus(*sums));
    let mut named = Vec::new();
    for row in top {
        let Some(id) = row.key else { continue };
        if let Ok(found) = visit.store().key_of(visit.tenant(), id).await {
            named.push(TopKey { key: found.key, sums: row.sums });
        }
    }
    let expiring = KeyFilter {
        state: Some(KeyState::Active),
        expires_before_us: Some(visit.now_us.saturating_add(7 * DAY_US)),
        ..keys.clone()
    };
    let report = visit.may_all(Action::ReadSystem).then(|| visit.app.control().health.report());
    let mean = |sum: u64| words::length(sum.checked_div(total.requests).unwrap_or(0));
    let spent = match &whose {
        Some(_) => spend::summed(&visit, &own.usage(&visit, &range)).await?,
        None => None,
    };
    html(&Page {
        spent,
        per_second: words::per_second(chart.requests, range.length_us()),
        mean: mean(total.latency_us),
        times,
        attention,
        upstream: mean(total.upstream_us),
        expiring: visit.store().count_keys_of(&expiring).await?,
        is_new: chart.requests == 0 && visit.store().count_keys_of(&keys).await? == 0,
        broken: report.iter().flat_map(|report| &report.parts).filter(|part| !part.ok).count(),
        ranges: range.choices(|name| visit.link(&[("range", Some(name))])),
        codes: code_bars(&chart),
        keys: named,
        consumers,
        services,
        report,
        chart,
        range,
        shell: visit.shell("Overview"),
    })
}

fn code_bars(chart: &Chart) -> Vec<CodeBar> {
    let mut refused: Vec<_> = chart
        .codes
        .iter()
        .map(|(code, sums)| (*code, sums.requests))
        .filter(|(code, _)| Outcome::of(*code) != Outcome::Allowed)
        .collect();
    refused.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let whole = refused.first().map_or(0, |(_, count)| *count);
    refused
        .into_iter()
        .take(CODES)
        .map(|(code, count)| CodeBar { code, count, bar: bar(count, whole, Outcome::of(code).class()) })
        .collect()
}

/// The groups with the most requests; what came without a key, consumer or service is none.
async fn most(visit: &Visit, by: UsageBy, filter: &UsageFilter) -> Result<Vec<UsageRow>, Trouble> {
    let mut rows = visit.store().usage_most(by, filter, TOP + 1).await?.rows;
    rows.retain(|row| row.key.is_some() || row.consumer.is_some() || row.service.is_some());
    rows.truncate(TOP as usize);
    Ok(rows)
}
