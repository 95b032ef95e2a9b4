//! Changes of protocol: only when asked, only after the upstream's 101, counted to the end.

use std::time::Duration;

use tokio::time::Instant;

use tollgate_gateway::http::bounds::{Bounds, PoolBounds};
use tollgate_gateway::http::upstream::UpstreamErrorKind;

use super::support::{PATIENCE, Rig, Setup, eventually, origin, upstream};

const ASK: &str = "GET /up HTTP/1.1$Host: a$Connection: Upgrade$Upgrade: WebSocket$Sec-WebSocket-Key: k$$";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols$Connection: upgrade$Upgrade: websocket$Sec-WebSocket-Accept: x$$";

#[test]
fn bytes_go_both_ways_after_a_101() {
    let upstream = upstream(|_, mut client| {
        let head = client.head().to_ascii_lowercase();
        assert!(
            head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"),
            "{head}"
        );
        assert!(head.contains("sec-websocket-key: k\r\n"), "{head}");
        client.send(&format!("{SWITCH}right behind "));
        assert_eq!(client.exactly(5), b"hello");
        client.send("world");
        // Ends the tunnel.
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    let head = client.send(ASK).head().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-accept: x\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert_eq!(client.exactly(13), b"right behind ");
    client.send("hello");
    assert_eq!(client.exactly(5), b"world");
    client.assert_closed();
    let finished = rig.finished(1);
    let info = finished[0].1;
    assert_eq!((info.bytes_in, info.bytes_out, info.aborted), (5, 18, false));
}

#[test]
fn bytes_sent_before_the_101_wait_for_it() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(SWITCH);
        assert_eq!(client.exactly(5), b"early");
        client.send("bye");
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(&format!("{ASK}early")).head();
    assert_eq!(client.exactly(3), b"bye");
    client.assert_closed();
}

#[test]
fn a_declined_upgrade_goes_on_as_http() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 426 Upgrade Required$Content-Length: 2$$no");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    // The next request waits behind the undecided one and is then read as HTTP, checks and all.
    client.send(&format!("{ASK}GET /hello HTTP/1.1$Host: a$$GET / HTTP/1.1$Host : a$$"));
    assert_eq!(client.answer().status, 426);
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.answer().status, 400);
    client.assert_closed();
    assert_eq!(rig.seen(), ["GET /up", "GET /hello", "refused: SpaceBeforeColon"]);
}

#[test]
fn an_upgrade_the_handler_does_not_pass_on_is_plain_http() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.1$Host: a$Connection: upgrade$Upgrade: websocket$$");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(client.get("/hello").text(), "hello");
    // h2c is never offered, so it is not passed on either.
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        assert!(!head.contains("upgrade"), "{head}");
        client.send("HTTP/1.1 200 OK$Content-Length: 2$$ok");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(
        "GET /up HTTP/1.1$Host: a$Connection: Upgrade, HTTP2-Settings$Upgrade: h2c$HTTP2-Settings: AA$$",
    );
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn a_large_answer_to_a_declined_upgrade_arrives_whole() {
    const LEN: usize = 3 << 20;
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(&format!("HTTP/1.1 200 OK$Content-Length: {LEN}$$"));
        client.send_bytes(&vec![b'x'; LEN]);
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(&ASK.replace("Connection: Upgrade", "Connection: Upgrade, close")).head();
    // Let the socket fill up, so that the end of the answer is not written at once.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.rest().len(), LEN);
}

#[test]
fn an_open_tunnel_takes_a_place_among_the_upstreams_connections_and_gives_it_back() {
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        if head.starts_with("GET /up ") {
            client.send(SWITCH);
        } else {
            client.send("HTTP/1.1 200 OK$Content-Length: 2$Connection: close$$ok");
        }
        client.rest();
    });
    let setup = Setup {
        pool: PoolBounds { connections_max: 2, ..PoolBounds::default() },
        origin: Some(origin("http", upstream.addr)),
        ..Setup::default()
    };
    let rig = Rig::start(setup);
    let mut tunnels: Vec<_> = (0..2).map(|_| rig.client()).collect();
    for client in &mut tunnels {
        assert!(client.send(ASK).head().starts_with("HTTP/1.1 101"));
    }
    let mut plain = rig.client();
    assert_eq!(plain.get("/up/plain").status, 502);
    assert_eq!(rig.error().kind, UpstreamErrorKind::Saturated);
    let mut third = rig.client();
    third.send(ASK);
    assert_eq!(third.answer().status, 502);
    // Neither end of a tunnel may keep its place when it is over.
    drop(tunnels.pop());
    rig.finished(3);
    eventually("a place is free", || rig.client().get("/up/plain").status == 200);
}

#[test]
fn a_client_that_takes_nothing_of_a_tunnel_is_cut_however_much_it_says() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(SWITCH);
        let mut stream = client.stream.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    });
    let bounds = Bounds { write_idle: Duration::from_millis(300), ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut client = rig.client();
    client.send(ASK).head();
    let started = Instant::now();
    while std::io::Write::write_all(&mut client.stream, b"still here").is_ok() {
        assert!(started.elapsed() < PATIENCE, "still open");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rig.finished(1)[0].1.aborted);
}

#[test]
fn a_silent_tunnel_is_cut() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(SWITCH);
        client.assert_closed();
    });
    let bounds = Bounds { tunnel_idle: Duration::from_millis(200), ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut client = rig.client();
    client.send(ASK).head();
    client.assert_closed();
    assert!(rig.finished(1)[0].1.aborted);
}

#[test]
fn a_client_that_ends_its_side_still_hears_the_upstream() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send(SWITCH);
        let stream = client.stream.try_clone().unwrap();
        assert_eq!(client.rest(), b"last words");
        std::io::Write::write_all(&mut &stream, b"heard").unwrap();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(ASK).head();
    client.send("last words");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.rest(), b"heard");
}
