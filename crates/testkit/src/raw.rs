//! Bytes over TCP, for requests that no HTTP client would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one exchange may take before what arrived is returned.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// Most bytes kept of an answer.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What came back on a connection, and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// Everything that arrived.
    pub bytes: Vec<u8>,
    /// The peer closed its side (an orderly end or a reset) within the time.
    pub closed: bool,
}

impl Answer {
    /// The status of the first answer on the connection, if there is one.
    pub fn status(&self) -> Option<u16> {
        let line = self.bytes.split(|byte| *byte == b'\n').next()?;
        std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse().ok()
    }

    /// How many answers arrived, counted by their status lines.
    pub fn answers(&self) -> usize {
        self.bytes.windows(9).filter(|window| window.starts_with(b"HTTP/1.") && window[8] == b' ').count()
    }

    /// The answer as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Sends `bytes`, then reads until the peer closes or ten seconds have passed. Returns what arrived.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    exchange_within(address, bytes, EXCHANGE_MAX).await.bytes
}

/// As [`exchange`], with its own time limit, and telling whether the peer closed.
/// A peer that keeps the connection open is no error: `closed` is false then.
pub async fn exchange_within(address: SocketAddr, bytes: &[u8], limit: Duration) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("connect for a raw exchange");
    // The peer may refuse early and close: a failed write is not the answer, what it sent before is.
    let _ = stream.write_all(bytes).await;
    read_to_close(&mut stream, limit).await
}

/// Sends the parts with a pause between them, as a slow client does, then reads as [`exchange_within`].
pub async fn drip(address: SocketAddr, parts: &[&[u8]], pause: Duration, limit: Duration) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("connect for a raw exchange");
    for part in parts {
        if stream.write_all(part).await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    read_to_close(&mut stream, limit).await
}

async fn read_to_close(stream: &mut TcpStream, limit: Duration) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = vec![0_u8; 16 * 1024];
    let closed = timeout(limit, async {
        while bytes.len() < ANSWER_BYTES_MAX {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    })
    .await
    .is_ok();
    Answer { bytes, closed }
}
