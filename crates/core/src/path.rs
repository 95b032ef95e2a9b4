//! The one spelling of a path (CONTRACT §4): decoded once, dot segments removed.
//!
//! Policies are written against this spelling. Upstreams get the same path with its reserved characters as
//! the client wrote them, encoded or not (RFC 3986 §2.2: the two may mean different things to whoever serves
//! them). What upstreams get decodes to what policies saw, so that no other spelling of a path escapes its
//! policy. What could mean two things to two servers is refused.

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
    decode(&wire_form(raw)?).map(Cow::Owned)
}

/// What an upstream gets for a raw path that was decided about as `decided`: decodes to `decided`, always.
///
/// Reserved characters (RFC 3986 §2.2) that came encoded stay encoded, in upper case, and those that came
/// bare stay bare; unreserved ones are bare, everything else is encoded. There are two exceptions to what came
/// bare: `;` is encoded as [`encode`] says, and `[` and `]` are, which no path may have bare (§3.3).
///
/// Borrowed when nothing had to be encoded. A raw path that is not the one that was decided about is not
/// looked at any further: then it is `decided` as [`encode`] writes it.
#[must_use]
pub fn wire<'d>(raw: &str, decided: &'d str) -> Cow<'d, str> {
    if raw == decided && is_plain(decided.as_bytes()) {
        return Cow::Borrowed(decided);
    }
    match wire_form(raw) {
        Ok(form) if decode(&form).as_deref() == Ok(decided) => Cow::Owned(form),
        _ => encode(decided),
    }
}

/// The part of a path on the wire that decodes to the bytes `from..to` of its decoded form.
#[must_use]
pub fn wire_part(wire: &str, from: usize, to: usize) -> &str {
    let mut bytes = wire.bytes().enumerate();
    let mut places = std::iter::from_fn(|| {
        let (place, byte) = bytes.next()?;
        if byte == b'%' {
            // Its two digits.
            bytes.nth(1);
        }
        Some(place)
    });
    let start = places.nth(from).unwrap_or(wire.len());
    let end = match to.saturating_sub(from) {
        0 => start,
        count => places.nth(count - 1).unwrap_or(wire.len()),
    };
    wire.get(start..end).unwrap_or_default()
}

/// The path as it goes on the wire: dot segments and empty ones removed, and one spelling for every character
/// but reserved ones, which may be bare or encoded.
fn wire_form(raw: &str) -> Result<String, PathError> {
    let spelled = respell(raw)?;
    // All of it has to be text, also what a `..` removes.
    if decode(&spelled)?.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut directory = false;
    for part in spelled.split('/') {
        let bare = part.split_once("%3B").map(|(bare, _)| bare);
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
    let mut path = String::with_capacity(spelled.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if directory || segments.is_empty() {
        path.push('/');
    }
    Ok(path)
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
            push_escape(&mut text, byte);
        }
    }
    Cow::Owned(text)
}

fn push_escape(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(HEX[usize::from(byte >> 4)]));
    text.push(char::from(HEX[usize::from(byte & 15)]));
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

/// Brings every character into its one spelling, and leaves segments as they are.
fn respell(raw: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(raw.len() + 16);
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        let (value, is_escaped) = match byte {
            b'%' => (escaped(&mut rest)?, true),
            byte => (byte, false),
        };
        match value {
            b'\\' => return Err(PathError::AmbiguousSeparator),
            b'/' if is_escaped => return Err(PathError::AmbiguousSeparator),
            0..=31 | 127 => return Err(PathError::Control),
            value if is_unreserved(value) || (!is_escaped && is_wire_safe(value)) => {
                text.push(char::from(value));
            }
            value => push_escape(&mut text, value),
        }
    }
    Ok(text)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The byte whose two digits come next.
fn escaped(digits: &mut impl Iterator<Item = u8>) -> Result<u8, PathError> {
    let high = digits.next().and_then(|digit| char::from(digit).to_digit(16));
    let low = digits.next().and_then(|digit| char::from(digit).to_digit(16));
    match (high, low) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err(PathError::BadEscape),
    }
}

/// Decodes a path as it goes on the wire.
fn decode(wire: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(wire.len());
    let mut rest = wire.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' { escaped(&mut rest)? } else { byte });
    }
    String::from_utf8(bytes).map_err(|_| PathError::NotUtf8)
}
