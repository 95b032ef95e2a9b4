//! What a service says of its upstreams beside where they are: how long to wait for them, how they are asked whether
//! they are well, TLS towards them. As people write it; [`crate::service_spec`] checks it.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// How long to wait for an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsSpec {
    /// Until the connection stands.
    pub connect: Span,
    /// From the request's last byte until the answer's head.
    pub response: Span,
    /// Between two parts of a body.
    pub idle: Span,
}

impl Default for TimeoutsSpec {
    fn default() -> Self {
        Self { connect: Span::from_secs(5), response: Span::from_secs(60), idle: Span::from_secs(60) }
    }
}

/// How upstreams are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSpec {
    /// The path that answers 2xx or 3xx when all is well.
    pub path: String,
    /// How often it is asked.
    #[serde(default = "default_health_interval")]
    pub interval: Span,
    /// How long it may take.
    #[serde(default = "default_health_timeout")]
    pub timeout: Span,
    /// Failures in a row until it counts as down.
    #[serde(default = "default_unhealthy_after")]
    pub unhealthy_after: u32,
    /// Successes in a row until it counts as up again.
    #[serde(default = "default_healthy_after")]
    pub healthy_after: u32,
}

const fn default_health_interval() -> Span {
    Span::from_secs(5)
}
const fn default_health_timeout() -> Span {
    Span::from_secs(2)
}
const fn default_unhealthy_after() -> u32 {
    3
}
const fn default_healthy_after() -> u32 {
    2
}

/// TLS towards upstreams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTlsSpec {
    /// PEM file of the authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The name to ask for and to verify instead of the upstream's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}
