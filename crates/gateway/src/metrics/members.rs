//! A point as it is written in a request. Members that mean nothing are refused, and so is a member that stands
//! twice: whoever mistypes one learns it.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use tollgate_core::metric::{FieldValue, moment_ns};

/// Members of one object at most: tags or fields.
const MEMBERS_MAX: usize = 256;

/// What a request says of a point.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written<'a> {
    #[serde(borrow, default)]
    pub(super) measurement: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) field: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) value: Option<Value>,
    #[serde(default)]
    pub(super) fields: Members<Value>,
    #[serde(default)]
    pub(super) tags: Members<String>,
    #[serde(default)]
    pub(super) timestamp: Option<Moment>,
}

/// The members of an object, each once.
pub(super) struct Members<T>(pub(super) BTreeMap<String, T>);

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<T>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(format_args!("it has more than {MEMBERS_MAX} members")));
                    }
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("it has `{name}` twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit(PhantomData))
    }
}

/// The value of a field.
pub(super) struct Value(pub(super) FieldValue);

impl<'de> Deserialize<'de> for Value {
    /// Over its text, for the reader of JSON may round the last digit of a number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let value = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map(FieldValue::Text).map_err(D::Error::custom)?,
            Some(b't') => FieldValue::Boolean(true),
            Some(b'f') => FieldValue::Boolean(false),
            Some(b'-' | b'0'..=b'9') => FieldValue::of_number(text).map_err(D::Error::custom)?,
            _ => return Err(D::Error::custom("it is not a number, `true`, `false` or a string")),
        };
        Ok(Self(value))
    }
}

/// A moment, nanoseconds since 1970.
pub(super) struct Moment(pub(super) i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl Visitor<'_> for Visit {
            type Value = Moment;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "nanoseconds since 1970 as a whole number, or a time such as \"2026-01-31T12:00:00Z\"",
                )
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Moment, E> {
                Ok(Moment(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Moment, E> {
                // What is too large for the type is too late for InfluxDB as well.
                Ok(Moment(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
                let moment = moment_ns(text).map(Moment);
                moment.ok_or_else(|| E::custom("it is no time of RFC 3339 such as \"2026-01-31T12:00:00Z\""))
            }
        }
        deserializer.deserialize_any(Visit)
    }
}
