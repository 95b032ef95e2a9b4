//! The routes, and the headers every answer carries.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    bounded::{Bounded, CONNECTIONS_MAX, Patience},
    credentials::carries_key,
    health::{Health, Report},
    page,
    problem::Refused,
};

/// What the listener shows.
#[derive(Clone)]
pub struct Control {
    /// How the parts of the process are.
    pub health: Arc<dyn Health>,
    /// The metrics in Prometheus' text form.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The version of the binary.
    pub version: &'static str,
}

/// Serves until `shutdown` resolves, then finishes what is under way.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = Bounded::new(listener, CONNECTIONS_MAX, Patience::default());
    axum::serve(listener, router(control)).with_graceful_shutdown(shutdown).await
}

fn router(control: Control) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/tollgate.css", get(style))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(|| async { Refused::MethodNotAllowed })
        .layer(middleware::from_fn(guard))
        .with_state(control)
}

async fn ready(State(control): State<Control>) -> Response {
    let report = control.health.report();
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let Report { node, roles, parts } = &report;
    let body = json!({ "ready": report.is_ready(), "node": node, "version": control.version, "roles": roles, "parts": parts });
    (status, Json(body)).into_response()
}

async fn metrics(State(control): State<Control>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, (control.metrics)()).into_response()
}

async fn front(State(control): State<Control>) -> Html<String> {
    Html(page::front(&control.health.report(), control.version))
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

async fn nothing() -> Refused {
    Refused::NotFound
}

/// What every answer carries: nothing may be framed, guessed at, cached or referred to.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Turns keys away from the admin API before any route is looked at, and sets the headers.
async fn guard(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let mut response = if path.starts_with("/api/") || path == "/api" {
        if carries_key(request.headers(), request.uri()) {
            Refused::KeysCannotManageKeys.into_response()
        } else {
            Refused::SignInMissing.into_response()
        }
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}
