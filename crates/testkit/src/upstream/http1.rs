//! HTTP/1.1 answers, right and wrong ones, written by hand so that they can be wrong.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::behaviour::{Behaviour, pattern};
use super::reader::{Body, Framing, Io, Reader, Reset, parse};
use super::seen::{Connection, Entry, Seen};

/// Time between two server-sent events.
const EVENT_EVERY: Duration = Duration::from_millis(20);

/// Whether the connection goes on after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    KeepAlive,
    Close,
    Reset,
}

pub(super) async fn serve(io: Box<dyn Io>, reset: Reset, connection: &Connection) {
    let mut reader = Reader::new(io);
    loop {
        let Ok(Some(head)) = reader.head().await else { return };
        let Ok((seen, framing)) = parse(&head) else {
            connection.record(Seen { head, ..Seen::default() });
            return;
        };
        let close = seen.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let behaviour = Behaviour::of(seen.path());
        let mut entry = connection.record(seen);
        if behaviour == Behaviour::WebSocket {
            return websocket(reader, &entry).await;
        }
        let after = answer(&mut reader, behaviour, framing, &mut entry).await;
        match after {
            Ok(After::KeepAlive) if !close => {}
            Ok(After::Reset) => return reset.arm(),
            _ => return,
        }
    }
}

async fn answer(
    reader: &mut Reader,
    behaviour: Behaviour,
    framing: Framing,
    entry: &mut Entry,
) -> io::Result<After> {
    match behaviour {
        Behaviour::Early => {
            reader.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
            return Ok(After::Close);
        }
        Behaviour::Echo => return echo(reader, framing, entry).await,
        _ => {}
    }
    if entry.seen().header("expect").is_some() {
        reader.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    Body::new(framing, entry).drain(reader).await?;
    match behaviour {
        Behaviour::Sse(events) => events_answer(reader, Some(events)).await,
        Behaviour::SseEndless => events_answer(reader, None).await,
        Behaviour::Slow(wait_ms) => {
            pause(wait_ms).await;
            plain(reader, Behaviour::Describe, entry.seen()).await
        }
        Behaviour::SlowBody(wait_ms) => {
            reader.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await?;
            for digit in b'0'..=b'9' {
                reader.write(&[digit]).await?;
                pause(wait_ms).await;
            }
            Ok(After::KeepAlive)
        }
        Behaviour::Hang => {
            reader.wait_for_close().await;
            Ok(After::Close)
        }
        Behaviour::Close => Ok(After::Close),
        Behaviour::Reset => Ok(After::Reset),
        _ => match broken(behaviour) {
            Some((bytes, after)) => reader.write(&bytes).await.map(|()| after),
            None => plain(reader, behaviour, entry.seen()).await,
        },
    }
}

/// Answers that are well formed and leave the connection usable.
async fn plain(reader: &mut Reader, behaviour: Behaviour, seen: &Seen) -> io::Result<After> {
    let no_body = seen.method == "HEAD";
    let with_length = |status: &str, more: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), if no_body { b"" } else { body }].concat()
    };
    let json = "Content-Type: application/json\r\n";
    let mut after = After::KeepAlive;
    let bytes = match behaviour {
        Behaviour::Status(code @ (204 | 304)) => format!("HTTP/1.1 {code} Nothing\r\n\r\n").into_bytes(),
        Behaviour::Status(code) => with_length(&format!("{code} Asked For"), "", b"as asked for\n"),
        Behaviour::Big(bytes) => with_length("200 OK", "", &pattern(bytes)),
        Behaviour::Chunked(bytes) => chunked("", &pattern(bytes), ""),
        Behaviour::Trailers => {
            let trailers = "x-checksum: 42\r\ngrpc-status: 0\r\n";
            chunked("Trailer: x-checksum, grpc-status\r\n", b"with trailers\n", trailers)
        }
        Behaviour::Informational => {
            let mut bytes = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n".to_vec();
            bytes.extend(with_length("200 OK", json, describe(seen).as_bytes()));
            bytes
        }
        Behaviour::NoKeepAlive => {
            after = After::Close;
            with_length("200 OK", "Connection: close\r\n", describe(seen).as_bytes())
        }
        Behaviour::HopByHop => with_length(
            "200 OK",
            "Connection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nX-End-To-End: 1\r\n",
            b"hop by hop\n",
        ),
        _ => with_length("200 OK", json, describe(seen).as_bytes()),
    };
    reader.write(&bytes).await?;
    Ok(after)
}

