//! Writes the head of a request: the client's fields without framing and connection fields, the edits of
//! the pipeline, and framing that is made here.

use std::io::Write;

use crate::http::body::RequestBody;
use crate::http::buffers;
use crate::http::head::RequestHead;
use crate::http::raw::push_line;
use crate::http::upstream::{Origin, UpstreamRequest};

/// Room for what is added to the client's head: `Host`, framing, identity fields.
const ADDED_BYTES: usize = 1024;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// None, which some methods say with a length of 0.
    None,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

impl Framing {
    pub(super) fn of(body: &RequestBody) -> Self {
        if body.is_end() {
            return Self::None;
        }
        body.declared_len().map_or(Self::Chunked, Self::Length)
    }
}

/// The head of `request`, its empty line included.
pub(super) fn head(origin: &Origin, request: &UpstreamRequest<'_>, framing: Framing) -> Vec<u8> {
    let head = request.head;
    let mut out = buffers::take();
    out.reserve(head.fields.buffer.len() + ADDED_BYTES);
    request_line(&mut out, head);
    let host = head.authority.as_ref().map_or(origin.0.authority.as_str().as_bytes(), |host| host.as_bytes());
    push_line(&mut out, b"host", host);
    head.push_forwarded(&mut out);
    match framing {
        Framing::Length(length) => number(&mut out, length),
        Framing::Chunked => push_line(&mut out, b"transfer-encoding", b"chunked"),
        // These methods expect a body, so its absence is said (RFC 9110 §8.6).
        Framing::None if matches!(head.method(), "POST" | "PUT" | "PATCH") => number(&mut out, 0),
        Framing::None => {}
    }
    if let Some(upgrade) = &request.upgrade {
        push_line(&mut out, b"connection", b"upgrade");
        push_line(&mut out, b"upgrade", upgrade.protocol.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn request_line(out: &mut Vec<u8>, head: &RequestHead) {
    let (path, query) = head.forwarded_target();
    out.extend_from_slice(head.method().as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    debug_assert!(out.iter().skip(head.method().len() + 1).all(|&byte| byte > b' ' && byte != 0x7f));
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn number(out: &mut Vec<u8>, length: u64) {
    // Writing to a `Vec` does not fail.
    let _ = write!(out, "content-length: {length}\r\n");
}
