//! In which form a batch comes: told by its `Content-Type` and, in the binary mode of CloudEvents, by its
//! `ce-*` fields (CloudEvents HTTP binding 1.0 §3).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tollgate_core::{
    code::Code,
    event::{ATTRIBUTE_LEN_MAX, ATTRIBUTES_MAX},
};

use crate::{denial::Denial, http::head::RequestHead};

/// The form of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON: `{"records":[…]}`, an array, or one object.
    Json,
    /// One JSON object a line.
    Lines,
    /// One CloudEvent as JSON.
    CloudEvent,
    /// An array of CloudEvents as JSON.
    CloudEvents,
    /// One CloudEvent whose attributes are fields of the head and whose data is the body.
    Binary(Head),
}

/// The attributes of a CloudEvent in binary mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The media type of the data; `None` is JSON.
    pub(super) media_type: Option<String>,
    /// Names without `ce-`, and values decoded.
    pub(super) attributes: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn of(head: &RequestHead) -> Result<Self, Denial> {
        let mut values = head.values("content-type");
        let (value, more) = (values.next().unwrap_or_default(), values.next());
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        let (kind, parameters) = value.split_once(';').unwrap_or((&value, ""));
        let kind = kind.trim();
        if more.is_some() {
            return Err(unsupported());
        }
        let is_binary = head.header("ce-specversion").is_some();
        if is_binary && !kind.starts_with("application/cloudevents") {
            let is_json = kind.is_empty() || kind == "application/json" || kind.ends_with("+json");
            return Ok(Self::Binary(Head {
                media_type: (!is_json).then(|| value.trim().to_owned()),
                attributes: attributes(head)?,
            }));
        }
        if !is_utf8(parameters) {
            return Err(unsupported());
        }
        match kind {
            "" | "application/json" | "text/json" => Ok(Self::Json),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/json-lines"
            | "application/jsonlines" => Ok(Self::Lines),
            "application/cloudevents+json" => Ok(Self::CloudEvent),
            "application/cloudevents-batch+json" => Ok(Self::CloudEvents),
            _ => Err(unsupported()),
        }
    }

    /// What of the head is part of what the request says.
    pub(super) fn each_part(&self, mut part: impl FnMut(&[u8])) {
        match self {
            Self::Json => part(b"json"),
            Self::Lines => part(b"lines"),
            Self::CloudEvent => part(b"event"),
            Self::CloudEvents => part(b"events"),
            Self::Binary(head) => {
                part(b"binary");
                part(head.media_type.as_deref().unwrap_or_default().as_bytes());
                for (name, value) in &head.attributes {
                    part(name.as_bytes());
                    part(value.as_bytes());
                }
            }
        }
    }
}

fn unsupported() -> Denial {
    Denial::new(
        Code::UnsupportedContent,
        "send application/json, application/x-ndjson, application/cloudevents+json or application/cloudevents-batch+json, in UTF-8",
    )
}

fn is_utf8(parameters: &str) -> bool {
    parameters.split(';').all(|parameter| match parameter.trim().split_once('=') {
        Some(("charset", name)) => matches!(name.trim().trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
        _ => true,
    })
}

fn attributes(head: &RequestHead) -> Result<Vec<(String, String)>, Denial> {
    let wrong = |detail: String| Denial::new(Code::MalformedRequest, detail);
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in head.headers() {
        let Some(name) = name.strip_prefix("ce-") else { continue };
        let text = std::str::from_utf8(value).ok();
        let decoded = text.and_then(|text| percent_decode_str(text).decode_utf8().ok());
        let value = decoded.filter(|value| value.len() <= ATTRIBUTE_LEN_MAX).map(Cow::into_owned);
        let Some(value) = value else {
            return Err(wrong(format!(
                "`ce-{name}` is not percent-encoded UTF-8 of at most {ATTRIBUTE_LEN_MAX} bytes"
            )));
        };
        if found.iter().any(|(other, _)| other == name) {
            return Err(wrong(format!("`ce-{name}` stands in the head twice")));
        }
        if found.len() == ATTRIBUTES_MAX {
            return Err(wrong(format!("the event has more than {ATTRIBUTES_MAX} attributes")));
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}
