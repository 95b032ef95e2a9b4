//! One request head: lines, request target, fields, and what the framing fields say together.

use crate::http::head::RequestLine;
use crate::http::raw::{FieldPlace, Kind, Span};
use crate::http::visible::is_visible;

use super::plain::PlainLine;
use super::table::{self, HOST, METHOD, PATH, QUERY};
use super::{HeadBounds, Malformed};

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Framing {
    /// The next request.
    None,
    /// Whatever the upgrade makes of it.
    Upgrade,
    /// So many bytes of body, at least one.
    Length(u64),
    /// A chunked body.
    Chunked,
}

/// `METHOD` and two spaces and `HTTP/1.1`: what a request line holds besides the target.
const LINE_WITHOUT_TARGET: usize = METHOD_LEN_MAX + 2 + 8;
const METHOD_LEN_MAX: usize = 32;
/// Names in one `Connection`: each is compared with every field. Real ones hold one or two.
const CONNECTION_NAMES_MAX: usize = 64;
/// 10^18 bytes: far beyond any body, far below overflow.
const LENGTH_DIGITS_MAX: usize = 18;

/// A head that may arrive in pieces; positions are relative to its first byte.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct HeadScan {
    /// Where the current line starts.
    line: usize,
    /// Everything before this has been searched for LF.
    searched: usize,
    facts: Facts,
}

/// A whole, accepted head.
#[derive(Clone, Debug)]
pub(in crate::http) struct Accepted {
    /// Its length in bytes, the empty line included.
    pub(in crate::http) len: usize,
    pub(in crate::http) line: RequestLine,
    /// Its fields; their kinds are not told apart yet.
    pub(in crate::http) places: Vec<FieldPlace>,
    pub(in crate::http) is_http11: bool,
    /// The client waits for a 100 before it sends its body.
    pub(in crate::http) expects_continue: bool,
    pub(in crate::http) framing: Framing,
}

/// Fields a usual head has; one allocation holds their places.
const FIELDS_USUAL: usize = 16;

#[derive(Clone, Debug, Default)]
struct Facts {
    line: RequestLine,
    places: Vec<FieldPlace>,
    http11: bool,
    bodyless: bool,
    host: Option<Span>,
    length: Option<u64>,
    chunked: bool,
    expect: bool,
    upgrade: bool,
}

impl HeadScan {
    pub(in crate::http) fn is_untouched(&self) -> bool {
        self.searched == 0
    }

    /// Scans on; `head` starts with the first byte of the head. `Some` once it is whole: the scan is then
    /// spent.
    pub(in crate::http) fn advance(
        &mut self,
        head: &[u8],
        bounds: &HeadBounds,
    ) -> Result<Option<Accepted>, Malformed> {
        if self.searched == 0 {
            first_byte(head)?;
        }
        loop {
            self.plain_fields(head, bounds)?;
            let found = memchr::memchr(b'\n', head.get(self.searched..).unwrap_or_default());
            let end = found.map_or(head.len(), |at| self.searched + at);
            self.check_size(end, bounds)?;
            if found.is_none() {
                self.searched = head.len();
                return Ok(None);
            }
            let line = head.get(self.line..end).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                return Err(Malformed::LineEnding);
            };
            if self.line == 0 {
                self.facts.request_line(line, bounds)?;
            } else if line.is_empty() {
                return self.facts.accept(head, end + 1).map(Some);
            } else {
                if self.facts.places.len() >= bounds.fields_max {
                    return Err(Malformed::TooManyFields);
                }
                self.facts.field(line, self.line)?;
            }
            self.line = end + 1;
            self.searched = end + 1;
        }
    }

    /// Takes in the whole and usual field lines that come next.
    fn plain_fields(&mut self, head: &[u8], bounds: &HeadBounds) -> Result<(), Malformed> {
        while self.line != 0
            && self.searched == self.line
            && let Some(line) = head.get(self.line..).and_then(PlainLine::of)
        {
            let end = self.line + line.len();
            self.check_size(end - 1, bounds)?;
            if self.facts.places.len() >= bounds.fields_max {
                return Err(Malformed::TooManyFields);
            }
            let name = head.get(self.line..self.line + line.name_len).unwrap_or_default();
            let place = line.place(self.line);
            self.facts.note(name, place.value.bytes(head), place)?;
            (self.line, self.searched) = (end, end);
        }
        Ok(())
    }

    /// `end` is where the current line ends or, while its end is unknown, a byte it goes beyond: both give
    /// the same verdict, whenever the bytes arrive.
    fn check_size(&self, end: usize, bounds: &HeadBounds) -> Result<(), Malformed> {
        if self.line == 0 && end > bounds.target_bytes_max + LINE_WITHOUT_TARGET + 1 {
            return Err(Malformed::TargetTooLong);
        }
        if end >= bounds.head_bytes_max {
            return Err(Malformed::HeadTooLong);
        }
        Ok(())
    }
}

