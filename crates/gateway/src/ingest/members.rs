//! The members of a plain record that mean something here (CONTRACT §4): `id`, `type`, `time`, `version`.
//! Everything else is read past, so that a record costs one pass and no tree.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use tollgate_core::event::{ID_LEN_MAX, VERSION_LEN_MAX};
use tollgate_core::{
    event::is_type,
    ingest_service::{is_own_type, is_version},
};

/// What a plain record says of itself.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) time: Option<Cow<'a, str>>,
    pub(super) version: Option<Cow<'a, str>>,
    /// Whether it has a member `records`.
    pub(super) has_records: bool,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Visit)
    }
}

struct Visit;

enum Key {
    Id,
    Kind,
    Time,
    Version,
    Records,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "id" => Key::Id,
                    "type" => Key::Kind,
                    "time" => Key::Time,
                    "version" => Key::Version,
                    "records" => Key::Records,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl<'de> Visitor<'de> for Visit {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(key) = map.next_key::<Key>()? {
            let (name, place) = match key {
                Key::Id => ("id", &mut members.id),
                Key::Kind => ("type", &mut members.kind),
                Key::Time => ("time", &mut members.time),
                Key::Version => ("version", &mut members.version),
                Key::Records => {
                    members.has_records = true;
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let Word(word) = map.next_value()?;
            let Some(word) = word else { continue };
            // Whoever reads the record later may take the other one.
            if place.replace(word).is_some() {
                return Err(A::Error::custom(format_args!("it has `{name}` twice")));
            }
        }
        check(&members).map_err(A::Error::custom)?;
        Ok(members)
    }
}

fn check(members: &Members<'_>) -> Result<(), &'static str> {
    if members.id.as_deref().is_some_and(|id| !is_id(id)) {
        return Err("`id` is not 1 to 256 bytes of visible text");
    }
    if members.kind.as_deref().is_some_and(|kind| !is_type(kind)) {
        return Err("`type` is not 1 to 256 bytes without white space");
    }
    if members.kind.as_deref().is_some_and(is_own_type) {
        return Err("`type` begins with `tollgate.`, which is Tollgate's own; choose another");
    }
    if members.version.as_deref().is_some_and(|version| !is_version(version)) {
        const { assert!(VERSION_LEN_MAX == 64, "the text below says so") };
        return Err("`version` is not 1 to 64 visible ASCII characters");
    }
    Ok(())
}

/// Whether a text can be the id of a record.
pub(super) fn is_id(id: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// A string or a whole number as text; nothing where it is `null`.
struct Word<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word<'de>, E> {
                Ok(Word(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Word<'de>, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Word<'de>, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_unit<E: Error>(self) -> Result<Word<'de>, E> {
                Ok(Word(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
