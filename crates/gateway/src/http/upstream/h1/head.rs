//! The head of an answer: found, judged and kept where it was received.
//!
//! What lives here: where a head ends, which heads are refused, what of one is kept. What does not: sockets,
//! bodies; what the fields say about the body's end is in `framing`. Invariants: the verdict does not depend on how the bytes are cut into reads; an
//! answer whose body could be cut in two ways is refused (RFC 9112 §6.3, reliability §7); only fields of
//! [`Kind::Plain`] come out.

use std::mem::MaybeUninit;

use bytes::BytesMut;

use crate::http::guard::plain::PlainLine;
use crate::http::raw::{FieldPlace, Kind, RawFields, Span};
use crate::http::visible::visible_prefix;

use super::framing::{Found, Framing};

/// Fields of one head.
pub(super) const FIELDS_MAX: usize = 100;
/// Interim answers (RFC 9110 §15.2) before the final one.
const INTERIMS_MAX: u8 = 8;
/// How every head starts; anything else need not be waited for.
const START: &[u8] = b"HTTP/1.";
const SWITCHING_PROTOCOLS: u16 = 101;
/// Fields a usual head has; one allocation holds their places.
const FIELDS_USUAL: usize = 12;
/// What came behind a head is copied up to this size: a buffer that is shared costs more.
const COPIED_BYTES_MAX: usize = 2 * 1024;

/// Why an answer is refused: text for the log.
pub(super) type Problem = &'static str;

/// What of the request changes how its answer is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// The method was `HEAD`: there is no body, whatever the fields say.
    pub(super) head_only: bool,
    /// The upstream may change the protocol.
    pub(super) upgrade: bool,
}

/// A final answer's head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) fields: RawFields,
    pub(super) framing: Framing,
    /// `Content-Length` of an answer to `HEAD`.
    pub(super) length_of_head: Option<u64>,
    /// The upstream keeps the connection after this answer.
    pub(super) keeps: bool,
}

impl Head {
    pub(super) fn switches_protocol(&self) -> bool {
        self.status == SWITCHING_PROTOCOLS
    }

    fn is_interim(&self) -> bool {
        self.status < 200 && !self.switches_protocol()
    }
}

/// Reads heads until the final one.
#[derive(Debug)]
pub(super) struct HeadReader {
    asked: Asked,
    bytes_max: usize,
    /// Up to here there is no end of the head.
    scanned: usize,
    interims: u8,
}

impl HeadReader {
    /// `bytes_max` bounds each single head.
    pub(super) fn new(asked: Asked, bytes_max: usize) -> Self {
        Self { asked, bytes_max, scanned: 0, interims: 0 }
    }

    /// Takes the final head out of `buffer` and leaves what follows it. `None`: more bytes are needed.
    pub(super) fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Head>, Problem> {
        loop {
            let found = if self.scanned == 0 { Parsed::plain(buffer, self.bytes_max) } else { None };
            let parsed = match found {
                Some(parsed) => parsed,
                None => match self.end_of_head(buffer)? {
                    Some(end) => Parsed::of(buffer, end)?,
                    None => return Ok(None),
                },
            };
            let head = self.judge(buffer, parsed)?;
            self.scanned = 0;
            if !head.is_interim() {
                return Ok(Some(head));
            }
            self.interims += 1;
            if self.interims > INTERIMS_MAX {
                return Err("it sends interim answers without end");
            }
        }
    }

    /// Where the first empty line ends. Every byte is looked at once, however slowly the head comes.
    fn end_of_head(&mut self, buffer: &[u8]) -> Result<Option<usize>, Problem> {
        if self.scanned < START.len() && !buffer.iter().zip(START).all(|(there, wanted)| there == wanted) {
            return Err("it is not HTTP/1");
        }
        let bounded = buffer.get(..self.bytes_max).unwrap_or(buffer);
        while let Some(ahead) = bounded.get(self.scanned..)
            && let Some(at) = memchr::memchr(b'\n', ahead)
        {
            match ahead.get(at + 1..).unwrap_or_default() {
                [b'\n', ..] => return Ok(Some(self.scanned + at + 2)),
                [b'\r', b'\n', ..] => return Ok(Some(self.scanned + at + 3)),
                [] | [b'\r'] => {
                    self.scanned += at;
                    return self.none_yet(buffer);
                }
                _ => self.scanned += at + 1,
            }
        }
        self.scanned = bounded.len();
        self.none_yet(buffer)
    }

    fn none_yet(&self, buffer: &[u8]) -> Result<Option<usize>, Problem> {
        if buffer.len() >= self.bytes_max { Err("its head is too long") } else { Ok(None) }
    }

