//! HTTP/1 towards clients: keep-alive, order, framing, refusals.

use std::time::Duration;

use tollgate_gateway::http::bounds::Bounds;

use super::guard::{BAD, GOOD, lines};
use super::support::{Rig, Setup, eventually, upstream, upstream_saying};

#[test]
fn a_connection_carries_many_requests() {
    let rig = Rig::plain();
    let mut client = rig.client();
    for _ in 0..20 {
        let answer = client.get("/hello");
        assert_eq!(
            (answer.status, answer.text(), answer.header("content-length")),
            (200, "hello", Some("5"))
        );
    }
    assert_eq!(rig.serving.as_ref().unwrap().connections(), 1);
    let finished = rig.finished(20);
    assert!(finished.iter().all(|(_, info)| info.bytes_out == 5 && !info.aborted));
    assert_eq!(finished.len(), 20);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.1$Host: a$$GET /made HTTP/1.1$Host: a$$GET /nothing HTTP/1.1$Host: a$$");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.answer().text(), "one two three");
    assert_eq!(client.answer().status, 204);
}

#[test]
fn a_poisoned_second_request_is_answered_after_the_first_and_closes() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /gate HTTP/1.1$Host: a$$GET / HTTP/1.1$Host: a$Content-Length: 03$$GET /hello HTTP/1.1$Host: a$$");
    eventually("the first request is in", || rig.seen().len() == 1);
    rig.shared.gate.0.add_permits(1);
    assert_eq!(client.answer().text(), "opened");
    let refused = client.answer();
    assert_eq!((refused.status, refused.header("connection")), (400, Some("close")));
    client.assert_closed();
    // The third one never exists.
    assert_eq!(rig.seen(), ["GET /gate", "refused: LengthInvalid"]);
}

#[test]
fn a_request_that_looks_like_the_substitute_is_no_refusal() {
    let rig = Rig::plain();
    let mut client = rig.client();
    assert_eq!(client.send("GET / HTTP/1.1$host: refused$$").answer().status, 404);
    assert_eq!(client.get("/hello").status, 200);
    assert_eq!(rig.seen(), ["GET /", "GET /hello"]);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let rig = Rig::plain();
    let mut client = rig.client();
    for _ in 0..2 {
        for byte in
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        {
            client.send_bytes(&[*byte]);
        }
        assert_eq!(client.answer().text(), "abc");
    }
}

#[test]
fn a_large_head_survives_small_reads() {
    let rig = Rig::plain();
    let mut client = rig.client();
    let field = "x".repeat(30_000);
    let head = format!("GET /head HTTP/1.1\r\nHost: a\r\nX-Long: {field}\r\n\r\n");
    for piece in head.as_bytes().chunks(4_000) {
        client.send_bytes(piece);
    }
    assert_eq!(client.answer().text(), "host,x-long");
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn bounds_of_a_head_answer_431_and_close() {
    let rig = Rig::plain();
    let fields = "A: b\r\n".repeat(101);
    for head in [
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000)),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(40_000)),
    ] {
        let mut client = rig.client();
        assert_eq!(client.send_bytes(head.as_bytes()).answer().status, 431);
        client.assert_closed();
    }
}

#[test]
fn names_with_an_underscore_do_not_exist() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /head HTTP/1.1$Host: a$X_Tollgate_Tenant: me$X-Fine: 1$$");
    assert_eq!(client.answer().text(), "host,x-fine");
}

#[test]
fn chunked_bodies_go_through_in_both_directions() {
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let body = client.chunks();
        assert_eq!(body, b"hello world");
        client.send("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$4$four$5$fives$0$$");
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Transfer-Encoding: chunked$$6$hello $5$world$0$X-Trailer: gone$$");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text(), answer.header("content-length")), (200, "fourfives", None));
    let (_, info) = &rig.finished(1)[0];
    assert_eq!((info.bytes_in, info.bytes_out, info.aborted), (11, 9, false));
}

#[test]
fn a_broken_chunk_is_400_and_closes() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send(
        "POST /echo HTTP/1.1$Host: a$Transfer-Encoding: chunked$$3$abcd$0$$GET /hello HTTP/1.1$Host: a$$",
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    assert!(answer.text().contains("chunk"), "{}", answer.text());
    client.assert_closed();
    assert_eq!(rig.seen(), ["POST /echo"]);
}

