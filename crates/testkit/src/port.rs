//! Free loopback ports for servers that cannot tell which port they were given.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// What this process was given: the system may give a port again as soon as it is let go, and two servers of
/// one test would then be told the same.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A loopback port that was free a moment ago. Another process may take it first: whoever starts a server
/// on it retries with a new one when the server says that the address is in use.
pub fn free_port() -> u16 {
    free_address().port()
}

/// A loopback address whose port was free a moment ago, as [`free_port`].
pub fn free_address() -> SocketAddr {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a free loopback port");
        let address = listener.local_addr().expect("read the bound address");
        if given.insert(address.port()) {
            return address;
        }
        assert!(given.len() < 20_000, "a test takes ports without end");
    }
}
