//! The sample service that the demo puts the gateway in front of: it tells what it was sent.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{Json, Router, body::Bytes, http::request::Parts, response::IntoResponse};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::failure::Failure;

/// Starts it on a free port of loopback; it runs until the process ends.
pub(super) async fn start() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let served = axum::serve(listener, Router::new().fallback(tell)).await;
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
