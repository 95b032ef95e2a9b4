//! The HTTP/1.1 client against upstreams that are slow, early, half gone or hostile.

use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, mpsc};

use tollgate_gateway::http::upstream::{Origin, OriginTls, UpstreamErrorKind};

use super::support::{Client, PATIENCE, Rig, Setup, eventually, upstream, upstream_saying};
use super::tls::Certificate;

const OK: &str = "HTTP/1.1 200 OK$Content-Length: 2$$ok";

fn slowly(client: &mut Client, text: &str) {
    for byte in text.replace('$', "\r\n").bytes() {
        client.send_bytes(&[byte]);
    }
}

#[test]
fn answers_may_come_byte_by_byte_on_a_kept_connection() {
    let upstream = upstream(|_, mut client| {
        client.head();
        slowly(&mut client, OK);
        client.head();
        slowly(
            &mut client,
            "HTTP/1.1 100 Continue$$HTTP/1.1 200 OK$Transfer-Encoding: chunked$$3;x$abc$2$de$0$$",
        );
        client.head();
        slowly(&mut client, OK);
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    for wanted in ["ok", "abcde", "ok"] {
        assert_eq!(client.get("/up").text(), wanted);
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn an_early_answer_and_the_rest_of_the_request_pass_each_other() {
    let upstream = upstream(|_, mut client| {
        client.head();
        assert_eq!(client.exactly(5), b"first");
        client.send("HTTP/1.1 200 OK$Content-Length: 10$$01234");
        assert_eq!(client.exactly(6), b"second");
        client.send("56789");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 11$$first");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(5), b"01234");
    client.send("second");
    assert_eq!(client.exactly(5), b"56789");
}

#[test]
fn an_upstream_that_refuses_the_rest_of_a_request_is_still_heard() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 413 Content Too Large$Content-Length: 0$$");
        // Closes with most of the request unread.
    });
    let rig = Rig::before(upstream.addr);
    for _ in 0..10 {
        let mut client = rig.client();
        client.send("POST /up HTTP/1.1$Host: a$Content-Length: 50000000$$");
        let mut writer = client.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let piece = vec![b'x'; 64 * 1024];
            while std::io::Write::write_all(&mut writer, &piece).is_ok() {}
        });
        assert!(client.head().starts_with("HTTP/1.1 413"));
    }
}

#[test]
fn an_upstream_that_closes_its_side_after_an_answer_is_not_asked_again() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(OK);
        client.stream.shutdown(Shutdown::Write).unwrap();
        client.assert_closed();
    });
    let rig = Rig::before(upstream.addr);
    assert_eq!(rig.client().get("/up").text(), "ok");
    // The sweep closes it, wanted or not.
    eventually("the dead connection is noticed", || {
        rig.client().get("/up").text() == "ok" && upstream.connections.load(Ordering::SeqCst) > 1
    });
}

#[test]
fn an_upstream_that_closes_its_side_instead_of_answering_is_a_reset() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 O");
        client.stream.shutdown(Shutdown::Write).unwrap();
        client.assert_closed();
    });
    let rig = Rig::before(upstream.addr);
    assert_eq!(rig.client().get("/up").status, 502);
    assert_eq!(rig.error().kind, UpstreamErrorKind::Reset);
    assert!(!rig.error().nothing_sent);
}

