//! Requests to upstreams, over per-lane pools of HTTP/1.1 and HTTP/2 connections.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::answer::AnswerHead;
use super::body::{BodyError, BodySource, Frame, RequestBody, SourceFailed};
use super::bounds::{PoolBounds, Timeouts};
use super::exchange::Upgrade;
use super::head::RequestHead;

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

/// Where to send a request. Cheap to clone; equal origins share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Arc<OriginParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct OriginParts {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// TLS settings of an `https` origin.
#[derive(Clone, Debug, Default)]
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
    pub fn with_tls(url: &str, _tls: &OriginTls) -> Result<Self, OriginInvalid> {
        let uri: http::Uri = url.parse().map_err(|_| OriginInvalid::Url)?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("h2c") => (Scheme::H2c, 80),
            Some("https") => (Scheme::Https, 443),
            _ => return Err(OriginInvalid::Url),
        };
        let host = uri.host().ok_or(OriginInvalid::Url)?.to_owned();
        Ok(Self(Arc::new(OriginParts { scheme, host, port: uri.port_u16().unwrap_or(default_port) })))
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
        true
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

/// The body of an upstream answer.
pub struct UpstreamBody(());

impl UpstreamBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`SourceFailed`] when the upstream breaks off or falls silent.
    pub async fn frame(&mut self) -> Option<Result<Frame, SourceFailed>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }
}

impl BodySource for UpstreamBody {
    fn poll_frame(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame, SourceFailed>>> {
        Poll::Ready(None)
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamBody")
    }
}

/// An upstream connection that has changed its protocol. Give it to the client as
/// [`super::answer::AnswerBody::Tunnel`]; dropping it closes the upstream connection.
pub struct Tunnel(());

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

/// The upstream connections of one lane. Cheap to clone within the lane's thread.
#[derive(Clone, Debug)]
pub struct Upstreams {
    bounds: Rc<PoolBounds>,
}

impl Upstreams {
    /// An empty pool. Must be made and used on a lane: in `make_handler` of [`super::serve::serve`] and in
    /// the handler it makes.
    pub fn new(bounds: PoolBounds) -> Self {
        Self { bounds: Rc::new(bounds) }
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
        let _ = (origin, request, &self.bounds);
        Err(UpstreamError { kind: UpstreamErrorKind::Saturated, nothing_sent: true })
    }
}
