//! Members of a tenant.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Named;

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Everything.
    Owner,
    /// Everything but owners and identity providers.
    Admin,
    /// The keys of their own consumers.
    Developer,
    /// Read everything, change nothing.
    Auditor,
}

/// A person who belongs to the tenant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// The person.
    #[schema(example = "usr_2wErT3yUi4o")]
    pub id: String,
    /// The version of the membership, as in `ETag`.
    #[schema(example = 1, minimum = 1)]
    pub version: u64,
    /// The e-mail address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// What they may do.
    pub role: MemberRole,
    /// The consumers that they are mapped to; what a developer is limited to.
    pub consumers: Vec<Named>,
}

/// What is changed about a member. What is not there stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// What they may do from now on.
    #[serde(default)]
    pub role: Option<MemberRole>,
    /// The ids of the consumers that they are mapped to; replaces all that were.
    #[serde(default)]
    #[schema(max_items = 256)]
    pub consumers: Option<Vec<String>>,
}
