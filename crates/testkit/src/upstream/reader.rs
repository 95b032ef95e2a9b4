//! Reading HTTP/1 requests with the bytes kept. It follows RFC 9112 for well-formed requests and never repairs
//! anything: what it cannot read ends the connection.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::seen::{BODY_KEPT_BYTES_MAX, Entry, Seen};

/// Longest head read.
const HEAD_BYTES_MAX: usize = 1024 * 1024;

/// A plain or TLS stream.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A second handle of a socket, with which closing it can be made a reset.
#[derive(Debug)]
pub(super) struct Reset(Option<OwnedFd>);

impl Reset {
    pub(super) fn of(stream: &TcpStream) -> Self {
        Self(stream.as_fd().try_clone_to_owned().ok())
    }

    /// Makes the coming close send RST instead of FIN.
    pub(super) fn arm(&self) {
        if let Some(socket) = &self.0 {
            let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

/// A connection with what has been read and not yet used.
pub(super) struct Reader {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

impl Reader {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// The next head with its blank line; nothing at an orderly end between requests.
    pub(super) async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..end + 4).collect()));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(io::Error::other("head too long"));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Waits until the peer closes.
    pub(super) async fn wait_for_close(&mut self) {
        let mut buffer = [0_u8; 1024];
        while !matches!(self.io.read(&mut buffer).await, Ok(0) | Err(_)) {}
    }

    /// The stream itself, for a protocol that takes over, with what was read beyond the head.
    pub(super) fn into_parts(self) -> (Box<dyn Io>, Vec<u8>) {
        (self.io, self.buffer)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.io.read_buf(&mut self.buffer).await
    }

    async fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill().await? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.drain(..end).collect();
                self.buffer.drain(..2);
                return Ok(line);
            }
            self.fill_or_fail().await?;
        }
    }
}

/// The body of one request, read piece by piece and written down in its entry as it arrives.
pub(super) struct Body<'a> {
    framing: Framing,
    left: u64,
    done: bool,
    digest: Sha256,
    entry: &'a mut Entry,
}

impl<'a> Body<'a> {
    pub(super) fn new(framing: Framing, entry: &'a mut Entry) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        Self { framing, left, done: false, digest: Sha256::new(), entry }
    }

    /// The next piece, or nothing after the last.
    pub(super) async fn piece(&mut self, reader: &mut Reader) -> io::Result<Option<Vec<u8>>> {
        if self.done {
            return Ok(None);
        }
        if self.left == 0 && !self.next_part(reader).await? {
            self.finish();
            return Ok(None);
        }
        if reader.buffer.is_empty() {
            reader.fill_or_fail().await?;
        }
        let take = reader.buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let piece: Vec<u8> = reader.buffer.drain(..take).collect();
        self.left -= piece.len() as u64;
        if self.framing == Framing::Chunked && self.left == 0 && !reader.line().await?.is_empty() {
            return Err(io::Error::other("chunk longer than it said"));
        }
        self.note(&piece);
        Ok(Some(piece))
    }

    /// Reads what is left.
    pub(super) async fn drain(mut self, reader: &mut Reader) -> io::Result<()> {
        while self.piece(reader).await?.is_some() {}
        Ok(())
    }

    /// Opens the next chunk; false when there is none. For a known length there never is another part.
    async fn next_part(&mut self, reader: &mut Reader) -> io::Result<bool> {
        if self.framing != Framing::Chunked {
            return Ok(false);
        }
        let line = String::from_utf8_lossy(&reader.line().await?).into_owned();
        let size = line.split(';').next().unwrap_or_default();
        self.left = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if self.left > 0 {
            return Ok(true);
        }
        let mut trailers = Vec::new();
        loop {
            let line = reader.line().await?;
            if line.is_empty() {
                break;
            }
            trailers.extend(header(&line));
        }
        self.entry.update(|seen| seen.trailers = trailers);
        Ok(false)
    }

    fn note(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.entry.update(|seen| {
            seen.body_bytes += piece.len() as u64;
            let room = BODY_KEPT_BYTES_MAX.saturating_sub(seen.body.len());
            seen.body.extend_from_slice(&piece[..piece.len().min(room)]);
        });
    }

    fn finish(&mut self) {
        self.done = true;
        let digest = hex(&self.digest.clone().finalize());
        self.entry.update(|seen| {
            seen.complete = true;
            seen.body_sha256 = digest;
        });
    }
}

/// A head as a record, and how its body is delimited; an error when it cannot be told.
pub(super) fn parse(head: &[u8]) -> io::Result<(Seen, Framing)> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(io::Error::other("no request line")) };
    let headers: Vec<(String, String)> = lines.filter_map(header).collect();
    let seen = Seen {
        version: version.to_owned(),
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        head: head.to_owned(),
        ..Seen::default()
    };
    let host = seen.header("host").unwrap_or_default().to_owned();
    let framing = match (seen.header("transfer-encoding"), seen.header("content-length")) {
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length.parse().map_err(io::Error::other)?),
        (None, None) => Framing::Length(0),
    };
    Ok((Seen { host, ..seen }, framing))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

fn header(line: &[u8]) -> Option<(String, String)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&line[..colon]), text(line[colon + 1..].trim_ascii())))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
