//! A chunked body (RFC 9112 §7.1): plain sizes, CR LF only, no extensions, trailers checked by name.

use super::table::{self, HEX, TOKEN};
use super::{HeadBounds, Malformed};

/// Digits of a chunk size; 2^60 bytes is beyond any body.
const SIZE_DIGITS_MAX: u8 = 15;

/// Names that change how a message is framed, routed or authenticated, and so must not come after it
/// (RFC 9110 §6.5.1). Trailers of HTTP/1 requests are discarded anyway; refusing these says so loudly.
const FORBIDDEN: [&[u8]; 20] = [
    b"api-key",
    b"apikey",
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"x-api-key",
    b"x-forwarded-for",
    b"x-goog-api-key",
];
const NAME_KEPT: usize = 20;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Debug)]
pub(in crate::http) struct ChunkScan {
    at: At,
    /// Bytes of trailers so far, bounded like a head.
    trailer_bytes: usize,
    trailer_fields: usize,
}

#[derive(Clone, Debug)]
enum At {
    Size { value: u64, digits: u8 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    LineStart,
    Name { kept: [u8; NAME_KEPT], len: usize },
    Value,
    ValueLf,
    EndLf,
}

impl Default for ChunkScan {
    fn default() -> Self {
        Self { at: At::Size { value: 0, digits: 0 }, trailer_bytes: 0, trailer_fields: 0 }
    }
}

/// What a scan came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Piece {
    /// The input is used up; more is needed.
    More,
    /// Data of the body. It ends the bytes that were taken.
    Data {
        /// Its length in bytes, at least one.
        len: usize,
    },
    /// The body is complete.
    End,
}

impl ChunkScan {
    /// Scans on to the next piece. Returns the bytes taken from the start of the input, and what they came
    /// to.
    pub(in crate::http) fn next(
        &mut self,
        input: &[u8],
        bounds: &HeadBounds,
    ) -> (usize, Result<Piece, Malformed>) {
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            if let At::Data { left } = &mut self.at {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len() - taken);
                *left -= len as u64;
                if *left == 0 {
                    self.at = At::DataCr;
                }
                return (taken + len, Ok(Piece::Data { len }));
            }
            match self.byte(byte, bounds) {
                Ok(done) => {
                    taken += 1;
                    if done {
                        return (taken, Ok(Piece::End));
                    }
                }
                Err(why) => return (taken, Err(why)),
            }
        }
        (taken, Ok(Piece::More))
    }

    /// Scans on to the end of the input or of the body. Returns the accepted bytes, and whether the body is
    /// complete after them.
    pub(super) fn advance(&mut self, input: &[u8], bounds: &HeadBounds) -> (usize, Result<bool, Malformed>) {
        let mut accepted = 0;
        loop {
            let (taken, piece) = self.next(input.get(accepted..).unwrap_or_default(), bounds);
            accepted += taken;
            match piece {
                Ok(Piece::Data { .. }) => {}
                Ok(Piece::More) => return (accepted, Ok(false)),
                Ok(Piece::End) => return (accepted, Ok(true)),
                Err(why) => return (accepted, Err(why)),
            }
        }
    }

    fn byte(&mut self, byte: u8, bounds: &HeadBounds) -> Result<bool, Malformed> {
        self.at = match (&self.at, byte) {
            (At::Size { value, digits }, _) if table::is(byte, HEX) && *digits < SIZE_DIGITS_MAX => {
                At::Size { value: value * 16 + hex(byte), digits: digits + 1 }
            }
            (At::Size { value, digits: 1.. }, b'\r') => At::SizeLf { value: *value },
            (At::SizeLf { value: 0 }, b'\n') => At::LineStart,
            (At::SizeLf { value }, b'\n') => At::Data { left: *value },
            (At::Size { .. } | At::SizeLf { .. }, _) => return Err(Malformed::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { value: 0, digits: 0 },
            (At::DataCr | At::DataLf | At::Data { .. }, _) => return Err(Malformed::ChunkEnd),
            (At::EndLf, b'\n') => return Ok(true),
            _ => return self.trailer(byte, bounds).map(|()| false),
        };
        Ok(false)
    }

    fn trailer(&mut self, byte: u8, bounds: &HeadBounds) -> Result<(), Malformed> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > bounds.head_bytes_max {
            return Err(Malformed::Trailer);
        }
        self.at = match (&mut self.at, byte) {
            (At::LineStart, b'\r') => At::EndLf,
            (At::LineStart, _) if table::is(byte, TOKEN) => {
                self.trailer_fields += 1;
                if self.trailer_fields > bounds.fields_max {
                    return Err(Malformed::Trailer);
                }
                let mut kept = [0; NAME_KEPT];
                kept[0] = fold(byte);
                At::Name { kept, len: 1 }
            }
            (At::Name { kept, len }, _) if table::is(byte, TOKEN) => {
                if let Some(slot) = kept.get_mut(*len) {
                    *slot = fold(byte);
                }
                *len += 1;
                return Ok(());
            }
            (At::Name { kept, len }, b':') => {
                let name = kept.get(..*len).unwrap_or_default();
                if FORBIDDEN.contains(&name) {
                    return Err(Malformed::Trailer);
                }
                At::Value
            }
            (At::Value, b'\t' | 0x20..0x7f) => return Ok(()),
            (At::Value, b'\r') => At::ValueLf,
            (At::ValueLf, b'\n') => At::LineStart,
            _ => return Err(Malformed::Trailer),
        };
        Ok(())
    }
}

/// Lower case, and `-` for `_`: as the most lenient reader would see the name.
fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn hex(digit: u8) -> u64 {
    u64::from(match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    })
}
