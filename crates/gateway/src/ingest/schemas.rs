//! Holding records against the JSON Schemas of their types.

use std::rc::Rc;

use jsonschema::Validator;
use serde_json::Value;
use tollgate_core::{
    counters::Counters,
    event::{Batch, Content, Record},
    ingest_spec::SchemaRule,
    tables::EventType,
};

use super::records::Unreadable;
use crate::lane::Gateway;

/// Kinds of records that are looked up once a batch.
const KEPT_MAX: usize = 1024;
/// Records between two breaths.
const RECORDS_A_BREATH: usize = 64;
/// The longest reason that is passed on, in characters.
const REASON_LEN_MAX: usize = 300;

/// What records of one type and version are held against; looked up once a batch.
struct Resolved {
    kind: Box<str>,
    version: Option<Box<str>>,
    outcome: Result<Option<Rc<Validator>>, String>,
}

impl<C: Counters + 'static> Gateway<C> {
    /// Holds every record of a batch against the schema of its type.
    pub(super) async fn check_schemas(&self, batch: &Batch, rule: SchemaRule) -> Result<(), Unreadable> {
        if rule == SchemaRule::Known && self.tables().tables.event_types.is_empty() {
            return Ok(());
        }
        let mut resolved: Vec<Resolved> = Vec::new();
        for (index, record) in batch.records.iter().enumerate() {
            let kind = batch.kind(record);
            let version = record.version.map(|version| batch.text(version));
            let is_it = |known: &Resolved| *known.kind == *kind && known.version.as_deref() == version;
            let place = match resolved.iter().position(is_it) {
                Some(place) => place,
                None => {
                    let outcome = self.schema_of(batch, kind, version, rule);
                    // A batch of ever new types is looked up each time instead of being remembered.
                    if resolved.len() >= KEPT_MAX {
                        resolved.clear();
                    }
                    resolved.push(Resolved { kind: kind.into(), version: version.map(Into::into), outcome });
                    resolved.len() - 1
                }
            };
            match resolved.get(place).map(|known| &known.outcome) {
                Some(Ok(Some(validator))) => validate(batch, record, index, validator)?,
                Some(Err(reason)) => return Err(Unreadable::record(index, reason.clone())),
                Some(Ok(None)) | None => {}
            }
            if index.is_multiple_of(RECORDS_A_BREATH) {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn schema_of(
        &self,
        batch: &Batch,
        kind: &str,
        version: Option<&str>,
        rule: SchemaRule,
    ) -> Result<Option<Rc<Validator>>, String> {
        let tables = self.tables();
        let project = batch.sender.project;
        let Some(known) = tables.tables.event_type(project, kind) else {
            return match rule {
                SchemaRule::Known => Ok(None),
                SchemaRule::Required => Err(format!("its type `{kind}` is not registered in this project")),
            };
        };
        let (number, schema) = version_of(known, version).ok_or_else(|| {
            format!("`{kind}` has no version `{}`; it has {}", version.unwrap_or(""), versions(known))
        })?;
        let validator = self.validators.of((project, kind.into(), number), schema);
        validator
            .map(Some)
            .ok_or_else(|| format!("the schema of `{kind}` cannot be used; tell whoever runs this service"))
    }
}

/// The version that a record says; the latest when it says none.
fn version_of<'t>(known: &'t EventType, version: Option<&str>) -> Option<(u32, &'t str)> {
    let found = match version {
        Some(version) => known.versions.get_key_value(&version.parse().ok()?),
        None => known.versions.last_key_value(),
    };
    found.map(|(number, schema)| (*number, &**schema))
}

fn versions(known: &EventType) -> String {
    known.versions.keys().map(|number| format!("`{number}`")).collect::<Vec<_>>().join(", ")
}

fn validate(batch: &Batch, record: &Record, index: usize, validator: &Validator) -> Result<(), Unreadable> {
    let value: Value = match record.content {
        Content::Json => serde_json::from_slice(batch.bytes(record.data))
            .map_err(|_| Unreadable::record(index, "its data nests too deeply for its schema"))?,
        Content::Other(_) => {
            return Err(Unreadable::record(index, "its type has a schema, and its data is not JSON"));
        }
    };
    match validator.iter_errors(&value).next() {
        None => Ok(()),
        Some(error) => Err(Unreadable::Record {
            index,
            path: error.instance_path().to_string(),
            reason: error.to_string().chars().take(REASON_LEN_MAX).collect(),
        }),
    }
}
