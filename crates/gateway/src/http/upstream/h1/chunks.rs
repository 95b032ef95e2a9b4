//! The framing of a chunked body (RFC 9112 §7.1): sizes, ends, trailers.
//!
//! Lines end with CR LF only. Extensions are passed over, since an upstream may send them, and bounded.
//! The decoder never looks beyond the end of the body, so what follows it stays in the buffer.

use bytes::{Buf, BytesMut};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, SET_COOKIE};

use crate::http::field::{Fields, is_engine_field};

use super::head::{FIELDS_MAX, Problem};

/// Digits of a chunk size; 2^60 bytes is beyond any body.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of chunk extensions in one body.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of trailers.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug)]
enum At {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Done,
}

/// The decoder of one body.
#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    extension_bytes: usize,
    /// Lines of trailers as they came.
    trailers: Vec<u8>,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size { value: 0, digits: 0 }, extension_bytes: 0, trailers: Vec::new() }
    }

    /// Takes framing out of `buffer`, up to the next data, the end of the body or of the buffer.
    pub(super) fn skip_framing(&mut self, buffer: &mut BytesMut) -> Result<(), Problem> {
        let mut taken = 0;
        for byte in buffer.iter() {
            if matches!(self.at, At::Data { .. } | At::Done) {
                break;
            }
            self.byte(*byte)?;
            taken += 1;
        }
        buffer.advance(taken);
        Ok(())
    }

    /// Bytes of data that come next; 0 where framing comes next.
    pub(super) fn data_left(&self) -> u64 {
        if let At::Data { left } = self.at { left } else { 0 }
    }

    /// So many bytes of data, at most [`Chunks::data_left`], were taken.
    pub(super) fn data_taken(&mut self, len: u64) {
        if let At::Data { left } = &mut self.at {
            *left -= len.min(*left);
            if *left == 0 {
                self.at = At::DataCr;
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// The trailers, at the end of the body: those that a client may see.
    pub(super) fn trailers(&self) -> Result<Option<Fields>, Problem> {
        if self.trailers.is_empty() { Ok(None) } else { parse_trailers(&self.trailers).map(Some) }
    }

    fn byte(&mut self, byte: u8) -> Result<(), Problem> {
        self.at = match (self.at, byte) {
            (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < SIZE_DIGITS_MAX =>
            {
                At::Size { value: value * 16 + hex(byte), digits: digits + 1 }
            }
            (At::Size { value, digits: 1.. }, b'\r') => At::SizeLf { value },
            (At::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => At::Extension { value },
            (At::Extension { value }, b'\r') => At::SizeLf { value },
            (At::Extension { value }, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err("its chunk extensions are too long");
                }
                At::Extension { value }
            }
            (At::SizeLf { value: 0 }, b'\n') => At::TrailerStart,
            (At::SizeLf { value }, b'\n') => At::Data { left: value },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { value: 0, digits: 0 },
            (At::TrailerStart, b'\r') => At::EndLf,
            (At::EndLf, b'\n') => At::Done,
            (At::TrailerStart | At::Trailer | At::TrailerLf, _) => return self.trailer(byte),
            _ => return Err("a chunk is malformed"),
        };
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), Problem> {
        if self.trailers.len() >= TRAILER_BYTES_MAX {
            return Err("its trailers are too long");
        }
        self.trailers.push(byte);
        self.at = match (self.at, byte) {
            (At::TrailerLf, b'\n') => At::TrailerStart,
            (At::TrailerLf, _) | (_, b'\n') => return Err("a trailer is malformed"),
            (_, b'\r') => At::TrailerLf,
            _ => At::Trailer,
        };
        Ok(())
    }
}

fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    })
}

/// `lines` are without the empty one at their end.
fn parse_trailers(lines: &[u8]) -> Result<Fields, Problem> {
    let whole = [lines, b"\r\n"].concat();
    let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(&whole, &mut slots) else {
        return Err("its trailers are malformed");
    };
    let mut map = HeaderMap::with_capacity(parsed.len());
    for field in parsed {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a trailer's name is malformed")?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| "a trailer's value is malformed")?;
        if !is_engine_field(&name) && name != SET_COOKIE {
            map.append(name, value);
        }
    }
    Ok(Fields(map))
}
