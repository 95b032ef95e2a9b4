//! Every answer a decision can have.
//!
//! The name is API (CONTRACT §3) and never changes; the number is what the journal and the
//! database store and never is reused. What HTTP says about each is the business of `wire`.

use std::{fmt, str::FromStr};

use serde::{Serialize, de};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)+) => {
        /// The outcome of a decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Code {
            /// All codes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that clients see.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl FromStr for Code {
            type Err = UnknownCode;

            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                match text { $($name => Ok(Self::$variant),)+ _ => Err(UnknownCode(text.chars().take(64).collect())) }
            }
        }
    };
}

/// A text that names no code.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a code; codes are `valid`, `key_unknown`, `rate_limited` and the others of the reference"
)]
pub struct UnknownCode(String);

codes! {
    /// Allowed.
    Valid = 0, "valid";
    /// The request's head or framing is not acceptable.
    MalformedRequest = 1, "malformed_request";
    /// More than one credential was sent.
    CredentialAmbiguous = 2, "credential_ambiguous";
    /// No credential was sent.
    KeyMissing = 3, "key_missing";
    /// The credential does not look like a key.
    KeyMalformed = 4, "key_malformed";
    /// No such key.
    KeyUnknown = 5, "key_unknown";
    /// The key was revoked.
    KeyRevoked = 6, "key_revoked";
    /// The key, or this secret of it, has expired.
    KeyExpired = 7, "key_expired";
    /// A budget is used up.
    BudgetExhausted = 8, "budget_exhausted";
    /// The key is switched off.
    KeyDisabled = 9, "key_disabled";
    /// A rule or a person has blocked the key.
    KeyBlocked = 10, "key_blocked";
    /// The policy does not grant the service.
    ServiceNotGranted = 11, "service_not_granted";
    /// A scope is missing.
    ScopeMissing = 12, "scope_missing";
    /// No endpoint pattern matches.
    EndpointNotAllowed = 13, "endpoint_not_allowed";
    /// The model is not granted.
    ModelNotAllowed = 14, "model_not_allowed";
    /// The client's address is in no allowed network.
    IpNotAllowed = 15, "ip_not_allowed";
    /// The peer is not the host that the key is bound to.
    HostMismatch = 16, "host_mismatch";
    /// The Referer matches no pattern.
    RefererNotAllowed = 17, "referer_not_allowed";
    /// The Origin matches no pattern.
    OriginNotAllowed = 18, "origin_not_allowed";
    /// The User-Agent matches no pattern.
    UserAgentNotAllowed = 19, "user_agent_not_allowed";
    /// The mobile app is not allowed.
    AppNotAllowed = 20, "app_not_allowed";
    /// A test key at a live service, or the other way round.
    EnvironmentMismatch = 21, "environment_mismatch";
    /// The call has no known price under a hard budget.
    Unpriceable = 22, "unpriceable";
    /// No service takes this request.
    NoService = 23, "no_service";
    /// The body is larger than the service accepts.
    BodyTooLarge = 24, "body_too_large";
    /// The body's type or encoding is not supported.
    UnsupportedContent = 25, "unsupported_content";
    /// The head is larger than the gateway accepts.
    HeadTooLarge = 26, "head_too_large";
    /// A limit is used up for now.
    RateLimited = 27, "rate_limited";
    /// A quota is used up for its period.
    QuotaExhausted = 28, "quota_exhausted";
    /// Too many requests of this key are in flight.
    ConcurrencyExceeded = 29, "concurrency_exceeded";
    /// Too many bad keys from this address.
    TooManyBadKeys = 30, "too_many_bad_keys";
    /// The upstream could not be reached or broke off.
    UpstreamUnreachable = 31, "upstream_unreachable";
    /// The node cannot prove that its keys are fresh.
    AuthStale = 32, "auth_stale";
    /// The gateway cannot take more work safely.
    Overloaded = 33, "overloaded";
    /// The upstream took too long.
    UpstreamTimeout = 34, "upstream_timeout";
    /// A record of a batch is not acceptable.
    RecordInvalid = 35, "record_invalid";
    /// Another request came under the same `Idempotency-Key`.
    IdempotencyConflict = 36, "idempotency_conflict";
    /// The same request is still being worked on.
    IdempotencyInProgress = 37, "idempotency_in_progress";
    /// What is sent to a model is not what it takes.
    InputsInvalid = 38, "inputs_invalid";
    /// No model, or no version of it, has this name.
    NoModel = 39, "no_model";
    /// The model cannot be used now.
    ModelUnavailable = 40, "model_unavailable";
    /// The request is not signed.
    SignatureMissing = 41, "signature_missing";
    /// The signature fits no secret.
    SignatureInvalid = 42, "signature_invalid";
    /// The signature is too old, from the future, or was used before.
    SignatureExpired = 43, "signature_expired";
}

impl Code {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
