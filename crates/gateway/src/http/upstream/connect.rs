//! Makes connections to origins: name, TCP, TLS, and the handshake of HTTP/2.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::{TlsConnector, TlsStream};
use tollgate_core::reach::Hold;

use crate::http::bounds::PoolBounds;
use crate::http::stream::Stream;

use super::h2::OutgoingBody;
use super::pool::Opened;
use super::{Origin, UpstreamErrorKind};

/// Addresses of one name that are tried, in the resolver's order.
const ADDRESSES_MAX: usize = 4;
/// What an HTTP/2 upstream may send ahead on one stream and on the whole connection.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Silence after which an HTTP/2 upstream with streams open is pinged, and the time for its answer: one
/// that vanished is noticed before its requests time out one by one.
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Http2 = http2::SendRequest<OutgoingBody>;

/// Opens a byte stream to `origin`, offering HTTP/2 where the origin allows it. The caller bounds the time.
pub(super) async fn dial(origin: &Origin) -> Result<Stream, UpstreamErrorKind> {
    dial_with(origin, origin.0.tls.as_ref().map(|tls| &tls.config)).await
}

/// As [`dial`], for HTTP/1.1 only.
pub(super) async fn dial_http1(origin: &Origin) -> Result<Stream, UpstreamErrorKind> {
    dial_with(origin, origin.0.tls.as_ref().map(|tls| &tls.config_http1)).await
}

async fn dial_with(origin: &Origin, config: Option<&Arc<ClientConfig>>) -> Result<Stream, UpstreamErrorKind> {
    let tcp = tcp(origin).await.map_err(|error| UpstreamErrorKind::Unreachable(error.to_string()))?;
    let (Some(config), Some(tls)) = (config, &origin.0.tls) else {
        return Ok(Stream::Plain(tcp));
    };
    match TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(TlsStream::Client(stream)))),
        Err(error) => Err(UpstreamErrorKind::Tls(error.to_string())),
    }
}

async fn tcp(origin: &Origin) -> io::Result<TcpStream> {
    let port = origin.port();
    let addresses: Vec<SocketAddr> = match origin.host().parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => lookup_host((origin.host(), port)).await?.collect(),
    };
    // One that is refused refuses all: a name of which only some addresses are public is made to slip through.
    if let Some(guard) = &origin.1
        && let Some(why) = addresses.iter().find_map(|address| guard.refusal(address.ip()))
    {
        let what = match guard.hold {
            Hold::Internet => "it is held to the public internet, and ",
            Hold::SoleTenant | Hold::Operator => "",
        };
        let remedy = "the operator can allow it with `upstreams.allow_private`";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{what}{why}; {remedy}")));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Starts HTTP/2 on `stream`; its task ends with the connection.
pub(super) async fn http2(
    stream: Stream,
    bounds: &PoolBounds,
    opened: Opened,
) -> Result<Http2, UpstreamErrorKind> {
    let (sender, connection) = http2::Builder::new(LocalTasks)
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(bounds.head_bytes_max).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| UpstreamErrorKind::Unreachable(error.to_string()))?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection failed");
        }
        drop(opened);
    });
    Ok(sender)
}

/// The codec's executor: tasks of this lane.
#[derive(Clone, Copy, Debug)]
struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
