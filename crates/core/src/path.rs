//! The one spelling of a path (CONTRACT §4): decoded once, dot segments removed.
//!
//! Policies are written against this spelling and upstreams get it re-encoded, so that no other
//! spelling of a path escapes its policy. What could mean two things is refused.

use std::borrow::Cow;

use thiserror::Error;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// Does not begin with `/`.
    #[error("the path must begin with `/`")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path has a `%` that is not followed by two hexadecimal digits")]
    BadEscape,
    /// `%2f` or `%5c` or a backslash: a separator to some servers and none to others.
    #[error("the path has an encoded slash or a backslash, which servers read in different ways")]
    AmbiguousSeparator,
    /// A control character, encoded or not.
    #[error("the path has a control character")]
    Control,
    /// Not UTF-8 after decoding.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// `..` above the root.
    #[error("the path climbs above its root with `..`")]
    AboveRoot,
    /// A dot segment with `;` parameters, which servers read in different ways.
    #[error("the path has a `;` inside a dot segment, which servers read in different ways")]
    DotParameters,
}

/// Brings a raw path (without query) into its one spelling.
///
/// Borrowed when nothing had to change. Empty segments are merged: `//a` is `/a`. A percent sign
/// that was encoded (`%25`) is kept as the character `%`, never decoded twice.
///
/// # Errors
/// See [`PathError`].
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if !raw.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_plain(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded = decode(raw)?;
    if decoded.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut directory = false;
    for part in decoded.split('/') {
        let bare = part.split_once(';').map(|(bare, _)| bare);
        if matches!(bare, Some("." | "..")) {
            return Err(PathError::DotParameters);
        }
        directory = matches!(part, "" | "." | "..");
        match part {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(PathError::AboveRoot)?;
            }
            part => segments.push(part),
        }
    }
    let mut path = String::with_capacity(decoded.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if directory || segments.is_empty() {
        path.push('/');
    }
    Ok(Cow::Owned(path))
}

/// Writes a normalised path for the wire: everything but unreserved characters, sub-delimiters
/// without `;`, `:`, `@` and `/` is percent-encoded (RFC 3986 §3.3).
///
/// A `;` is written `%3B`, because some servers (Java servlets) cut what follows a bare `;` out of the
/// segment and would see `/admin` where the policy saw `/admin;x`.
#[must_use]
pub fn encode(path: &str) -> Cow<'_, str> {
    if path.bytes().all(is_wire_safe) {
        return Cow::Borrowed(path);
    }
    let mut text = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if is_wire_safe(byte) {
            text.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            text.push('%');
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(text)
}

fn is_wire_safe(byte: u8) -> bool {
    WIRE_SAFE[usize::from(byte)]
}

/// What may stand in a path as it is, by byte: it is asked of every byte of every request's path.
static WIRE_SAFE: [bool; 256] = {
    let mut safe = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        safe[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut marks: &[u8] = b"-._~!$&'()*+,=:@/";
    while let [mark, rest @ ..] = marks {
        safe[*mark as usize] = true;
        marks = rest;
    }
    safe
};

/// The common case: nothing to decode, no dot or empty segment, nothing strange.
fn is_plain(raw: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in raw {
        let strange = if after_slash { matches!(byte, b'/' | b'.') } else { false };
        if strange || !is_wire_safe(*byte) {
            return false;
        }
        after_slash = *byte == b'/';
    }
    true
}

fn decode(raw: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let low = rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (high, low) else { return Err(PathError::BadEscape) };
                let value = (high * 16 + low) as u8;
                match value {
                    b'/' | b'\\' => return Err(PathError::AmbiguousSeparator),
                    0..=31 | 127 => return Err(PathError::Control),
                    value => bytes.push(value),
                }
            }
            b'\\' => return Err(PathError::AmbiguousSeparator),
            0..=31 | 127 => return Err(PathError::Control),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| PathError::NotUtf8)
}
