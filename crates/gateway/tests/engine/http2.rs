//! HTTP/2 both ways: requests, trailers, what a head must not say, and floods.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tollgate_gateway::http::bounds::Bounds;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, WINDOW_UPDATE, frame,
    get, hpack, status,
};
use super::support::{PATIENCE, Rig, Setup, WHOLE_BYTES, eventually, origin, upstream};

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An HTTP/2 connection in clear text.
async fn connect(addr: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(TcpStream::connect(addr).await.unwrap()).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

async fn body(mut body: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut whole = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    (whole, body.trailers().await.unwrap())
}

pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://a{path}")).body(()).unwrap()
}

#[test]
fn many_streams_share_one_connection() {
    let rig = Rig::plain();
    let runtime = runtime();
    // Held until the connections are counted.
    let _sender = runtime.block_on(async {
        let sender = connect(rig.addr).await;
        let mut answers = Vec::new();
        for _ in 0..50 {
            let mut sender = sender.clone().ready().await.unwrap();
            answers.push(sender.send_request(request("GET", "/hello"), true).unwrap().0);
        }
        for answer in answers {
            let answer = answer.await.unwrap();
            assert_eq!(answer.headers()["content-length"], "5");
            assert_eq!(body(answer.into_body()).await.0, b"hello");
        }
        let (answer, mut send) = sender.clone().send_request(request("POST", "/echo"), false).unwrap();
        send.send_data("two ".into(), false).unwrap();
        send.send_data("parts".into(), true).unwrap();
        assert_eq!(body(answer.await.unwrap().into_body()).await.0, b"two parts");
        let (answer, _) = sender.clone().send_request(request("HEAD", "/hello"), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["content-length"], "5");
        assert!(body(answer.into_body()).await.0.is_empty());
        sender
    });
    assert_eq!(rig.serving.as_ref().unwrap().connections(), 1);
    assert!(rig.finished(52).iter().all(|(_, info)| !info.aborted));
}

/// An h2c upstream that echoes bodies and trailers.
async fn echo_upstream(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                tokio::spawn(async move {
                    let te = request.headers().get("te").cloned();
                    let authority = request.uri().authority().unwrap().to_string();
                    let (bytes, trailers) = body(request.into_body()).await;
                    let mut answer = Response::new(());
                    answer.headers_mut().insert("x-te", te.unwrap_or_else(|| "none".parse().unwrap()));
                    answer.headers_mut().insert("x-authority", authority.parse().unwrap());
                    let mut send = respond.send_response(answer, false).unwrap();
                    send.send_data(bytes.into(), false).unwrap();
                    let mut echoed = trailers.unwrap_or_default();
                    echoed.insert("grpc-status", "0".parse().unwrap());
                    send.send_trailers(echoed).unwrap();
                });
            }
        });
    }
}

/// Starts [`echo_upstream`] on a thread of its own.
fn start_echo() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            echo_upstream(listener).await;
        });
    });
    told.recv().unwrap()
}

