//! What is read from a head before anything is decided: who sends, which path, which host, which
//! credential.

pub(crate) mod credential;

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use smallvec::SmallVec;
use tollgate_core::{
    address::{client_address, in_networks},
    path::{PathError, normalise},
};

use crate::http::{exchange::Peer, head::RequestHead};

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// The client behind trusted proxies.
    pub(crate) address: IpAddr,
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Whether that is a trusted proxy.
    pub(crate) trusted: bool,
}

impl Sender {
    /// The right-most hop that is no trusted proxy.
    pub(crate) fn of(peer: Peer, head: &RequestHead, trusted: &[IpNet]) -> Self {
        let peer = peer.addr.ip().to_canonical();
        if trusted.is_empty() || !in_networks(trusted, peer) {
            return Self { address: peer, peer, trusted: false };
        }
        let lines: SmallVec<[&str; 4]> = head
            .values(crate::names::X_FORWARDED_FOR.as_str())
            // What is not text is no address and ends the search, as core does with other nonsense.
            .map(|line| std::str::from_utf8(line).unwrap_or("?"))
            .collect();
        Self { address: client_address(peer, trusted, lines.into_iter()), peer, trusted: true }
    }
}

/// The one spelling of the path. `OPTIONS *` has no path and is no request for a service.
pub(crate) fn path(head: &RequestHead) -> Result<Cow<'_, str>, PathError> {
    normalise(head.path())
}

/// The host that was asked for, without port and without the dot of a fully qualified name.
pub(crate) fn host(head: &RequestHead) -> Option<&str> {
    head.authority().map(bare_host)
}

/// The host of an authority, without port and without the dot of a fully qualified name.
pub(crate) fn bare_host(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// The only value of a field as text; `None` when there is none, several, or not UTF-8.
pub(crate) fn only<'h>(head: &'h RequestHead, name: &str) -> Option<&'h str> {
    let mut values = head.values(name);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    std::str::from_utf8(value).ok()
}
