//! One upstream call: find or make a connection, send, wait for the head of the answer.

use std::rc::Rc;

use crate::http::ticks::within;

use super::connect;
use super::h1;
use super::h2;
use super::pool::{Pool, StreamLease};
use super::{Origin, Scheme, UpstreamAnswer, UpstreamError, UpstreamErrorKind, UpstreamRequest, Upstreams};

/// A connection that can take one request.
enum Connection {
    Http1(Box<h1::Connection>),
    Http2(StreamLease),
}

pub(super) async fn send(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
) -> Result<UpstreamAnswer, UpstreamError> {
    let pool = upstreams.pools.of(origin, &upstreams.ticks);
    if request.upgrade.is_some() && origin.scheme() != Scheme::H2c {
        return Box::pin(send_upgrade(upstreams, origin, request, &pool)).await;
    }
    let reused = match origin.scheme() {
        Scheme::Http => pool.take_idle().map(Connection::Http1),
        Scheme::H2c => pool.take_stream().map(Connection::Http2),
        Scheme::Https => {
            pool.take_stream().map(Connection::Http2).or_else(|| pool.take_idle().map(Connection::Http1))
        }
    };
    let connection = match reused {
        Some(connection) => connection,
        // Boxed: it is the rare case, and its future is large.
        None => Box::pin(connect(upstreams, origin, request, &pool)).await?,
    };
    match connection {
        Connection::Http1(connection) => h1::send(origin, request, connection, (pool, true)).await,
        Connection::Http2(lease) => Box::pin(h2::send(upstreams, origin, request, lease)).await,
    }
}

async fn connect(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &UpstreamRequest<'_>,
    pool: &Rc<Pool>,
) -> Result<Connection, UpstreamError> {
    let made = within(&upstreams.ticks, request.timeouts.connect, async {
        let shared = match origin.scheme() {
            Scheme::Http => false,
            Scheme::H2c => true,
            Scheme::Https => pool.speaks_h2() != Some(false),
        };
        // One at a time makes a connection that all can use; the others wait and then share it.
        let _turn = if shared { Some(pool.dialling.lock().await) } else { None };
        if let Some(lease) = pool.take_stream() {
            return Ok(Connection::Http2(lease));
        }
        let opened = pool.open()?;
        let stream = connect::dial(origin).await?;
        let is_h2 = origin.scheme() == Scheme::H2c || stream.is_h2();
        pool.set_speaks_h2(is_h2);
        if is_h2 {
            let sender = connect::http2(stream, &pool.bounds, opened).await?;
            return Ok(Connection::Http2(pool.share(sender)));
        }
        Ok(Connection::Http1(h1::Connection::new(stream, opened)))
    })
    .await;
    made.unwrap_or(Err(UpstreamErrorKind::ConnectTimeout)).map_err(UpstreamError::unsent)
}

/// A request that may change the protocol gets a connection of its own, which is never kept.
async fn send_upgrade(
    upstreams: &Upstreams,
    origin: &Origin,
    request: &mut UpstreamRequest<'_>,
    pool: &Rc<Pool>,
) -> Result<UpstreamAnswer, UpstreamError> {
    let made = within(&upstreams.ticks, request.timeouts.connect, async {
        let opened = pool.open()?;
        let stream = connect::dial_http1(origin).await?;
        Ok(h1::Connection::new(stream, opened))
    })
    .await;
    let made = made.unwrap_or(Err(UpstreamErrorKind::ConnectTimeout));
    let connection = made.map_err(UpstreamError::unsent)?;
    h1::send(origin, request, connection, (Rc::clone(pool), false)).await
}