#[test]
fn bodies_and_trailers_go_both_ways_to_an_h2c_upstream() {
    let upstream = start_echo();
    let rig = Rig::start(Setup { origin: Some(origin("h2c", upstream)), ..Setup::default() });
    runtime().block_on(async {
        let mut sender = connect(rig.addr).await;
        for _ in 0..3 {
            let mut ask = request("POST", "/pkg.Service/Call");
            ask.headers_mut().insert("te", "trailers".parse().unwrap());
            ask.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            let (answer, mut send) = sender.send_request(ask, false).unwrap();
            send.send_data("message".into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            trailers.insert("authorization", "Bearer late".parse().unwrap());
            send.send_trailers(trailers).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(answer.headers()["x-te"], "trailers");
            assert_eq!(answer.headers()["x-authority"], upstream.to_string());
            let (bytes, trailers) = body(answer.into_body()).await;
            let trailers = trailers.unwrap();
            assert_eq!(
                (bytes.as_slice(), &trailers["grpc-status"]),
                (b"message".as_slice(), &"0".parse().unwrap())
            );
            assert_eq!(trailers["x-sum"], "42");
            assert!(!trailers.contains_key("authorization"));
            sender = sender.ready().await.unwrap();
        }
    });
    let finished = rig.finished(3);
    assert!(finished.iter().all(|(_, info)| (info.bytes_in, info.bytes_out, info.aborted) == (7, 7, false)));
}

#[test]
fn http1_clients_reach_h2c_upstreams() {
    let rig = Rig::start(Setup { origin: Some(origin("h2c", start_echo())), ..Setup::default() });
    let mut client = rig.client();
    for _ in 0..3 {
        client.send("POST /up HTTP/1.1$Host: a$Transfer-Encoding: chunked$$5$hello$0$$");
        let answer = client.answer();
        assert_eq!((answer.text(), answer.header("x-te")), ("hello", Some("none")));
    }
}

#[test]
fn an_upload_through_http2_keeps_to_its_limit() {
    let rig = Rig::plain();
    runtime().block_on(async {
        let mut sender = connect(rig.addr).await;
        let (answer, mut send) = sender.send_request(request("POST", "/echo"), false).unwrap();
        send.reserve_capacity(5 << 20);
        let sending = async {
            while let Some(Ok(room)) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
                if room > 0 && send.send_data(vec![b'x'; room].into(), false).is_err() {
                    return;
                }
                send.reserve_capacity(5 << 20);
            }
        };
        let (answer, ()) = tokio::join!(answer, sending);
        assert_eq!(answer.unwrap().status(), 413);
    });
}

#[test]
fn heads_that_http1_would_refuse_are_refused_in_http2() {
    let rig = Rig::plain();
    let mut frames = Frames::new(&rig);
    let (mut stream, mut ended) = (1, 0);
    let long = "a".repeat(9_000);
    let many: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
    let mut too_many = get("/hello");
    too_many.extend(many.iter().map(|name| (name.as_str(), "1")));
    let mut cases = vec![
        ([get("/hello"), vec![("host", "a")]].concat(), 200),
        ([get("/hello"), vec![("te", "trailers")]].concat(), 200),
        ([get("/hello"), vec![("host", "b")]].concat(), 400),
        ([get("/hello"), vec![("host", "a"), ("host", "a")]].concat(), 400),
        (get("/hello").into_iter().take(3).collect(), 400),
        ([get("/hello"), vec![("content_length", "3")]].concat(), 400),
        ([get("/hello"), vec![("transfer_encoding", "chunked")]].concat(), 400),
        ([get("/hello"), vec![("x", "ä")]].concat(), 400),
        ([vec![(":method", "get")], get("/hello")[1..].to_vec()].concat(), 400),
        (vec![(":method", "CONNECT"), (":authority", "a:443")], 400),
        (too_many, 431),
        // The codec's own: the stream is reset.
        ([get("/hello"), vec![("connection", "close")]].concat(), 0),
        ([get("/hello"), vec![("transfer-encoding", "chunked")]].concat(), 0),
        ([get("/hello"), vec![("upgrade", "websocket")]].concat(), 0),
        ([get("/hello"), vec![("keep-alive", "1")]].concat(), 0),
        ([get("/hello"), vec![("te", "gzip")]].concat(), 0),
        ([get("/hello"), vec![("Upper", "1")]].concat(), 0),
        ([get("/hello"), vec![("x y", "1")]].concat(), 0),
        ([get("/hello"), vec![("x", "a\r\nb: c")]].concat(), 0),
        ([get("/hello"), vec![("content-length", "3")]].concat(), 0),
        ([get("/hello"), vec![(":path", "/other")]].concat(), 0),
    ];
    cases.push(([get("/hello"), vec![("content-length", "00")]].concat(), 400));
    let target = format!("/{long}");
    cases.push((get(&target), 431));
    for (fields, expected) in &cases {
        frames.write(HEADERS, END_STREAM | END_HEADERS, stream, &hpack(fields));
        let got = frames.status(stream);
        assert!(got == *expected || (*expected == 400 && got == 0), "{fields:?}: {got}, not {expected}");
        stream += 2;
        if frames.1 {
            ended += 1;
            (frames, stream) = (Frames::new(&rig), 1);
        }
    }
    assert!(ended <= 3, "only broken field blocks end the whole connection: {ended}");
    let seen = rig.seen();
    assert_eq!(seen.iter().filter(|line| !line.starts_with("refused")).count(), 2, "{seen:?}");
    // The connection lives on after all of it.
    frames.write(HEADERS, END_STREAM | END_HEADERS, stream, &hpack(&get("/hello")));
    assert_eq!(frames.status(stream), 200);
}

