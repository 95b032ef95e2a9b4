//! The names of header fields that Tollgate sets, reads or drops; all in lower case.

/// The id of the decision, on every answer and to every upstream.
pub const REQUEST_ID: &str = "x-request-id";

/// What every name begins with that tells an upstream who calls; a client's own fields of such
/// names are dropped.
pub const IDENTITY_PREFIX: &str = "x-tollgate-";
/// The tenant's name.
pub const TENANT: &str = "x-tollgate-tenant";
/// The project's name.
pub const PROJECT: &str = "x-tollgate-project";
/// The consumer's name.
pub const CONSUMER: &str = "x-tollgate-consumer";
/// The consumer's id in the user's own systems; absent when it has none.
pub const CONSUMER_EXTERNAL_ID: &str = "x-tollgate-consumer-external-id";
/// The key's id.
pub const KEY_ID: &str = "x-tollgate-key-id";
/// The key's environment.
pub const ENVIRONMENT: &str = "x-tollgate-environment";
/// The granted scopes, separated by spaces (as RFC 6749 §3.3 writes them); `*` when all are.
pub const SCOPES: &str = "x-tollgate-scopes";
/// The signed assertion, where the service asks for one.
pub const ASSERTION: &str = "x-tollgate-assertion";

/// What a call to a model cost, as a decimal in the units of [`CURRENCY`]. In a stream it is a trailer.
pub const COST: &str = "x-tollgate-cost";
/// What [`COST`] and [`BUDGET_REMAINING`] are in: `USD` and the like, or `credits`.
pub const CURRENCY: &str = "x-tollgate-currency";
/// What the tightest budget of the call has left as far as is known here, without what is in flight.
pub const BUDGET_REMAINING: &str = "x-tollgate-budget-remaining";
/// The most tokens that each answer may have, where that is less than the client asked for.
pub const OUTPUT_LIMIT: &str = "x-tollgate-output-limit";

/// The code of a refusal, for proxies that cannot pass a body or a status on (nginx).
pub const CODE: &str = "x-tollgate-code";
/// The status that the gateway itself would have answered with.
pub const STATUS: &str = "x-tollgate-status";
/// Seconds after which it is worth trying again.
pub const RETRY_AFTER_HINT: &str = "x-tollgate-retry-after";
/// The token of the service API, where `Authorization` belongs to the client.
pub const SERVICE_TOKEN: &str = "x-tollgate-service-token";

/// RFC 9110 §10.2.3, in seconds.
pub const RETRY_AFTER: &str = "retry-after";
/// The limits that apply (IETF draft `ratelimit-headers`).
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";
/// Where the limits stand (IETF draft `ratelimit-headers`).
pub const RATELIMIT: &str = "ratelimit";
/// The amount of the tightest limit, in the old style.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// What remains of the tightest limit, in the old style.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// Seconds until the tightest limit is full again, in the old style.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// The media type of a refusal (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The media type of every other answer.
pub const JSON: &str = "application/json";
/// What 401 asks for (RFC 6750 §3).
pub const WWW_AUTHENTICATE_BEARER: &str = "Bearer";
