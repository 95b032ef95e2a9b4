//! What services of kind `ingest` say beside what every service says, and types of events with their
//! schemas, as people write them.

use serde::{Deserialize, Serialize};

use crate::{
    event::{SOURCE_LEN_MAX, TYPE_LEN_MAX, VERSION_LEN_MAX},
    policy::FieldError,
    resource::{ServiceKind, ServiceSpec},
};

/// The path of ingest services that name none (CONTRACT §4).
pub const INGEST_PATH: &str = "/api/v1/ingest";
/// Records of one request where the service says nothing.
pub const RECORDS_DEFAULT: u32 = 10_000;
/// Records of one request at most.
pub const RECORDS_MAX: u32 = 100_000;
/// Bytes of one record where the service says nothing: brokers take messages up to 1 MB unless told otherwise.
pub const RECORD_BYTES_DEFAULT: u32 = 900_000;
/// Bytes of one record at most.
pub const RECORD_BYTES_MAX: u32 = 64 << 20;
/// Bytes of a body where the service says nothing.
pub const BODY_BYTES_DEFAULT: u64 = 16 << 20;
/// Bytes of a body at most, before and after decompression.
pub const BODY_BYTES_MAX: u64 = 256 << 20;
/// The type of records where neither they nor the service say one.
pub const DEFAULT_TYPE: &str = "record";
/// Bytes of one JSON Schema.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// `ingest = { … }` of a service of kind `ingest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestSpec {
    /// Where records are from that do not say it: a URI reference such as `/spark/orders`. Records with the
    /// same id are the same record where their source is too; when not said, it is the consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The type of records that say none; `record` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_type: Option<String>,
    /// Whether a record must be of a registered type.
    #[serde(default, skip_serializing_if = "SchemaRule::is_known")]
    pub schemas: SchemaRule,
    /// Records of one request: 1 to 100,000; 10,000 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_max: Option<u32>,
    /// Bytes of one record: 1 to 67,108,864; 900,000 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_bytes_max: Option<u32>,
}

/// Whether a record must be of a registered type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaRule {
    /// Records of registered types keep to their schemas, others are taken as they are.
    #[default]
    Known,
    /// Records of other types are refused.
    Required,
}

impl SchemaRule {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_known(&self) -> bool {
        *self == Self::Known
    }
}

/// `[[event_type]]`: one version of a type of events and the JSON Schema (draft 2020-12 unless its `$schema`
/// says otherwise) that its data keeps to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTypeSpec {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// The type, as records write it: `tile.served`.
    pub name: String,
    /// Which version of it, as records write it. The versions of a type are told apart by it; a record that
    /// says none is of the latest, that is the highest.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The schema, as JSON text. It may point into itself (`#/$defs/…`), never elsewhere.
    pub schema: String,
}

const fn first_version() -> u32 {
    1
}

impl EventTypeSpec {
    /// What is wrong with it, everything at once; whether `schema` is a schema is found out where JSON is read.
    #[must_use]
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_type("name", &self.name, &mut errors);
        if self.version == 0 {
            errors.push(FieldError::new("version", "versions count from 1"));
        }
        if self.schema.len() > SCHEMA_BYTES_MAX {
            let problem = format!("{} bytes are over the bound of {SCHEMA_BYTES_MAX}", self.schema.len());
            errors.push(FieldError::new("schema", problem));
        }
        errors
    }
}

/// Checks what is of kind `ingest` alone.
pub(crate) fn check_ingest(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    if spec.kind != ServiceKind::Ingest {
        if spec.ingest.is_some() {
            let problem = "only services with `kind = \"ingest\"` have it; leave it away, or change the kind";
            errors.push(FieldError::new("ingest", problem));
        }
        return;
    }
    let idle = [
        ("upstreams", !spec.upstreams.is_empty()),
        ("rewrite", spec.rewrite.is_some()),
        ("health", spec.health.is_some()),
        ("tls", spec.tls.is_some()),
        ("websocket", spec.websocket),
        ("assertion", spec.assertion),
        ("strip_prefix", spec.strip_prefix),
    ];
    for (field, _) in idle.into_iter().filter(|(_, is_there)| *is_there) {
        errors.push(FieldError::new(field, "records go nowhere else; leave it away for kind `ingest`"));
    }
    if spec.public {
        errors.push(FieldError::new(
            "public",
            "records are booked to who holds a key; serve holders of keys only",
        ));
    }
    if spec.body_bytes_max.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        let problem = "a batch is held in memory until it is durable; at most 268435456 bytes are allowed";
        errors.push(FieldError::new("body_bytes_max", problem));
    }
    let Some(ingest) = &spec.ingest else { return };
    if let Some(kind) = &ingest.default_type {
        check_type("ingest.default_type", kind, errors);
    }
    let is_source = |source: &str| {
        (1..=SOURCE_LEN_MAX).contains(&source.len())
            && source.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
    };
    if ingest.source.as_deref().is_some_and(|source| !is_source(source)) {
        errors.push(FieldError::new("ingest.source", "it is not a URI reference such as `/spark/orders`"));
    }
    for (field, value, most) in [
        ("ingest.records_max", ingest.records_max, RECORDS_MAX),
        ("ingest.record_bytes_max", ingest.record_bytes_max, RECORD_BYTES_MAX),
    ] {
        if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
            errors.push(FieldError::new(field, format!("{value} is outside 1 to {most}")));
        }
    }
}

fn check_type(field: &str, kind: &str, errors: &mut Vec<FieldError>) {
    if !is_type(kind) {
        let problem = "it is not a type such as `tile.served`; use 1 to 256 visible characters";
        errors.push(FieldError::new(field, problem));
    }
}

/// Whether a text can be the type of a record.
#[must_use]
pub fn is_type(kind: &str) -> bool {
    (1..=TYPE_LEN_MAX).contains(&kind.len())
        && !kind.chars().any(|sign| sign.is_control() || sign.is_whitespace())
}

/// Whether a text can be the version of a record.
#[must_use]
pub fn is_version(version: &str) -> bool {
    (1..=VERSION_LEN_MAX).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic())
}
