//! How the node is.

use serde::Serialize;
use utoipa::ToSchema;

/// How the node is that answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Status {
    /// Whether it may be sent traffic.
    pub ready: bool,
    /// The node.
    pub node: String,
    /// The version of the binary.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// The roles it runs.
    pub roles: Vec<String>,
    /// Its parts.
    pub parts: Vec<StatusPart>,
}

/// How one part is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatusPart {
    /// Its name.
    #[schema(example = "database")]
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// In words.
    pub detail: String,
}