#[test]
fn a_broken_chunk_never_completes_the_upstreams_request() {
    let upstream = upstream(|_, client| {
        let got = String::from_utf8(client.rest()).unwrap();
        assert!(got.contains("abc") && !got.contains("0\r\n\r\n"), "{got}");
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Transfer-Encoding: chunked$$3$abc$3;x=y$abc$0$$");
    assert_eq!(client.answer().status, 400);
    client.assert_closed();
}

#[test]
fn an_unread_body_closes_the_connection() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("POST /ignore HTTP/1.1$Host: a$Content-Length: 27$$GET /hello HTTP/1.1$Host: a$");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("ignored", Some("close")));
    client.assert_closed();
    assert_eq!(rig.seen(), ["POST /ignore"]);
}

#[test]
fn an_answer_reaches_a_client_that_is_still_sending() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("POST /ignore HTTP/1.1$Host: a$Content-Length: 200000$$");
    client.send_bytes(&vec![b'x'; 100_000]);
    assert_eq!(client.answer().text(), "ignored");
}

#[test]
fn expect_100_continue_is_answered_when_the_body_is_wanted() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Expect: 100-continue$Content-Length: 2$$");
    assert!(client.head().starts_with("HTTP/1.1 100"));
    assert_eq!(client.send("hi").answer().text(), "hi");
    let mut client = rig.client();
    client.send("POST /ignore HTTP/1.1$Host: a$Expect: 100-continue$Content-Length: 2$$");
    assert_eq!(client.answer().text(), "ignored");
    client.assert_closed();
}

#[test]
fn head_and_204_have_no_body() {
    let upstream = upstream_saying("HTTP/1.1 200 OK$Content-Length: 1234$$");
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("HEAD /hello HTTP/1.1$Host: a$$");
    assert!(client.head().contains("content-length: 5\r\n"));
    client.send("HEAD /up HTTP/1.1$Host: a$$");
    assert!(client.head().contains("content-length: 1234\r\n"));
    let nothing = client.get("/nothing");
    assert_eq!((nothing.status, nothing.header("content-length")), (204, None));
    assert_eq!(client.get("/hello").text(), "hello");
    assert!(rig.finished(4).iter().take(3).all(|(_, info)| info.bytes_out == 0 && !info.aborted));
}

#[test]
fn http_10_is_closed_unless_asked_to_stay() {
    let rig = Rig::plain();
    let mut client = rig.client();
    assert_eq!(client.send("GET /made HTTP/1.0$$").head().lines().next(), Some("HTTP/1.0 200 OK"));
    assert_eq!(client.rest(), b"one two three");
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.0$Connection: keep-alive$$");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn idle_connections_give_their_buffers_back_and_go_on() {
    let bounds = Bounds { keep_alive_idle: Duration::from_secs(4), ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, ..Setup::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/hello").status, 200);
    // Longer than the engine keeps the codec of an idle connection.
    client.stream.set_read_timeout(Some(Duration::from_millis(2_500))).unwrap();
    assert!(client.stream.peek(&mut [0]).is_err(), "nothing comes");
    client.stream.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
    assert_eq!(client.get("/hello").text(), "hello");
    assert_eq!(client.get("/made").text(), "one two three");
    client.assert_closed();
}

#[test]
fn every_entry_of_list_a_is_refused_on_a_socket() {
    let rig = Rig::plain();
    for (text, why) in BAD {
        // As the first request of a connection, and after another one in the same packet.
        for before in ["", "GET /hello HTTP/1.1$Host: a$$"] {
            if before.is_empty() && text.starts_with("PRI * HTTP/2.0$$SM$$") {
                // That is HTTP/2 with prior knowledge.
                continue;
            }
            let earlier = rig.seen().len();
            let mut client = rig.client();
            client.send_bytes(&[lines(before), lines(text)].concat());
            if !before.is_empty() {
                assert_eq!(client.answer().text(), "hello");
            }
            let refused = client.answer();
            assert_eq!((refused.status, refused.header("connection")), (400, Some("close")), "{text:?}");
            client.assert_closed();
            let seen = rig.seen().split_off(earlier);
            assert_eq!(seen.last(), Some(&format!("refused: {why:?}")), "{text:?}");
            assert_eq!(seen.len(), 1 + usize::from(!before.is_empty()), "{text:?}");
        }
    }
}

#[test]
fn every_good_head_reaches_the_handler_once() {
    for (text, heads) in GOOD {
        let rig = Rig::plain();
        let mut client = rig.client();
        client.send_bytes(&lines(&text.replace("POST / ", "POST /echo ")));
        for _ in 0..*heads {
            let head = client.head();
            if head.starts_with("HTTP/1.1 100") {
                client.head();
            }
        }
        assert_eq!(rig.seen().len(), *heads as usize, "{text:?}");
        assert!(rig.seen().iter().all(|line| !line.starts_with("refused")), "{text:?}: {:?}", rig.seen());
    }
}
