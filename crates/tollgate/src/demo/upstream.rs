//! The sample service that the demo puts the gateway in front of: it tells what it was sent, and answers
//! as a provider of models does (OpenAI's chat completions), with the tokens that it used.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{
    Json, Router,
    body::Bytes,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::furnish::PROVIDER_KEY;
use crate::failure::Failure;

/// Starts it on a free port of loopback; it runs until the process ends.
pub(super) async fn start() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let pages = Router::new().route("/v1/chat/completions", post(complete)).fallback(tell);
        let served = axum::serve(listener, pages).await;
        if let Err(error) = served {
            tracing::error!(%error, "the sample upstream ended");
        }
    });
    Ok(address)
}

/// Tells what it sees, and that no credential is among it.
async fn tell(parts: Parts, body: Bytes) -> impl IntoResponse {
    let caller: Map<String, Value> = parts
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-tollgate-") || *name == "x-request-id")
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let has_credential = ["authorization", "x-api-key"].iter().any(|name| parts.headers.contains_key(*name));
    Json(json!({
        "hello": "this is the sample upstream",
        "request": format!("{} {}", parts.method, parts.uri),
        "body_bytes": body.len(),
        "what_the_gateway_says_of_the_caller": caller,
        "credential_reached_me": has_credential,
    }))
}

/// What the sample model says to everything.
const WORDS: [&str; 6] = ["Where ", "the ", "moss ", "grows, ", "they ", "say."];

/// Answers a chat completion, whole or streamed, to who has the provider's credential.
async fn complete(parts: Parts, body: Bytes) -> Response {
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if bearer.and_then(|value| value.strip_prefix("Bearer ")) != Some(PROVIDER_KEY) {
        let error = json!({ "message": "Incorrect API key provided.", "type": "invalid_request_error",
                            "param": null, "code": "invalid_api_key" });
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": error }))).into_response();
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let model = asked["model"].as_str().unwrap_or("demo-small").to_owned();
    let (prompt, completion) = (body.len() / 4, WORDS.len());
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion,
                        "total_tokens": prompt + completion });
    if asked["stream"].as_bool() != Some(true) {
        let message = json!({ "role": "assistant", "content": WORDS.concat(), "refusal": null });
        return Json(json!({
            "id": "chatcmpl-demo", "object": "chat.completion", "created": 1_700_000_000, "model": model,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" }],
            "usage": usage,
        }))
        .into_response();
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "chatcmpl-demo", "object": "chat.completion.chunk",
                            "created": 1_700_000_000, "model": model, "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, end: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": end }]), Value::Null)
    };
    let mut events: String = WORDS
        .iter()
        .map(|word| delta(json!({ "role": "assistant", "content": word }), Value::Null))
        .collect();
    events.push_str(&delta(json!({}), json!("stop")));
    if asked["stream_options"]["include_usage"].as_bool() == Some(true) {
        events.push_str(&chunk(json!([]), usage));
    }
    events.push_str("data: [DONE]\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response()
}
