//! The upstream writes down what arrived and misbehaves as asked.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tollgate_testkit::http::{Call, Connection};
use tollgate_testkit::{Seen, Upstream, raw, wait_until};

#[tokio::test]
async fn what_arrived_is_written_down_one_to_one() {
    let upstream = Upstream::start();
    let bytes = b"POST /a?x=1 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 3\r\n\r\nabc\
                  GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange_within(upstream.address(), bytes, Duration::from_secs(5)).await;
    assert_eq!((answer.answers(), answer.closed, answer.status()), (2, true, Some(200)));
    let seen = upstream.take_seen();
    assert_eq!(seen.iter().map(Seen::path).collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(seen[0].query(), Some("x=1"));
    assert_eq!(seen[0].headers_named("X-ONE").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((&*seen[0].body, seen[0].complete), (&b"abc"[..], true));
    assert_eq!(seen[0].body_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!((seen[1].connection, seen[1].index), (seen[0].connection, 1));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_chunked_body_comes_back_piece_by_piece() {
    let upstream = Upstream::start();
    let bytes = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                  3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n";
    let text = String::from_utf8(raw::exchange(upstream.address(), bytes).await).unwrap();
    assert!(text.ends_with("\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "{text}");
    assert_eq!(upstream.seen()[0].trailers, [("X-Sum".to_owned(), "5".to_owned())]);
}

#[tokio::test]
async fn it_misbehaves_as_the_path_asks() {
    let upstream = Upstream::start();
    let send = |target: &str| Call::get(target).try_send(upstream.address());
    assert_eq!(send("/tiles/status/503").await.unwrap().status, 503);
    assert_eq!(send("/big/100000").await.unwrap().body.len(), 100_000);
    assert_eq!(send("/chunked/2500").await.unwrap().body.len(), 2500);
    assert_eq!(send("/sse/2").await.unwrap().text().matches("data:").count(), 2);
    for target in ["/close", "/reset", "/reset-mid-body", "/close-mid-body", "/close-mid-chunk", "/garbage"] {
        assert!(send(target).await.is_err(), "{target} must not give a whole answer");
    }
}

#[tokio::test]
async fn connections_are_counted_and_reused() {
    let upstream = Upstream::start();
    let mut connection = Connection::open(upstream.address()).await.unwrap();
    for _ in 0..3 {
        connection.send(Call::get("/")).await.unwrap();
    }
    assert_eq!((upstream.count(), upstream.connections(), upstream.connections_open()), (3, 1, 1));
    drop(connection);
    wait_until(Duration::from_secs(5), || async { upstream.connections_open() == 0 }).await;
}

#[tokio::test]
async fn a_stopped_upstream_comes_back_on_its_address() {
    let address = Upstream::start().stop();
    assert!(Call::get("/").try_send(address).await.is_err());
    let upstream = Upstream::start_on(address);
    assert_eq!(Call::get("/").send(upstream.address()).await.status, 200);
}

#[tokio::test]
async fn http2_with_prior_knowledge_answers_with_trailers() {
    let upstream = Upstream::start();
    let stream = tokio::net::TcpStream::connect(upstream.address()).await.unwrap();
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(driver);
    let request = http::Request::post("http://h/trailers").body(Full::<bytes::Bytes>::from("abc")).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-checksum"], "42");
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.version.as_str(), seen.host.as_str(), seen.body.as_slice()),
        ("HTTP/2.0", "h", &b"abc"[..])
    );
}
