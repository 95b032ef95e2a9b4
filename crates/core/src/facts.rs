//! What is known of a request when it is decided: borrowed, transport-free.

use std::net::IpAddr;

use crate::{service::Service, signature::SignatureFact};

/// Everything a decision may look at. What is not known is `None`, and a restriction on something
/// unknown refuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The service that is asked for; `None` only when a caller of verify names none.
    pub service: Option<&'a Service>,
    /// The method in capitals.
    pub method: Option<&'a str>,
    /// The path in its one spelling (see [`crate::path::normalise`]).
    pub path: Option<&'a str>,
    /// The client's address behind trusted proxies.
    pub address: Option<IpAddr>,
    /// The addresses that the key's bound host has now; `None` when it could not be resolved.
    pub bound_host_addresses: Option<&'a [IpAddr]>,
    /// The `Referer`.
    pub referer: Option<&'a str>,
    /// The `Origin`.
    pub origin: Option<&'a str>,
    /// The `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `X-Android-Package`.
    pub android_package: Option<&'a str>,
    /// `X-Android-Cert`.
    pub android_certificate: Option<&'a str>,
    /// `X-Ios-Bundle-Identifier`.
    pub ios_bundle: Option<&'a str>,
    /// Scopes asked for beside those of the method and endpoint.
    pub scopes: &'a [&'a str],
    /// What is known of its signature, where the service asks for one.
    pub signature: SignatureFact,
    /// The model of a model call.
    pub model: Option<&'a str>,
    /// The tokens that a model call asks for; `None` for anything else, which token limits do not count.
    pub tokens: Option<TokenAsk>,
    /// How many units it costs; 0 asks without counting. At the gateway 1.
    pub cost: u32,
}

/// Tokens that a model call asks for, before it is known how many it will use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    /// With fewer than this it cannot go: its input and a little output.
    pub least: u32,
    /// The most that it can use: what limits and quotas take until it is over, or less, where the call is
    /// limited to that.
    pub most: u32,
}
