//! Upstreams: reuse, death, silence, garbage, and what may be sent again.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use tollgate_gateway::http::bounds::{Bounds, PoolBounds, Timeouts};
use tollgate_gateway::http::upstream::{Origin, OriginInvalid, UpstreamErrorKind};

use super::support::{PATIENCE, Rig, Setup, eventually, origin, upstream, upstream_saying};

const OK: &str = "HTTP/1.1 200 OK$Content-Length: 2$$ok";

fn impatient() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(300),
        response_head: Duration::from_millis(300),
        body_idle: Duration::from_millis(300),
    }
}

#[test]
fn one_upstream_connection_serves_many_requests() {
    let upstream = upstream_saying(OK);
    let rig = Rig::before(upstream.addr);
    for _ in 0..3 {
        let mut client = rig.client();
        for _ in 0..5 {
            assert_eq!(client.get("/up").text(), "ok");
        }
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_connection_the_upstream_closed_is_not_used_again() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(OK);
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    for number in 1..=5 {
        let answer = client.get("/up");
        if answer.status == 502 {
            // The close and the next request crossed: something was sent, so the engine does not repeat it.
            assert!(!rig.error().nothing_sent);
            return;
        }
        assert_eq!(answer.text(), "ok");
        assert_eq!(upstream.connections.load(Ordering::SeqCst), number);
        // Until the engine has seen the close.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn idle_upstream_connections_are_closed_in_time() {
    let (closed, is_closed) = std::sync::mpsc::sync_channel(2);
    let upstream = upstream(move |_, mut client| {
        client.head();
        client.send(OK);
        client.assert_closed();
        let _ = closed.send(());
    });
    let pool = PoolBounds { idle_timeout: Duration::from_millis(200), ..PoolBounds::default() };
    let rig = Rig::start(Setup { pool, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/up").text(), "ok");
    is_closed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.get("/up").text(), "ok");
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_dead_upstream_is_unreachable_and_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::before(free);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 2$$hi");
    assert_eq!(client.answer().status, 502);
    let error = rig.error();
    assert!(matches!(error.kind, UpstreamErrorKind::Unreachable(_)) && error.nothing_sent, "{error:?}");
}

#[test]
fn an_upstream_that_does_not_answer_times_out() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.assert_closed();
    });
    let setup =
        Setup { timeouts: impatient(), origin: Some(origin("http", upstream.addr)), ..Setup::default() };
    let rig = Rig::start(setup);
    let mut client = rig.client();
    let started = Instant::now();
    assert_eq!(client.get("/up").status, 504);
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(rig.error().kind, UpstreamErrorKind::ResponseTimeout);
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn a_slow_upload_is_not_the_upstreams_fault() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.exactly(4);
        client.send(OK);
        client.rest();
    });
    let setup =
        Setup { timeouts: impatient(), origin: Some(origin("http", upstream.addr)), ..Setup::default() };
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 4$$");
    for byte in b"slow" {
        std::thread::sleep(Duration::from_millis(250));
        client.send_bytes(&[*byte]);
    }
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn an_upstream_that_stops_reading_times_out() {
    let upstream = upstream(|_, mut client| {
        client.head();
        std::thread::sleep(Duration::from_secs(20));
    });
    let setup =
        Setup { timeouts: impatient(), origin: Some(origin("http", upstream.addr)), ..Setup::default() };
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 50000000$$");
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut writer, &piece).is_ok() {}
    });
    assert_eq!(client.answer().status, 504);
}

#[test]
fn an_upstream_silent_in_its_body_cuts_the_answer() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 10$$01234");
        client.assert_closed();
    });
    let setup =
        Setup { timeouts: impatient(), origin: Some(origin("http", upstream.addr)), ..Setup::default() };
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    assert!(client.rest().ends_with(b"01234"));
    assert!(rig.finished(1)[0].1.aborted);
}

#[test]
fn an_upstream_that_closes_instead_of_answering_is_a_reset() {
    let upstream = upstream(|_, mut client| drop(client.head()));
    let rig = Rig::before(upstream.addr);
    assert_eq!(rig.client().get("/up").status, 502);
    assert_eq!(rig.error().kind, UpstreamErrorKind::Reset);
    assert!(!rig.error().nothing_sent);
}

