//! The setting of where upstreams may be that tenants write.

use ipnet::IpNet;
use tollgate_core::webhook::Egress;

use super::{
    people::setting,
    settings::{Setting, put},
    value::networks,
};

/// Settings of upstreams.
#[derive(Debug, Default)]
pub struct Upstreams {
    /// Networks beside the public internet.
    pub allow_private: Vec<IpNet>,
}

impl Upstreams {
    /// What judges addresses.
    #[must_use]
    pub fn egress(&self) -> Egress {
        Egress { allow_private: self.allow_private.clone(), allow_http: true }
    }
}

/// The settings.
pub(super) const SETTINGS: &[Setting] = &[setting(
    ("upstreams.allow_private", "list of networks", ""),
    "Networks that upstreams of services and remote models may be in although they are not of the public internet, \
     where a tenant writes them through the console or the admin API and there are several tenants. Everything else \
     that is private, link-local, shared or reserved is refused there, when it is written and whenever the gateway \
     connects, whatever a name resolves to. What `tollgate apply` writes on the host may be anywhere, and so may \
     everything while there is one tenant only.",
    |written, config| put(&mut config.upstreams.allow_private, networks(written)),
)];
