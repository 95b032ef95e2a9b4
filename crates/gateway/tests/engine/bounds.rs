//! Bounds that are only visible over time or over many connections, and draining.

use std::time::Duration;

use tokio::time::Instant;

use tollgate_gateway::http::bounds::Bounds;
use tollgate_gateway::http::serve::Drained;

use super::support::{PATIENCE, Rig, Setup, eventually, origin, upstream};

const SHORT: Duration = Duration::from_millis(300);

fn rig(bounds: Bounds) -> Rig {
    Rig::start(Setup { bounds, ..Setup::default() })
}

/// Runs `wait`, which must take about [`SHORT`]: not less, and not for ever.
fn takes_a_moment(wait: impl FnOnce()) {
    let started = Instant::now();
    wait();
    let took = started.elapsed();
    assert!(took >= SHORT && took < PATIENCE / 2, "{took:?}");
}

#[test]
fn a_silent_client_is_closed() {
    let rig = rig(Bounds { head_timeout: SHORT, ..Bounds::default() });
    takes_a_moment(|| rig.client().assert_closed());
}

#[test]
fn a_head_that_does_not_end_is_closed_however_it_drips() {
    let rig = rig(Bounds { head_timeout: SHORT, ..Bounds::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/hello").status, 200);
    let started = Instant::now();
    client.send("GET / HTTP/1.1$Host: a$");
    while std::io::Write::write_all(&mut client.stream, b"X: y\r\n").is_ok() {
        assert!(started.elapsed() < PATIENCE, "still open");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(rig.seen() == ["GET /hello"]);
}

#[test]
fn an_idle_connection_is_closed() {
    let rig = rig(Bounds { keep_alive_idle: SHORT, ..Bounds::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/hello").status, 200);
    takes_a_moment(|| client.assert_closed());
}

#[test]
fn an_idle_connection_is_closed_after_it_was_folded() {
    let rig = rig(Bounds { keep_alive_idle: Duration::from_millis(2_600), ..Bounds::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/hello").status, 200);
    takes_a_moment(|| client.assert_closed());
}

#[test]
fn a_long_answer_does_not_count_as_idle() {
    let rig = rig(Bounds { keep_alive_idle: SHORT, head_timeout: SHORT, ..Bounds::default() });
    let mut client = rig.client();
    client.send("GET /gate HTTP/1.1$Host: a$$");
    std::thread::sleep(SHORT * 3);
    rig.shared.gate.0.add_permits(1);
    assert_eq!(client.answer().text(), "opened");
}

#[test]
fn a_body_that_stops_is_408() {
    let rig = rig(Bounds { body_idle: SHORT, ..Bounds::default() });
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Content-Length: 10$$x");
    takes_a_moment(|| assert_eq!(client.answer().status, 408));
    client.assert_closed();
}

#[test]
fn a_body_that_drips_is_408() {
    let rig = rig(Bounds { body_grace: SHORT, body_rate_min: 1_000, ..Bounds::default() });
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Content-Length: 100000$$x");
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while std::io::Write::write_all(&mut writer, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    takes_a_moment(|| assert_eq!(client.answer().status, 408));
}

/// Sends a body of so many bytes one by one, each after 20 ms, and gives the status of the answer.
fn sent_slowly(rig: &Rig, path: &str, bytes: usize) -> u16 {
    let mut client = rig.client();
    client.send(&format!("POST {path} HTTP/1.1$Host: a$Content-Length: {bytes}$$"));
    let mut writer = client.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        for _ in 0..bytes {
            std::thread::sleep(Duration::from_millis(20));
            if std::io::Write::write_all(&mut writer, b"x").is_err() {
                return;
            }
        }
    });
    client.answer().status
}

#[test]
fn a_body_that_is_held_whole_has_to_be_there_in_time() {
    let bounds = Bounds { held_body_timeout: SHORT, body_rate_min: 0, ..Bounds::default() };
    let upstream = upstream(|_, mut client| {
        client.head();
        client.exactly(40);
        client.send("HTTP/1.1 201 Created$Content-Length: 0$$");
    });
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    takes_a_moment(|| assert_eq!(sent_slowly(&rig, "/echo", 10_000), 408));
    // What is passed on as it comes is held by nobody.
    takes_a_moment(|| assert_eq!(sent_slowly(&rig, "/up", 40), 201));
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 100000000$$");
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    });
    let bounds = Bounds { write_idle: SHORT, ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    takes_a_moment(|| assert!(rig.finished(1)[0].1.aborted));
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
}

/// An upstream that sends as much as is taken, and a gate with this least rate in front of it.
fn endless(bounds: Bounds) -> Rig {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 10000000000$$");
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    });
    Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() })
}

/// Takes this much every 20 ms until the gate has had enough, and says for how long that was.
fn drip(rig: &Rig, take: usize) -> Duration {
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    let started = Instant::now();
    let mut piece = vec![0; take];
    while rig.shared.finished.lock().unwrap().is_empty() {
        assert!(started.elapsed() < PATIENCE, "still served");
        std::thread::sleep(Duration::from_millis(20));
        if std::io::Read::read_exact(&mut client.stream, &mut piece).is_err() {
            break;
        }
    }
    started.elapsed()
}

#[test]
fn a_client_that_drips_its_answer_is_cut_and_counted_as_gone() {
    // Far less than the least rate, and never silent for as long as a client may be.
    let rate_min = 1 << 40;
    let rig = endless(Bounds { write_idle: SHORT * 2, write_rate_min: rate_min, ..Bounds::default() });
    let took = drip(&rig, 256 * 1024);
    assert!(took >= SHORT, "{took:?}");
    assert!(rig.finished(1)[0].1.aborted);
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
}

#[test]
fn a_client_that_takes_enough_is_served_however_often_it_pauses() {
    let rig = endless(Bounds { write_idle: SHORT * 2, write_rate_min: 1, ..Bounds::default() });
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    let started = Instant::now();
    let mut piece = vec![0; 256 * 1024];
    while started.elapsed() < SHORT * 6 {
        std::thread::sleep(Duration::from_millis(20));
        std::io::Read::read_exact(&mut client.stream, &mut piece).unwrap();
    }
    assert!(rig.shared.finished.lock().unwrap().is_empty());
}

#[test]
fn an_answer_that_pauses_costs_its_client_nothing() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Type: text/event-stream$Transfer-Encoding: chunked$$");
        for _ in 0..4 {
            std::thread::sleep(SHORT);
            client.send("6$data: $");
        }
        client.send("0$$");
        client.rest();
    });
    let bounds = Bounds { write_idle: SHORT / 2, write_rate_min: 1 << 40, ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    assert_eq!(client.answer().text(), "data: ".repeat(4));
    assert!(!rig.finished(1)[0].1.aborted);
}

