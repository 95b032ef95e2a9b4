//! The settings of webhooks: where their requests may go, and for how long they are tried.

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use tollgate_core::webhook::Egress;
use tollgate_workers::WebhookOptions;

use super::{
    people::{flag, setting},
    settings::{Setting, put},
    value::{duration, networks, path},
};

/// Settings of webhooks.
#[derive(Debug, Default)]
pub struct Webhooks {
    /// Networks that are sent to although they are not of the public internet.
    pub allow_private: Vec<IpNet>,
    /// Networks that are not sent to, as for upstreams.
    pub deny: Vec<IpNet>,
    /// Whether requests may go in the clear.
    pub allow_http: bool,
    /// PEM file of authorities that are believed beside the system's.
    pub ca_file: Option<PathBuf>,
    /// A webhook that failed for so long is switched off.
    pub disabled_after: Duration,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Webhooks {
    /// What the sender needs.
    #[must_use]
    pub fn options(&self) -> WebhookOptions {
        WebhookOptions {
            egress: Egress {
                allow_private: self.allow_private.clone(),
                deny: self.deny.clone(),
                allow_http: self.allow_http,
            },
            ca_file: self.ca_file.clone(),
            disabled_after: self.disabled_after,
            timeout: self.timeout,
        }
    }
}

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("webhooks.allow_private", "list of networks", ""),
        "Networks that webhooks are sent to although they are not of the public internet. Everything else that is private, link-local, shared or reserved is refused when the connection is made, whatever its name resolves to.",
        |written, config| put(&mut config.webhooks.allow_private, networks(written)),
    ),
    setting(
        ("webhooks.allow_http", "`true` or `false`", "false"),
        "Whether webhooks may be sent to `http://` addresses, where everybody on the way can read them.",
        |written, config| put(&mut config.webhooks.allow_http, flag(written)),
    ),
    setting(
        ("webhooks.ca_file", "path of a file", ""),
        "PEM file of authorities that receivers' certificates may come from, beside the system's.",
        |written, config| put(&mut config.webhooks.ca_file, path(written).map(Some)),
    ),
    setting(
        ("webhooks.disabled_after", "length of time, 1h to 90d", "5d"),
        "A webhook whose every attempt failed for so long is switched off, which is told by `webhook.disabled`.",
        |written, config| put(&mut config.webhooks.disabled_after, duration(written, "1h", "90d")),
    ),
    setting(
        ("webhooks.timeout", "length of time, 1s to 60s", "20s"),
        "How long one request to a webhook may take, from its name to the end of the answer.",
        |written, config| put(&mut config.webhooks.timeout, duration(written, "1s", "60s")),
    ),
];
