//! What a service asks, borrowed from the body.

use std::{borrow::Cow, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{BATCH_MAX, HEADERS_MAX, SCOPES_MAX};

/// One question: may this key do this? What is not said is not known, and a restriction on
/// something unknown refuses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest<'a> {
    /// The credential as the client sent it. Longer ones than 512 bytes are no keys.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// The service: `name`, `project/name` or `tenant/project/name`.
    #[serde(borrow, default)]
    pub service: Option<Text<'a>>,
    /// The method of the client's request, in capitals.
    #[serde(borrow, default)]
    pub method: Option<Text<'a>>,
    /// The path of the client's request as it was sent; a query is cut off.
    #[serde(borrow, default)]
    pub path: Option<Text<'a>>,
    /// Scopes needed beside those of method and endpoint, at most [`SCOPES_MAX`].
    #[serde(borrow, default)]
    pub scopes: Option<Scopes<'a>>,
    /// The client's address.
    #[serde(default, deserialize_with = "address")]
    pub ip: Option<IpAddr>,
    /// The client's header fields that restrictions look at.
    #[serde(borrow, default)]
    pub headers: Option<ClientHeaders<'a>>,
    /// Units that it costs; 0 asks without counting, 1 when not said.
    #[serde(default)]
    pub cost: Option<u32>,
    /// The model of a model call.
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
}

/// The names of the fields, for mistakes.
pub(super) const FIELDS: [&str; 9] =
    ["key", "service", "method", "path", "scopes", "ip", "headers", "cost", "model"];

impl<'a> VerifyRequest<'a> {
    /// Units that it costs.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.cost.unwrap_or(1)
    }
}

/// Says nothing of the key.
impl fmt::Debug for VerifyRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyRequest")
            .field("service", &self.service)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("scopes", &self.scopes)
            .field("ip", &self.ip)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// A text that is borrowed from the body unless an escape had to be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// By hand: serde borrows into `Cow` only where it stands bare, not inside `Option` or `Vec`.
impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Scopes, at most [`SCOPES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes<'a>(pub Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Scopes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScopesVisitor;
        impl<'de> Visitor<'de> for ScopesVisitor {
            type Value = Scopes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut scopes = Vec::new();
                while let Some(scope) = list.next_element()? {
                    if scopes.len() == SCOPES_MAX {
                        return Err(A::Error::custom("more than 64 scopes; ask for fewer at once"));
                    }
                    scopes.push(scope);
                }
                Ok(Scopes(scopes))
            }
        }
        deserializer.deserialize_seq(ScopesVisitor)
    }
}

/// The client's header fields that restrictions look at; all others are read and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHeaders<'a> {
    /// `Referer`
    pub referer: Option<Text<'a>>,
    /// `Origin`
    pub origin: Option<Text<'a>>,
    /// `User-Agent`
    pub user_agent: Option<Text<'a>>,
    /// `X-Android-Package`
    pub android_package: Option<Text<'a>>,
    /// `X-Android-Cert`
    pub android_certificate: Option<Text<'a>>,
    /// `X-Ios-Bundle-Identifier`
    pub ios_bundle: Option<Text<'a>>,
}

impl<'a> ClientHeaders<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Text<'a>>> {
        let slots: [(&str, &mut Option<Text<'a>>); 6] = [
            ("referer", &mut self.referer),
            ("origin", &mut self.origin),
            ("user-agent", &mut self.user_agent),
            ("x-android-package", &mut self.android_package),
            ("x-android-cert", &mut self.android_certificate),
            ("x-ios-bundle-identifier", &mut self.ios_bundle),
        ];
        slots.into_iter().find(|(own, _)| name.eq_ignore_ascii_case(own)).map(|(_, slot)| slot)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ClientHeaders<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = ClientHeaders<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header names and strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers = ClientHeaders::default();
                let mut count = 0usize;
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    count += 1;
                    if count > HEADERS_MAX {
                        return Err(A::Error::custom(
                            "more than 64 headers; hand over those only that your policies restrict",
                        ));
                    }
                    let Some(slot) = headers.slot(name.as_str()) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if slot.is_some() {
                        return Err(A::Error::custom(
                            "a header is there twice; hand over the one that your server acts on",
                        ));
                    }
                    *slot = map.next_value()?;
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(HeadersVisitor)
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let Some(text) = Option::<Text<'de>>::deserialize(deserializer)? else { return Ok(None) };
    text.as_str().parse().map(Some).map_err(|_| D::Error::custom("not an address"))
}

/// The questions of `verify-batch`.
#[derive(Debug)]
pub struct Batch<'a> {
    /// At most [`BATCH_MAX`].
    pub requests: Vec<VerifyRequest<'a>>,
    /// How they were written; the answer is written alike.
    pub form: BatchForm,
}

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchForm {
    /// `{"requests":[…]}`, answered by `{"results":[…]}`.
    Object,
    /// `[…]`, answered by `[…]`.
    Array,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchObject<'a> {
    #[serde(borrow)]
    pub(super) requests: Requests<'a>,
}

/// The questions of a batch, at most [`BATCH_MAX`].
pub(super) struct Requests<'a>(pub(super) Vec<VerifyRequest<'a>>);

/// What the reader says of a batch that is too long.
pub(super) const BATCH_TOO_LONG: &str = "more than 1000 requests; split them into several batches";

impl<'de: 'a, 'a> Deserialize<'de> for Requests<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RequestsVisitor;
        impl<'de> Visitor<'de> for RequestsVisitor {
            type Value = Requests<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut requests = Vec::new();
                while let Some(request) = list.next_element()? {
                    if requests.len() == BATCH_MAX {
                        return Err(A::Error::custom(BATCH_TOO_LONG));
                    }
                    requests.push(request);
                }
                Ok(Requests(requests))
            }
        }
        deserializer.deserialize_seq(RequestsVisitor)
    }
}