#[test]
fn doubtful_answers_are_garbage_and_their_connection_is_closed() {
    for answer in [
        "not HTTP at all$$",
        "HTTP/1.1 200 OK$Content-Length: 3$Transfer-Encoding: chunked$$3$abc$0$$",
        "HTTP/1.1 200 OK$Transfer-Encoding: chunked$Content-Length: 3$$3$abc$0$$",
        "HTTP/1.1 200 OK$Content-Length: 3$Content-Length: 3$$abc",
        "HTTP/1.1 200 OK$Content-Length: 3$Content-Length: 4$$abc",
        "HTTP/1.1 200 OK$Content-Length: +3$$abc",
        "HTTP/1.1 200 OK$Transfer-Encoding: gzip, chunked$$3$abc$0$$",
        "HTTP/1.1 200 OK$Transfer-Encoding: chunked$Transfer-Encoding: chunked$$3$abc$0$$",
        "HTTP/1.1 200 OK$Transfer-Encoding: identity$$abc",
        "HTTP/1.1 200 OK$Bad Name: x$Content-Length: 3$$abc",
        "HTTP/1.1 200 OK$X: a$ folded$Content-Length: 3$$abc",
        "HTTP/1.1 101 Switching Protocols$Connection: upgrade$Upgrade: x$$",
        "HTTP/2.0 200 OK$Content-Length: 3$$abc",
    ] {
        let upstream = upstream(move |number, mut client| {
            client.head();
            client.send(if number == 0 { answer } else { OK });
            client.assert_closed();
        });
        let rig = Rig::before(upstream.addr);
        let mut client = rig.client();
        let got = client.get("/up");
        assert_eq!((got.status, got.text()), (502, ""), "{answer:?}");
        assert!(matches!(rig.error().kind, UpstreamErrorKind::Garbage(_)), "{answer:?}: {:?}", rig.error());
        assert_eq!(client.get("/up").text(), "ok", "{answer:?}");
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 2, "{answer:?}");
    }
}

#[test]
fn bytes_behind_an_answer_never_reach_the_next_client() {
    let upstream = upstream(|number, mut client| {
        client.head();
        let extra = "HTTP/1.1 200 OK$Content-Length: 6$$poison";
        client.send(&if number == 0 { format!("{OK}{extra}") } else { OK.to_owned() });
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    assert_eq!(client.get("/up").text(), "ok");
    assert_eq!(client.get("/up").text(), "ok");
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn an_answer_before_the_request_is_read_closes_both_sides() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 413 Content Too Large$Content-Length: 0$$");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 1000$$x");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    client.assert_closed();
    assert_eq!(rig.client().get("/up").status, 413);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn interim_answers_are_skipped() {
    let upstream = upstream_saying(
        "HTTP/1.1 103 Early Hints$Link: x$$HTTP/1.1 100 Continue$$HTTP/1.1 200 OK$Content-Length: 2$$ok",
    );
    let rig = Rig::before(upstream.addr);
    let answer = rig.client().get("/up");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
}

#[test]
fn connections_to_an_upstream_are_bounded() {
    let upstream = upstream(|_, client| drop(client.rest()));
    let pool = PoolBounds { connections_max: 2, ..PoolBounds::default() };
    let rig = Rig::start(Setup { pool, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut waiting: Vec<_> = (0..2).map(|_| rig.client()).collect();
    for client in &mut waiting {
        client.send("GET /up HTTP/1.1$Host: a$$");
    }
    eventually("two connections are open", || upstream.connections.load(Ordering::SeqCst) == 2);
    assert_eq!(rig.client().get("/up").status, 502);
    assert_eq!(rig.error().kind, UpstreamErrorKind::Saturated);
    assert!(rig.error().nothing_sent);
}

#[test]
fn a_request_without_a_body_has_no_framing_and_a_post_has_a_length() {
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
        client.send(OK);
        let head = client.head();
        assert!(head.contains("content-length: 0\r\n"), "{head}");
        client.send(OK);
        client.rest();
    });
    let rig = Rig::start(Setup {
        origin: Some(origin("http", upstream.addr)),
        bounds: Bounds::default(),
        ..Setup::default()
    });
    let mut client = rig.client();
    assert_eq!(client.get("/up").text(), "ok");
    client.send("POST /up HTTP/1.1$Host: a$Content-Length: 0$$");
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn only_plain_origins_are_read() {
    for url in ["http://a", "http://a:8080", "https://a/", "h2c://[::1]:50051", "HTTP://A"] {
        assert!(Origin::parse(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "a",
        "//a",
        "ftp://a",
        "http://",
        "http://a/b",
        "http://a/?q",
        "http://u@a",
        "http://a:99999",
        "a:80",
    ] {
        assert_eq!(Origin::parse(url).unwrap_err(), OriginInvalid::Url, "{url}");
    }
    assert_eq!(Origin::parse("http://a").unwrap(), Origin::parse("http://a:80/").unwrap());
    assert_ne!(Origin::parse("http://a").unwrap(), Origin::parse("h2c://a").unwrap());
}