    fn judge(&self, buffer: &mut BytesMut, parsed: Parsed) -> Result<Head, Problem> {
        let Parsed { end, line, places } = parsed;
        let mut fields = RawFields::received(split_to(buffer, end), places);
        let mut found = Found::default();
        for field in fields.iter().filter(|field| field.kind == Kind::Engine) {
            found.note(field.name, field.value)?;
        }
        let length = found.check(line.is_http10)?;
        let framing = self.framing(&line, &found, length)?;
        let keeps = !line.is_http10 && !found.closes() && framing != Framing::UntilClose;
        let length_of_head = length.filter(|_| self.asked.head_only);
        let is_own = |name: &[u8]| found.named.iter().any(|own| own.as_slice() == name);
        fields.retain(|field| field.kind == Kind::Plain && !is_own(field.name));
        Ok(Head { status: line.status, fields, framing, length_of_head, keeps })
    }

    fn framing(&self, line: &StatusLine, found: &Found, length: Option<u64>) -> Result<Framing, Problem> {
        if line.status == SWITCHING_PROTOCOLS && !self.asked.upgrade {
            return Err("it changed the protocol without being asked");
        }
        if self.asked.head_only || line.status < 200 || matches!(line.status, 204 | 304) {
            return Ok(Framing::None);
        }
        Ok(found.framing(length))
    }
}

struct StatusLine {
    status: u16,
    is_http10: bool,
}

/// Where the parts of a head are, its names still as they came.
struct Parsed {
    end: usize,
    line: StatusLine,
    places: Vec<FieldPlace>,
}

impl Parsed {
    /// The head that `buffer` begins with, in one pass; `None` when it is not whole, or anything about it is
    /// unusual.
    fn plain(buffer: &[u8], bytes_max: usize) -> Option<Self> {
        let (line, mut end) = StatusLine::plain(buffer)?;
        let mut places = Vec::with_capacity(FIELDS_USUAL);
        while let rest = buffer.get(end..)?
            && !rest.starts_with(b"\r\n")
        {
            let line = PlainLine::of(rest).filter(|_| places.len() < FIELDS_MAX)?;
            places.push(line.place(end));
            end += line.len();
        }
        end += 2;
        (end <= bytes_max).then_some(Self { end, line, places })
    }

    /// The head that ends at `end`, whatever it looks like.
    fn of(buffer: &[u8], end: usize) -> Result<Self, Problem> {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let head = buffer.get(..end).unwrap_or_default();
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, head, &mut slots) {
            Ok(httparse::Status::Complete(len)) if len == end => {}
            Err(httparse::Error::TooManyHeaders) => return Err("its head has too many fields"),
            Ok(_) | Err(_) => return Err("its head is malformed"),
        }
        let (Some(status @ 100..=999), Some(minor)) = (response.code, response.version) else {
            return Err("its status is not a number from 100 to 999");
        };
        let span = |part: &[u8]| match part.as_ptr().addr().checked_sub(head.as_ptr().addr()) {
            Some(start) if !part.is_empty() => Span::of(start..start + part.len()),
            _ => Span::default(),
        };
        let place = |field: &httparse::Header<'_>| FieldPlace {
            name: span(field.name.as_bytes()),
            value: span(field.value.trim_ascii()),
            kind: if field.name.contains('_') { Kind::Hidden } else { Kind::Plain },
        };
        let places = response.headers.iter().map(place).collect();
        Ok(Self { end, line: StatusLine { status, is_http10: minor == 0 }, places })
    }
}

impl StatusLine {
    /// The line that `buffer` begins with, and where it ends; `None` when anything about it is unusual.
    fn plain(buffer: &[u8]) -> Option<(Self, usize)> {
        let (start, rest) = buffer.split_first_chunk::<8>()?;
        let is_http10 = match start {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return None,
        };
        let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', reason @ ..] = rest else {
            return None;
        };
        let len = visible_prefix(reason);
        if reason.get(len..len + 2) != Some(b"\r\n") {
            return None;
        }
        let digit = |byte: &u8| u16::from(byte - b'0');
        let status = digit(a) * 100 + digit(b) * 10 + digit(c);
        Some((Self { status, is_http10 }, start.len() + 5 + len + 2))
    }
}