/// Says no to what cannot become a request line without waiting for its end: a TLS hello on a clear port,
/// an empty line, a lower-case method.
fn first_byte(head: &[u8]) -> Result<(), Malformed> {
    match head.first() {
        Some(b'\r' | b'\n') => Err(Malformed::LineEnding),
        Some(byte) if !byte.is_ascii_uppercase() => Err(Malformed::Method),
        _ => Ok(()),
    }
}

impl Facts {
    fn request_line(&mut self, line: &[u8], bounds: &HeadBounds) -> Result<(), Malformed> {
        let mut parts = line.splitn(3, |&byte| byte == b' ');
        let method = parts.next().unwrap_or_default();
        if method.len() > METHOD_LEN_MAX || !table::all(method, METHOD) {
            return Err(Malformed::Method);
        }
        let (Some(target), Some(version)) = (parts.next(), parts.next()) else {
            return Err(Malformed::RequestLine);
        };
        self.http11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => {
                return Err(if version.contains(&b' ') {
                    Malformed::RequestLine
                } else {
                    Malformed::Version
                });
            }
        };
        if method == b"CONNECT" {
            return Err(Malformed::Connect);
        }
        if target.len() > bounds.target_bytes_max {
            return Err(Malformed::TargetTooLong);
        }
        self.bodyless = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
        self.line.method = Span::of(0..method.len());
        self.places.reserve(FIELDS_USUAL);
        self.target(target, method.len() + 1, method == b"OPTIONS")
    }

    /// RFC 9112 §3.2: origin form, absolute form, and `*` for OPTIONS.
    fn target(&mut self, target: &[u8], start: usize, options: bool) -> Result<(), Malformed> {
        match target.first() {
            Some(b'/') => return self.path_and_query(target, start),
            Some(b'*') if target.len() == 1 && options => {
                self.line.path = Span::of(start..start + 1);
                return Ok(());
            }
            _ => {}
        }
        let scheme = [b"http://".as_slice(), b"https://"]
            .into_iter()
            .find(|scheme| target.get(..scheme.len()).is_some_and(|there| there.eq_ignore_ascii_case(scheme)))
            .ok_or(Malformed::Target)?;
        let rest = target.get(scheme.len()..).unwrap_or_default();
        let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(len);
        if !is_authority(authority) {
            return Err(Malformed::Target);
        }
        let from = start + scheme.len();
        self.line.authority = Some(Span::of(from..from + len));
        self.path_and_query(path, from + len)?;
        if !path.starts_with(b"/") {
            // An empty path is written `/` (RFC 9110 §4.2.3): the last byte of the scheme is one.
            self.line.path = Span::of(from - 1..from);
        }
        Ok(())
    }

    fn path_and_query(&mut self, target: &[u8], start: usize) -> Result<(), Malformed> {
        let path_len = memchr::memchr(b'?', target).unwrap_or(target.len());
        let (path, query) = target.split_at(path_len);
        if !table::all(path, PATH) || !table::all(query, QUERY) {
            return Err(Malformed::Target);
        }
        self.line.path = Span::of(start..start + path_len);
        if !query.is_empty() {
            self.line.query = Some(Span::of(start + path_len + 1..start + target.len()));
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], start: usize) -> Result<(), Malformed> {
        let (len, underscore) = table::name(line);
        let (name, rest) = line.split_at(len);
        let Some((b':', value)) = rest.split_first() else {
            return Err(not_a_name(name, rest));
        };
        if name.is_empty() {
            return Err(Malformed::FieldName);
        }
        value_bytes(value)?;
        let trimmed = trim(value);
        let before = value.len() - trim_start(value).len();
        let from = start + len + 1 + before;
        let span = Span::of(from..from + trimmed.len());
        let kind = if underscore { Kind::Hidden } else { Kind::Plain };
        let place = FieldPlace { name: Span::of(start..start + len), value: span, kind };
        self.note(name, trimmed, place)
    }

    #[inline]
    fn note(&mut self, name: &[u8], value: &[u8], place: FieldPlace) -> Result<(), Malformed> {
        self.places.push(place);
        if place.kind == Kind::Hidden {
            return look_alike(name);
        }
        match name.len() {
            4 | 6 | 7 | 10 | 14 | 17 => self.framing_field(name, value, place.value),
            _ => Ok(()),
        }
    }

    fn framing_field(&mut self, name: &[u8], value: &[u8], span: Span) -> Result<(), Malformed> {
        if name.eq_ignore_ascii_case(b"host") {
            if self.host.replace(span).is_some() {
                return Err(Malformed::HostRepeated);
            }
            return if is_authority(value) { Ok(()) } else { Err(Malformed::HostInvalid) };
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.replace(length(value)?).is_some() {
                return Err(Malformed::LengthRepeated);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !self.http11 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed::TransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"expect") {
            if self.expect || !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Malformed::Expect);
            }
            self.expect = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = self.http11;
        } else if name.eq_ignore_ascii_case(b"connection")
            && memchr::memchr_iter(b',', value).nth(CONNECTION_NAMES_MAX).is_some()
        {
            return Err(Malformed::TooManyFields);
        }
        Ok(())
    }

    fn accept(&mut self, head: &[u8], len: usize) -> Result<Accepted, Malformed> {
        Ok(Accepted {
            len,
            framing: self.framing(head)?,
            line: self.line,
            places: std::mem::take(&mut self.places),
            is_http11: self.http11,
            expects_continue: self.expect && self.http11,
        })
    }

    /// The head is whole: what the fields mean together.
    fn framing(&self, head: &[u8]) -> Result<Framing, Malformed> {
        match (self.host, self.line.authority) {
            (None, _) if self.http11 => return Err(Malformed::HostMissing),
            (Some(host), Some(authority))
                if !host.bytes(head).eq_ignore_ascii_case(authority.bytes(head)) =>
            {
                return Err(Malformed::HostMismatch);
            }
            _ => {}
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Malformed::LengthAndChunked),
            (Some(1..), _) | (_, true) if self.bodyless => Err(Malformed::BodyNotExpected),
            (None, true) => Ok(Framing::Chunked),
            (Some(length @ 1..), false) => Ok(Framing::Length(length)),
            _ if self.upgrade => Ok(Framing::Upgrade),
            _ => Ok(Framing::None),
        }
    }
}

