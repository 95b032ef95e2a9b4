//! Members of a tenant, and invitations into it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// See and rotate the keys of their own consumers, and nothing else.
    Member,
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
    /// The name.
    #[schema(example = "Ada")]
    pub name: String,
    /// What they may do.
    pub role: MemberRole,
    /// `local`, or the identity provider whose groups decide on the role.
    #[schema(example = "local")]
    pub source: String,
    /// Whether a second factor is asked for at sign-in with a password.
    pub second_factor: bool,
    /// The ids of the consumers that they are mapped to; what a developer or a member is limited to.
    pub consumers: Vec<String>,
    /// When they became a member.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// What a member may do from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// The role. Their sessions in the tenant end.
    pub role: MemberRole,
}

/// The consumers that a member is mapped to from now on.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberConsumers {
    /// The ids of the consumers; these and no others.
    #[schema(max_items = 200)]
    pub consumers: Vec<String>,
}

/// An invitation that is open.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invitation {
    /// Its id.
    #[schema(example = "inv_9oLp8iKm7uJ")]
    pub id: String,
    /// To whom it was sent.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// What they shall be.
    pub role: MemberRole,
    /// The ids of the consumers that it maps to.
    pub consumers: Vec<String>,
    /// Who sent it.
    #[schema(example = "usr_2wErT3yUi4o")]
    pub created_by: String,
    /// When.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// Whom to invite, and as what.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// The e-mail address.
    #[schema(example = "ada@example.com", min_length = 3, max_length = 254)]
    pub email: String,
    /// What they shall be.
    pub role: MemberRole,
    /// The ids of the consumers to map to.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub consumers: Vec<String>,
}

/// An invitation just made. This answer is the only place where its link is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreatedInvitation {
    /// Its id.
    #[schema(example = "inv_9oLp8iKm7uJ")]
    pub id: String,
    /// The link to hand over; not there when the answer is a replay for an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://tollgate.example.com/invitation#…")]
    pub link: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Whether it was mailed to the person.
    pub mailed: bool,
    /// Why `link` is not there: it is shown once, and was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// A link for a member to set a new password, just made. Where no mail is set up this answer is the only place
/// where it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreatedReset {
    /// The link to hand over; not there when it was mailed, nor in a replay for an `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://tollgate.example.com/reset#…")]
    pub link: Option<String>,
    /// When it ends; not there when it was mailed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Whether it was mailed to the person.
    pub mailed: bool,
    /// Why `link` is not there: it is shown once, and was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}