#[test]
fn what_an_upstream_says_unasked_answers_nobody() {
    const ROUNDS: usize = 5;
    let (read, is_read) = mpsc::sync_channel(1);
    let (said, is_said) = mpsc::sync_channel(1);
    let (closed, is_closed) = mpsc::sync_channel(ROUNDS);
    let is_read = Mutex::new(is_read);
    let upstream = upstream(move |_, mut client| {
        client.head();
        client.send(OK);
        is_read.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        client.send("HTTP/1.1 200 OK$Content-Length: 6$$poison");
        let _ = said.send(());
        client.rest();
        let _ = closed.send(());
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    for number in 1..=ROUNDS {
        assert_eq!(client.get("/up").text(), "ok");
        assert_eq!(upstream.connections.load(Ordering::SeqCst), number);
        read.send(()).unwrap();
        is_said.recv_timeout(PATIENCE).unwrap();
    }
    // The last one nobody wants again; the sweep closes it.
    for _ in 0..ROUNDS {
        is_closed.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_kept_connection_that_closes_instead_of_answering_is_a_reset_of_what_was_sent() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(OK);
        client.head();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    assert_eq!(client.get("/up").text(), "ok");
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 2$$hi");
    assert_eq!(client.answer().status, 502);
    assert_eq!(rig.error().kind, UpstreamErrorKind::Reset);
    assert!(!rig.error().nothing_sent, "it may have been acted upon");
}

#[test]
fn interim_answers_and_heads_are_bounded() {
    let interims = |count: usize| format!("{}{OK}", "HTTP/1.1 102 Processing$$".repeat(count));
    let fields = |count: usize| format!("HTTP/1.1 200 OK${}Content-Length: 0$$", "X: y$".repeat(count - 1));
    let bytes = |len: usize| format!("HTTP/1.1 200 OK$X: {}$Content-Length: 0$$", "x".repeat(len));
    for (answer, status) in [
        (interims(8), 200),
        (interims(9), 502),
        (fields(100), 200),
        (fields(101), 502),
        (bytes(60_000), 200),
        (bytes(70_000), 502),
        ("x".repeat(100_000), 502),
        ("HTTP/1.1 ".repeat(20_000), 502),
    ] {
        let start = answer[..40].to_owned();
        let upstream = upstream(move |_, mut client| {
            client.head();
            let _ = std::io::Write::write_all(&mut client.stream, answer.replace('$', "\r\n").as_bytes());
            client.rest();
        });
        let rig = Rig::before(upstream.addr);
        assert_eq!(rig.client().get("/up").status, status, "{start}");
        if status == 502 {
            assert!(matches!(rig.error().kind, UpstreamErrorKind::Garbage(_)), "{start}: {:?}", rig.error());
        }
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let upstream = upstream(move |_, mut client| {
            client.head();
            client.send(version).send(" 200 OK$Connection: keep-alive$$all there is");
        });
        let rig = Rig::before(upstream.addr);
        for _ in 0..2 {
            assert_eq!(rig.client().get("/up").text(), "all there is");
        }
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn only_answers_that_promise_it_keep_their_connection() {
    for (answer, connections) in [
        (OK, 1),
        ("HTTP/1.1 204 No Content$$", 1),
        ("HTTP/1.1 304 Not Modified$Content-Length: 20$$", 1),
        ("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$2$ok$0$$", 1),
        ("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$2$ok$0$X-Sum: 1$$", 1),
        ("HTTP/1.1 200 OK$Content-Length: 2$Connection: CLOSE$$ok", 3),
        ("HTTP/1.0 200 OK$Content-Length: 2$Connection: keep-alive$$ok", 3),
    ] {
        let upstream = upstream_saying(answer);
        let rig = Rig::before(upstream.addr);
        let mut client = rig.client();
        for _ in 0..3 {
            assert!(client.get("/up").status < 400, "{answer}");
        }
        assert_eq!(upstream.connections.load(Ordering::SeqCst), connections, "{answer}");
    }
}

#[test]
fn an_answer_to_head_has_no_body_and_keeps_its_connection() {
    let upstream = upstream_saying("HTTP/1.1 200 OK$Content-Length: 1234$X-A: b$$");
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    for _ in 0..3 {
        let head = client.send("HEAD /up HTTP/1.1$Host: a$$").head();
        assert!(head.contains("content-length: 1234\r\n") && head.contains("x-a: b\r\n"), "{head}");
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_body_in_pieces_of_any_size_arrives_as_it_was_sent() {
    let upstream = upstream(|_, mut client| {
        loop {
            let head = client.head();
            let body = match head.contains("transfer-encoding: chunked") {
                true => client.chunks(),
                false => client.exactly(300_000),
            };
            client.send(&format!("HTTP/1.1 200 OK$Content-Length: {}$$", body.len())).send_bytes(&body);
        }
    });
    let rig = Rig::before(upstream.addr);
    let body: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 300000$$").send_bytes(&body);
    assert!(client.answer().body == body);
    client.send("POST /up HTTP/1.1$Host: a$Transfer-Encoding: chunked$$");
    for piece in body.chunks(70_000).flat_map(|part| [&part[..1], &part[1..]]) {
        client.send(&format!("{:x}$", piece.len())).send_bytes(piece).send("$");
    }
    client.send("0$$");
    assert!(client.answer().body == body);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_tls_connection_is_kept_too() {
    let innermost = upstream(|_, mut client| {
        loop {
            client.head();
            let body = client.exactly(100_000);
            client.send("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$186a0$").send_bytes(&body).send("$0$$");
        }
    });
    let certificate = Certificate::new();
    let inner = Rig::start(Setup {
        tls: Some(certificate.files()),
        origin: Some(super::support::origin("http", innermost.addr)),
        ..Setup::default()
    });
    let tls = OriginTls { http1_only: true, ..certificate.trusted() };
    let origin = Origin::with_tls(&format!("https://{}", inner.addr), &tls).unwrap();
    let outer = Rig::start(Setup { origin: Some(origin), ..Setup::default() });
    let body: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    let mut client = outer.client();
    for _ in 0..3 {
        client.send("POST /up HTTP/1.1$Host: a$Content-Length: 100000$$").send_bytes(&body);
        assert!(client.answer().body == body);
        assert_eq!(inner.serving.as_ref().unwrap().connections(), 1);
    }
    assert_eq!(innermost.connections.load(Ordering::SeqCst), 1);
}
