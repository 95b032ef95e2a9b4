//! What HTTP says of each decision of `core`, by the number of its code.

use super::{Entry, INTERNAL, Retry, Status, own};

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

/// One entry a code, in the order of their numbers.
pub(super) static ENTRIES: [Entry; 44] = [
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

const fn iana(
    name: &'static str,
    status: Status,
    (uri, title): (&'static str, &'static str),
    retry: Retry,
    remedy: &'static str,
) -> Entry {
    Entry { name, status, title, iana_type: Some(uri), retry, remedy }
}
