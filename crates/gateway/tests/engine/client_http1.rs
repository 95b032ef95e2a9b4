//! What the codec towards clients writes and reads beyond what `http1` asks of any codec: trailers, large
//! pieces, requests sent ahead, fields of its own.

use super::support::{Rig, upstream, upstream_saying};

#[test]
fn trailers_reach_a_client_that_asked_for_them_and_no_other() {
    let upstream =
        upstream_saying("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$3$abc$0$X-Sum: 9$Set-Cookie: no$$");
    let rig = Rig::before(upstream.addr);
    let mut asked = rig.client();
    asked.send("GET /up HTTP/1.1$Host: a$TE: trailers$Connection: close$$");
    let whole = String::from_utf8(asked.rest()).unwrap();
    assert!(whole.ends_with("3\r\nabc\r\n0\r\nx-sum: 9\r\n\r\n"), "{whole}");
    let mut other = rig.client();
    other.send("GET /up HTTP/1.1$Host: a$Connection: close$$");
    let whole = String::from_utf8(other.rest()).unwrap();
    assert!(whole.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{whole}");
}

#[test]
fn pieces_of_every_size_arrive_as_they_were() {
    for len in [1, 8 * 1024, 8 * 1024 + 1, 16 * 1024, 70_000, 300_000] {
        let body: Vec<u8> = (0..len).map(|at| b'a' + (at % 23) as u8).collect();
        let sent = body.clone();
        let upstream = upstream(move |turn, mut client| {
            client.head();
            if turn == 0 {
                client.send(&format!("HTTP/1.1 200 OK$Content-Length: {len}$Connection: close$$"));
                client.send_bytes(&sent);
            } else {
                client.send("HTTP/1.1 200 OK$Transfer-Encoding: chunked$Connection: close$$");
                client.send_bytes(format!("{len:x}\r\n").as_bytes());
                client.send_bytes(&sent);
                client.send_bytes(b"\r\n0\r\n\r\n");
            }
        });
        let rig = Rig::before(upstream.addr);
        let mut client = rig.client();
        for framing in ["content-length", "transfer-encoding"] {
            let answer = client.get("/up");
            assert!(answer.header(framing).is_some(), "{framing}");
            assert!(answer.text().as_bytes() == body, "{len} bytes by {framing}");
        }
        assert!(rig.finished(2).iter().all(|(_, info)| info.bytes_out == len as u64 && !info.aborted));
    }
}

#[test]
fn more_requests_than_are_read_ahead_are_all_answered_in_order() {
    let rig = Rig::plain();
    let mut client = rig.client();
    let filler = "x".repeat(500);
    let one = format!("GET /hello HTTP/1.1\r\nHost: a\r\nX-Filler: {filler}\r\n\r\n");
    // 400 of them are three times what may wait while the first is answered.
    let (mut writer, count) = (client.stream.try_clone().unwrap(), 400);
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        (0..count).for_each(|_| writer.write_all(one.as_bytes()).unwrap());
    });
    for _ in 0..count {
        assert_eq!(client.answer().text(), "hello");
    }
    sending.join().unwrap();
    assert_eq!(client.get("/made").text(), "one two three");
}

#[test]
fn a_client_that_sends_ahead_without_end_is_not_read_without_end() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /gate HTTP/1.1$Host: a$$");
    client.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    use std::io::Write;
    let piece = [b'x'; 64 * 1024];
    let mut taken = 0;
    // The sockets take some megabytes; the gateway must not.
    while taken < 64 << 20 {
        match client.stream.write(&piece) {
            Ok(len) => taken += len,
            Err(_) => break,
        }
    }
    assert!(taken < 64 << 20, "{taken} bytes were taken");
    rig.shared.gate.0.add_permits(1);
    assert_eq!(client.answer().text(), "opened");
}

#[test]
fn answers_are_dated_once() {
    let upstream = upstream(|turn, mut client| {
        client.head();
        let date = if turn == 0 { "Date: Sun, 06 Nov 1994 08:49:37 GMT$" } else { "" };
        client.send(&format!("HTTP/1.1 200 OK$Content-Length: 0$Connection: close${date}$"));
    });
    let rig = Rig::before(upstream.addr);
    let mut client = rig.client();
    let heads: Vec<String> = (0..2)
        .map(|_| {
            client.send("GET /up HTTP/1.1$Host: a$$");
            client.head()
        })
        .collect();
    for head in &heads {
        assert_eq!(head.matches("date: ").count(), 1, "{head}");
    }
    assert!(heads[0].contains("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{}", heads[0]);
    assert!(!heads[1].contains("1994") && heads[1].contains(" GMT\r\n"), "{}", heads[1]);
}

#[test]
fn a_body_that_is_here_already_needs_no_leave() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("POST /echo HTTP/1.1$Host: a$Expect: 100-continue$Content-Length: 2$$hi");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn http_10_is_told_that_the_connection_stays() {
    let rig = Rig::plain();
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.0$Connection: Keep-Alive$$");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && head.contains("connection: keep-alive\r\n"), "{head}");
}

#[test]
fn an_absolute_target_is_the_same_request() {
    let upstream = upstream(|_, mut client| {
        let head = client.head();
        client.send(&format!("HTTP/1.1 200 OK$Connection: close$Content-Length: {}$$", head.len()));
        client.send_bytes(head.as_bytes());
    });
    let rig = Rig::before(upstream.addr);
    for (target, line) in [
        ("http://a.example/up?x=1", "GET /up?x=1 HTTP/1.1\r\n"),
        ("HTTP://A.example/up", "GET /up HTTP/1.1\r\n"),
        ("/up?", "GET /up? HTTP/1.1\r\n"),
    ] {
        let mut client = rig.client();
        client.send(&format!("GET {target} HTTP/1.1$Host: a.example$$"));
        let answer = client.answer();
        assert!(answer.text().starts_with(line), "{target}: {}", answer.text());
    }
}
