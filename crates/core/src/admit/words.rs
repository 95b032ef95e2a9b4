//! How checks say things: lists, clients' own texts, limits. Words only, no decision.

use crate::{
    counters::{Measure, Rule},
    policy::Policy,
};

/// Characters of a client's text that are repeated in a message.
const CLIPPED_CHARS_MAX: usize = 120;

/// Items of a list that are named before the rest is only counted.
const LISTED_MAX: usize = 5;

/// At most five items in words, then how many more.
pub(crate) fn listed(items: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let mut items = items.into_iter();
    let shown: Vec<String> = items.by_ref().take(LISTED_MAX).map(|item| item.to_string()).collect();
    match (shown.is_empty(), items.count()) {
        (true, _) => "an empty list".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A client's text, cut to what fits a message and without control characters.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(CLIPPED_CHARS_MAX).collect()
}

/// Why a rule refused.
pub(crate) fn limit_detail(rule: &Rule, policy: &Policy) -> String {
    match &rule.measure {
        Measure::Concurrency => format!(
            "{} requests of this {} are in flight already, the most that policy {} allows",
            rule.amount,
            rule.per.noun(),
            policy.name
        ),
        Measure::Rate { .. } => limit_words(rule, policy),
        Measure::Quota(_) => format!("{}, all used", limit_words(rule, policy)),
    }
}

/// What a rule allows.
pub(crate) fn limit_words(rule: &Rule, policy: &Policy) -> String {
    let Rule { name, amount, .. } = rule;
    let (unit, whose) = (rule.unit.plural(), rule.per.noun());
    match &rule.measure {
        Measure::Concurrency => {
            format!("policy {} allows {amount} requests of one {whose} in flight", policy.name)
        }
        Measure::Rate { window, .. } => {
            format!("limit {name} of policy {} allows {amount} {unit} per {window} and {whose}", policy.name)
        }
        Measure::Quota(period) => format!(
            "quota {name} of policy {} allows {amount} {unit} per {} and {whose}",
            policy.name,
            period.unit()
        ),
    }
}
