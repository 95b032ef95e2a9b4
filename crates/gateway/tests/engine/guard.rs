//! The guard against list A of reliability §7, good heads, and every way to cut both into reads.

use proptest::prelude::*;
use tollgate_gateway::http::guard::{HeadBounds, Malformed, Next, Scanner, Step, scan};

/// Bytes with CR LF line ends; `$` stands for them.
pub(crate) fn lines(text: &str) -> Vec<u8> {
    text.replace('$', "\r\n").into_bytes()
}

pub(crate) const GOOD: &[(&str, u32)] = &[
    ("GET / HTTP/1.1$Host: a$$", 1),
    ("GET /a/b?c=d&e=%20 HTTP/1.1$Host: a.example:8080$Accept: */*$X-A:$$", 1),
    ("GET / HTTP/1.0$$", 1),
    ("GET http://a.example/x HTTP/1.1$Host: A.example$$", 1),
    ("GET / HTTP/1.1$Host: [::1]:80$$", 1),
    ("OPTIONS * HTTP/1.1$Host: a$$", 1),
    ("GET / HTTP/1.1$Host:\ta \t$Tabs: a\tb$$", 1),
    ("M-SEARCH / HTTP/1.1$Host: a$$", 1),
    ("POST / HTTP/1.1$Host: a$Content-Length: 0$$", 1),
    ("POST / HTTP/1.1$Host: a$Content-Length: 5$$hello", 1),
    ("POST / HTTP/1.1$Host: a$Content-Length: 5$$helloGET / HTTP/1.1$Host: a$$", 2),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked$$5$hello$0$$", 1),
    (
        "POST / HTTP/1.1$Host: a$Transfer-Encoding: Chunked$$00A$helloworld$0$X-Sum: 1$$GET / HTTP/1.1$Host: a$$",
        2,
    ),
    ("POST / HTTP/1.1$Host: a$Expect: 100-Continue$Content-Length: 1$$x", 1),
    ("DELETE / HTTP/1.1$Host: a$Content-Length: 1$$x", 1),
    ("GET / HTTP/1.1$Host: a$X_Key: dropped later$$", 1),
    ("GET /?q={a|b}^`\\[] HTTP/1.1$Host: a$$", 1),
    // Two credentials are the pipeline's to judge.
    ("GET / HTTP/1.1$Host: a$Authorization: Bearer x$Authorization: Bearer y$$", 1),
    ("GET / HTTP/1.1$Host: a$$GET / HTTP/1.1$Host: a$$GET / HTTP/1.1$Host: a$$", 3),
];

