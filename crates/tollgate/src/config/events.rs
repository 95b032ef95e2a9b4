//! The settings of records: what may wait, how long they are kept, and the Kafka that they go to.

use std::{sync::Arc, time::Duration};

use tollgate_core::secret::Secret;
use tollgate_store::{IngestOptions, Policy};
use tollgate_workers::{KAFKA_SPEAKS_TLS, KafkaOptions, KafkaReports, Sasl};

use super::{
    people::{flag, setting},
    settings::{Setting, put},
    value::{bytes, choice, duration, number, path, text},
};

/// Settings of records.
#[derive(Debug, Default)]
pub struct Events {
    /// Bytes of batches that are being read or taken apart.
    pub reading_bytes_max: u64,
    /// Bytes of batches that wait for the database.
    pub waiting_bytes_max: u64,
    /// Bytes that must stay free on the disk of an embedded database.
    pub disk_free_min: u64,
    /// Bytes of records that may lie in the database.
    pub kept_bytes_max: u64,
    /// How long ids and names of requests are remembered.
    pub remembered: Duration,
    /// Ids that are remembered at most.
    pub ids_max: u64,
    /// How long records are kept.
    pub kept: Duration,
    /// The Kafka that they go to.
    pub kafka: Kafka,
}

/// Settings of Kafka.
#[derive(Debug, Default)]
pub struct Kafka {
    /// Some brokers; no records are handed on when not set.
    pub brokers: Option<String>,
    /// The topic.
    pub topic: String,
    /// Whether connections are TLS.
    pub tls: bool,
    /// PEM file of the authorities to believe.
    pub ca_file: Option<std::path::PathBuf>,
    /// How Tollgate says who it is.
    pub mechanism: Option<&'static str>,
    /// Who it is.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Arc<Secret<String>>>,
    /// The topic of reports of usage; none is read when not set.
    pub usage_topic: Option<String>,
    /// The consumer group that reads it.
    pub usage_group: String,
    /// Whether points of services of kind `metrics` go there too.
    pub metrics: bool,
    /// The largest message.
    pub message_bytes_max: u64,
    /// What happens to later records of a tenant when one is not taken.
    pub poison: &'static str,
}

impl Events {
    /// What the intake needs.
    #[must_use]
    pub fn intake(&self) -> IngestOptions {
        IngestOptions {
            bytes_max: self.waiting_bytes_max,
            ids_max: usize::try_from(self.ids_max).unwrap_or(usize::MAX),
            remembered_us: i64::try_from(self.remembered.as_micros()).unwrap_or(i64::MAX),
            disk_free_min: self.disk_free_min,
            kept_bytes_max: self.kept_bytes_max,
            ..IngestOptions::default()
        }
    }
}

impl Kafka {
    /// How it is reached, where records go there.
    #[must_use]
    pub fn options(&self) -> Option<KafkaOptions> {
        let sasl = match (&self.mechanism, &self.user, &self.password) {
            (Some(mechanism), Some(username), Some(password)) => {
                Some(Sasl { mechanism, username: username.clone(), password: Arc::clone(password) })
            }
            _ => None,
        };
        Some(KafkaOptions {
            brokers: self.brokers.clone()?,
            topic: self.topic.clone(),
            tls: self.tls,
            ca_file: self.ca_file.as_ref().map(|file| file.display().to_string()),
            sasl,
            message_bytes_max: u32::try_from(self.message_bytes_max).unwrap_or(u32::MAX),
        })
    }

    /// Where reports of usage are read from, where they are.
    #[must_use]
    pub fn reports(&self) -> Option<KafkaReports> {
        let topic = self.usage_topic.clone()?;
        Some(KafkaReports { kafka: self.options()?, topic, group: self.usage_group.clone() })
    }

    /// What this build cannot do of what is asked, and the setting that asks for it.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        if KAFKA_SPEAKS_TLS {
            return None;
        }
        if self.tls {
            return Some((
                "kafka.tls",
                "this build does not speak TLS to Kafka; build Tollgate with `--features kafka-tls`",
            ));
        }
        self.mechanism.filter(|mechanism| mechanism.starts_with("SCRAM")).map(|_| {
            (
                "kafka.sasl.mechanism",
                "this build knows `PLAIN` only; build Tollgate with `--features kafka-tls`",
            )
        })
    }

    /// What happens to later records of a tenant when one is not taken.
    #[must_use]
    pub fn policy(&self) -> Policy {
        if self.poison == "skip" { Policy::Skip } else { Policy::Hold }
    }
}

