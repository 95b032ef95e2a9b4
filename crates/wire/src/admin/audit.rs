//! The audit: who changed what.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// One change as it was recorded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    #[schema(example = 42)]
    pub seq: u64,
    /// When.
    #[schema(format = DateTime)]
    pub time: String,
    /// Who did it: a person's id, `os:NAME` for the command line on the host, `worker:NAME`.
    #[schema(example = "usr_2wErT3yUi4o")]
    pub actor: String,
    /// What was done.
    #[schema(example = "key.revoke")]
    pub action: String,
    /// To what kind of thing.
    #[schema(example = "key")]
    pub kind: String,
    /// To which.
    #[schema(example = "key_5TzX0qLm3aB")]
    pub subject: String,
    /// The version of its row after the change.
    pub version: u64,
    /// What it was before: the fields that changed, or all of them; `null` for what is new.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Box<RawValue>>,
    /// What it was after; `null` for what was deleted.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Box<RawValue>>,
    /// Its link in the hash chain, hexadecimal SHA-256.
    pub hash: String,
}

/// Whether the chain of the audit holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every change is as it was written, none is missing and none was put in.
    pub ok: bool,
    /// The number of the last change that holds.
    pub head: u64,
    /// The hash of the last change; written down elsewhere it proves later that nothing up to
    /// here changed. Not there when the chain is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where and how it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}
