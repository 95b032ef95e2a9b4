//! Bodies that flow: events, uploads, trailers, WebSocket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
use tollgate_journal::Flags;
use tollgate_testkit::http::Call;

use super::world::{DEADLINE, Plan, TILES, World};

#[tokio::test]
async fn the_first_event_arrives_while_the_upstream_is_still_sending() {
    let world = World::tiles();
    let key = world.key("standard");
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let request =
        format!("GET /tiles/sse-endless HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let read = async {
        while text.windows(5).filter(|window| window == b"data:").count() < 3 {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("events arrive one by one");
}

#[tokio::test]
async fn large_bodies_pass_unchanged_both_ways() {
    let world = World::tiles();
    let key = world.key("standard");
    let down = world.get("/tiles/big/3000000", &key).await;
    assert_eq!(down.body.len(), 3_000_000);
    assert!(down.body.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    let body = vec![7_u8; 2_000_000];
    let up = world.send(Call::new("POST", "/tiles/echo").bearer(&key).body(body.clone())).await;
    assert!(up.body == body);
    let record = &world.records_of(2).await[1];
    assert_eq!((record.entry.bytes_in, record.entry.bytes_out), (2_000_000, 2_000_000));
}

#[tokio::test]
async fn an_http2_client_gets_trailers_from_upstreams_of_both_versions() {
    for (scheme, version) in [("http", "HTTP/1.1"), ("h2c", "HTTP/2.0")] {
        let upstream = tollgate_testkit::Upstream::start();
        let origin = format!("{scheme}://{}", upstream.address());
        let world = Plan::new(&TILES.replace("{upstream}", &origin)).start_with(upstream);
        let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut client, driver) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(driver);
        let request = hyper::Request::get(format!("http://{}/tiles/trailers", world.address))
            .header("te", "trailers")
            .header("x-api-key", world.key("standard"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{scheme}");
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-checksum"], "42", "{scheme}");
        assert_eq!(body.to_bytes(), "with trailers\n");
        assert_eq!(world.upstream.seen()[0].version, version);
        assert_eq!(world.records_of(1).await[0].entry.code, 0);
    }
}

#[tokio::test]
async fn a_websocket_passes_where_the_service_allows_it_and_is_journalled_at_its_end() {
    let resources =
        TILES.replace("upstreams = [\"{upstream}\"]", "upstreams = [\"{upstream}\"]\n websocket = true");
    let world = Plan::new(&resources).start();
    let mut request = format!("ws://{}/tiles/ws", world.address).into_client_request().unwrap();
    let key = world.key("standard").parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"));
    for text in ["hello", "again"] {
        socket.send(Message::text(text)).await.unwrap();
        let echoed = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(echoed, Message::text(text));
    }
    assert_eq!(world.records().len(), 0, "it has not ended");
    socket.close(None).await.unwrap();
    while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(5), socket.next()).await {}
    drop(socket);
    let record = &world.records_of(1).await[0];
    assert_eq!(record.entry.status, 101);
    assert!(record.entry.flags.contains(Flags::UPGRADED));
    assert!(record.entry.bytes_in > 0 && record.entry.bytes_out > 0);
}

#[tokio::test]
async fn a_websocket_does_not_pass_where_the_service_does_not_allow_it() {
    let world = World::tiles();
    let mut request = format!("ws://{}/tiles/ws", world.address).into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", world.key("standard").parse().unwrap());
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    assert!(tokio_tungstenite::client_async(request, stream).await.is_err());
    assert!(world.upstream.seen().iter().all(|seen| seen.header("upgrade").is_none()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut_and_journalled_as_aborted() {
    let world = World::tiles();
    let key = world.key("standard");
    for target in ["/tiles/reset-mid-body", "/tiles/close-mid-body", "/tiles/close-mid-chunk"] {
        let call = Call::get(target).bearer(&key);
        assert!(call.try_send(world.address).await.is_err(), "{target}: a cut answer is not whole");
    }
    let records = world.records_of(3).await;
    assert!(records.iter().all(|record| record.entry.flags.contains(Flags::ABORTED)));
    assert!(records.iter().all(|record| record.entry.status == 200));
}