/// Answers that break a rule of HTTP, with what happens to the connection afterwards.
fn broken(behaviour: Behaviour) -> Option<(Vec<u8>, After)> {
    let promise = |sent: usize| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec();
        bytes.extend(pattern(sent));
        bytes
    };
    Some(match behaviour {
        Behaviour::ResetMidBody => (promise(100), After::Reset),
        Behaviour::CloseMidBody => (promise(100), After::Close),
        Behaviour::CloseMidChunk => {
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf a chunk".to_vec(), After::Close)
        }
        Behaviour::UntilClose => (b"HTTP/1.1 200 OK\r\n\r\nuntil the connection closes\n".to_vec(), After::Close),
        Behaviour::Garbage => (b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec(), After::Close),
        Behaviour::Extra => {
            let one = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nasked";
            let two = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
            ([&one[..one.len() - 1], two].concat(), After::KeepAlive)
        }
        Behaviour::BothFramings => (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfive!\r\n0\r\n\r\n".to_vec(),
            After::KeepAlive,
        ),
        Behaviour::TwoLengths => {
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nfive!".to_vec(), After::KeepAlive)
        }
        Behaviour::HugeHead => {
            let line = format!("X-Filler: {}\r\n", "f".repeat(1000));
            let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", line.repeat(1040));
            (head.into_bytes(), After::Close)
        }
        _ => return None,
    })
}

/// Sends the body back piece by piece while it still arrives.
async fn echo(reader: &mut Reader, framing: Framing, entry: &mut Entry) -> io::Result<After> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    reader.write(head.as_bytes()).await?;
    let mut body = Body::new(framing, entry);
    while let Some(piece) = body.piece(reader).await? {
        reader.write(&chunk(&piece)).await?;
    }
    reader.write(b"0\r\n\r\n").await?;
    Ok(After::KeepAlive)
}

async fn events_answer(reader: &mut Reader, events: Option<usize>) -> io::Result<After> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    reader.write(head.as_bytes()).await?;
    let mut number = 0_usize;
    while events.is_none_or(|events| number < events) {
        reader.write(&chunk(format!("id: {number}\ndata: event {number}\n\n").as_bytes())).await?;
        number += 1;
        tokio::time::sleep(EVENT_EVERY).await;
    }
    reader.write(b"0\r\n\r\n").await?;
    Ok(After::KeepAlive)
}

/// Takes the connection over as a WebSocket (RFC 6455) and sends every message back.
async fn websocket(mut reader: Reader, entry: &Entry) {
    let key = entry.seen().header("sec-websocket-key").unwrap_or_default().as_bytes().to_vec();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(&key)
    );
    if reader.write(head.as_bytes()).await.is_err() {
        return;
    }
    let (io, early) = reader.into_parts();
    let mut socket = WebSocketStream::from_partially_read(io, early, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let echoes = message.is_text() || message.is_binary();
        if echoes && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// The request in JSON, for tests that look at the answer rather than at [`Seen`].
pub(super) fn describe(seen: &Seen) -> String {
    json!({
        "method": seen.method,
        "target": seen.target,
        "host": seen.host,
        "version": seen.version,
        "headers": seen.headers,
        "body_bytes": seen.body_bytes,
        "body_sha256": seen.body_sha256,
        "trailers": seen.trailers,
    })
    .to_string()
}

fn chunked(more: &str, body: &[u8], trailers: &str) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{more}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    body.chunks(1000).for_each(|piece| bytes.extend(chunk(piece)));
    bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    bytes
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

async fn pause(wait_ms: usize) {
    tokio::time::sleep(Duration::from_millis(wait_ms as u64)).await;
}
