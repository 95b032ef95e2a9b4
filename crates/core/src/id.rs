//! Identifiers: a 63-bit random integer behind a type per kind of thing.
//!
//! In SQL they are the `BIGINT` primary key, in memory eight bytes, outside `key_` and eleven
//! base62 digits. They are public and stable; a key's id survives rotation.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use thiserror::Error;

/// The digits of base62, in the order of their values.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes `value` as `N` base62 digits, padded with `0` on the left; higher digits are cut.
#[must_use]
pub fn base62<const N: usize>(mut value: u128) -> [u8; N] {
    let mut digits = [b'0'; N];
    // Ten digits at a time fit 64 bits, whose division is many times faster than that of 128.
    for chunk in digits.rchunks_mut(CHUNK_DIGITS) {
        let mut part = (value % u128::from(CHUNK)) as u64;
        value /= u128::from(CHUNK);
        for digit in chunk.iter_mut().rev() {
            *digit = BASE62[(part % 62) as usize];
            part /= 62;
        }
    }
    digits
}

/// Base62 digits that always fit 64 bits.
const CHUNK_DIGITS: usize = 10;
/// 62 to the power of [`CHUNK_DIGITS`].
const CHUNK: u64 = 62u64.pow(CHUNK_DIGITS as u32);

/// Reads base62 digits; `None` for an empty text, another character, or a value over 128 bits.
#[must_use]
pub fn parse_base62(text: &[u8]) -> Option<u128> {
    if text.is_empty() {
        return None;
    }
    text.chunks(CHUNK_DIGITS).try_fold(0u128, |value, chunk| {
        let part = chunk.iter().try_fold(0u64, |part, byte| Some(part * 62 + u64::from(digit_value(*byte)?)));
        let scale = u128::from(62u64.pow(chunk.len() as u32));
        value.checked_mul(scale)?.checked_add(u128::from(part?))
    })
}

const fn digit_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    }
}

/// Why a text is not an id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a {kind} id; one looks like `{prefix}_` followed by {digits} letters or digits")]
pub struct IdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
    digits: usize,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            /// Makes an id of 8 random bytes; the sign bit is cleared so that it fits SQL.
            #[must_use]
            pub fn from_random(bytes: [u8; 8]) -> Self {
                Self(u64::from_le_bytes(bytes) >> 1)
            }

            /// The id as SQL stores it.
            #[must_use]
            pub fn to_sql(self) -> i64 {
                self.0 as i64
            }

            /// The id that SQL stored.
            #[must_use]
            pub fn from_sql(value: i64) -> Self {
                Self(value as u64)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = base62::<11>(u128::from(self.0));
                write!(f, concat!($prefix, "_{}"), String::from_utf8_lossy(&digits))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|digits| digits.len() == 11)
                    .and_then(|digits| parse_base62(digits.as_bytes()))
                    .and_then(|value| u64::try_from(value).ok())
                    .filter(|value| *value <= i64::MAX as u64)
                    .map(Self)
                    .ok_or_else(|| IdError { text: text.chars().take(64).collect(), kind: $kind, prefix: $prefix, digits: 11 })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A tenant: an organisation, the isolation boundary.
    TenantId = "ten", "tenant";
    /// A project inside a tenant.
    ProjectId = "prj", "project";
    /// A consumer: who holds keys.
    ConsumerId = "con", "consumer";
    /// A key, stable over rotation.
    KeyId = "key", "key";
    /// A policy.
    PolicyId = "pol", "policy";
    /// A service.
    ServiceId = "svc", "service";
    /// A token of the service API.
    ServiceTokenId = "stk", "service token";
    /// A person who can sign in.
    UserId = "usr", "user";
    /// A session of a person who signed in. It is public: the token in the cookie is another thing.
    SessionId = "ses", "session";
    /// An invitation or a link to set a new password. It is public: the token in the link is another thing.
    InvitationId = "inv", "invitation";
    /// A change to many keys that goes on after its request was answered.
    JobId = "job", "job";
    /// A budget.
    BudgetId = "bdg", "budget";
    /// A price of a model, in one of its versions.
    PriceId = "prc", "price";
    /// A secret that Tollgate keeps encrypted.
    SecretId = "sec", "secret";
    /// A batch of records that was taken.
    BatchId = "bat", "batch";
    /// A version of a type of events.
    EventTypeId = "evt", "event type";
    /// A rule.
    RuleId = "rul", "rule";
    /// A block that a rule set.
    BlockId = "blk", "block";
    /// Something that happened and that people want told.
    NoticeId = "ntc", "notice";
    /// A webhook.
    WebhookId = "whk", "webhook";
    /// A version of a model.
    ModelId = "mdl", "model";
    /// A meter.
    MeterId = "mtr", "meter";
    /// A dashboard of widgets.
    DashboardId = "dsh", "dashboard";
    /// An account of the ledger: one budget in one period.
    AccountId = "acc", "ledger account";
}

/// One decision: the position of its record in the usage journal, so that making it costs no
/// randomness and finding it costs no search. Shown as `dec_` and 22 base62 digits; it is also the
/// `X-Request-Id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DecisionId {
    /// The run of the process, 48 random bits.
    pub boot: u64,
    /// The lane (core) inside the process.
    pub lane: u16,
    /// The number of the decision on its lane, counted from 0.
    pub number: u64,
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = (u128::from(self.boot & 0xFFFF_FFFF_FFFF) << 80)
            | (u128::from(self.lane) << 64)
            | u128::from(self.number);
        let digits = base62::<22>(packed);
        f.write_str("dec_")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for DecisionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let packed = text
            .strip_prefix("dec_")
            .filter(|digits| digits.len() == 22)
            .and_then(|digits| parse_base62(digits.as_bytes()))
            .ok_or_else(|| IdError {
                text: text.chars().take(64).collect(),
                kind: "decision",
                prefix: "dec",
                digits: 22,
            })?;
        Ok(Self { boot: (packed >> 80) as u64, lane: (packed >> 64) as u16, number: packed as u64 })
    }
}
