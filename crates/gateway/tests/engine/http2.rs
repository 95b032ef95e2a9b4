//! HTTP/2 both ways: requests, trailers, what a head must not say, and floods.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tollgate_gateway::http::bounds::Bounds;
use tollgate_gateway::http::serve::Tls;
use tollgate_gateway::http::upstream::{Origin, OriginTls};

use super::support::{Client, PATIENCE, Rig, Setup, eventually, origin, upstream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that writes frames by hand.
/// The second value: the other side has said that it ends the connection.
struct Frames(Client, bool);

#[derive(Debug)]
struct RawFrame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    fn new(rig: &Rig) -> Self {
        Self::with_settings(rig, &[])
    }

    fn with_settings(rig: &Rig, settings: &[u8]) -> Self {
        let mut client = rig.client();
        client.send_bytes(PREFACE);
        let mut frames = Self(client, false);
        frames.write(SETTINGS, 0, 0, settings);
        frames
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.0.send_bytes(&frame(kind, flags, stream, payload));
    }

    fn read(&mut self) -> RawFrame {
        let head = self.0.exactly(9);
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        RawFrame { kind: head[3], stream, payload: self.0.exactly(len) }
    }

    /// Reads until the answer on `stream`: its status, or 0 for a reset of the stream or connection.
    fn status(&mut self, stream: u32) -> u16 {
        loop {
            let frame = self.read();
            match frame.kind {
                GOAWAY => {
                    self.1 = true;
                    return 0;
                }
                RST_STREAM if frame.stream == stream => return 0,
                HEADERS if frame.stream == stream => return status(&frame.payload),
                _ => {}
            }
        }
    }

    /// Whether the other side ends the connection, with or without saying so.
    fn ends(mut self) -> bool {
        let mut rest = Vec::new();
        rest.append(&mut std::mem::take(&mut self.0.exactly(0)));
        rest.extend(self.0.rest());
        rest.windows(4).any(|at| at[0] == 0 && at[3] == GOAWAY)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as HPACK literals that are not indexed.
fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            match text.len() {
                len @ 0..127 => block.push(u8::try_from(len).unwrap()),
                len => {
                    block.push(127);
                    let mut rest = len - 127;
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The status as this server's encoder writes it first: from the static table, or as three digits.
fn status(block: &[u8]) -> u16 {
    let mut decoder = block;
    // Changes of the table's size may come first.
    while decoder[0] & 0xe0 == 0x20 {
        decoder = &decoder[1..];
    }
    match decoder[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x48 if decoder[1] == 3 => std::str::from_utf8(&decoder[2..5]).unwrap().parse().unwrap(),
        // Huffman: `431` is 5 + 5 + 5 bits and padding; digits have the codes 0..=2 in 5 bits, 3..=9 in 6.
        0x48 => huffman(&decoder[2..2 + usize::from(decoder[1] & 0x7f)]),
        other => panic!("unknown field {other:#x}"),
    }
}

fn huffman(bytes: &[u8]) -> u16 {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut number) = (0, 0);
    while number < 100 {
        let five = u16::from_str_radix(&bits[at..at + 5], 2).unwrap();
        if five < 3 {
            number = number * 10 + five;
            at += 5;
        } else {
            number = number * 10 + u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 0b011001 + 3;
            at += 6;
        }
    }
    number
}

fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]
}

fn runtime() -> tokio::runtime::Runtime {
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

fn request(method: &str, path: &str) -> Request<()> {
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

/// Certificate files for `localhost`.
pub(crate) struct Certificate {
    dir: tempfile::TempDir,
    pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let pem = made.cert.pem();
        std::fs::write(dir.path().join("cert.pem"), &pem).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { dir, pem }
    }

    pub(crate) fn files(&self) -> Tls {
        Tls { cert: self.dir.path().join("cert.pem"), key: self.dir.path().join("key.pem") }
    }

    pub(crate) fn trusted(&self) -> OriginTls {
        OriginTls {
            roots_pem: Some(self.pem.clone().into_bytes()),
            server_name: Some("localhost".to_owned()),
            http1_only: false,
        }
    }

    fn client(&self, protocol: &str) -> tokio_rustls::TlsConnector {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config).into()
    }
}

#[test]
fn tls_offers_both_protocols_and_reaches_tls_upstreams() {
    let certificate = Certificate::new();
    let inner = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let url = format!("https://{}", inner.addr);
    for http1_only in [false, true] {
        let tls = OriginTls { http1_only, ..certificate.trusted() };
        let origin = Origin::with_tls(&url, &tls).unwrap();
        let outer =
            Rig::start(Setup { tls: Some(certificate.files()), origin: Some(origin), ..Setup::default() });
        runtime().block_on(async {
            let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
            let tcp = TcpStream::connect(outer.addr).await.unwrap();
            let tls = certificate.client("h2").connect(name.clone(), tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            let (sender, connection) = h2::client::handshake(tls).await.unwrap();
            tokio::spawn(connection);
            let mut sender = sender.ready().await.unwrap();
            // "/head" is answered by the outer one, everything unknown by the inner one.
            for _ in 0..3 {
                let answer = sender.send_request(request("GET", "/inner"), true).unwrap().0.await.unwrap();
                assert_eq!(answer.status(), 404);
            }

            let tcp = TcpStream::connect(outer.addr).await.unwrap();
            let mut tls = certificate.client("http/1.1").connect(name, tcp).await.unwrap();
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            tls.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            tls.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        });
    }
    assert_eq!(inner.seen().len(), 6);
}

#[test]
fn an_upstream_with_another_name_is_not_trusted() {
    let certificate = Certificate::new();
    let inner = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let tls = OriginTls { server_name: Some("example.com".to_owned()), ..certificate.trusted() };
    let origin = Origin::with_tls(&format!("https://{}", inner.addr), &tls).unwrap();
    let outer = Rig::start(Setup { origin: Some(origin), ..Setup::default() });
    assert_eq!(outer.client().get("/inner").status, 502);
    let error = outer.error();
    assert!(error.to_string().contains("TLS") && error.nothing_sent, "{error}");
    assert!(inner.seen().is_empty());
}

#[test]
fn a_clear_text_client_on_a_tls_port_is_closed() {
    let certificate = Certificate::new();
    let rig = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.1$Host: a$$");
    assert!(!client.rest().starts_with(b"HTTP/"));
    assert!(rig.seen().is_empty());
}
