//! CloudEvents 1.0: one as JSON (structured mode, and each of a batch), and one whose attributes stand in
//! the head (binary mode).

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tollgate_core::event::{ATTRIBUTE_LEN_MAX, ATTRIBUTES_MAX, Content, Record, SOURCE_LEN_MAX};
use tollgate_core::{
    event::is_type,
    ingest_service::{is_own_type, is_version},
};

use super::{
    form::Head,
    members::is_id,
    records::{Cursor, Parts, Unreadable, reason_of},
};

/// What Tollgate says of an event itself; an event cannot say it.
const RESERVED: [&str; 5] = ["tenantid", "projectid", "serviceid", "consumerid", "keyid"];

/// Sources that Tollgate gives.
const OWN_SOURCES: &str = "urn:tollgate:";

/// One event as JSON.
#[derive(Debug, Default)]
struct Event<'a> {
    id: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    version: Option<Cow<'a, str>>,
    media_type: Option<Cow<'a, str>>,
    specversion: Option<Cow<'a, str>>,
    data: Option<&'a RawValue>,
    base64: Option<Cow<'a, str>>,
    others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads one event where the cursor stands.
pub(super) fn read<'t>(parts: &mut Parts<'_>, cursor: &mut Cursor<'t>) -> Result<(), Unreadable> {
    let index = parts.next_index()?;
    cursor.skip_space();
    let text = cursor.text;
    let event: Event<'t> = cursor.value().map_err(|error| Unreadable::record(index, reason_of(&error)))?;
    event.check(&parts.batch.source).map_err(|reason| Unreadable::record(index, reason))?;
    let is_json = event.media_type.as_deref().is_none_or(is_json_type);
    let (data, content) = match (event.data, &event.base64) {
        (Some(raw), None) if is_json => {
            let start = (raw.get().as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            (parts.data(index, start, start + raw.get().len())?, Content::Json)
        }
        // A text under another media type is that text (CloudEvents JSON format §3.1).
        (Some(raw), None) => {
            let words: Cow<'_, str> = serde_json::from_str(raw.get()).unwrap_or(Cow::Borrowed(raw.get()));
            parts.data(index, 0, words.len())?;
            let kind = event.media_type.as_deref().unwrap_or_default();
            (parts.keep(&words), Content::Other(parts.keep(kind)))
        }
        (None, Some(encoded)) => {
            let bytes = STANDARD.decode(encoded.as_bytes());
            let bytes = bytes.map_err(|_| Unreadable::record(index, "`data_base64` is not base64"))?;
            parts.data(index, 0, bytes.len())?;
            let kind = event.media_type.as_deref().unwrap_or("application/octet-stream");
            (parts.keep_bytes(&bytes), Content::Other(parts.keep(kind)))
        }
        (None, None) => (parts.keep("null"), Content::Json),
        (Some(_), Some(_)) => {
            return Err(Unreadable::record(
                index,
                "it has both `data` and `data_base64`; one of them is the data",
            ));
        }
    };
    let time_us = event.time.as_deref().map(|time| parts.time(index, time)).transpose()?;
    let attributes = attributes(parts, text, &event.others);
    let record = Record {
        id: event.id.map(|id| parts.place(text, &id)),
        kind: event.kind.map(|kind| parts.place(text, &kind)),
        source: event.source.map(|source| parts.place(text, &source)),
        version: event.version.map(|version| parts.place(text, &version)),
        time_us,
        data,
        content,
        attributes,
    };
    parts.batch.records.push(record);
    Ok(())
}

/// Reads the event of a head and its body.
pub(super) fn read_binary(parts: &mut Parts<'_>, head: &Head, body: &[u8]) -> Result<(), Unreadable> {
    let mut event = Event { media_type: head.media_type.as_deref().map(Cow::Borrowed), ..Event::default() };
    for (name, value) in &head.attributes {
        event
            .take(Cow::Borrowed(name), Cow::Borrowed(value))
            .map_err(|reason| Unreadable::record(0, reason))?;
    }
    event.check(&parts.batch.source).map_err(|reason| Unreadable::record(0, reason))?;
    let data = parts.data(0, 0, body.len())?;
    let (data, content) = match &head.media_type {
        Some(media_type) => (data, Content::Other(parts.keep(media_type))),
        None if body.is_empty() => (parts.keep("null"), Content::Json),
        None => {
            serde_json::from_slice::<IgnoredAny>(body).map_err(|error| {
                Unreadable::record(0, format!("its data is not JSON: {}", reason_of(&error)))
            })?;
            (data, Content::Json)
        }
    };
    let time_us = event.time.as_deref().map(|time| parts.time(0, time)).transpose()?;
    let attributes = attributes(parts, "", &event.others);
    let keep = |parts: &mut Parts<'_>, word: Option<Cow<'_, str>>| word.map(|word| parts.keep(&word));
    let record = Record {
        id: keep(parts, event.id),
        kind: keep(parts, event.kind),
        source: keep(parts, event.source),
        version: keep(parts, event.version),
        time_us,
        data,
        content,
        attributes,
    };
    parts.batch.records.push(record);
    Ok(())
}

