//! Answers: the finish hook, streaming with back-pressure, clients that go away.

use std::sync::mpsc;
use std::time::Duration;

use super::support::{PATIENCE, Rig, eventually, upstream, upstream_saying};

/// Holds every finish hook until released, and says when one has begun.
fn hold_hooks(rig: &Rig) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let hook = move || {
        let _ = begun.send(());
        let _ = released.recv_timeout(PATIENCE);
    };
    *rig.shared.in_finish.lock().unwrap() = Some(Box::new(hook));
    (has_begun, release)
}

#[test]
fn the_hook_runs_before_the_last_byte_leaves() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 10$$01234").send("56789");
        client.head();
        client.send("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$5$01234$").send("5$56789$0$$");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let (has_begun, release) = hold_hooks(&rig);
    for path in ["/hello", "/up", "/up"] {
        let mut client = rig.client();
        client.send(&format!("GET {path} HTTP/1.1$Host: a$Connection: close$$"));
        has_begun.recv_timeout(PATIENCE).unwrap();
        // While the hook runs, the answer is not complete.
        client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut early = vec![0; 4096];
        let mut len = 0;
        while let Ok(more @ 1..) = std::io::Read::read(&mut client.stream, &mut early[len..]) {
            len += more;
        }
        let early = String::from_utf8_lossy(&early[..len]).into_owned();
        let complete = if early.contains("chunked") { "56789\r\n0\r\n\r\n" } else { "56789" };
        assert!(!early.contains("hello") && !early.contains(complete), "{early}");
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        release.send(()).unwrap();
        let rest = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(rest.contains("hello") || rest.contains("56789") || rest.ends_with("0\r\n\r\n"), "{rest}");
    }
    assert_eq!(rig.finished(3).len(), 3);
}

#[test]
fn a_hook_that_refuses_cuts_the_answer() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /unaccountable HTTP/1.1$Host: a$$");
    client.assert_closed();
    assert_eq!(rig.finished(1).len(), 1);
}

#[test]
fn a_source_shorter_than_declared_cuts_the_answer() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /short HTTP/1.1$Host: a$$");
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(rest.is_empty() || rest.ends_with("\r\none"), "{rest}");
    let (_, info) = &rig.finished(1)[0];
    assert!(info.aborted);
}

#[test]
fn an_upstream_that_breaks_off_cuts_the_answer() {
    for answer in
        ["HTTP/1.1 200 OK$Content-Length: 10$$01234", "HTTP/1.1 200 OK$Transfer-Encoding: chunked$$5$01234$"]
    {
        let upstream = upstream(move |_, mut client| {
            client.head();
            client.send(answer);
        });
        let rig = Rig::before(upstream.addr);
        let mut client = rig.client();
        client.send("GET /up HTTP/1.1$Host: a$$");
        let rest = String::from_utf8(client.rest()).unwrap();
        assert!(rest.contains("01234") && !rest.ends_with("0\r\n\r\n"), "{rest}");
        let finished = rig.finished(1);
        assert_eq!((finished.len(), finished[0].1.aborted, finished[0].1.bytes_out), (1, true, 5));
    }
}

#[test]
fn a_client_that_goes_away_aborts_exactly_once() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 100000000$$");
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$").head();
    client.exactly(1_000);
    drop(client);
    let finished = rig.finished(1);
    assert!(finished[0].1.aborted && finished[0].1.bytes_out >= 1_000);
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
    assert_eq!(rig.finished(1).len(), 1);
}

#[test]
fn a_client_that_leaves_before_the_answer_is_noticed() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /gate HTTP/1.1$Host: a$$");
    eventually("the request is in", || rig.seen().len() == 1);
    drop(client);
    let finished = rig.finished(1);
    assert!(finished[0].1.aborted);
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
}

#[test]
fn a_large_body_streams_with_back_pressure() {
    const LEN: usize = 16 << 20;
    let (wrote, written) = mpsc::channel();
    let upstream = upstream(move |_, mut client| {
        client.head();
        client.send(&format!("HTTP/1.1 200 OK$Content-Length: {LEN}$$"));
        let piece = vec![b'x'; 64 * 1024];
        for sent in 1..=LEN / piece.len() {
            client.send_bytes(&piece);
            let _ = wrote.send(sent * piece.len());
        }
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$").head();
    // Nobody reads: the upstream stops being read long before it is done.
    let mut total = 0;
    while let Ok(sent) = written.recv_timeout(Duration::from_millis(500)) {
        total = sent;
    }
    assert!(total < LEN, "{total} bytes were taken from the upstream for a client that reads nothing");
    assert_eq!(client.exactly(LEN).len(), LEN);
    assert_eq!(rig.finished(1)[0].1.bytes_out, LEN as u64);
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn a_large_upload_streams_through() {
    const LEN: usize = 4 << 20;
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        assert!(head.contains(&format!("content-length: {LEN}\r\n")), "{head}");
        client.exactly(LEN);
        client.send("HTTP/1.1 201 Created$Content-Length: 0$$");
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(&format!("PUT /up HTTP/1.1$Host: a$Content-Length: {LEN}$$"));
    client.send_bytes(&vec![b'x'; LEN]);
    assert_eq!(client.answer().status, 201);
    assert_eq!(rig.finished(1)[0].1.bytes_in, LEN as u64);
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn framing_and_connection_fields_are_rebuilt_not_forwarded() {
    let upstream = upstream(|_, mut client| {
        let head = client.head().to_ascii_lowercase();
        for gone in [
            "connection",
            "keep-alive",
            "te:",
            "upgrade",
            "x-hop",
            "proxy-",
            "x-secret",
            "x_under",
            "trailer",
        ] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        assert!(head.contains("x-set: by-gateway\r\n") && head.contains("x-kept: 1\r\n"), "{head}");
        assert!(head.contains("host: 127.0.0.1:"), "{head}");
        client.send(
            "HTTP/1.1 200 OK$Connection: keep-alive, X-Hop$X-Hop: 1$Keep-Alive: timeout=5$Trailer: x$\
             Proxy-Authenticate: Basic$X-Kept: 2$Content-Length: 2$$ok",
        );
        client.rest();
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send(
        "GET /up HTTP/1.1$Host: a$Connection: keep-alive, X-Hop$X-Hop: 1$Keep-Alive: timeout=5$TE: trailers$\
         Proxy-Authorization: Basic x$Proxy-Connection: keep-alive$X-Secret: s$X-Set: theirs$X_Under: 1$\
         Upgrade: h2c$Trailer: x$X-Kept: 1$$",
    );
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("x-kept")), ("ok", Some("2")));
    for gone in ["connection", "x-hop", "keep-alive", "trailer", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[test]
fn an_answer_without_length_ends_with_its_connection() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$$until the end");
    });
    let rig = Rig::before(upstream.addr);
    let answer = rig.client().get("/up");
    assert_eq!((answer.text(), answer.header("transfer-encoding")), ("until the end", Some("chunked")));
    assert!(!rig.finished(1)[0].1.aborted);
}

#[test]
fn not_modified_has_no_body() {
    let upstream = upstream_saying("HTTP/1.1 304 Not Modified$ETag: x$Content-Length: 7$$");
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    client.send("GET /up HTTP/1.1$Host: a$$");
    let head = client.head();
    assert!(
        head.starts_with("HTTP/1.1 304") && head.contains("etag: x") && !head.contains("content-length"),
        "{head}"
    );
    assert_eq!(client.get("/hello").text(), "hello");
}
