//! Denials in the shape of the provider whose SDK reads them, so that it raises its own error classes.
//! The SDKs choose the class by the status; the body is what they show, and what programs look into.

use serde_json::json;
use tollgate_core::money::price::Provider;

/// A denial.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The code of the catalogue: `budget_exhausted`.
    pub code: &'a str,
    /// What is wrong and what to do, for the client.
    pub message: &'a str,
    /// The id of the decision.
    pub decision: &'a str,
}

/// The JSON body of a denial.
///
/// OpenAI: the error object of its API reference. Anthropic: `ErrorResponse` of its API reference.
/// Gemini: `google.rpc.Status` with an `ErrorInfo` (AIP-193), whose reason is the code in capitals.
#[must_use]
pub fn error_body(provider: Provider, refusal: &Refusal<'_>) -> Vec<u8> {
    let Refusal { status, code, message, decision } = *refusal;
    let body = match provider {
        Provider::OpenAi => json!({
            "error": {
                "message": message,
                "type": openai_type(status),
                "param": null,
                "code": code,
                "decision_id": decision,
            }
        }),
        Provider::Anthropic => json!({
            "type": "error",
            "error": {"type": anthropic_type(status), "message": message, "code": code},
            "request_id": decision,
        }),
        Provider::Gemini => json!({
            "error": {
                "code": status,
                "message": message,
                "status": google_status(status),
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": code.to_ascii_uppercase(),
                    "domain": "tollgate",
                    "metadata": {"decision_id": decision},
                }],
            }
        }),
    };
    body.to_string().into_bytes()
}

const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

const fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The names of `google.rpc.Code`.
const fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        // Billing has no code of its own: like a quota that is used up, it takes somebody to raise it.
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
