//! A policy and what a key narrows, in words: one line for each thing it lets be done.

use tollgate_core::resource::{LimitSpec, PolicySpec, QuotaSpec};
use tollgate_store::KeyView;

use super::words;

/// Items of a list that are written out before the rest is counted.
const LISTED_MAX: usize = 6;

/// A sentence about what may be done, and where it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) text: String,
    pub(crate) set_in: String,
}

/// What a policy lets be done.
pub(crate) fn of_policy(spec: &PolicySpec) -> Vec<Sentence> {
    let mut lines = vec![match spec.services.as_slice() {
        [] => "Call no service".to_owned(),
        [all] if all == "*" => "Call every service of the project".to_owned(),
        some => format!("Call {}; no other service", listed(some)),
    }];
    let lists = [
        ("Only with the scopes", &spec.scopes),
        ("Only the endpoints", &spec.endpoints),
        ("Only from", &spec.allow_ips),
        ("Only with a Referer like", &spec.allow_referers),
        ("Only with the Origin", &spec.allow_origins),
        ("Only with a User-Agent like", &spec.allow_user_agents),
        ("Only from the apps", &spec.allow_apps),
        ("Only the models", &spec.models),
    ];
    for (words, list) in lists {
        match list.as_deref() {
            None => {}
            Some([]) => lines.push(format!("{words} of an empty list: nothing passes")),
            Some(items) => lines.push(format!("{words} {}", listed(items))),
        }
    }
    if let Some(most) = spec.max_concurrency {
        lines.push(format!("At most {} requests at once", words::grouped(u64::from(most))));
    }
    lines.extend(spec.limits.iter().map(of_limit));
    lines.extend(spec.quotas.iter().map(of_quota));
    lines.into_iter().map(|text| Sentence { text, set_in: spec.name.clone() }).collect()
}

/// What a key narrows by itself.
pub(crate) fn of_key(key: &KeyView) -> Vec<Sentence> {
    let mut lines = Vec::new();
    match key.allow_ips.as_deref() {
        None => {}
        Some([]) => lines.push("From nowhere: its list of addresses is empty".to_owned()),
        Some(items) => lines.push(format!("Only from {}", listed(items))),
    }
    if let Some(host) = &key.bind_host {
        lines.push(format!("Only from the addresses of {host}"));
    }
    lines.into_iter().map(|text| Sentence { text, set_in: "this key".to_owned() }).collect()
}

/// A limit in words: `burst: 100 requests in 1m for each key`.
pub(crate) fn of_limit(limit: &LimitSpec) -> String {
    let burst = limit.burst.map(|burst| format!(", {} at once", words::grouped(burst))).unwrap_or_default();
    format!(
        "{}: {} {} in {}{burst}, for each {}",
        limit.name,
        words::grouped(limit.amount),
        limit.unit.plural(),
        limit.window,
        limit.per.noun()
    )
}

/// A quota in words.
pub(crate) fn of_quota(quota: &QuotaSpec) -> String {
    format!(
        "{}: {} {} a {}, for each {}",
        quota.name,
        words::grouped(quota.amount),
        quota.unit.plural(),
        quota.period,
        quota.per.noun()
    )
}

fn listed(items: &[String]) -> String {
    let shown: Vec<&str> = items.iter().take(LISTED_MAX).map(String::as_str).collect();
    match items.len().saturating_sub(LISTED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