#[test]
fn a_get_with_a_body_reads_as_malformed() {
    let rig = Rig::plain();
    let mut frames = Frames::new(&rig);
    let echo = get("/echo");
    frames.write(HEADERS, END_HEADERS, 1, &hpack(&echo));
    frames.write(DATA, END_STREAM, 1, b"body");
    assert_eq!(frames.status(1), 400);
    // An empty body is none.
    frames.write(HEADERS, END_HEADERS, 3, &hpack(&echo));
    frames.write(DATA, END_STREAM, 3, b"");
    assert_eq!(frames.status(3), 200);
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let bounds = Bounds { h2_streams_max: 5, ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, ..Setup::default() });
    let mut frames = Frames::new(&rig);
    let block = hpack(&get("/gate"));
    for number in 0..6 {
        frames.write(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * number, &block);
    }
    assert_eq!(frames.status(11), 0);
    rig.shared.gate.0.add_permits(5);
    assert_eq!(frames.status(1), 200);
    assert_eq!(rig.seen().len(), 5);
}

/// Sends `piece(stream)` for ever-growing stream numbers until the connection is ended.
fn flood(rig: &Rig, piece: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut frames = Frames::new(rig);
    let mut stream = 1;
    while std::io::Write::write_all(&mut frames.0.stream, &piece(stream)).is_ok() {
        stream += 2;
        assert!(stream < 200_000, "nobody minds");
    }
    stream / 2
}

#[test]
fn rapid_resets_end_the_connection() {
    let rig = Rig::plain();
    let block = hpack(&get("/gate"));
    let sent = flood(&rig, |stream| {
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
        [open, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    assert!(sent > 0);
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
    // What was begun was given up, and each was told so.
    let seen = rig.seen().len();
    assert_eq!(rig.finished(seen).len(), seen);
    assert_eq!(rig.client().get("/hello").status, 200);
}

#[test]
fn making_us_reset_ends_the_connection() {
    let rig = Rig::plain();
    let block = hpack(&get("/gate"));
    flood(&rig, |stream| {
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
        // A window update by zero is a stream error: the server has to reset (MadeYouReset).
        [open, frame(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes())].concat()
    });
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
}

#[test]
fn a_head_without_end_is_ended() {
    let rig = Rig::plain();
    let mut frames = Frames::new(&rig);
    frames.write(HEADERS, END_STREAM, 1, &hpack(&get("/hello")));
    let piece = frame(CONTINUATION, 0, 1, &hpack(&[("x", &"y".repeat(1_000))]));
    let mut sent = 0;
    while std::io::Write::write_all(&mut frames.0.stream, &piece).is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "nobody minds");
    }
    eventually("the connection is gone", || rig.serving.as_ref().unwrap().connections() == 0);
    assert!(rig.seen().is_empty());
}

#[test]
fn a_stream_that_is_not_read_is_reset_and_the_others_go_on() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Content-Length: 100000000$$");
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    });
    let bounds = Bounds { write_idle: Duration::from_millis(300), ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    let mut frames = Frames::new(&rig);
    // The client never gives more room than the first 64 KiB.
    frames.write(HEADERS, END_STREAM | END_HEADERS, 1, &hpack(&get("/up")));
    assert_eq!(frames.status(1), 200);
    assert_eq!(frames.status(1), 0);
    assert!(rig.finished(1)[0].1.aborted);
    frames.write(HEADERS, END_STREAM | END_HEADERS, 3, &hpack(&get("/nothing")));
    assert_eq!(frames.status(3), 204);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_stream_that_is_taken_in_sips_is_reset() {
    let upstream = upstream(|_, mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK$Transfer-Encoding: chunked$$");
        while std::io::Write::write_all(&mut client.stream, b"8\r\n12345678\r\n").is_ok() {}
    });
    // A sip gives back the time of a microsecond, and one comes every few milliseconds.
    let bounds =
        Bounds { write_idle: Duration::from_millis(300), write_rate_min: 8_000_000, ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, origin: Some(origin("http", upstream.addr)), ..Setup::default() });
    runtime().block_on(async {
        let stream = TcpStream::connect(rig.addr).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (mut sender, connection) =
            builder.initial_window_size(8).handshake::<_, Bytes>(stream).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request("GET", "/up"), true).unwrap().0.await.unwrap();
        let mut body = answer.into_body();
        let started = tokio::time::Instant::now();
        while let Some(Ok(data)) = body.data().await {
            assert!(started.elapsed() < PATIENCE, "still served");
            tokio::time::sleep(Duration::from_millis(5)).await;
            body.flow_control().release_capacity(data.len()).unwrap();
        }
    });
    assert!(rig.finished(1)[0].1.aborted);
}

