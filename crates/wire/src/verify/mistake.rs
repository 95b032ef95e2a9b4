//! What is wrong with a body that cannot be read: line, field, remedy. Runs only after reading has
//! failed, so it may read the body again, piece by piece.
//!
//! No value of the body is ever repeated: it may be a key.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use serde_json::{Error, error::Category, value::RawValue};

use super::request::{
    BATCH_TOO_LONG, BatchForm, ClientHeaders, FIELDS, Scopes, Text, VerifyRequest, address,
};

/// What is wrong with a body, for the service's developer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1; 0 when the line is empty.
    pub column: usize,
    /// The field, with its place: `requests[3].cost`; empty when no field is to blame.
    pub field: String,
    /// What is wrong with it and what to write instead.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

/// The mistake of a body of `verify`.
pub(super) fn of_request(body: &[u8], error: &Error) -> Mistake {
    if let Some(mistake) = not_json(error) {
        return mistake;
    }
    let (field, problem) = find(body, "").unwrap_or_else(|| (String::new(), unexplained(error)));
    Mistake { line: error.line(), column: error.column(), field, problem }
}

/// The mistake of a body of `verify-batch`.
pub(super) fn of_batch(body: &[u8], form: BatchForm, error: &Error) -> Mistake {
    if let Some(mistake) = not_json(error) {
        return mistake;
    }
    let (field, problem) = find_in_batch(body, form).unwrap_or_else(|| (String::new(), unexplained(error)));
    Mistake { line: error.line(), column: error.column(), field, problem }
}

fn not_json(error: &Error) -> Option<Mistake> {
    let problem = match error.classify() {
        Category::Data => return None,
        Category::Eof => "the body ends too early; send one complete JSON value".to_owned(),
        // Words of the reader about syntax repeat nothing of the body.
        Category::Syntax | Category::Io => format!("the body is not JSON: {}", words(error)),
    };
    Some(Mistake { line: error.line(), column: error.column(), field: String::new(), problem })
}

fn find_in_batch(body: &[u8], form: BatchForm) -> Option<(String, String)> {
    let items: Vec<&RawValue> = match form {
        BatchForm::Array => serde_json::from_slice(body).ok()?,
        BatchForm::Object => {
            let Ok(object) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body) else {
                return Some((
                    String::new(),
                    "write `{\"requests\":[{\"key\":\"…\"}]}` or a list of requests".to_owned(),
                ));
            };
            if let Some(name) = object.keys().find(|name| *name != "requests") {
                return Some((
                    clipped(name),
                    "there is no such field; the only one is `requests`".to_owned(),
                ));
            }
            let Some(requests) = object.get("requests") else {
                return Some(("requests".to_owned(), "is missing; write a list of requests".to_owned()));
            };
            match serde_json::from_str(requests.get()) {
                Ok(items) => items,
                Err(_) => return Some(("requests".to_owned(), "must be a list of requests".to_owned())),
            }
        }
    };
    if items.len() > super::BATCH_MAX {
        return Some(("requests".to_owned(), BATCH_TOO_LONG.to_owned()));
    }
    items.iter().enumerate().find_map(|(index, item)| {
        let raw = item.get().as_bytes();
        serde_json::from_slice::<VerifyRequest<'_>>(raw).err()?;
        let place = format!("requests[{index}]");
        Some(find(raw, &place).unwrap_or_else(|| (place, "cannot be read".to_owned())))
    })
}

/// Finds the first field that is to blame. `place` is where the object stands, empty for the body.
fn find(object: &[u8], place: &str) -> Option<(String, String)> {
    let at = |field: &str| {
        if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") }
    };
    let Ok(fields) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(object) else {
        return Some((place.to_owned(), "write an object such as `{\"key\":\"…\"}`".to_owned()));
    };
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let problem = format!("there is no such field; fields are {}", FIELDS.join(", "));
        return Some((at(&clipped(name)), problem));
    }
    if !fields.contains_key("key") {
        return Some((at("key"), "is missing; send the client's credential".to_owned()));
    }
    let blamed = FIELDS.iter().find_map(|name| Some((*name, problem_of(name, fields.get(*name)?.get())?)));
    blamed.map(|(name, problem)| (at(name), problem))
}

/// What is wrong with the value of a field; `None` when it can be read.
fn problem_of(name: &str, raw: &str) -> Option<String> {
    let fixed = |bad: bool, problem: &str| bad.then(|| problem.to_owned());
    match name {
        "key" => fixed(serde_json::from_str::<Text<'_>>(raw).is_err(), "must be a string"),
        "scopes" => {
            let error = serde_json::from_str::<Option<Scopes<'_>>>(raw).err()?;
            Some(own_words(&error, "must be a list of strings such as [\"read\"]"))
        }
        "ip" => {
            let mut reader = serde_json::Deserializer::from_str(raw);
            fixed(
                address(&mut reader).is_err(),
                "must be an address such as \"203.0.113.7\" or \"2001:db8::1\", without port",
            )
        }
        "headers" => {
            let error = serde_json::from_str::<Option<ClientHeaders<'_>>>(raw).err()?;
            Some(own_words(&error, "must be an object of names and strings such as {\"User-Agent\":\"…\"}"))
        }
        "cost" => fixed(
            serde_json::from_str::<Option<u32>>(raw).is_err(),
            "must be a whole number from 0 to 4294967295; 0 asks without counting",
        ),
        _ => fixed(
            Option::<Text<'_>>::deserialize(&mut serde_json::Deserializer::from_str(raw)).is_err(),
            "must be a string",
        ),
    }
}

/// The reader's words when they are our own ("more than …", "a header …"), else `otherwise`.
fn own_words(error: &Error, otherwise: &str) -> String {
    let words = words(error);
    if words.starts_with("more than ") || words.starts_with("a header ") {
        words
    } else {
        otherwise.to_owned()
    }
}

/// What is left when no single field is to blame: a field that is there twice.
fn unexplained(error: &Error) -> String {
    let words = words(error);
    if words.starts_with("duplicate field ") {
        format!("{words}; write it once")
    } else {
        "cannot be read; compare it with the reference of this endpoint".to_owned()
    }
}

/// The reader's words without their ` at line … column …`.
fn words(error: &Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(words, _)| words.to_owned())
}

fn clipped(name: &str) -> String {
    name.chars().filter(|sign| !sign.is_control()).take(64).collect()
}