/// Takes the first `end` bytes out of `buffer`.
fn split_to(buffer: &mut BytesMut, end: usize) -> BytesMut {
    match buffer.get(end..) {
        Some(behind) if behind.len() <= COPIED_BYTES_MAX => {
            let behind = BytesMut::from(behind);
            let mut head = std::mem::replace(buffer, behind);
            head.truncate(end);
            head
        }
        _ => buffer.split_to(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 4096;

    fn read(text: &str, asked: Asked) -> Result<Option<Head>, Problem> {
        let mut buffer = BytesMut::from(text.replace('$', "\r\n").as_bytes());
        HeadReader::new(asked, BYTES_MAX).advance(&mut buffer)
    }

    fn framing(text: &str) -> Result<(Framing, bool), Problem> {
        read(text, Asked::default()).map(|head| head.map(|head| (head.framing, head.keeps)).unwrap())
    }

    #[test]
    fn the_end_of_a_body_is_found_as_the_standard_says() {
        let table = [
            ("HTTP/1.1 200 OK$Content-Length: 3$$", Framing::Length(3), true),
            ("HTTP/1.1 200$content-length:3$$", Framing::Length(3), true),
            ("HTTP/1.1 200 OK$Transfer-Encoding: Chunked$$", Framing::Chunked, true),
            ("HTTP/1.1 200 OK$$", Framing::UntilClose, false),
            ("HTTP/1.1 204 No Content$$", Framing::None, true),
            ("HTTP/1.1 304 Not Modified$Content-Length: 9$$", Framing::None, true),
            ("HTTP/1.1 200 OK$Content-Length: 3$Connection: x, Close$$", Framing::Length(3), false),
            ("HTTP/1.0 200 OK$Content-Length: 3$$", Framing::Length(3), false),
            ("HTTP/1.0 200 OK$Content-Length: 3$Connection: keep-alive$$", Framing::Length(3), false),
            (
                "HTTP/1.1 103 Early$Content-Length: 7$$HTTP/1.1 200 OK$Content-Length: 3$$",
                Framing::Length(3),
                true,
            ),
        ];
        for (text, framed, keeps) in table {
            assert_eq!(framing(text), Ok((framed, keeps)), "{text}");
        }
        let head = read("HTTP/1.1 200 OK$Content-Length: 3$$", Asked { head_only: true, upgrade: false });
        let head = head.unwrap().unwrap();
        assert_eq!((head.framing, head.keeps, head.length_of_head), (Framing::None, true, Some(3)));
    }

    #[test]
    fn a_doubtful_head_is_refused() {
        for text in [
            "HTTP/2.0 200 OK$$",
            "$HTTP/1.1 200 OK$$",
            "HTTP/1.1 099 Low$$",
            "HTTP/1.1 20 OK$$",
            "HTTP/1.1 200 OK$Content-Length: 3$Content-Length: 3$$",
            "HTTP/1.1 200 OK$Content-Length: 3, 3$$",
            "HTTP/1.1 200 OK$Content-Length: +3$$",
            "HTTP/1.1 200 OK$Content-Length:$$",
            "HTTP/1.1 200 OK$Content-Length: 99999999999999999999$$",
            "HTTP/1.1 200 OK$Content-Length: 3$Transfer-Encoding: chunked$$",
            "HTTP/1.1 200 OK$Transfer-Encoding: chunked$Transfer-Encoding: chunked$$",
            "HTTP/1.1 200 OK$Transfer-Encoding: gzip, chunked$$",
            "HTTP/1.0 200 OK$Transfer-Encoding: chunked$$",
            "HTTP/1.1 204 No Content$Content-Length: 1$Content-Length: 2$$",
            "HTTP/1.1 200 OK$Name : x$$",
            "HTTP/1.1 200 OK$X: a$ folded$$",
            "HTTP/1.1 200 OK$X: a\0b$$",
            "HTTP/1.1 200 OK$X: a\rb$$",
            "HTTP/1.1 101 Switching Protocols$Upgrade: x$$",
        ] {
            assert!(read(text, Asked::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn only_fields_for_the_client_come_out_in_lower_case() {
        let text =
            "HTTP/1.1 200 OK$X-A: 1 $Connection: X-Own, close$X-OWN: 2$Keep-Alive: 5$X_Hidden: 3$Server:$$";
        let head = read(text, Asked::default()).unwrap().unwrap();
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(b"x-a".as_slice(), b"1".as_slice()), (b"server".as_slice(), b"".as_slice())]);
    }

    #[test]
    fn heads_are_bounded_in_bytes_fields_and_number() {
        let long = format!("HTTP/1.1 200 OK$X: {}$$", "x".repeat(BYTES_MAX));
        assert!(read(&long, Asked::default()).is_err());
        assert!(read(long.strip_suffix("$$").unwrap(), Asked::default()).is_err(), "without an end in sight");
        let many = |count| format!("HTTP/1.1 204 x${}$", "A: b$".repeat(count));
        assert!(read(&many(FIELDS_MAX), Asked::default()).is_ok());
        assert!(read(&many(FIELDS_MAX + 1), Asked::default()).is_err());
        let flood = |count| format!("{}HTTP/1.1 204 x$$", "HTTP/1.1 100 Continue$$".repeat(count));
        assert!(read(&flood(8), Asked::default()).unwrap().is_some());
        assert!(read(&flood(9), Asked::default()).is_err());
    }
}