/// Asks for an answer that is there at once and larger than the first window, then makes room for `step` bytes every
/// 20 ms. Gives the bytes that came, and whether the stream was reset.
fn taken_slowly(rig: &Rig, step: u32) -> (usize, bool) {
    let mut frames = Frames::new(rig);
    frames.write(WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes());
    frames.write(HEADERS, END_STREAM | END_HEADERS, 1, &hpack(&get("/whole")));
    let mut writer = frames.0.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let more = frame(WINDOW_UPDATE, 0, 1, &step.to_be_bytes());
        while std::io::Write::write_all(&mut writer, &more).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut taken = 0;
    while taken < WHOLE_BYTES {
        let frame = frames.read();
        match frame.kind {
            DATA => taken += frame.payload.len(),
            RST_STREAM => return (taken, true),
            GOAWAY => assert!(taken > 64 * 1024, "the connection is ended for nothing"),
            _ => {}
        }
    }
    (taken, false)
}

#[test]
fn a_client_that_makes_room_byte_by_byte_is_cut_however_much_was_handed_over() {
    let bounds =
        Bounds { write_idle: Duration::from_millis(300), write_rate_min: 100_000, ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, ..Setup::default() });
    let (taken, is_reset) = taken_slowly(&rig, 1);
    assert!(is_reset && taken < 80 * 1024, "{taken}");
}

#[test]
fn a_client_that_makes_room_slowly_and_fast_enough_gets_all_of_its_answer() {
    // The answer takes two seconds, which is longer than a client may let bytes wait and a connection may rest.
    let bounds = Bounds {
        write_idle: Duration::from_secs(1),
        write_rate_min: 2_000,
        keep_alive_idle: Duration::from_millis(300),
        head_timeout: Duration::from_millis(300),
        ..Bounds::default()
    };
    let rig = Rig::start(Setup { bounds, ..Setup::default() });
    assert_eq!(taken_slowly(&rig, 1_000), (WHOLE_BYTES, false));
}

#[test]
fn an_idle_http2_connection_is_closed() {
    let bounds = Bounds { keep_alive_idle: Duration::from_millis(300), ..Bounds::default() };
    let rig = Rig::start(Setup { bounds, ..Setup::default() });
    let mut frames = Frames::new(&rig);
    frames.write(HEADERS, END_STREAM | END_HEADERS, 1, &hpack(&get("/hello")));
    assert_eq!(frames.status(1), 200);
    assert!(frames.ends());
}

#[test]
fn draining_ends_http2_after_the_streams_in_flight() {
    let mut rig = Rig::plain();
    let mut frames = Frames::new(&rig);
    frames.write(HEADERS, END_STREAM | END_HEADERS, 1, &hpack(&get("/gate")));
    eventually("it is in", || rig.seen().len() == 1);
    let serving = rig.serving.take().unwrap();
    let draining = std::thread::spawn(move || serving.drain(PATIENCE));
    loop {
        let frame = frames.read();
        if frame.kind == GOAWAY {
            break;
        }
    }
    rig.shared.gate.0.add_permits(1);
    let mut answered = false;
    loop {
        let frame = frames.read();
        answered |= frame.kind == HEADERS && status(&frame.payload) == 200;
        if frame.kind == DATA && answered {
            assert_eq!(frame.payload, b"opened");
            break;
        }
    }
    // Acknowledge the ping of a graceful end by closing.
    drop(frames);
    assert_eq!(draining.join().unwrap().cut, 0);
}
