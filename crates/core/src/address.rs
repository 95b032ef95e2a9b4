//! Who the client is, and which networks may come.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

/// Why a text is no network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not an address or network; write `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`")]
pub struct NetworkError(String);

/// Reads an address or a network in CIDR notation.
///
/// # Errors
/// When it is neither.
pub fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| canonical(network.trunc()))
        .map_err(|_| NetworkError(text.chars().take(64).collect()))
}

/// A network of IPv4 addresses written as IPv6 (`::ffff:10.0.0.0/104`) as the IPv4 network it is, for
/// addresses are compared in that spelling.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped();
    match (v4, v6.prefix_len().checked_sub(MAPPED_BITS)) {
        (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4),
        _ => network,
    }
}

/// Whether one of the networks holds the address; an IPv4 address written as IPv6 counts as IPv4.
#[must_use]
pub fn in_networks(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The address of the client: the peer itself unless it is a trusted proxy; then the right-most
/// hop of `X-Forwarded-For` that is none. `forwarded` gives the header's lines from first to last.
///
/// What a hop says that is no address ends the search at the last trusted hop, so that nothing
/// invented can be passed off as an address.
pub fn client_address<'h>(
    peer: IpAddr,
    trusted: &[IpNet],
    forwarded: impl DoubleEndedIterator<Item = &'h str>,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !in_networks(trusted, client) {
        return client;
    }
    for hop in forwarded.rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = parse_hop(hop.trim()) else { return client };
        client = address;
        if !in_networks(trusted, client) {
            return client;
        }
    }
    client
}

/// Reads a hop: an address, possibly with a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}
