//! HTTP/2 answers, through hyper. Only what a protocol with its own framing can express.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

use super::behaviour::{Behaviour, pattern};
use super::http1::describe;
use super::reader::hex;
use super::seen::{BODY_KEPT_BYTES_MAX, Connection, Entry, Seen};

type Body = UnsyncBoxBody<Bytes, Failure>;

/// The reason a stream is reset on purpose.
#[derive(Debug)]
struct Failure;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset on purpose")
    }
}

impl std::error::Error for Failure {}

pub(super) async fn serve<S>(stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| respond(request, connection.clone()));
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, connection: Connection) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let grpc = head
        .headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let mut entry = connection.record(seen(&head));
    let behaviour = Behaviour::of(head.uri.path());
    if behaviour == Behaviour::Echo {
        return Ok(Response::new(echo(body)));
    }
    collect(body, &mut entry).await?;
    let text = |status: u16, text: &str| {
        let mut response = Response::new(full(text.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        response
    };
    Ok(match behaviour {
        Behaviour::Status(code) => text(code, "as asked for\n"),
        Behaviour::Big(bytes) | Behaviour::Chunked(bytes) => Response::new(full(pattern(bytes))),
        Behaviour::Trailers => Response::new(with_trailers("with trailers\n", "x-checksum", "42")),
        Behaviour::Sse(events) => Response::new(event_stream(events)),
        Behaviour::SseEndless => Response::new(event_stream(usize::MAX)),
        Behaviour::Slow(wait_ms) => {
            tokio::time::sleep(Duration::from_millis(wait_ms as u64)).await;
            text(200, &describe(entry.seen()))
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Reset | Behaviour::Close => return Err(Failure),
        Behaviour::ResetMidBody | Behaviour::CloseMidBody => {
            let frames = [Ok(Frame::data(Bytes::from(pattern(100)))), Err(Failure)];
            Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync())
        }
        _ if grpc => {
            let mut response = Response::new(with_trailers("\0\0\0\0\0", "grpc-status", "0"));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }
        _ => {
            let mut response = text(200, &describe(entry.seen()));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            response
        }
    })
}

async fn collect(mut body: Incoming, entry: &mut Entry) -> Result<(), Failure> {
    let mut digest = Sha256::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure)?;
        if let Some(trailers) = frame.trailers_ref() {
            entry.update(|seen| seen.trailers = pairs(trailers));
        } else if let Ok(piece) = frame.into_data() {
            digest.update(&piece);
            entry.update(|seen| {
                seen.body_bytes += piece.len() as u64;
                let room = BODY_KEPT_BYTES_MAX.saturating_sub(seen.body.len());
                seen.body.extend_from_slice(&piece[..piece.len().min(room)]);
            });
        }
    }
    entry.update(|seen| {
        seen.complete = true;
        seen.body_sha256 = hex(&digest.finalize());
    });
    Ok(())
}

fn seen(head: &http::request::Parts) -> Seen {
    Seen {
        version: format!("{:?}", head.version),
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: head.uri.authority().map(ToString::to_string).unwrap_or_default(),
        headers: pairs(&head.headers),
        ..Seen::default()
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

fn echo(body: Incoming) -> Body {
    body.map_err(|_| Failure).boxed_unsync()
}

fn with_trailers(text: &'static str, name: &'static str, value: &'static str) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, HeaderValue::from_static(value));
    let frames = [Ok(Frame::data(Bytes::from_static(text.as_bytes()))), Ok(Frame::trailers(trailers))];
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn event_stream(events: usize) -> Body {
    let frames = stream::iter(0..events).then(|number| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Frame::data(Bytes::from(format!("id: {number}\ndata: event {number}\n\n"))))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn never(never: Infallible) -> Failure {
    match never {}
}
