//! Field names and values (RFC 9110 §5): checked once when made, cheap to copy, free of `http` types.
//!
//! A value of these types can be written to any connection as it is: no CR, LF or NUL gets in.

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::raw::Kind;

/// A field name: a token (RFC 9110 §5.1), always lower-case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldName {
    name: HeaderName,
    kind: Kind,
}

impl FieldName {
    /// The name `name`, which must be a lower-case token. Meant for constants: in a `const` a wrong name
    /// fails to compile; elsewhere it panics.
    pub const fn of(name: &'static str) -> Self {
        Self { name: HeaderName::from_static(name), kind: Kind::of(name.as_bytes()) }
    }

    /// Reads a name as an administrator wrote it, in any case.
    ///
    /// # Errors
    /// [`FieldInvalid::Name`] when it is empty, too long or not a token.
    pub fn parse(name: &str) -> Result<Self, FieldInvalid> {
        HeaderName::from_bytes(name.as_bytes()).map(Self::from).map_err(|_| FieldInvalid::Name)
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        self.name.as_str()
    }

    /// What it is to a proxy.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}

impl From<HeaderName> for FieldName {
    fn from(name: HeaderName) -> Self {
        let kind = Kind::of(name.as_str().as_bytes());
        Self { name, kind }
    }
}

/// A field value: visible ASCII, space, tab and bytes from 0x80 (RFC 9110 §5.5).
#[derive(Clone, PartialEq, Eq)]
pub struct FieldValue(pub(super) HeaderValue);

impl FieldValue {
    /// The value `text`, which must be visible ASCII, space and tab. Meant for constants: in a `const` a
    /// wrong value fails to compile; elsewhere it panics.
    pub const fn of(text: &'static str) -> Self {
        Self(HeaderValue::from_static(text))
    }

    /// Copies `value`.
    ///
    /// # Errors
    /// [`FieldInvalid::Value`] when it holds a control character other than tab.
    pub fn parse(value: impl AsRef<[u8]>) -> Result<Self, FieldInvalid> {
        HeaderValue::from_bytes(value.as_ref()).map(Self).map_err(|_| FieldInvalid::Value)
    }

    /// Takes `value` without copying.
    ///
    /// # Errors
    /// [`FieldInvalid::Value`] when it holds a control character other than tab.
    pub fn from_bytes(value: Bytes) -> Result<Self, FieldInvalid> {
        HeaderValue::from_maybe_shared(value).map(Self).map_err(|_| FieldInvalid::Value)
    }

    /// `number` in decimal.
    pub fn number(number: u64) -> Self {
        Self(HeaderValue::from(number))
    }

    /// The bytes of the value, without surrounding white space.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Says only how long the value is: a field value may be a credential.
impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldValue({} bytes)", self.0.len())
    }
}

/// Why a name or value cannot be a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldInvalid {
    /// Not a token of RFC 9110 §5.6.2.
    #[error("is not a field name: use letters, digits and -")]
    Name,
    /// Holds CR, LF, NUL or another control character.
    #[error("is not a field value: remove control characters")]
    Value,
}

/// A list of fields in which a name may occur several times: trailers, for instance.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub(super) HeaderMap);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value under `name` (lower-case).
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(HeaderValue::as_bytes)
    }

    /// Every field, name in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one more field of this name.
    pub fn add(&mut self, name: FieldName, value: FieldValue) {
        self.0.append(name.name, value.0);
    }

    /// Makes this the only field of this name.
    pub fn set(&mut self, name: FieldName, value: FieldValue) {
        self.0.insert(name.name, value.0);
    }

    /// Removes every field named `name` (lower-case).
    pub fn strip(&mut self, name: &str) {
        self.0.remove(name);
    }
}

/// Fields that belong to one connection or describe framing. They are never forwarded; the engine writes
/// its own (RFC 9110 §7.6.1).
pub(super) fn is_engine_field(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::EXPECT
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// The fields that `Connection` names besides the well-known ones.
pub(super) fn named_by_connection(fields: &HeaderMap) -> Vec<HeaderName> {
    fields
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !matches!(*token, "" | "keep-alive" | "close" | "upgrade" | "Upgrade"))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .collect()
}

/// Trailers that may be forwarded: nothing that frames, routes or authenticates (RFC 9110 §6.5.1).
pub(super) fn safe_trailers(mut trailers: HeaderMap) -> HeaderMap {
    let unsafe_names: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| {
            is_engine_field(name)
                || matches!(
                    **name,
                    header::AUTHORIZATION
                        | header::COOKIE
                        | header::HOST
                        | header::SET_COOKIE
                        | header::CONTENT_TYPE
                )
                || name.as_str().contains('_')
        })
        .cloned()
        .collect();
    for name in unsafe_names {
        trailers.remove(name);
    }
    trailers
}
