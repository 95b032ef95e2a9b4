//! The words in a path that choose how the upstream answers.

/// How to answer. Chosen by the first segment of the path that is one of the words below, wherever it stands
/// (`/tiles/status/503` works with and without `strip_prefix`); the segment after it is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// No word: 200 with a JSON description of the request.
    Describe,
    /// `/status/N`: status N with a short text (none for 204 and 304).
    Status(u16),
    /// `/big/N`: N bytes with `Content-Length`; byte i is `i % 251`.
    Big(usize),
    /// `/chunked/N`: N bytes (default 10,000) in chunks of at most 1,000.
    Chunked(usize),
    /// `/trailers`: a chunked answer with the trailer fields `x-checksum` and `grpc-status`.
    Trailers,
    /// `/sse/N`: N server-sent events (default 5), 20 ms apart.
    Sse(usize),
    /// `/sse-endless`: events every 20 ms until the client goes.
    SseEndless,
    /// `/slow/N`: N ms (default 5,000) before the head.
    Slow(usize),
    /// `/slow-body/N`: the head at once, then ten bytes, N ms (default 1,000) apart.
    SlowBody(usize),
    /// `/hang`: reads the request and never answers.
    Hang,
    /// `/close`: closes the connection without an answer.
    Close,
    /// `/reset`: resets the connection (RST) without an answer.
    Reset,
    /// `/reset-mid-body`: promises 1,000 bytes, sends 100, resets.
    ResetMidBody,
    /// `/close-mid-body`: promises 1,000 bytes, sends 100, closes in order.
    CloseMidBody,
    /// `/close-mid-chunk`: a chunked answer that ends inside a chunk.
    CloseMidChunk,
    /// `/until-close`: an answer without framing that ends with the connection (RFC 9112 §6.3).
    UntilClose,
    /// `/garbage`: bytes that are not HTTP.
    Garbage,
    /// `/extra`: a right answer followed at once by a second one that nobody asked for.
    Extra,
    /// `/both-framings`: an answer with `Content-Length` and `Transfer-Encoding`.
    BothFramings,
    /// `/two-lengths`: an answer with two different `Content-Length` lines.
    TwoLengths,
    /// `/huge-head`: an answer with a head of 1 MiB.
    HugeHead,
    /// `/informational`: 103 Early Hints before the answer.
    Informational,
    /// `/early`: 413 before the body was read, then the connection closes.
    Early,
    /// `/no-keep-alive`: as Describe, with `Connection: close`.
    NoKeepAlive,
    /// `/hop-by-hop`: an answer with hop-by-hop header fields that must not pass a proxy.
    HopByHop,
    /// `/echo`: the request's body, piece by piece as it arrives, chunked.
    Echo,
    /// `/ws`: a WebSocket that echoes its messages.
    WebSocket,
}

impl Behaviour {
    /// The behaviour that a path asks for.
    pub fn of(path: &str) -> Self {
        let segments: Vec<&str> = path.split('/').collect();
        segments
            .iter()
            .enumerate()
            .find_map(|(index, word)| Self::of_word(word, segments.get(index + 1).copied()))
            .unwrap_or(Self::Describe)
    }

    fn of_word(word: &str, next: Option<&str>) -> Option<Self> {
        let number = |default: usize| next.and_then(|text| text.parse().ok()).unwrap_or(default);
        Some(match word {
            "status" => Self::Status(u16::try_from(number(200)).unwrap_or(200)),
            "big" => Self::Big(number(1_000_000)),
            "chunked" => Self::Chunked(number(10_000)),
            "trailers" => Self::Trailers,
            "sse" => Self::Sse(number(5)),
            "sse-endless" => Self::SseEndless,
            "slow" => Self::Slow(number(5_000)),
            "slow-body" => Self::SlowBody(number(1_000)),
            "hang" => Self::Hang,
            "close" => Self::Close,
            "reset" => Self::Reset,
            "reset-mid-body" => Self::ResetMidBody,
            "close-mid-body" => Self::CloseMidBody,
            "close-mid-chunk" => Self::CloseMidChunk,
            "until-close" => Self::UntilClose,
            "garbage" => Self::Garbage,
            "extra" => Self::Extra,
            "both-framings" => Self::BothFramings,
            "two-lengths" => Self::TwoLengths,
            "huge-head" => Self::HugeHead,
            "informational" => Self::Informational,
            "early" => Self::Early,
            "no-keep-alive" => Self::NoKeepAlive,
            "hop-by-hop" => Self::HopByHop,
            "echo" => Self::Echo,
            "ws" => Self::WebSocket,
            _ => return None,
        })
    }
}

/// The bytes of `/big/N` and `/chunked/N`: byte i is `i % 251`, so that a shift by any chunk size shows.
pub(super) fn pattern(bytes: usize) -> Vec<u8> {
    (0_u8..251).cycle().take(bytes).collect()
}
