//! What services of kind `ingest` say beside what every service says, and types of events with their schemas: as
//! people write them. What may be written is in [`crate::ingest_service`].

use serde::{Deserialize, Serialize};

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