/// Settings of which one needs the others.
pub(super) const TOGETHER: &[(&str, &str)] = &[
    ("kafka.sasl.mechanism", "kafka.sasl.user"),
    ("kafka.sasl.user", "kafka.sasl.password"),
    ("kafka.sasl.password", "kafka.sasl.mechanism"),
    ("kafka.sasl.mechanism", "kafka.brokers"),
    ("kafka.usage_topic", "kafka.brokers"),
];

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("ingest.reading_bytes_max", "bytes, 1MiB to 64GiB", "256MiB"),
        "Memory that batches of records may take while they are read and taken apart; more get 503 `overloaded`.",
        |written, config| put(&mut config.events.reading_bytes_max, bytes(written, 1 << 20..=1 << 36)),
    ),
    setting(
        ("ingest.waiting_bytes_max", "bytes, 1MiB to 64GiB", "64MiB"),
        "Bytes of batches that may wait for the database; more get 503 `overloaded`.",
        |written, config| put(&mut config.events.waiting_bytes_max, bytes(written, 1 << 20..=1 << 36)),
    ),
    setting(
        ("ingest.disk_free_min", "bytes, 0B to 1TiB", "1GiB"),
        "Bytes that must stay free on the disk of an embedded database; with less, batches get 503 `overloaded` and everything else goes on.",
        |written, config| put(&mut config.events.disk_free_min, bytes(written, 0..=1 << 40)),
    ),
    setting(
        ("ingest.kept_bytes_max", "bytes, 1MiB to 1PiB", "100GiB"),
        "Bytes of records, as they are packed, that may lie in the database, whatever they wait for; with more, batches get 503 `overloaded`. On PostgreSQL, whose disk Tollgate does not see, this is what keeps it from running full.",
        |written, config| put(&mut config.events.kept_bytes_max, bytes(written, 1 << 20..=1 << 50)),
    ),
    setting(
        ("ingest.remembered", "length of time, 1m to 90d", "24h"),
        "How long a record's id and a request's `Idempotency-Key` are remembered: what comes again in that time is a duplicate, later it is new.",
        |written, config| put(&mut config.events.remembered, duration(written, "1m", "90d")),
    ),
    setting(
        ("ingest.ids_max", "whole number, 1000000 to 1000000000", "16777216"),
        "Ids that are remembered at most, about 32 bytes of memory each; the oldest are forgotten first.",
        |written, config| put(&mut config.events.ids_max, number(written, 1_000_000..=1_000_000_000)),
    ),
    setting(
        ("kafka.brokers", "`HOST:PORT`, several separated by commas", ""),
        "Brokers that speak Kafka's protocol. Records go there from nodes with the role `workers`; when not set, they are kept and can be queried.",
        |written, config| put(&mut config.events.kafka.brokers, text(written).and_then(brokers).map(Some)),
    ),
    setting(
        ("kafka.topic", "name of a topic", "app-events"),
        "The topic of records. Messages are CloudEvents in binary mode, keyed by tenant.",
        |written, config| put(&mut config.events.kafka.topic, text(written).and_then(topic)),
    ),
    setting(
        ("kafka.tls", "`true` or `false`", "false"),
        "Whether connections to the brokers are TLS, with certificates that are verified.",
        |written, config| put(&mut config.events.kafka.tls, flag(written)),
    ),
    setting(
        ("kafka.ca_file", "path of a file", ""),
        "PEM file of the authorities that the brokers' certificates must come from, instead of the system's.",
        |written, config| put(&mut config.events.kafka.ca_file, path(written).map(Some)),
    ),
    setting(
        ("kafka.sasl.mechanism", "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`", ""),
        "How Tollgate says to the brokers who it is. `PLAIN` sends the password: only with `kafka.tls`.",
        |written, config| {
            let mechanism = choice(written, &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
            put(&mut config.events.kafka.mechanism, mechanism.map(Some))
        },
    ),
    setting(("kafka.sasl.user", "text", ""), "The user at the brokers.", |written, config| {
        put(&mut config.events.kafka.user, text(written).map(Some))
    }),
    setting(
        ("kafka.sasl.password", "text", ""),
        "The password at the brokers; best given in the environment.",
        |written, config| {
            put(
                &mut config.events.kafka.password,
                text(written).map(|text| Some(Arc::new(Secret::new(text)))),
            )
        },
    ),
    setting(
        ("kafka.message_bytes_max", "bytes, 1KiB to 64MiB", "1000000"),
        "The largest message that the brokers take (their `message.max.bytes`). A larger record is parked.",
        |written, config| put(&mut config.events.kafka.message_bytes_max, bytes(written, 1 << 10..=64 << 20)),
    ),
    setting(
        ("kafka.usage_topic", "name of a topic", ""),
        "A topic that services report requests to which they served themselves, as to `POST /v1/usage`. Nodes with the role `workers` read it; who may write there may report for every tenant.",
        |written, config| put(&mut config.events.kafka.usage_topic, text(written).and_then(topic).map(Some)),
    ),
    setting(
        ("kafka.usage_group", "name of a consumer group", "tollgate"),
        "The consumer group that reads `kafka.usage_topic`.",
        |written, config| put(&mut config.events.kafka.usage_group, text(written).and_then(topic)),
    ),
    setting(
        ("kafka.metrics", "`true` or `false`", "false"),
        "Whether points of services of kind `metrics` go to the topic too, as records of type `tollgate.metric`.",
        |written, config| put(&mut config.events.kafka.metrics, flag(written)),
    ),
    setting(
        ("kafka.poison", "`hold` or `skip`", "hold"),
        "What happens to the later records of a tenant when the brokers never take one: they wait for `tollgate outbox retry` or `skip`, or go on without it.",
        |written, config| put(&mut config.events.kafka.poison, choice(written, &["hold", "skip"])),
    ),
];

fn brokers(text: String) -> Result<String, String> {
    let is_broker = |broker: &str| {
        broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && !host.contains(['/', ' ', '@'])
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    if text.split(',').all(is_broker) {
        return Ok(text);
    }
    Err(format!("`{text}` is not a list of brokers; write `kafka-1:9092,kafka-2:9092`"))
}

/// A name that Kafka takes (`Topic.validate` of its clients).
pub(super) fn topic(text: String) -> Result<String, String> {
    let good = (1..=249).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !matches!(text.as_str(), "." | "..");
    if good {
        Ok(text)
    } else {
        Err(format!("`{text}` is not a topic; use up to 249 letters, digits, `.`, `_` and `-`"))
    }
}
