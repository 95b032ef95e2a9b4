//! Free loopback ports for servers that cannot tell which port they were given.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A loopback port that was free a moment ago. Another process may take it first: whoever starts a server
/// on it retries with a new one when the server says that the address is in use.
pub fn free_port() -> u16 {
    free_address().port()
}

/// A loopback address whose port was free a moment ago, as [`free_port`].
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a free loopback port");
    listener.local_addr().expect("read the bound address")
}