/// A host name, an IPv4 address or an IPv6 address in brackets, and an optional port.
fn is_authority(authority: &[u8]) -> bool {
    let port = match authority.split_first() {
        Some((b'[', rest)) => {
            let Some(close) = memchr::memchr(b']', rest) else { return false };
            let (address, port) = rest.split_at(close);
            if address.is_empty()
                || !address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
            {
                return false;
            }
            port.get(1..).unwrap_or_default()
        }
        _ => {
            let host_len = memchr::memchr(b':', authority).unwrap_or(authority.len());
            let (host, port) = authority.split_at(host_len);
            if host.is_empty() || !table::all(host, HOST) {
                return false;
            }
            port
        }
    };
    match port.split_first() {
        None => true,
        Some((b':', digits)) => {
            std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok()) && digits[0] != b'+'
        }
        Some(_) => false,
    }
}

/// 0, or digits without a leading zero.
fn length(value: &[u8]) -> Result<u64, Malformed> {
    let plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= LENGTH_DIGITS_MAX;
    if !plain || !value.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::LengthInvalid);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Visible ASCII, space and tab; says what else there is.
fn value_bytes(value: &[u8]) -> Result<(), Malformed> {
    if is_visible(value) {
        return Ok(());
    }
    match value.iter().find(|&&byte| !matches!(byte, b'\t' | 0x20..0x7f)) {
        None => Ok(()),
        Some(b'\r') => Err(Malformed::BareCr),
        Some(0x80..) => Err(Malformed::NotAscii),
        Some(_) => Err(Malformed::ControlByte),
    }
}

/// Only the two that servers take for framing are refused; other names with `_` are dropped later.
fn look_alike(name: &[u8]) -> Result<(), Malformed> {
    let folds_to = |framing: &[u8]| {
        name.len() == framing.len()
            && name.iter().zip(framing).all(|(&a, &b)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-'))
    };
    if folds_to(b"content-length") || folds_to(b"transfer-encoding") {
        return Err(Malformed::FramingLookAlike);
    }
    Ok(())
}

fn not_a_name(name: &[u8], rest: &[u8]) -> Malformed {
    match rest.first() {
        Some(b' ' | b'\t') if name.is_empty() => Malformed::LineFolding,
        Some(b' ' | b'\t') => Malformed::SpaceBeforeColon,
        Some(b'\r') => Malformed::BareCr,
        _ => Malformed::FieldName,
    }
}

/// Without optional white space (RFC 9110 §5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let mut value = trim_start(value);
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}
