//! Tokens of the service API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Named;

/// A token, without its text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceToken {
    /// Its id.
    #[schema(example = "stk_8uJm9iKl0oP")]
    pub id: String,
    /// Its name.
    #[schema(example = "edge-proxy")]
    pub name: String,
    /// The services it may ask about; empty: all of the tenant.
    pub services: Vec<Named>,
    /// Its last four characters.
    #[schema(example = "Q7Zx")]
    pub last4: String,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

/// What a new token shall be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewServiceToken {
    /// Its name, unique among tokens that are not revoked.
    #[schema(example = "edge-proxy", pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub name: String,
    /// The services it may ask about: ids, names, or `project/service`. Empty: all of the tenant.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub services: Vec<String>,
}

/// A token just created. This answer is the only place where the token is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreatedServiceToken {
    /// Its id.
    #[schema(example = "stk_8uJm9iKl0oP")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// The whole token; not there when the answer is a replay for an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "tgs_live_…")]
    pub token: Option<String>,
    /// Why `token` is not there: it is shown once, and was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}
