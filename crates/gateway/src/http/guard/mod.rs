//! Judges raw request bytes before the codec sees them.
//!
//! The guard lets through only byte streams that every HTTP/1.1 implementation cuts into the same requests
//! (list A of reliability §7; RFC 9112 §§2.2, 3, 5, 6, 7, 11.2). It is a pure state machine over bytes: no
//! I/O, no clock, no allocation. `guarded` puts it between the socket and the codec and makes sure that the
//! codec only ever sees whole, accepted heads.
//!
//! Invariants: the verdict does not depend on how the bytes are cut into reads; what is accepted here, the
//! codec accepts too (both are property tests).

pub(super) mod chunked;
pub(super) mod head;
pub(super) mod plain;
mod table;

use self::chunked::ChunkScan;
use self::head::{Framing, HeadScan};
use super::bounds::Bounds;

/// Why a request head or the framing of a body was refused. Each is a way to smuggle a request, or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The head is longer than [`Bounds::head_bytes_max`].
    #[error("the request head is too long: send fewer or shorter header fields")]
    HeadTooLong,
    /// More fields than [`Bounds::fields_max`].
    #[error("the request has too many header fields")]
    TooManyFields,
    /// The request target is longer than [`Bounds::target_bytes_max`].
    #[error("the request target is too long: move data from the query into the body")]
    TargetTooLong,
    /// A line ends with LF alone, or an empty line comes before the request line.
    #[error("every line of a request head ends with CR LF, and the request line comes first")]
    LineEnding,
    /// CR inside a line.
    #[error("a line of the request head contains a lone CR")]
    BareCr,
    /// NUL or another control character.
    #[error("a line of the request head contains a control character")]
    ControlByte,
    /// A byte from 0x80 in a field value.
    #[error("a header field contains bytes outside ASCII: encode them")]
    NotAscii,
    /// Not `METHOD SP target SP HTTP/1.x`.
    #[error("the request line is not \"METHOD target HTTP/1.1\"")]
    RequestLine,
    /// The method is not upper-case letters.
    #[error("the method is not a word of upper-case letters")]
    Method,
    /// `CONNECT`.
    #[error("CONNECT is not offered")]
    Connect,
    /// Neither HTTP/1.0 nor HTTP/1.1 on a connection that speaks HTTP/1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// A character that cannot stand in a request target, `#` among them.
    #[error("the request target contains a character that must be percent-encoded")]
    Target,
    /// A field line without a valid name and colon.
    #[error("a header field line is not \"name: value\"")]
    FieldName,
    /// White space between name and colon.
    #[error("a header field has white space before its colon")]
    SpaceBeforeColon,
    /// A field value continued on the next line.
    #[error("a header field is continued on the next line")]
    LineFolding,
    /// HTTP/1.1 without `Host`.
    #[error("the Host field is missing")]
    HostMissing,
    /// More than one `Host`.
    #[error("there is more than one Host field")]
    HostRepeated,
    /// `Host` is not a host with an optional port.
    #[error("the Host field is not a host name with an optional port")]
    HostInvalid,
    /// `Host` and the target (`:authority`) name different hosts.
    #[error("the Host field and the request target name different hosts")]
    HostMismatch,
    /// `Content-Length` is not one plain decimal number without leading zeros.
    #[error("Content-Length is not one plain decimal number")]
    LengthInvalid,
    /// More than one `Content-Length`, equal or not.
    #[error("there is more than one Content-Length field")]
    LengthRepeated,
    /// `Content-Length` together with `Transfer-Encoding`.
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    LengthAndChunked,
    /// `Transfer-Encoding` is not `chunked` alone, once, in HTTP/1.1.
    #[error("Transfer-Encoding is not \"chunked\" alone, once, in HTTP/1.1")]
    TransferEncoding,
    /// `Content_Length`, `Transfer_Encoding`: fields that some servers take for framing.
    #[error("a header field looks like a framing field: write \"-\", not \"_\"")]
    FramingLookAlike,
    /// `Expect` is not `100-continue`, once.
    #[error("Expect is not \"100-continue\"")]
    Expect,
    /// A method that has no body comes with one.
    #[error("this method does not take a body")]
    BodyNotExpected,
    /// A connection field, or `TE` other than `trailers`, in HTTP/2.
    #[error("HTTP/2 requests carry no connection fields")]
    ConnectionField,
    /// A chunk size line is not plain hexadecimal and CR LF; extensions are not offered.
    #[error("a chunk size is not a plain hexadecimal number on its own line")]
    ChunkSize,
    /// A chunk is not followed by CR LF.
    #[error("a chunk is longer than its size says")]
    ChunkEnd,
    /// A trailer field that is malformed or must not stand in trailers.
    #[error("a trailer field is malformed or not allowed in trailers")]
    Trailer,
}

