//! Requests to upstreams, over per-lane pools of HTTP/1.1 and HTTP/2 connections.
//!
//! What lives here: origins, the request and answer of one upstream call, its errors. `connect` makes
//! connections, `pool` keeps them, `send` chooses one for a call, `h1` and `h2` speak the protocols, `body`
//! is the answer's body of either.
//!
//! Invariants: a connection returns to the pool only after both bodies were read to their end; an answer
//! whose framing is in doubt never reaches a client and its connection is closed; nothing is sent twice.

mod body;
mod connect;
mod guard;
mod h1;
mod h2;
mod pool;
mod send;
mod tls;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::answer::AnswerHead;
use super::body::{BodyError, RequestBody};
use super::bounds::{PoolBounds, Timeouts};
use super::exchange::Upgrade;
use super::head::RequestHead;
use super::stream::Stream;
use super::ticks::Ticks;

pub use self::body::UpstreamBody;
pub use self::guard::Guard;
pub use self::h1::{Dissected, Ending, dissect};
pub(super) use self::pool::Opened;

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in clear text.
    Http,
    /// HTTP/2 in clear text with prior knowledge (RFC 9113 §3.3).
    H2c,
    /// TLS; HTTP/2 or HTTP/1.1 as ALPN decides.
    Https,
}

/// Where to send a request. Cheap to clone; equal origins share connections. With a [`Guard`] nothing is
/// connected to that it refuses, whatever the host's name means at that moment.
#[derive(Clone, Debug)]
pub struct Origin(Arc<OriginParts>, Option<Arc<Guard>>);

#[derive(Debug)]
struct OriginParts {
    scheme: Scheme,
    host: String,
    port: u16,
    /// `host:port` as it stands in `Host`, without the scheme's default port.
    authority: http::uri::Authority,
    tls: Option<OriginTlsReady>,
    /// Of scheme, host and port, so that looking up a pool does not hash the name again.
    hash: u64,
}

/// TLS settings made ready; equal when they were made from equal settings.
#[derive(Debug)]
struct OriginTlsReady {
    settings: OriginTls,
    config: Arc<ClientConfig>,
    /// Offers HTTP/1.1 only: for requests that may change the protocol.
    config_http1: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        // What was connected to without a look at its address is not for those that need one.
        if self.1 != other.1 {
            return false;
        }
        let (a, b) = (&self.0, &other.0);
        Arc::ptr_eq(a, b)
            || (a.scheme == b.scheme
                && a.host == b.host
                && a.port == b.port
                && a.tls.as_ref().map(|tls| &tls.settings) == b.tls.as_ref().map(|tls| &tls.settings))
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<S: Hasher>(&self, state: &mut S) {
        state.write_u64(self.0.hash);
    }
}

/// TLS settings of an `https` origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginTls {
    /// Certificate authorities to trust, as PEM; `None` for those of the operating system.
    pub roots_pem: Option<Vec<u8>>,
    /// The name to ask for and to verify instead of the origin's host.
    pub server_name: Option<String>,
    /// Offer only HTTP/1.1, not HTTP/2.
    pub http1_only: bool,
}

/// An origin that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginInvalid {
    /// Not `http://`, `https://` or `h2c://` with a host and an optional port, and nothing else.
    #[error("is not an origin: write http://, https:// or h2c://, a host and an optional port, nothing else")]
    Url,
    /// No usable certificate authority, or a name that cannot be verified.
    #[error("has TLS settings that cannot be used: {0}")]
    Tls(String),
}

impl Origin {
    /// Reads `http://host[:port]`, `https://host[:port]` or `h2c://host[:port]`; a `/` may follow.
    ///
    /// # Errors
    /// [`OriginInvalid`].
    pub fn parse(url: &str) -> Result<Self, OriginInvalid> {
        Self::with_tls(url, &OriginTls::default())
    }

    /// As [`Origin::parse`], with TLS settings; they are ignored without `https`.
    ///
    /// # Errors
    /// [`OriginInvalid`].
    pub fn with_tls(url: &str, tls: &OriginTls) -> Result<Self, OriginInvalid> {
        let uri: http::Uri = url.parse().map_err(|_| OriginInvalid::Url)?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("h2c") => (Scheme::H2c, 80),
            Some("https") => (Scheme::Https, 443),
            _ => return Err(OriginInvalid::Url),
        };
        let written = uri.authority().ok_or(OriginInvalid::Url)?;
        let plain = uri.path() == "/" || uri.path().is_empty();
        if !plain || uri.query().is_some() || written.as_str().contains('@') || written.host().is_empty() {
            return Err(OriginInvalid::Url);
        }
        if written.port().is_none() && written.as_str() != written.host() {
            // A port that is none.
            return Err(OriginInvalid::Url);
        }
        let port = match written.port() {
            Some(port) => port.as_str().parse().map_err(|_| OriginInvalid::Url)?,
            None => default_port,
        };
        let bracketed = written.host();
        let authority =
            if port == default_port { bracketed.to_owned() } else { format!("{bracketed}:{port}") };
        let authority = authority.parse().map_err(|_| OriginInvalid::Url)?;
        let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let tls = match scheme {
            Scheme::Https => Some(tls::ready(&host, tls)?),
            Scheme::Http | Scheme::H2c => None,
        };
        let mut hasher = DefaultHasher::new();
        (scheme, port, &host).hash(&mut hasher);
        let parts = OriginParts { scheme, host, port, authority, tls, hash: hasher.finish() };
        Ok(Self(Arc::new(parts), None))
    }

    /// The same, connected to only where this allows it.
    #[must_use]
    pub fn within(self, guard: Guard) -> Self {
        Self(self.0, Some(Arc::new(guard)))
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Host name or IP literal, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.0.port
    }
}

