//! One call, as its handler sees it: who calls, what for, with which right.

use std::{str::FromStr, sync::Arc};

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use tollgate_core::{
    authz::{Action, Permit},
    id::TenantId,
};
use tollgate_store::{PageRequest, Scope, Store};

use super::{Shared, query::Query};
use crate::{problem::Refused, session::SignedIn, sign_in::Caller, state::App};

/// Rows of a page when the caller does not say.
const PAGE_ROWS: u32 = 100;

/// One call.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    /// Who calls.
    pub(crate) who: SignedIn,
    /// The right to do what the endpoint is for.
    pub(crate) permit: Permit,
    pub(crate) query: Query,
    /// What stands in the variable part of the path.
    pub(crate) subject: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// From where it comes.
    pub(crate) caller: Caller,
    /// The wall time of the call, microseconds.
    pub(crate) now_us: i64,
}

impl Call {
    /// What all handlers share.
    pub(crate) fn app(&self) -> &App {
        &self.shared.app
    }

    /// The rows.
    pub(crate) fn store(&self) -> &Store {
        self.app().store()
    }

    /// The tenant of whoever calls.
    pub(crate) fn tenant(&self) -> TenantId {
        self.who.tenant.id
    }

    /// What whoever calls may see of what the endpoint is about.
    pub(crate) fn scope(&self) -> Scope {
        Scope::of(self.tenant(), &self.permit)
    }

    /// The right to another action than the endpoint's.
    pub(crate) fn right(&self, action: Action) -> Result<Permit, Refused> {
        self.who.permit(action)
    }

    /// The id in the path. What is no id of this kind is as absent as one that is not there.
    pub(crate) fn id<T: FromStr>(&self) -> Result<T, Refused>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.subject.as_deref().unwrap_or_default();
        text.parse().map_err(|error: T::Err| Refused::NotFound(error.to_string()))
    }

    /// Which part of a list.
    pub(crate) fn page(&self) -> PageRequest {
        PageRequest {
            limit: self.query.number("limit").unwrap_or(PAGE_ROWS),
            cursor: self.query.owned("cursor"),
        }
    }

    /// The body.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = error.path().to_string();
            wrong_body(&field, error.inner())
        })?;
        reader.end().map_err(|error| wrong_body(".", &error))?;
        Ok(value)
    }

    /// The body, or what an empty one stands for.
    pub(crate) fn body_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Refused> {
        if self.body.is_empty() { Ok(T::default()) } else { self.body() }
    }

    /// The version that `If-Match` names; `None` for `*`.
    pub(crate) fn expected_version(&self) -> Result<Option<u64>, Refused> {
        let Some(value) = self.headers.get(header::IF_MATCH) else {
            return Err(Refused::PreconditionMissing);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let version = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match version.and_then(|version| version.parse().ok()) {
            Some(version) => Ok(Some(version)),
            None => Err(Refused::invalid(
                "If-Match",
                "it is the tag of no version; send the `ETag` that the thing was read with, or `*`",
            )),
        }
    }

    /// Waits until this node has applied a change, so that its gateway decides by it before the
    /// caller reads the answer.
    pub(crate) async fn known_here(&self, seq: u64) {
        self.app().control().follow.reach(seq).await;
    }
}

fn wrong_body(field: &str, error: &serde_json::Error) -> Refused {
    let words = error.to_string();
    // Where it is in the text means little to who built the body from values.
    let words = words.split(" at line ").next().unwrap_or_default();
    if error.is_data() {
        let field = if field == "." { "body" } else { field };
        return Refused::invalid(field, words);
    }
    Refused::Malformed(format!("the body is no JSON: {error}; correct it"))
}
