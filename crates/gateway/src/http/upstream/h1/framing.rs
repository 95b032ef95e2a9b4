//! What the fields of an answer say about the end of its body and of its connection (RFC 9112 §§6, 9.3).
//!
//! Invariant: fields that could be read in two ways are refused, not interpreted.

use super::head::Problem;

/// Digits of a length; fewer than what overflows 64 bits.
const LENGTH_DIGITS_MAX: usize = 19;

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the connection and framing fields of one head say.
#[derive(Default)]
pub(super) struct Found {
    length: Option<u64>,
    encodings: usize,
    close: bool,
    /// Fields that belong to the connection besides the well-known ones, in lower case.
    pub(super) named: Vec<Vec<u8>>,
}

impl Found {
    /// Takes note of one field of the connection; `name` is in lower case.
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Problem> {
        match name {
            b"content-length" => {
                if self.length.is_some() {
                    return Err("Content-Length occurs twice");
                }
                self.length = Some(plain_number(value).ok_or("Content-Length is not a decimal number")?);
            }
            b"transfer-encoding" => {
                self.encodings += 1;
                if self.encodings > 1 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("Transfer-Encoding is not \"chunked\" alone, once");
                }
            }
            b"connection" => value.split(|&byte| byte == b',').for_each(|token| self.own(token.trim_ascii())),
            _ => {}
        }
        Ok(())
    }

    /// The body's end, by the fields alone.
    pub(super) fn framing(&self, length: Option<u64>) -> Framing {
        if self.encodings > 0 {
            return Framing::Chunked;
        }
        length.map_or(Framing::UntilClose, Framing::Length)
    }

    /// The upstream closes the connection after this answer.
    pub(super) fn closes(&self) -> bool {
        self.close
    }

    fn own(&mut self, token: &[u8]) {
        let is = |word: &[u8]| token.eq_ignore_ascii_case(word);
        self.close |= is(b"close");
        if !(token.is_empty() || is(b"close") || is(b"keep-alive") || is(b"upgrade")) {
            self.named.push(token.to_ascii_lowercase());
        }
    }

    /// The declared length, if there is one.
    pub(super) fn check(&self, is_http10: bool) -> Result<Option<u64>, Problem> {
        if self.encodings > 0 && self.length.is_some() {
            return Err("Content-Length and Transfer-Encoding exclude each other");
        }
        if self.encodings > 0 && is_http10 {
            return Err("Transfer-Encoding in HTTP/1.0");
        }
        Ok(self.length)
    }
}

fn plain_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > LENGTH_DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
