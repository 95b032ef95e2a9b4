//! What services of kind `llm` say beside what every service says: the provider's credential, and what is
//! tried when the upstreams cannot answer. As people write it; [`crate::llm_service`] checks it.

use serde::{Deserialize, Serialize};

use crate::money::price::Provider;

/// Where a provider's credential is. Written `{ secret = "name" }`: exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialSpec {
    /// In this variable of the environment of every node. Only the operator on the host may write it:
    /// what stands in the environment is not a tenant's.
    Env(String),
    /// In this file of every node, without the white space around it. Only the operator on the host may
    /// write it.
    File(String),
    /// Kept encrypted by Tollgate, in the service's project under this name.
    Secret(String),
}

impl CredentialSpec {
    /// Whether it is taken from the host itself, and not from what a tenant gave.
    #[must_use]
    pub const fn is_of_host(&self) -> bool {
        matches!(self, Self::Env(_) | Self::File(_))
    }
}

/// `[[service.fallback]]`: what is tried when what stands before it cannot answer. Budgets hold over all
/// attempts; each reserves by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FallbackSpec {
    /// Where the call goes; the service's own upstreams when not said. They speak the API of the service's
    /// provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<String>,
    /// The model that is asked instead; the same one when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whose prices count; the service's provider when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Where the credential is. Not said: the service's own where the upstreams are the service's own, and
    /// none elsewhere, for a credential is not shown to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSpec>,
}