pub(crate) const BAD: &[(&str, Malformed)] = &[
    // Lines.
    ("GET / HTTP/1.1\nHost: a\n\n", Malformed::LineEnding),
    ("GET / HTTP/1.1$Host: a\n$", Malformed::LineEnding),
    ("GET / HTTP/1.1$Host: a$\n", Malformed::LineEnding),
    ("$GET / HTTP/1.1$Host: a$$", Malformed::LineEnding),
    ("\nGET / HTTP/1.1$Host: a$$", Malformed::LineEnding),
    ("GET / HTTP/1.1$Host: a$X: a\rb$$", Malformed::BareCr),
    ("GET / HTTP/1.1$Host: a$X: a\r\r\n$", Malformed::BareCr),
    ("GET / HTTP/1.1$Host: a$X: a\0b$$", Malformed::ControlByte),
    ("GET / HTTP/1.1$Host: a$X: a\x0bb$$", Malformed::ControlByte),
    ("GET / HTTP/1.1$Host: a$X: ä$$", Malformed::NotAscii),
    // Request line.
    ("get / HTTP/1.1$Host: a$$", Malformed::Method),
    ("GeT / HTTP/1.1$Host: a$$", Malformed::Method),
    ("G(T / HTTP/1.1$Host: a$$", Malformed::Method),
    (" GET / HTTP/1.1$Host: a$$", Malformed::Method),
    ("CONNECT a:443 HTTP/1.1$Host: a:443$$", Malformed::Connect),
    ("GET /$$", Malformed::RequestLine),
    ("GET$$", Malformed::RequestLine),
    ("GET  / HTTP/1.1$Host: a$$", Malformed::RequestLine),
    ("GET /  HTTP/1.1$Host: a$$", Malformed::RequestLine),
    ("GET / x HTTP/1.1$Host: a$$", Malformed::RequestLine),
    ("GET / HTTP/1.1 $Host: a$$", Malformed::RequestLine),
    ("GET / HTTP/0.9$Host: a$$", Malformed::Version),
    ("GET / HTTP/1.2$Host: a$$", Malformed::Version),
    ("GET / HTTP/2.0$Host: a$$", Malformed::Version),
    ("GET / http/1.1$Host: a$$", Malformed::Version),
    ("GET / HTTP/1.11$Host: a$$", Malformed::Version),
    ("PRI * HTTP/2.0$$SM$$", Malformed::Version),
    ("GET /#a HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET /?a#b HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET /ä HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET /\"a HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET /a\\b HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET a HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET * HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET ftp://a/ HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET http:///x HTTP/1.1$Host: a$$", Malformed::Target),
    ("GET http://u@a/ HTTP/1.1$Host: a$$", Malformed::Target),
    // Fields.
    ("GET / HTTP/1.1$Host : a$$", Malformed::SpaceBeforeColon),
    ("GET / HTTP/1.1$Host\t: a$$", Malformed::SpaceBeforeColon),
    ("GET / HTTP/1.1$Host: a$ folded$$", Malformed::LineFolding),
    ("GET / HTTP/1.1$ Host: a$$", Malformed::LineFolding),
    ("GET / HTTP/1.1$Host: a$no colon$$", Malformed::SpaceBeforeColon),
    ("GET / HTTP/1.1$Host: a$nocolon$$", Malformed::FieldName),
    ("GET / HTTP/1.1$Host: a$: empty$$", Malformed::FieldName),
    ("GET / HTTP/1.1$Host: a$X(y): z$$", Malformed::FieldName),
    ("GET / HTTP/1.1$Host: a$X\0: z$$", Malformed::FieldName),
    // Host.
    ("GET / HTTP/1.1$$", Malformed::HostMissing),
    ("GET / HTTP/1.1$Host: a$Host: a$$", Malformed::HostRepeated),
    ("GET / HTTP/1.1$Host: a$host: b$$", Malformed::HostRepeated),
    ("GET http://b/ HTTP/1.1$Host: a$$", Malformed::HostMismatch),
    ("GET / HTTP/1.1$Host:$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: a b$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: a,b$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: a/b$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: u@a$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: a:port$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: a:99999$$", Malformed::HostInvalid),
    ("GET / HTTP/1.1$Host: [::1$$", Malformed::HostInvalid),
    // Content-Length.
    ("POST / HTTP/1.1$Host: a$Content-Length: 3$Content-Length: 3$$abc", Malformed::LengthRepeated),
    ("POST / HTTP/1.1$Host: a$Content-Length: 3$Content-Length: 4$$abcd", Malformed::LengthRepeated),
    ("POST / HTTP/1.1$Host: a$Content-Length: 3, 3$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: 0003$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: +3$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: -3$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: 0x3$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: 3 3$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length:$$", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content-Length: 18446744073709551619$$abc", Malformed::LengthInvalid),
    ("POST / HTTP/1.1$Host: a$Content_Length: 3$$abc", Malformed::FramingLookAlike),
    // Transfer-Encoding.
    (
        "POST / HTTP/1.1$Host: a$Content-Length: 3$Transfer-Encoding: chunked$$0$$",
        Malformed::LengthAndChunked,
    ),
    (
        "POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked$Content-Length: 0$$0$$",
        Malformed::LengthAndChunked,
    ),
    (
        "POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked$Transfer-Encoding: chunked$$0$$",
        Malformed::TransferEncoding,
    ),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: gzip, chunked$$0$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked, identity$$0$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: xchunked$$0$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: identity$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding:$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer-Encoding: \x0bchunked$$0$$", Malformed::ControlByte),
    ("POST / HTTP/1.0$Host: a$Transfer-Encoding: chunked$$0$$", Malformed::TransferEncoding),
    ("POST / HTTP/1.1$Host: a$Transfer_Encoding: chunked$$0$$", Malformed::FramingLookAlike),
    ("POST / HTTP/1.1$Host: a$Transfer-_Encoding: chunked$Content-Length: 01$$", Malformed::LengthInvalid),
    // Bodies where there is none, and Expect.
    ("GET / HTTP/1.1$Host: a$Content-Length: 3$$abc", Malformed::BodyNotExpected),
    ("HEAD / HTTP/1.1$Host: a$Transfer-Encoding: chunked$$0$$", Malformed::BodyNotExpected),
    ("OPTIONS / HTTP/1.1$Host: a$Content-Length: 1$$x", Malformed::BodyNotExpected),
    ("POST / HTTP/1.1$Host: a$Expect: y 100-continue$Content-Length: 1$$x", Malformed::Expect),
    ("POST / HTTP/1.1$Host: a$Expect: 100-continue$Expect: 100-continue$$", Malformed::Expect),
];

const BAD_BODIES: &[(&str, Malformed)] = &[
    ("3;a=b$abc$0$$", Malformed::ChunkSize),
    ("3;\n", Malformed::ChunkSize),
    ("3\nabc", Malformed::ChunkSize),
    ("3 $abc$0$$", Malformed::ChunkSize),
    (" 3$abc$0$$", Malformed::ChunkSize),
    ("0x3$abc$0$$", Malformed::ChunkSize),
    ("+3$abc$0$$", Malformed::ChunkSize),
    ("-1$abc$0$$", Malformed::ChunkSize),
    ("$abc$0$$", Malformed::ChunkSize),
    ("ffffffffffffffff$", Malformed::ChunkSize),
    ("3\rabc", Malformed::ChunkSize),
    ("3$abcd$0$$", Malformed::ChunkEnd),
    ("3$abc\n0$$", Malformed::ChunkEnd),
    ("3$abc\rx", Malformed::ChunkEnd),
    ("0$Authorization: Bearer x$$", Malformed::Trailer),
    ("0$X_API_Key: x$$", Malformed::Trailer),
    ("0$Content-Length: 3$$", Malformed::Trailer),
    ("0$Transfer-Encoding: chunked$$", Malformed::Trailer),
    ("0$Host: b$$", Malformed::Trailer),
    ("0$X : a$$", Malformed::Trailer),
    ("0$X: a\n\n", Malformed::Trailer),
    ("0$X: a\0$$", Malformed::Trailer),
    ("0$ folded$$", Malformed::Trailer),
    ("0\n\n", Malformed::ChunkSize),
    ("0$\n", Malformed::Trailer),
];

/// Feeds `bytes` cut at `cuts`, keeping what was not accepted, as a connection does.
fn scan_cut(bytes: &[u8], cuts: &[usize]) -> Step {
    let mut scanner = Scanner::new(HeadBounds::default());
    let mut total = Step { accepted: 0, heads: 0, next: Next::More };
    let mut ends: Vec<usize> = cuts.iter().copied().filter(|&cut| cut < bytes.len()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends.push(bytes.len());
    for end in ends {
        if end <= total.accepted {
            continue;
        }
        let step = scanner.advance(&bytes[total.accepted..end]);
        total = Step {
            accepted: total.accepted + step.accepted,
            heads: total.heads + step.heads,
            next: step.next,
        };
        if step.next != Next::More {
            return total;
        }
    }
    total
}

#[test]
fn good_heads_are_accepted_to_the_last_byte() {
    for (text, heads) in GOOD {
        let bytes = lines(text);
        assert_eq!(scan(&bytes), Step { accepted: bytes.len(), heads: *heads, next: Next::More }, "{text:?}");
    }
}

#[test]
fn every_entry_of_list_a_is_refused() {
    for (text, why) in BAD {
        let step = scan(&lines(text));
        assert_eq!((step.accepted, step.heads, step.next), (0, 0, Next::HeadRefused(*why)), "{text:?}");
    }
}

#[test]
fn a_refused_head_keeps_the_requests_before_it() {
    let good = lines("POST / HTTP/1.1$Host: a$Content-Length: 2$$hi");
    for (text, why) in BAD {
        let bytes = [good.clone(), lines(text)].concat();
        let expected = Step { accepted: good.len(), heads: 1, next: Next::HeadRefused(*why) };
        assert_eq!(scan(&bytes), expected, "{text:?}");
    }
}

#[test]
fn broken_chunking_is_refused_in_the_body() {
    let head = lines("POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked$$");
    for (text, why) in BAD_BODIES {
        let bytes = [head.clone(), lines(text)].concat();
        let step = scan(&bytes);
        assert_eq!((step.heads, step.next), (1, Next::BodyRefused(*why)), "{text:?}");
    }
}

#[test]
fn the_verdict_is_the_same_wherever_the_bytes_are_cut() {
    let head = "POST / HTTP/1.1$Host: a$Transfer-Encoding: chunked$$";
    let texts = GOOD.iter().map(|(text, _)| (*text).to_owned());
    let texts = texts.chain(BAD.iter().map(|(text, _)| (*text).to_owned()));
    let texts = texts.chain(BAD_BODIES.iter().map(|(text, _)| format!("{head}{text}")));
    for text in texts {
        let bytes = lines(&text);
        let whole = scan(&bytes);
        for cut in 1..bytes.len() {
            assert_eq!(scan_cut(&bytes, &[cut]), whole, "{text:?} cut at {cut}");
        }
        let every: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(scan_cut(&bytes, &every), whole, "{text:?} byte by byte");
    }
}

#[test]
fn heads_beyond_a_bound_are_refused_before_their_end() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8 * 1024));
    assert_eq!(scan(long_target.as_bytes()).next, Next::HeadRefused(Malformed::TargetTooLong));
    let endless_target = format!("GET /{}", "a".repeat(9 * 1024));
    assert_eq!(scan(endless_target.as_bytes()).next, Next::HeadRefused(Malformed::TargetTooLong));

    let fields = "A: b\r\n".repeat(100);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(scan(many.as_bytes()).next, Next::HeadRefused(Malformed::TooManyFields));
    let fields = "A: b\r\n".repeat(99);
    let just = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(scan(just.as_bytes()).heads, 1);

    let endless_field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(33 * 1024));
    assert_eq!(scan(endless_field.as_bytes()).next, Next::HeadRefused(Malformed::HeadTooLong));
    let max = HeadBounds::default().head_bytes_max;
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let exact = format!("{start}{}\r\n\r\n", "a".repeat(max - start.len() - 4));
    assert_eq!((exact.len(), scan(exact.as_bytes()).heads), (max, 1));
    let over = format!("{start}{}\r\n\r\n", "a".repeat(max - start.len() - 3));
    assert_eq!(scan(over.as_bytes()).next, Next::HeadRefused(Malformed::HeadTooLong));
    for text in [long_target, many, endless_field, over] {
        let cuts: Vec<usize> = (0..text.len()).step_by(97).collect();
        assert_eq!(scan_cut(text.as_bytes(), &cuts), scan(text.as_bytes()));
    }
}