#[test]
fn a_declared_length_beyond_the_limit_is_refused_at_once() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Content-Length: 5000000$$");
    assert_eq!(client.answer().status, 413);
    client.assert_closed();
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Transfer-Encoding: chunked$$500000$");
    client.send_bytes(&vec![b'x'; 0x40_0001]);
    assert_eq!(client.answer().status, 413);
}

#[test]
fn connections_are_bounded_in_all_and_per_address() {
    let all = Bounds { connections_max: 2, ..Bounds::default() };
    let per_address = Bounds { connections_per_ip_max: 2, ..Bounds::default() };
    for bounds in [all, per_address] {
        let rig = rig(bounds);
        let mut kept: Vec<_> = (0..2).map(|_| rig.client()).collect();
        for client in &mut kept {
            assert_eq!(client.get("/hello").status, 200);
        }
        rig.client().assert_closed();
        drop(kept.pop());
        eventually("a place is free", || rig.serving.as_ref().unwrap().connections() == 1);
        assert_eq!(rig.client().get("/hello").status, 200);
    }
}

#[test]
fn requests_on_one_connection_can_be_bounded() {
    let rig = rig(Bounds { requests_per_connection_max: 2, ..Bounds::default() });
    let mut client = rig.client();
    assert_eq!(client.get("/hello").header("connection"), None);
    assert_eq!(client.get("/hello").header("connection"), Some("close"));
    client.assert_closed();
}

#[test]
fn draining_finishes_what_is_in_flight_and_closes_the_rest() {
    let mut rig = Rig::plain();
    let mut busy = rig.client();
    busy.send("GET /gate HTTP/1.1$Host: a$$");
    let mut idle = rig.client();
    assert_eq!(idle.get("/hello").status, 200);
    let fresh = rig.client();
    eventually("all are in", || rig.seen().len() == 2 && rig.serving.as_ref().unwrap().connections() == 3);

    let serving = rig.serving.take().unwrap();
    let draining = std::thread::spawn(move || serving.drain(PATIENCE));
    idle.assert_closed();
    fresh.assert_closed();
    eventually("nothing is accepted", || std::net::TcpStream::connect(rig.addr).is_err());
    rig.shared.gate.0.add_permits(1);
    let answer = busy.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("opened", Some("close")));
    busy.assert_closed();
    assert_eq!(draining.join().unwrap(), Drained { cut: 0 });
}

#[test]
fn a_drain_cuts_at_its_deadline_and_hooks_run() {
    let mut rig = Rig::plain();
    let mut busy = rig.client();
    busy.send("GET /gate HTTP/1.1$Host: a$$");
    eventually("it is in", || rig.seen().len() == 1);
    let serving = rig.serving.take().unwrap();
    takes_a_moment(|| assert_eq!(serving.drain(SHORT), Drained { cut: 1 }));
    assert!(rig.finished(1)[0].1.aborted);
    busy.assert_closed();
}

#[test]
fn a_port_in_use_is_an_error() {
    use std::rc::Rc;
    use tollgate_gateway::http::answer::Answer;
    use tollgate_gateway::http::exchange::{Exchange, Handler, Peer};
    use tollgate_gateway::http::guard::Malformed;
    use tollgate_gateway::http::head::RequestHead;
    use tollgate_gateway::http::serve::{Listener, ServeError, serve};

    struct Nothing;
    impl Handler for Nothing {
        async fn handle(self: Rc<Self>, _exchange: Exchange) -> Answer {
            Answer::new(200)
        }
        fn refused(&self, _peer: Peer, _why: Malformed, _head: Option<&RequestHead>) -> Answer {
            Answer::new(400)
        }
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = Listener { bind: taken.local_addr().unwrap(), tls: None, bounds: Bounds::default() };
    let error = serve(listener, 0..2, |_| Rc::new(Nothing)).unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }), "{error}");
}