fn attributes(parts: &mut Parts<'_>, text: &str, others: &[(Cow<'_, str>, Cow<'_, str>)]) -> (u32, u16) {
    let start = u32::try_from(parts.batch.attributes.len()).unwrap_or(u32::MAX);
    for (name, value) in others {
        let pair = (parts.place(text, name), parts.place(text, value));
        parts.batch.attributes.push(pair);
    }
    (start, u16::try_from(others.len()).unwrap_or(u16::MAX))
}

fn is_json_type(media_type: &str) -> bool {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("text/json")
        || kind.to_ascii_lowercase().ends_with("+json")
}

impl<'a> Event<'a> {
    /// Takes an attribute by its name.
    fn take(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), String> {
        let place = match &*name {
            "id" => &mut self.id,
            "type" => &mut self.kind,
            "source" => &mut self.source,
            "time" => &mut self.time,
            "specversion" => &mut self.specversion,
            "datacontenttype" => &mut self.media_type,
            // The version of a type is an attribute like others, with a meaning here.
            "version" => &mut self.version,
            _ => return self.take_other(name, value),
        };
        if place.replace(value).is_some() {
            return Err(format!("it has `{name}` twice"));
        }
        Ok(())
    }

    fn take_other(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), String> {
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let shown: String = name.chars().take(64).collect();
        if !is_name {
            return Err(format!("`{shown}` is not the name of an attribute: a-z and 0-9"));
        }
        if RESERVED.contains(&&*name) {
            return Err(format!("`{shown}` is said by Tollgate; leave it away"));
        }
        if value.len() > ATTRIBUTE_LEN_MAX || value.chars().any(char::is_control) {
            return Err(format!(
                "`{shown}` is longer than {ATTRIBUTE_LEN_MAX} bytes, or has control characters"
            ));
        }
        if self.others.iter().any(|(known, _)| *known == name) {
            return Err(format!("it has `{shown}` twice"));
        }
        if self.others.len() == ATTRIBUTES_MAX {
            return Err(format!("it has more than {ATTRIBUTES_MAX} attributes of its own"));
        }
        self.others.push((name, value));
        Ok(())
    }

    /// What CloudEvents 1.0 §3.1 requires, within the bounds of records.
    /// `own` is the source of what says none.
    fn check(&self, own: &str) -> Result<(), String> {
        if self.specversion.as_deref() != Some("1.0") {
            return Err("`specversion` is not `1.0`".to_owned());
        }
        if !self.id.as_deref().is_some_and(is_id) {
            return Err("`id` is not 1 to 256 bytes of visible text".to_owned());
        }
        if !self.kind.as_deref().is_some_and(is_type) {
            return Err("`type` is not 1 to 256 bytes without white space".to_owned());
        }
        if self.kind.as_deref().is_some_and(is_own_type) {
            return Err("`type` begins with `tollgate.`, which is Tollgate's own; choose another".to_owned());
        }
        let is_source = |source: &str| {
            (1..=SOURCE_LEN_MAX).contains(&source.len())
                && !source.chars().any(|sign| sign.is_control() || sign.is_whitespace())
        };
        if !self.source.as_deref().is_some_and(is_source) {
            return Err(format!("`source` is not a URI reference of 1 to {SOURCE_LEN_MAX} bytes"));
        }
        // Records are told apart by source and id: those of Tollgate itself cannot be taken beforehand.
        if self.source.as_deref().is_some_and(|source| source.starts_with(OWN_SOURCES) && source != own) {
            return Err(format!(
                "`source` begins with `{OWN_SOURCES}`, which is Tollgate's own; choose another"
            ));
        }
        if self.version.as_deref().is_some_and(|version| !is_version(version)) {
            return Err("`version` is not 1 to 64 visible ASCII characters".to_owned());
        }
        let is_media_type = |kind: &str| {
            (1..=256).contains(&kind.len()) && kind.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        };
        if self.media_type.as_deref().is_some_and(|kind| !is_media_type(kind)) {
            return Err("`datacontenttype` is not a media type".to_owned());
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CloudEvent as a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
                let mut event = Event::default();
                while let Some(Name(name)) = map.next_key()? {
                    if name == "data" {
                        if event.data.replace(map.next_value()?).is_some() {
                            return Err(A::Error::custom("it has `data` twice"));
                        }
                        continue;
                    }
                    let Value(value) = map.next_value()?;
                    let Some(value) = value else { continue };
                    if name == "data_base64" {
                        if event.base64.replace(value).is_some() {
                            return Err(A::Error::custom("it has `data_base64` twice"));
                        }
                        continue;
                    }
                    event.take(name, value).map_err(A::Error::custom)?;
                }
                Ok(event)
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// A name, borrowed where it can be.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value(value) = Value::deserialize(deserializer)?;
        value.map(Self).ok_or_else(|| D::Error::custom("a name was expected"))
    }
}

/// The value of an attribute as text: a string, a truth value or a whole number; nothing where it is `null`.
struct Value<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, true or false")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
                Ok(Value(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
                Ok(Value(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
                Ok(Value(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
                Ok(Value(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Value<'de>, E> {
                Ok(Value(Some(Cow::Borrowed(if truth { "true" } else { "false" }))))
            }

            fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
                Ok(Value(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