#[test]
fn bytes_after_an_upgrade_wait_for_the_decision() {
    let ask = lines("GET / HTTP/1.1$Host: a$Connection: upgrade$Upgrade: websocket$$");
    let next = lines("GET / HTTP/1.1$Host: a$$");
    let bytes = [ask.clone(), next.clone()].concat();
    let mut scanner = Scanner::new(HeadBounds::default());
    let step = scanner.advance(&bytes);
    assert_eq!(step, Step { accepted: ask.len(), heads: 1, next: Next::Upgrade });
    scanner.resume();
    assert_eq!(scanner.advance(&next), Step { accepted: next.len(), heads: 1, next: Next::More });
}

/// Whether the parser of the codec and its target type take the whole head.
fn codec_accepts(head: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(len)) = request.parse(head) else { return false };
    let target = request.path.unwrap_or_default().parse::<http::Uri>();
    len == head.len()
        && target.is_ok()
        && http::Method::from_bytes(request.method.unwrap_or_default().as_bytes()).is_ok()
        && request.headers.iter().all(|field| {
            http::HeaderName::from_bytes(field.name.as_bytes()).is_ok()
                && http::HeaderValue::from_bytes(field.value).is_ok()
        })
}

#[test]
fn what_the_guard_accepts_the_codec_accepts() {
    for (text, heads) in GOOD {
        let bytes = lines(text);
        let len = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        assert!(*heads > 0 && codec_accepts(&bytes[..len]), "{text:?}");
    }
    // Every byte that the guard lets into a path, a query and a value.
    for byte in 0..=255_u8 {
        for (before, after) in [("GET /", " HTTP/1.1$Host: a$$"), ("GET /?", " HTTP/1.1$Host: a$$")] {
            let head = [lines(before), vec![byte], lines(after)].concat();
            let accepted = scan(&head) == Step { accepted: head.len(), heads: 1, next: Next::More };
            assert!(!accepted || codec_accepts(&head), "byte {byte:#04x} in {before:?}");
        }
        let head = [lines("GET / HTTP/1.1$Host: a$X: a"), vec![byte], lines("$$")].concat();
        assert!(scan(&head).heads == 0 || codec_accepts(&head), "byte {byte:#04x} in a value");
    }
}

