//! Bodies of the sign-in endpoints: small, JSON, and said to be JSON, which no form of another site
//! can say without the browser asking first.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use serde::de::DeserializeOwned;

use crate::{problem::Refused, state::App};

/// A body, read.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refused> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Refused::UnsupportedContent("application/json"));
        }
        let bytes =
            Bytes::from_request(request, app).await.map_err(|rejection| match rejection.status() {
                axum::http::StatusCode::PAYLOAD_TOO_LARGE => Refused::TooLarge,
                _ => Refused::Malformed("the body could not be read to its end".to_owned()),
            })?;
        // serde's own words may repeat what was sent, which is a password more often than not.
        serde_json::from_slice(&bytes).map(Body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Refused::Malformed(format!(
                "the body is not the JSON that is wanted (at {place}); look the call up in the reference"
            ))
        })
    }
}
