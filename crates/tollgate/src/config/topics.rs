//! The settings of what goes to topics beside records: decisions about requests, and the changes of the audit.

use super::{
    people::setting,
    settings::{Setting, put},
    value::{Written, number, text},
};

/// Topics beside that of records.
#[derive(Debug, Default)]
pub struct Topics {
    /// The topic of decisions; none go anywhere when not set.
    pub decisions: Option<String>,
    /// Of allowed decisions one in so many goes there.
    pub decisions_one_in: u64,
    /// The topic of changes; none go anywhere when not set.
    pub audit: Option<String>,
}

/// Settings of which one needs the others.
pub(super) const TOGETHER: &[(&str, &str)] =
    &[("kafka.decisions_topic", "kafka.brokers"), ("kafka.audit_topic", "kafka.brokers")];

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("kafka.decisions_topic", "name of a topic", ""),
        "A topic of decisions about requests, from the moment on that it is set. Messages are CloudEvents in binary mode, keyed by tenant.",
        |written, config| put(&mut config.topics.decisions, topic(written)),
    ),
    setting(
        ("kafka.decisions_one_in", "whole number, 1 to 1000000", "1"),
        "Of requests that were allowed, one in so many goes to `kafka.decisions_topic`; of those that were denied, all do.",
        |written, config| put(&mut config.topics.decisions_one_in, number(written, 1..=1_000_000)),
    ),
    setting(
        ("kafka.audit_topic", "name of a topic", ""),
        "A topic of changes, from the first one on: the audit, entry by entry. Messages are CloudEvents in binary mode, keyed by tenant.",
        |written, config| put(&mut config.topics.audit, topic(written)),
    ),
];

fn topic(written: Written<'_>) -> Result<Option<String>, String> {
    text(written).and_then(super::events::topic).map(Some)
}