impl Malformed {
    /// Whether the head was beyond a size bound: answer 431 `head_too_large`. Everything else is
    /// 400 `malformed_request`.
    pub fn is_too_large(self) -> bool {
        matches!(self, Self::HeadTooLong | Self::TooManyFields | Self::TargetTooLong)
    }
}

/// The bounds of a head that the guard checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBounds {
    /// See [`Bounds::head_bytes_max`].
    pub head_bytes_max: usize,
    /// See [`Bounds::fields_max`].
    pub fields_max: usize,
    /// See [`Bounds::target_bytes_max`].
    pub target_bytes_max: usize,
}

impl From<&Bounds> for HeadBounds {
    fn from(bounds: &Bounds) -> Self {
        Self {
            head_bytes_max: bounds.head_bytes_max,
            fields_max: bounds.fields_max.min(100),
            target_bytes_max: bounds.target_bytes_max,
        }
    }
}

impl Default for HeadBounds {
    fn default() -> Self {
        Self::from(&Bounds::default())
    }
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many bytes from the start of the input are accepted and may go on to the codec.
    pub accepted: usize,
    /// Whole heads among them.
    pub heads: u32,
    /// What comes after them.
    pub next: Next,
}

/// What comes after the accepted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More input is needed. Bytes after the accepted ones are the beginning of a head: keep them, and
    /// start the next input with them.
    More,
    /// The last accepted head asks for another protocol. Keep the rest until that is decided, then call
    /// [`Scanner::resume`] or scan no more.
    Upgrade,
    /// The head that starts here is refused; nothing after it can be trusted.
    HeadRefused(Malformed),
    /// The body framing is broken here; nothing after it can be trusted.
    BodyRefused(Malformed),
}

/// Cuts the bytes of one connection into requests and refuses what is ambiguous.
#[derive(Clone, Debug)]
pub struct Scanner {
    bounds: HeadBounds,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Head(HeadScan),
    Length(u64),
    Chunked(ChunkScan),
    Upgrade,
    Refused(Malformed),
}

impl Scanner {
    /// A scanner at the start of a connection.
    pub fn new(bounds: HeadBounds) -> Self {
        Self { bounds, state: State::Head(HeadScan::default()) }
    }

    /// Whether the next byte starts a new request.
    pub fn is_between_requests(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.is_untouched())
    }

    /// After [`Next::Upgrade`]: the request was answered without changing the protocol.
    pub fn resume(&mut self) {
        if matches!(self.state, State::Upgrade) {
            self.state = State::Head(HeadScan::default());
        }
    }

    /// Scans `input`, which starts with the first byte not accepted so far: after [`Next::More`], with the
    /// kept bytes followed by at least one new byte.
    pub fn advance(&mut self, input: &[u8]) -> Step {
        let mut accepted = 0;
        let mut heads = 0;
        loop {
            let rest = input.get(accepted..).unwrap_or_default();
            if rest.is_empty() && !matches!(self.state, State::Upgrade | State::Refused(_)) {
                return Step { accepted, heads, next: Next::More };
            }
            match &mut self.state {
                State::Head(scan) => match scan.advance(rest, &self.bounds) {
                    Ok(None) => return Step { accepted, heads, next: Next::More },
                    Ok(Some(head)) => {
                        accepted += head.len;
                        heads += 1;
                        self.state = State::after_head(head.framing);
                    }
                    Err(why) => {
                        self.state = State::Refused(why);
                        return Step { accepted, heads, next: Next::HeadRefused(why) };
                    }
                },
                State::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    accepted += taken;
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Head(HeadScan::default());
                    }
                }
                State::Chunked(scan) => match scan.advance(rest, &self.bounds) {
                    (taken, Ok(done)) => {
                        accepted += taken;
                        if done {
                            self.state = State::Head(HeadScan::default());
                        }
                    }
                    (taken, Err(why)) => {
                        accepted += taken;
                        self.state = State::Refused(why);
                        return Step { accepted, heads, next: Next::BodyRefused(why) };
                    }
                },
                State::Upgrade => return Step { accepted, heads, next: Next::Upgrade },
                State::Refused(why) => {
                    return Step { accepted, heads, next: Next::HeadRefused(*why) };
                }
            }
        }
    }
}

impl State {
    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Head(HeadScan::default()),
            Framing::Upgrade => Self::Upgrade,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkScan::default()),
        }
    }
}

/// Judges a whole byte stream at once, with default bounds: the entrance for fuzzing. Returns the number of
/// accepted bytes and heads, and what comes after them.
pub fn scan(bytes: &[u8]) -> Step {
    Scanner::new(HeadBounds::default()).advance(bytes)
}