/// One request to an upstream.
#[derive(Debug)]
pub struct UpstreamRequest<'a> {
    /// What the client sent, with the edits to apply. Framing and connection fields are dropped by the
    /// engine; `Host` is the origin's unless [`RequestHead::set_authority`] says otherwise.
    pub head: &'a RequestHead,
    /// The body. Taken when it starts to be sent. After an error it is here again if nothing was read
    /// from it, so a second attempt may use the same value; see [`UpstreamRequest::is_replayable`].
    pub body: RequestBody,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Allows the upstream to change the protocol, as the client asked.
    pub upgrade: Option<Upgrade>,
}

impl UpstreamRequest<'_> {
    /// Whether the whole request can be sent again: nothing of a streamed body has been used up.
    pub fn is_replayable(&self) -> bool {
        self.body.is_untouched()
    }
}

/// What an upstream answered.
#[derive(Debug)]
pub struct UpstreamAnswer {
    /// Status and fields, without framing and connection fields.
    pub head: AnswerHead,
    /// The body, still to be read. Dropping it early closes the upstream connection.
    pub body: UpstreamBody,
    /// Present with a 101 to a request that allowed an upgrade.
    pub tunnel: Option<Tunnel>,
}

/// An upstream connection that has changed its protocol. Give it to the client as
/// [`super::answer::AnswerBody::Tunnel`]; dropping it closes the upstream connection.
pub struct Tunnel {
    stream: Stream,
    /// What came right behind the head of the 101.
    ahead: Bytes,
    /// It counts among the connections to its origin for as long as it is open.
    opened: Opened,
}

impl Tunnel {
    /// The stream, what came before it is read, and what is to be kept until the stream is closed.
    pub(super) fn into_parts(self) -> (Stream, Bytes, Opened) {
        (self.stream, self.ahead, self.opened)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

/// What went wrong with an upstream call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamErrorKind {
    /// Name not found, connection refused, no route.
    #[error("no connection to the upstream: {0}")]
    Unreachable(String),
    /// No connection within [`Timeouts::connect`].
    #[error("connecting to the upstream took too long")]
    ConnectTimeout,
    /// TLS failed: certificate, name, protocol.
    #[error("TLS with the upstream failed: {0}")]
    Tls(String),
    /// No head within [`Timeouts::response_head`].
    #[error("the upstream did not answer in time")]
    ResponseTimeout,
    /// The connection ended before the head of the answer.
    #[error("the upstream closed the connection before it answered")]
    Reset,
    /// The answer is not HTTP, has doubtful framing, or is beyond a bound.
    #[error("the upstream's answer is malformed: {0}")]
    Garbage(String),
    /// Too many connections to this origin are open on this lane.
    #[error("too many connections to the upstream are open")]
    Saturated,
    /// The client's body failed while it was being forwarded; answer for the client's mistake.
    #[error("{0}")]
    RequestBody(BodyError),
}

/// A failed upstream call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct UpstreamError {
    /// What went wrong.
    pub kind: UpstreamErrorKind,
    /// No byte of this request left the gateway, so sending it elsewhere cannot repeat anything.
    pub nothing_sent: bool,
}

impl UpstreamError {
    /// Before anything was written.
    fn unsent(kind: UpstreamErrorKind) -> Self {
        Self { kind, nothing_sent: true }
    }

    /// The upstream may have seen the request.
    fn sent(kind: UpstreamErrorKind) -> Self {
        Self { kind, nothing_sent: false }
    }
}

/// The upstream connections of one lane. Cheap to clone within the lane's thread.
#[derive(Clone, Debug)]
pub struct Upstreams {
    pools: Rc<pool::Pools>,
    ticks: Rc<Ticks>,
}

impl Upstreams {
    /// An empty pool. Must be made and used on a lane: in `make_handler` of [`super::serve::serve`] and in
    /// the handler it makes.
    pub fn new(bounds: PoolBounds) -> Self {
        let ticks = Ticks::of_this_thread();
        Self { pools: pool::Pools::new(bounds, &ticks), ticks }
    }

    /// Sends one request and waits for the head of its answer. Never sends anything twice.
    ///
    /// # Errors
    /// [`UpstreamError`]; its `nothing_sent` and [`UpstreamRequest::is_replayable`] say whether another
    /// attempt is safe.
    pub async fn send(
        &self,
        origin: &Origin,
        request: &mut UpstreamRequest<'_>,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        send::send(self, origin, request).await
    }
}
