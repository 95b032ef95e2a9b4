//! Checking what services of kind `ingest` and types of events say of themselves.

use crate::{
    built_in::refuse_forwarding,
    event::{SOURCE_LEN_MAX, VERSION_LEN_MAX, is_type},
    field_error::FieldError,
    ingest_spec::{BODY_BYTES_MAX, EventTypeSpec, RECORD_BYTES_MAX, RECORDS_MAX, SCHEMA_BYTES_MAX},
    resource::{ServiceKind, ServiceSpec},
};

/// What is wrong with a version of a type, everything at once; whether `schema` is a schema is found out where
/// JSON is read.
#[must_use]
pub fn check_event_type(spec: &EventTypeSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_type("name", &spec.name, &mut errors);
    if spec.version == 0 {
        errors.push(FieldError::new("version", "versions count from 1"));
    }
    if spec.schema.len() > SCHEMA_BYTES_MAX {
        let problem = format!("{} bytes are over the bound of {SCHEMA_BYTES_MAX}", spec.schema.len());
        errors.push(FieldError::new("schema", problem));
    }
    errors
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
    let words = (
        "records go nowhere else; leave it away for kind `ingest`",
        "records are booked to who holds a key; serve holders of keys only",
    );
    refuse_forwarding(spec, words, errors);
    if spec.body_bytes_max.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
        let problem = "a batch is held in memory until it is durable; at most 268435456 bytes are allowed";
        errors.push(FieldError::new("body_bytes_max", problem));
    }
    let Some(ingest) = &spec.ingest else { return };
    if let Some(kind) = &ingest.default_type {
        check_type("ingest.default_type", kind, errors);
        if is_own_type(kind) {
            let problem = "types that begin with `tollgate.` are Tollgate's own; choose another";
            errors.push(FieldError::new("ingest.default_type", problem));
        }
    }
    let is_source = |source: &str| {
        (1..=SOURCE_LEN_MAX).contains(&source.len())
            && source.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
    };
    if ingest.source.as_deref().is_some_and(|source| !is_source(source)) {
        errors.push(FieldError::new("ingest.source", "it is not a URI reference such as `/spark/orders`"));
    }
    if ingest.source.as_deref().is_some_and(|source| source.starts_with("urn:tollgate:")) {
        let problem = "sources that begin with `urn:tollgate:` are Tollgate's own; choose another";
        errors.push(FieldError::new("ingest.source", problem));
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

/// Whether a type is one of those that Tollgate alone gives: what it says of itself nobody else may say.
#[must_use]
pub fn is_own_type(kind: &str) -> bool {
    kind.starts_with("tollgate.")
}

/// Whether a text can be the version of a record.
#[must_use]
pub fn is_version(version: &str) -> bool {
    (1..=VERSION_LEN_MAX).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_graphic())
}
