//! What the engine hands to a handler, and the trait a handler implements.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

use super::answer::Answer;
use super::body::RequestBody;
use super::guard::Malformed;
use super::head::RequestHead;

/// The number of one lane: an OS thread with its own runtime, listener socket and upstream pools.
/// Connections never move between lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u16);

/// The two ends of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address the connection came from; an IPv4 client of an IPv6 socket shows as IPv4.
    pub addr: SocketAddr,
    /// The address it was accepted on.
    pub local: SocketAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
}

/// One request, as the client sent it.
#[derive(Debug)]
pub struct Exchange {
    /// Who sent it.
    pub peer: Peer,
    /// Request line and fields.
    pub head: RequestHead,
    /// The body; nothing of it has been read yet.
    pub body: RequestBody,
    /// Present when the client asks to change the protocol (RFC 9110 §7.8) and HTTP/1.1 allows it here.
    /// Move it into the upstream request to allow that; drop it and the request goes on as plain HTTP.
    pub upgrade: Option<Upgrade>,
}

/// The client's wish to change the protocol of its connection.
#[derive(Debug)]
pub struct Upgrade {
    pub(super) protocol: String,
}

impl Upgrade {
    /// The protocol asked for, in lower case: `websocket`. Never `h2c`, which is not offered.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }
}

/// What answers requests: one value per lane, used by that lane's thread only.
pub trait Handler: 'static {
    /// Answers one request. The future is dropped when the client goes away first; whatever must happen
    /// then belongs into a guard that the future owns.
    fn handle(self: Rc<Self>, exchange: Exchange) -> impl Future<Output = Answer>;

    /// Waits until nothing is under way any more that goes on after its client has left. Asked for at the
    /// end, within the time that requests in flight are given.
    fn settled(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// The lane ends: from now on nothing may be spawned on it.
    fn close(&self) {}

    /// Answers a request that the engine refuses because its head can be read in more than one way or is
    /// beyond a bound. `head` is there only when a whole head could be decoded (HTTP/2). The engine closes
    /// the connection after this answer (HTTP/2: ends the stream).
    fn refused(&self, peer: Peer, why: Malformed, head: Option<&RequestHead>) -> Answer;
}
