//! What HTTP says about each code: status, title, problem type, whether waiting helps, the remedy.
//!
//! The names and numbers of decisions are `core`'s ([`Code`]); the service API has four more that
//! are no decisions ([`API_ENTRIES`]). `docs/generated/codes.md` is written from here.

use std::borrow::Cow;

use tollgate_core::code::Code;

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
/// IANA registry "HTTP Problem Types", as the draft `ratelimit-headers` asks to register it.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
/// As above.
const REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
/// As above.
const ABNORMAL_USAGE: &str = "https://iana.org/assignments/http-problem-types#abnormal-usage-detected";
/// The title of [`QUOTA_EXCEEDED`], word for word.
const QUOTA_TITLE: &str = "Request cannot be satisfied as assigned quota has been exceeded";
/// The title of [`REDUCED_CAPACITY`], word for word.
const CAPACITY_TITLE: &str = "Request cannot be satisfied due to temporary server capacity constraints";
/// The title of [`ABNORMAL_USAGE`], word for word, the draft's spelling included.
const ABNORMAL_TITLE: &str = "Request not satisifed due to detection of abnormal request pattern";

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

const fn iana(
    name: &'static str,
    status: Status,
    (uri, title): (&'static str, &'static str),
    retry: Retry,
    remedy: &'static str,
) -> Entry {
    Entry { name, status, title, iana_type: Some(uri), retry, remedy }
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

/// One entry a code, in the order of their numbers.
static ENTRIES: [Entry; 44] = [
    INTERNAL,
    own(
        "malformed_request",
        Status::BadRequest,
        "Malformed request",
        Retry::Never,
        "Correct what the detail names and send the request again.",
    ),
    own(
        "credential_ambiguous",
        Status::BadRequest,
        "More than one credential",
        Retry::Never,
        "Send the key in exactly one place.",
    ),
    own(
        "key_missing",
        Status::Unauthorized,
        "Key missing",
        Retry::Never,
        "Send the key as `Authorization: Bearer …` or as `X-API-Key: …`.",
    ),
    own(
        "key_malformed",
        Status::Unauthorized,
        "Not a key",
        Retry::Never,
        "Copy the whole key again: a character is wrong, missing or too much.",
    ),
    own(
        "key_unknown",
        Status::Unauthorized,
        "Key unknown",
        Retry::Never,
        "Use a key of this installation; ask its administrator for one.",
    ),
    own(
        "key_revoked",
        Status::Unauthorized,
        "Key revoked",
        Retry::Never,
        "Ask for a new key; a revoked one never works again.",
    ),
    own(
        "key_expired",
        Status::Unauthorized,
        "Key expired",
        Retry::Never,
        "Use the secret of the last rotation, or ask for a new key.",
    ),
    own(
        "budget_exhausted",
        Status::PaymentRequired,
        "Budget used up",
        Retry::Never,
        "Ask for a larger budget, or wait for its next period.",
    ),
    own(
        "key_disabled",
        Status::Forbidden,
        "Key switched off",
        Retry::Never,
        "Ask an administrator to switch the key on.",
    ),
    own(
        "key_blocked",
        Status::Forbidden,
        "Key blocked",
        Retry::Never,
        "Ask an administrator why the key is blocked and to unblock it.",
    ),
    own(
        "service_not_granted",
        Status::Forbidden,
        "Service not granted",
        Retry::Never,
        "Ask for a policy that grants the service.",
    ),
    own(
        "scope_missing",
        Status::Forbidden,
        "Scope missing",
        Retry::Never,
        "Ask for a policy with the scope that the detail names.",
    ),
    own(
        "endpoint_not_allowed",
        Status::Forbidden,
        "Endpoint not allowed",
        Retry::Never,
        "Call an endpoint that the policy allows, or ask for it to be added.",
    ),
    own(
        "model_not_allowed",
        Status::Forbidden,
        "Model not allowed",
        Retry::Never,
        "Use a model that the policy allows, or ask for it to be added.",
    ),
    own(
        "ip_not_allowed",
        Status::Forbidden,
        "Address not allowed",
        Retry::Never,
        "Call from an allowed network, or ask for yours to be added.",
    ),
    own(
        "host_mismatch",
        Status::Forbidden,
        "Not the host that the key is bound to",
        Retry::Never,
        "Call from the host that the key is bound to, or ask for a key of your own.",
    ),
    own(
        "referer_not_allowed",
        Status::Forbidden,
        "Referer not allowed",
        Retry::Never,
        "Call from an allowed page, and let the browser send its address.",
    ),
    own(
        "origin_not_allowed",
        Status::Forbidden,
        "Origin not allowed",
        Retry::Never,
        "Call from an allowed origin, or ask for yours to be added.",
    ),
    own(
        "user_agent_not_allowed",
        Status::Forbidden,
        "User agent not allowed",
        Retry::Never,
        "Call with an allowed program, or ask for yours to be added.",
    ),
    own(
        "app_not_allowed",
        Status::Forbidden,
        "App not allowed",
        Retry::Never,
        "Send the package and certificate, or bundle, of an app that the policy allows.",
    ),
    own(
        "environment_mismatch",
        Status::Forbidden,
        "Wrong environment",
        Retry::Never,
        "Use a live key at a live service and a test key at a test service.",
    ),
    own(
        "unpriceable",
        Status::Forbidden,
        "Price unknown",
        Retry::Never,
        "Ask an administrator to add a price for the model, or use one that has a price.",
    ),
    own(
        "no_service",
        Status::NotFound,
        "No service here",
        Retry::Never,
        "Correct host, path or method; no service takes this request.",
    ),
    own(
        "body_too_large",
        Status::ContentTooLarge,
        "Body too large",
        Retry::Never,
        "Send a smaller body, or several requests.",
    ),
    own(
        "unsupported_content",
        Status::UnsupportedMediaType,
        "Content not supported",
        Retry::Never,
        "Send the body in a type and encoding that the detail names.",
    ),
    own(
        "head_too_large",
        Status::HeadTooLarge,
        "Request head too large",
        Retry::Never,
        "Send fewer or shorter header fields and a shorter target.",
    ),
    iana(
        "rate_limited",
        Status::TooManyRequests,
        (QUOTA_EXCEEDED, QUOTA_TITLE),
        Retry::Wait(1),
        "Wait as long as `Retry-After` says, and send requests more evenly.",
    ),
    iana(
        "quota_exhausted",
        Status::TooManyRequests,
        (QUOTA_EXCEEDED, QUOTA_TITLE),
        Retry::Wait(60),
        "Wait for the next period, or ask for a larger quota.",
    ),
    iana(
        "concurrency_exceeded",
        Status::TooManyRequests,
        (QUOTA_EXCEEDED, QUOTA_TITLE),
        Retry::Wait(1),
        "Wait for one of your requests in flight to end before the next one.",
    ),
    iana(
        "too_many_bad_keys",
        Status::TooManyRequests,
        (ABNORMAL_USAGE, ABNORMAL_TITLE),
        Retry::Wait(60),
        "Stop sending keys that do not exist, and wait as long as `Retry-After` says.",
    ),
    own(
        "upstream_unreachable",
        Status::BadGateway,
        "Upstream unreachable",
        Retry::BackOff,
        "Try again later; the service behind the gateway does not answer as it should.",
    ),
    own(
        "auth_stale",
        Status::Unavailable,
        "Keys not known to be fresh",
        Retry::Wait(1),
        "Try again; this node has lost sight of its database and refuses rather than guesses.",
    ),
    iana(
        "overloaded",
        Status::Unavailable,
        (REDUCED_CAPACITY, CAPACITY_TITLE),
        Retry::Wait(1),
        "Try again as late as `Retry-After` says; this node cannot take more work safely.",
    ),
    own(
        "upstream_timeout",
        Status::GatewayTimeout,
        "Upstream too slow",
        Retry::BackOff,
        "Try again later if repeating the request does no harm; the service took too long.",
    ),
    own(
        "record_invalid",
        Status::UnprocessableContent,
        "Record not acceptable",
        Retry::Never,
        "Correct the record that the detail names and send the batch again; none of it was kept.",
    ),
    own(
        "idempotency_conflict",
        Status::UnprocessableContent,
        "Another request under the same Idempotency-Key",
        Retry::Never,
        "Send each request under an `Idempotency-Key` of its own; repeat one only word for word.",
    ),
    own(
        "idempotency_in_progress",
        Status::Conflict,
        "The same request is still being worked on",
        Retry::Wait(1),
        "Wait as long as `Retry-After` says and send the same request again for its answer.",
    ),
    own(
        "inputs_invalid",
        Status::UnprocessableContent,
        "Inputs do not fit the model",
        Retry::Never,
        "Correct the input that the detail names; `GET /v2/models/NAME` says what the model takes.",
    ),
    own(
        "no_model",
        Status::NotFound,
        "No model of this name",
        Retry::Never,
        "Correct the name or version of the model; an administrator can register it.",
    ),
    own(
        "model_unavailable",
        Status::Unavailable,
        "Model cannot be used now",
        Retry::Wait(5),
        "Wait as long as `Retry-After` says; an administrator finds the cause at `tollgate models list`.",
    ),
    own(
        "signature_missing",
        Status::Unauthorized,
        "Signature missing",
        Retry::Never,
        "Sign the request as the service says; a header of the signature is not there, or not whole.",
    ),
    own(
        "signature_invalid",
        Status::Unauthorized,
        "Signature wrong",
        Retry::Never,
        "Sign the very bytes of the body with the service's secret; one of the two is another one.",
    ),
    own(
        "signature_expired",
        Status::Unauthorized,
        "Signature does not count any more",
        Retry::Never,
        "Sign the request anew: this signature is too old, from the future, or was used before.",
    ),
];
