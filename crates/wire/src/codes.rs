//! What HTTP says about each code: status, title, problem type, whether waiting helps, the remedy.
//!
//! The names and numbers of decisions are `core`'s ([`Code`]); the service API has four more that
//! are no decisions ([`API_ENTRIES`]). `docs/generated/codes.md` is written from here.

mod entries;

use std::borrow::Cow;

use tollgate_core::code::Code;

use self::entries::ENTRIES;

/// A status of a refusal: only 4xx and 5xx exist, so that no refusal can look like success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Status {
    /// RFC 9110 §15.5.1
    BadRequest = 400,
    /// RFC 9110 §15.5.2
    Unauthorized = 401,
    /// RFC 9110 §15.5.3
    PaymentRequired = 402,
    /// RFC 9110 §15.5.4
    Forbidden = 403,
    /// RFC 9110 §15.5.5
    NotFound = 404,
    /// RFC 9110 §15.5.6
    MethodNotAllowed = 405,
    /// RFC 9110 §15.5.10
    Conflict = 409,
    /// RFC 9110 §15.5.14
    ContentTooLarge = 413,
    /// RFC 9110 §15.5.16
    UnsupportedMediaType = 415,
    /// RFC 9110 §15.5.21
    UnprocessableContent = 422,
    /// RFC 6585 §4
    TooManyRequests = 429,
    /// RFC 6585 §5
    HeadTooLarge = 431,
    /// RFC 9110 §15.6.1
    Internal = 500,
    /// RFC 9110 §15.6.3
    BadGateway = 502,
    /// RFC 9110 §15.6.4
    Unavailable = 503,
    /// RFC 9110 §15.6.5
    GatewayTimeout = 504,
}

impl Status {
    /// The number in the status line.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// Whether the same request can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before somebody changes something: the request, the key or its policy.
    Never,
    /// After the time that `Retry-After` names; the number of seconds when nothing better is known.
    Wait(u64),
    /// At once on a new attempt, with growing pauses, if repeating the request does no harm.
    BackOff,
}

impl Retry {
    /// The advice in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Never => "no, something has to change first",
            Self::Wait(_) => "yes, after `Retry-After`",
            Self::BackOff => "yes, with growing pauses, if repeating it does no harm",
        }
    }
}

/// What HTTP says about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code as clients see it.
    pub name: &'static str,
    /// The status.
    pub status: Status,
    /// The title of the problem type (RFC 9457 §3.1.3): the same at each occurrence.
    pub title: &'static str,
    /// A registered problem type; the code's own URN when `None`.
    iana_type: Option<&'static str>,
    /// Whether waiting helps.
    pub retry: Retry,
    /// What to do about it, one sentence for who gets the answer.
    pub remedy: &'static str,
}

/// What the problem types of our own begin with.
pub const TYPE_PREFIX: &str = "urn:tollgate:code:";

impl Entry {
    /// The `type` of the problem (RFC 9457 §3.1.1): a registered one for limits and capacity, else
    /// [`TYPE_PREFIX`] and the name.
    #[must_use]
    pub fn type_uri(&self) -> Cow<'static, str> {
        match self.iana_type {
            Some(uri) => Cow::Borrowed(uri),
            None => Cow::Owned(format!("{TYPE_PREFIX}{}", self.name)),
        }
    }

    /// Writes the `type` without allocating; it needs no escaping.
    pub(crate) fn push_type(&self, out: &mut Vec<u8>) {
        match self.iana_type {
            Some(uri) => out.extend_from_slice(uri.as_bytes()),
            None => {
                out.extend_from_slice(TYPE_PREFIX.as_bytes());
                out.extend_from_slice(self.name.as_bytes());
            }
        }
    }
}

/// What HTTP says about a code. [`Code::Valid`] is no refusal: who asks for it by mistake gets
/// [`INTERNAL`], so that the mistake refuses instead of allowing.
#[must_use]
pub fn entry(code: Code) -> &'static Entry {
    ENTRIES.get(usize::from(code.number())).unwrap_or(&INTERNAL)
}

const fn own(
    name: &'static str,
    status: Status,
    title: &'static str,
    retry: Retry,
    remedy: &'static str,
) -> Entry {
    Entry { name, status, title, iana_type: None, retry, remedy }
}

/// A mistake of Tollgate itself.
pub const INTERNAL: Entry = own(
    "internal_error",
    Status::Internal,
    "Internal error",
    Retry::BackOff,
    "Report it with the decision id; the log of the node says more.",
);

/// The service API was called without a service token.
pub const TOKEN_MISSING: Entry = own(
    "token_missing",
    Status::Unauthorized,
    "Service token missing",
    Retry::Never,
    "Send `Authorization: Bearer tgs_…` with a token of `tollgate service-tokens create`.",
);

/// The service API was called with something that is no service token.
pub const TOKEN_UNKNOWN: Entry = own(
    "token_unknown",
    Status::Unauthorized,
    "Service token unknown",
    Retry::Never,
    "Use a service token (`tgs_…`) that exists; API keys are not accepted here.",
);

/// The service API has no such path.
pub const NO_ENDPOINT: Entry = own(
    "no_endpoint",
    Status::NotFound,
    "No such endpoint",
    Retry::Never,
    "Correct the path; the reference lists the endpoints of the service API.",
);

/// The path exists, with other methods.
pub const METHOD_NOT_ALLOWED: Entry = own(
    "method_not_allowed",
    Status::MethodNotAllowed,
    "Method not allowed",
    Retry::Never,
    "Use a method that the `Allow` header names.",
);

/// The codes that are no decisions.
pub const API_ENTRIES: [&Entry; 5] =
    [&TOKEN_MISSING, &TOKEN_UNKNOWN, &NO_ENDPOINT, &METHOD_NOT_ALLOWED, &INTERNAL];
