//! The admin API (CONTRACT §7): `/api/admin/v1/…` for people who are signed in, and for their scripts.
//!
//! Everything hangs on one table, [`table::ENDPOINTS`]: method, path, the action of `core::authz`
//! that is asked for, handler, and what is sent and answered. The router and the OpenAPI document are
//! both made from it, so that an endpoint without a permission cannot be written, and one that is not
//! described cannot be served.
//!
//! What every call passes through, in this order ([`dispatch`]): sign-in, permission (with the role
//! of this moment, and a fresh sign-in where the action asks for one), query, body, repetition
//! (`Idempotency-Key`), handler. A handler gets a [`call::Call`] with the permit and answers with an
//! [`answer::Answer`]; it never sees a request of anybody else. Nothing crosses tenants: all that is
//! read goes through the tenant-bound queries of the store, so that other tenants' objects look absent.

mod answer;
pub(crate) mod budgets;
pub(crate) mod bulk;
mod call;
mod dashboards;
mod dispatch;
mod documents;
mod doors;
mod endpoint;
mod events;
mod invoice;
mod jobs;
mod keys;
mod members;
pub(crate) mod meters;
pub(crate) mod models;
mod moment;
mod openapi;
mod params;
pub(crate) mod prices;
mod query;
mod records;
mod repetition;
mod resources;
mod rules;
mod secrets;
mod status;
mod table;
mod tokens;
mod trail;
mod usage;
mod view;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, on},
};
use tokio::sync::Semaphore;

use crate::{problem::Refused, state::App};

pub use events::METHODS;
pub use openapi::{document, permissions};

/// Where the API is.
pub(crate) const BASE: &str = "/api/admin/v1";
/// Verifications and exports of the audit at once in this process.
const AUDITS_MAX: usize = 1;

/// What the handlers of one process share.
pub(crate) struct Shared {
    pub(crate) app: App,
    /// Places for reading the whole audit.
    pub(crate) audits: Arc<Semaphore>,
}

/// The routes below [`BASE`].
pub(crate) fn router(app: &App) -> Router<App> {
    let shared = Arc::new(Shared { app: app.clone(), audits: Arc::new(Semaphore::new(AUDITS_MAX)) });
    let mut router = Router::new().route("/openapi.json", get(openapi));
    for endpoint in table::ENDPOINTS {
        let shared = Arc::clone(&shared);
        let handler = move |request: axum::extract::Request| {
            let shared = Arc::clone(&shared);
            async move { dispatch::dispatch(endpoint, shared, request).await }
        };
        router = router.route(endpoint.path, on(endpoint.method.filter(), handler));
    }
    router.method_not_allowed_fallback(method_not_allowed)
}

/// The document is public: it says nothing about this installation, and those who write clients are
/// not always those who sign in.
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document().to_string()).into_response()
}

/// Without the `Allow` of the other routes: the router adds the one that is right here.
pub(crate) async fn method_not_allowed() -> Response {
    let mut response = Refused::MethodNotAllowed.into_response();
    response.headers_mut().remove(header::ALLOW);
    response
}
