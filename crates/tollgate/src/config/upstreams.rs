//! The settings of where upstreams may be that tenants write, and of where nothing goes that they write.

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
    /// Networks where nothing goes that tenants write.
    pub deny: Vec<IpNet>,
}

impl Upstreams {
    /// What judges addresses.
    #[must_use]
    pub fn egress(&self) -> Egress {
        Egress { allow_private: self.allow_private.clone(), deny: self.deny.clone(), allow_http: true }
    }
}

/// The settings.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("upstreams.allow_private", "list of networks", ""),
        "Networks that upstreams of services and remote models may be in although they are not of the public internet, \
     where a tenant writes them through the console or the admin API and there are several tenants. Everything else \
     that is private, link-local, shared or reserved is refused there, when it is written and whenever the gateway \
     connects, whatever a name resolves to. What `tollgate apply` writes on the host may be anywhere, and so may \
     everything while there is one tenant only, but for link-local addresses and the metadata services of clouds: \
     those are refused to everybody unless they are in this list.",
        |written, config| put(&mut config.upstreams.allow_private, networks(written)),
    ),
    setting(
        ("egress.deny", "list of networks", ""),
        "Networks where nothing goes that tenants write, upstreams and webhooks, although their numbers are public, and \
         even if another setting allows them. For what only looks public: the addresses under which this machine is \
         known outside of a NAT, a prefix of NAT64 that is your own. The addresses of this machine's own interfaces \
         are refused to upstreams without being listed.",
        |written, config| {
            put(&mut config.upstreams.deny, networks(written))?;
            config.webhooks.deny.clone_from(&config.upstreams.deny);
            Ok(())
        },
    ),
];
