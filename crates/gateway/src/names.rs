//! The field names the pipeline writes, in one place.

use tollgate_wire::headers;

use crate::http::field::{FieldName, FieldValue};

macro_rules! names {
    ($($name:ident = $text:expr;)+) => {
        $(pub(crate) static $name: FieldName = FieldName::of($text);)+
    };
}

names! {
    ACCEPT_ENCODING = "accept-encoding";
    ACCESS_CONTROL_ALLOW_CREDENTIALS = "access-control-allow-credentials";
    ACCESS_CONTROL_ALLOW_HEADERS = "access-control-allow-headers";
    ACCESS_CONTROL_ALLOW_METHODS = "access-control-allow-methods";
    ACCESS_CONTROL_ALLOW_ORIGIN = "access-control-allow-origin";
    ACCESS_CONTROL_EXPOSE_HEADERS = "access-control-expose-headers";
    ACCESS_CONTROL_MAX_AGE = "access-control-max-age";
    AUTHORIZATION = "authorization";
    CACHE_CONTROL = "cache-control";
    CONTENT_TYPE = "content-type";
    FORWARDED = "forwarded";
    IDEMPOTENT_REPLAYED = "idempotent-replayed";
    RATELIMIT = headers::RATELIMIT;
    RATELIMIT_POLICY = headers::RATELIMIT_POLICY;
    RETRY_AFTER = headers::RETRY_AFTER;
    VARY = "vary";
    WWW_AUTHENTICATE = "www-authenticate";
    X_API_KEY = "x-api-key";
    X_FORWARDED_FOR = "x-forwarded-for";
    X_FORWARDED_HOST = "x-forwarded-host";
    X_FORWARDED_PROTO = "x-forwarded-proto";
    X_RATELIMIT_LIMIT = headers::X_RATELIMIT_LIMIT;
    X_RATELIMIT_REMAINING = headers::X_RATELIMIT_REMAINING;
    X_RATELIMIT_RESET = headers::X_RATELIMIT_RESET;
    X_REAL_IP = "x-real-ip";
    X_REQUEST_ID = headers::REQUEST_ID;
    OPENAI_ORGANIZATION = "openai-organization";
    OPENAI_PROJECT = "openai-project";
    X_TOLLGATE_ASSERTION = headers::ASSERTION;
    X_TOLLGATE_BUDGET_REMAINING = headers::BUDGET_REMAINING;
    X_TOLLGATE_CONSUMER = headers::CONSUMER;
    X_TOLLGATE_CONSUMER_EXTERNAL_ID = headers::CONSUMER_EXTERNAL_ID;
    X_TOLLGATE_COST = headers::COST;
    X_TOLLGATE_CURRENCY = headers::CURRENCY;
    X_TOLLGATE_ENVIRONMENT = headers::ENVIRONMENT;
    X_TOLLGATE_KEY_ID = headers::KEY_ID;
    X_TOLLGATE_OUTPUT_LIMIT = headers::OUTPUT_LIMIT;
    X_TOLLGATE_PROJECT = headers::PROJECT;
    X_TOLLGATE_SCOPES = headers::SCOPES;
    X_TOLLGATE_TENANT = headers::TENANT;
}

/// The name of a rate header.
pub(crate) fn rate_header(name: &'static str) -> &'static FieldName {
    match name {
        headers::RATELIMIT => &RATELIMIT,
        headers::RATELIMIT_POLICY => &RATELIMIT_POLICY,
        headers::X_RATELIMIT_LIMIT => &X_RATELIMIT_LIMIT,
        headers::X_RATELIMIT_REMAINING => &X_RATELIMIT_REMAINING,
        _ => &X_RATELIMIT_RESET,
    }
}

/// What the fields of forwarding proxies begin with.
pub(crate) const FORWARDED_PREFIX: &str = "x-forwarded-";

macro_rules! values {
    ($($name:ident = $text:expr;)+) => {
        $(pub(crate) static $name: FieldValue = FieldValue::of($text);)+
    };
}

values! {
    APPLICATION_JSON = headers::JSON;
    APPLICATION_PROBLEM_JSON = headers::PROBLEM_JSON;
    BEARER = headers::WWW_AUTHENTICATE_BEARER;
    BEARER_INVALID = "Bearer error=\"invalid_token\"";
    BEARER_SCOPE = "Bearer error=\"insufficient_scope\"";
    HTTP = "http";
    IDENTITY = "identity";
    HTTPS = "https";
    LIVE = "live";
    NO_STORE = "no-store";
    STAR = "*";
    TEST = "test";
    TRUE = "true";
    VARY_ORIGIN = "Origin";
    VARY_PREFLIGHT = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
}
