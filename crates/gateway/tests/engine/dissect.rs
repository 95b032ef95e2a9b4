//! Answers as bytes: every cut of them means the same, and another parser reads in them what we read.

use std::future::poll_fn;
use std::pin::Pin;

use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_gateway::http::upstream::{Dissected, Ending, dissect};

use super::guard::lines;

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK$Content-Length: 5$$hello",
    "HTTP/1.1 200 OK$content-length:5$X-A: 1$X-A: 2$Server:$$hello",
    "HTTP/1.1 200 OK$Transfer-Encoding: chunked$$5$hello$0$$",
    "HTTP/1.1 200 OK$Transfer-Encoding: chunked$$3;a=b$hel$02$lo$0$X-Sum: 1$Set-Cookie: a$$",
    "HTTP/1.1 200 OK$$until the end",
    "HTTP/1.0 200 OK$Content-Length: 5$Connection: keep-alive$$hello",
    "HTTP/1.1 204 No Content$$",
    "HTTP/1.1 304 Not Modified$Content-Length: 5$ETag: \"x\"$$",
    "HTTP/1.1 100 Continue$$HTTP/1.1 103 Early Hints$Link: x$$HTTP/1.1 200$Content-Length: 0$$",
    "HTTP/1.1 200 OK$Connection: close, X-Own$X-Own: 1$X_Hidden: 2$Content-Length: 5$$hello",
    "HTTP/1.1 101 Switching Protocols$Connection: upgrade$Upgrade: x$$",
    "HTTP/1.1 200 OK$Content-Length: 5$Content-Length: 5$$hello",
    "HTTP/1.1 200 OK$Content-Length: 5$Transfer-Encoding: chunked$$5$hello$0$$",
    "HTTP/1.1 200 OK$Transfer-Encoding: gzip, chunked$$5$hello$0$$",
    "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
];

/// One or two answers with some bytes changed, added or removed.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        proptest::sample::select(b"\r\n\t\0 :;,/_-012345679aAfFxX\x7f\x80".to_vec()),
        any::<u8>()
    ];
    let change = (any::<prop::sample::Index>(), 0..3_u8, byte);
    (prop::collection::vec(0..ANSWERS.len(), 1..3), prop::collection::vec(change, 0..4)).prop_map(
        |(texts, changes)| {
            let mut bytes: Vec<u8> = texts.iter().flat_map(|at| lines(ANSWERS[*at])).collect();
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        },
    )
}

fn whole(bytes: &[u8], is_head: bool) -> Dissected {
    dissect([bytes], is_head)
}

/// What hyper's client makes of the same bytes: status, body, and names of trailers.
fn hyper_reads(bytes: &[u8], is_head: bool) -> Option<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let (mut sender, mut connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(ours)).await.unwrap();
        let method = if is_head { "HEAD" } else { "GET" };
        let request = hyper::Request::builder().method(method).uri("/").body(String::new()).unwrap();
        let upstream = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(theirs.read_buf(&mut head).await.unwrap() > 0);
            }
            theirs.write_all(bytes).await.unwrap();
            drop(theirs);
        };
        let client = async {
            let answer = sender.send_request(request).await.ok()?;
            let status = answer.status().as_u16();
            Some((status, answer.into_body().collect().await.ok()?.to_bytes().to_vec()))
        };
        let driver = poll_fn(|cx| Pin::new(&mut connection).poll_without_shutdown(cx));
        let ((), read, _) = tokio::join!(upstream, client, driver);
        read
    })
}

#[test]
fn an_answer_is_taken_apart_into_what_a_client_gets() {
    let there = whole(&lines(ANSWERS[3]), false);
    assert_eq!((there.status, there.body.as_slice()), (Some(200), b"hello".as_slice()));
    assert_eq!(there.trailers, [(b"x-sum".to_vec(), b"1".to_vec())]);
    assert_eq!(there.ending, Ending::Whole { len: lines(ANSWERS[3]).len(), keeps: true });
    assert!(there.fields.is_empty(), "framing stays behind");
    assert_eq!(whole(&lines(ANSWERS[4]), false).body, b"until the end");
    assert!(whole(&lines(ANSWERS[0]), true).body.is_empty(), "there is no body to HEAD");
    for cut in 0..lines(ANSWERS[3]).len() {
        let ending = whole(&lines(ANSWERS[3])[..cut], false).ending;
        assert!(matches!(ending, Ending::HeadCut | Ending::BodyBroken), "{cut}: {ending:?}");
    }
}

#[test]
fn no_cut_changes_what_an_answer_means() {
    for text in ANSWERS {
        let bytes = lines(text);
        let once = whole(&bytes, false);
        assert_eq!(dissect(bytes.chunks(1), false), once, "{text}: byte by byte");
        for cut in 0..bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(dissect([left, right], false), once, "{text}: cut at {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_cut_changes_what_a_mutated_answer_means(
        bytes in nearly_valid(),
        size in 1..40_usize,
        is_head in any::<bool>(),
    ) {
        prop_assert_eq!(dissect(bytes.chunks(size), is_head), whole(&bytes, is_head));
    }

    #[test]
    fn what_is_accepted_means_the_same_to_another_client(bytes in nearly_valid(), is_head in any::<bool>()) {
        let there = whole(&bytes, is_head);
        if let (Some(status), Ending::Whole { len, .. }) = (there.status, there.ending) {
            prop_assert_eq!(hyper_reads(&bytes[..len], is_head), Some((status, there.body)));
        }
    }

    #[test]
    fn nothing_of_framing_or_connection_comes_out(bytes in nearly_valid()) {
        let there = whole(&bytes, false);
        for (name, _) in there.fields.iter().chain(&there.trailers) {
            let name = std::str::from_utf8(name).unwrap();
            prop_assert_eq!(name, name.to_ascii_lowercase());
            prop_assert!(!matches!(name, "content-length" | "transfer-encoding" | "connection" | "upgrade"));
        }
    }

    #[test]
    fn any_bytes_give_an_ending(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let there = whole(&bytes, false);
        prop_assert!(there.body.len() <= bytes.len());
    }
}