/// A stream near a valid one: a few heads with some bytes changed, added or removed.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        4 => (0..GOOD.len()).prop_map(|at| GOOD[at].0),
        1 => (0..BAD.len()).prop_map(|at| BAD[at].0),
    ];
    let byte = prop_oneof![
        proptest::sample::select(b"\r\n\t\0 :;,/?#[]%_-0123459aAfFxX@\x0b\x7f\x80\xff".to_vec()),
        any::<u8>()
    ];
    let change = (any::<prop::sample::Index>(), 0..3_u8, byte);
    (proptest::collection::vec(text, 1..4), proptest::collection::vec(change, 0..4)).prop_map(
        |(texts, changes)| {
            let mut bytes = lines(&texts.concat());
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => {
                        bytes.remove(at);
                    }
                    _ => {}
                }
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_guard_agrees_with_itself_however_reads_are_cut(
        bytes in nearly_valid(),
        cuts in proptest::collection::vec(0..400_usize, 0..8),
    ) {
        prop_assert_eq!(scan_cut(&bytes, &cuts), scan(&bytes));
    }

    #[test]
    fn the_guard_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let step = scan(&bytes);
        prop_assert!(step.accepted <= bytes.len());
    }

    #[test]
    fn a_mutated_head_that_passes_also_passes_the_codec(bytes in nearly_valid()) {
        let Some(len) = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(());
        };
        let head = &bytes[..len];
        if scan(head).heads == 1 && scan(head).accepted == len {
            prop_assert!(codec_accepts(head));
        }
    }
}
