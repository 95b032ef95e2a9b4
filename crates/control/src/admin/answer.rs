//! What a handler answers, and how it becomes a response.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tollgate_store::{AnswerKept, PageRequest};
use tollgate_wire::admin as wire;

use crate::problem::Refused;

/// Marks an answer that was given before.
pub(crate) const REPLAYED: &str = "idempotent-replayed";

/// The answer of a call that went well.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The body as JSON; empty for none.
    pub(crate) json: String,
    /// What is kept for repetitions instead of the body: without secrets.
    pub(crate) kept: Option<String>,
    /// Whether it was given before.
    pub(crate) is_replayed: bool,
    version: Option<u64>,
    location: Option<String>,
    /// A body that is no JSON, with its type.
    other: Option<(&'static str, Body)>,
    /// What browsers call the file that they keep it in.
    file: Option<&'static str>,
}

impl Answer {
    /// 200 with a body.
    pub(crate) fn ok<T: Serialize>(body: &T) -> Result<Self, Refused> {
        Self::with(StatusCode::OK, body)
    }

    /// 200 with a page of a list that is whole in memory; its cursor is a place in it.
    pub(crate) fn part<T: Serialize>(
        all: impl Iterator<Item = T>,
        page: &PageRequest,
    ) -> Result<Self, Refused> {
        let from = match page.cursor.as_deref() {
            Some(cursor) => {
                cursor.parse().map_err(|_| Refused::invalid("cursor", "it is none of this list"))?
            }
            None => 0_usize,
        };
        let limit = page.limit as usize;
        let mut rest = all.skip(from);
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| (from + limit).to_string());
        Self::ok(&wire::List { items, next })
    }

    /// 201 with a body, and where the new thing is.
    pub(crate) fn created<T: Serialize>(body: &T, location: String) -> Result<Self, Refused> {
        Ok(Self { location: Some(location), ..Self::with(StatusCode::CREATED, body)? })
    }

    /// 202 with a body, and where to ask how far it is.
    pub(crate) fn accepted<T: Serialize>(body: &T, location: String) -> Result<Self, Refused> {
        Ok(Self { location: Some(location), ..Self::with(StatusCode::ACCEPTED, body)? })
    }

    /// 204.
    pub(crate) fn nothing() -> Self {
        let status = StatusCode::NO_CONTENT;
        Self {
            status,
            json: String::new(),
            kept: None,
            is_replayed: false,
            version: None,
            location: None,
            other: None,
            file: None,
        }
    }

    /// 200 with a body of another type.
    pub(crate) fn other(kind: &'static str, body: Body) -> Self {
        Self { status: StatusCode::OK, other: Some((kind, body)), ..Self::nothing() }
    }

    /// Browsers keep it as a file of this name (RFC 6266); no `"` and no `\`.
    pub(crate) fn kept_as(self, name: &'static str) -> Self {
        Self { file: Some(name), ..self }
    }

    /// The answer that was given before.
    pub(crate) fn replayed(kept: AnswerKept) -> Self {
        let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        Self { status, json: kept.body, is_replayed: true, ..Self::nothing() }
    }

    fn with<T: Serialize>(status: StatusCode, body: &T) -> Result<Self, Refused> {
        Ok(Self { status, json: to_json(body)?, ..Self::nothing() })
    }

    /// With the version of what it shows, as `ETag`.
    pub(crate) fn version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// The body has a secret; this is what repetitions are told instead.
    pub(crate) fn shown_once<T: Serialize>(self, kept: &T) -> Result<Self, Refused> {
        Ok(Self { kept: Some(to_json(kept)?), ..self })
    }
}

fn to_json<T: Serialize>(body: &T) -> Result<String, Refused> {
    serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Refused::Unavailable("the answer could not be written; the log has the cause".to_owned())
    })
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.other {
            Some((kind, body)) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
            None if self.status == StatusCode::NO_CONTENT => self.status.into_response(),
            None => (self.status, [(header::CONTENT_TYPE, "application/json")], self.json).into_response(),
        };
        let headers = response.headers_mut();
        if let Some(version) = self.version
            && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
        {
            headers.insert(header::ETAG, tag);
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        let file = self.file.map(|name| format!("attachment; filename=\"{name}\""));
        if let Some(file) = file.and_then(|file| HeaderValue::try_from(file).ok()) {
            headers.insert(header::CONTENT_DISPOSITION, file);
        }
        if self.is_replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
