//! A rule in a sentence.

use tollgate_core::rule::spec::{Above, Action, Metric, RuleSpec, Whose};

use super::rule_draft::word;

/// When it acts, and what it does.
pub(super) fn sentence(spec: &RuleSpec) -> String {
    let when = &spec.when;
    let above = match &when.above {
        Above::Count(count) => count.to_string(),
        Above::Decimal(text) => text.clone(),
    };
    let what = match when.metric {
        Metric::Requests => format!("more than {above} requests"),
        Metric::Denials => format!("more than {above} refused requests"),
        Metric::Tokens => format!("more than {above} tokens"),
        Metric::Cost => {
            let currency = when.currency.map_or_else(|| "USD".to_owned(), |own| own.to_string());
            format!("more than {above} {currency}")
        }
        Metric::ErrorRate => format!("more than {above} % of requests failed"),
        Metric::DistinctAddresses => format!("requests from more than {above} addresses"),
    };
    let at = when.service.as_ref().map(|own| format!(" at {own}")).unwrap_or_default();
    let code = when.code.as_ref().map(|own| format!(" answered {own}")).unwrap_or_default();
    let whose = match when.per {
        Whose::Key => "a key",
        Whose::Consumer => "a consumer",
        Whose::Project => "the project",
        Whose::Service => "a service",
    };
    format!("{what}{code}{at} within {} by {whose}: {}", when.window, done(spec))
}

/// What it does.
fn done(spec: &RuleSpec) -> String {
    let from = spec.then.service.as_ref().map(|own| format!(" from {own}")).unwrap_or_default();
    match spec.then.action {
        Action::Notify => "tell".to_owned(),
        Action::Unblock => format!("unblock{from}"),
        Action::Block => {
            let until = spec.then.until.as_ref().map(word).unwrap_or_default();
            let until = match until.as_str() {
                "next_hour" => "until the next full hour".to_owned(),
                "next_day" => "until the next day".to_owned(),
                "manual" => "until somebody lifts it".to_owned(),
                length => format!("for {length}"),
            };
            format!("block{from} {until}")
        }
    }
}
