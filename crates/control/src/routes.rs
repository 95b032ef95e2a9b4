//! The routes, and the headers every answer carries.

use std::future::Future;

use axum::{
    Json, Router,
    extract::{Request, State, connect_info::Connected},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
    serve::IncomingStream,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    admin,
    bounded::{Bounded, CONNECTIONS_MAX, Patience},
    console,
    credentials::carries_key,
    csrf,
    health::Report,
    identity,
    problem::Refused,
    session::SignedIn,
    sign_in,
    state::{App, Control, Peer},
};

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
    let app = App::new(control);
    let jobs = tokio::spawn(admin::bulk::tend(app.clone()));
    let service = router(app).into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service).with_graceful_shutdown(shutdown).await;
    jobs.abort();
    served
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(stream.remote_addr().ip())
    }
}

fn router(app: App) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .nest(admin::BASE, admin::router(&app))
        .merge(sign_in::router())
        .merge(console::router())
        .merge(identity::router())
        .route("/api", any(nothing_signed_in))
        .route("/api/{*path}", any(nothing_signed_in))
        .fallback(nothing)
        .method_not_allowed_fallback(admin::method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

async fn ready(State(app): State<App>) -> Response {
    let control = app.control();
    let report = control.health.report();
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let Report { node, roles, parts } = &report;
    let body = json!({ "ready": report.is_ready(), "node": node, "version": control.version, "roles": roles, "parts": parts });
    (status, Json(body)).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, (app.control().metrics)()).into_response()
}

async fn nothing(headers: HeaderMap) -> Response {
    console::nothing(&headers, &Refused::not_found())
}

/// What is not there is not told to who is not signed in.
async fn nothing_signed_in(_signed_in: SignedIn) -> Refused {
    Refused::not_found()
}

/// What every answer carries: nothing may be framed, guessed at or referred to.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Turns away keys and forged requests before any route is looked at, and sets the headers.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/") || path == "/api";
    let mut response = if is_api && carries_key(request.headers(), request.uri()) {
        Refused::KeysCannotManageKeys.into_response()
    } else {
        match csrf::check(request.method(), request.uri(), request.headers(), app.options()) {
            Ok(()) => next.run(request).await,
            Err(refused) => refused.into_response(),
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    // Only what says so itself may be kept: styles and scripts, which are the same for everybody.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
