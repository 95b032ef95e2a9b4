//! Clients that send their bodies slowly: what is held whole has to be there in time, what is passed on has not.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate_testkit::{Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, text, tiles};

const RESOURCES: &str = r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "tiles"
kind = "proxy"
match = { path_prefix = "/tiles" }
upstreams = ["UPSTREAM"]

[[service]]
project = "maps"
name = "predict"
kind = "predict"

[[service]]
project = "maps"
name = "events"
kind = "ingest"

[[policy]]
project = "maps"
name = "standard"
services = ["*"]
scopes = ["read", "write"]
models = ["*"]

[[consumer]]
project = "maps"
name = "android-team"
"#;

/// Steadily, and fast enough for any least rate: it is the whole that takes too long.
const CONFIG: &str =
    "[gateway]\nheld_body_timeout = \"1s\"\nbody_rate_min = 1\n[journal]\nbytes_max = \"64MiB\"\n";

/// Sends a body of so many bytes, one every 40 ms, and gives the answer.
async fn post_slowly(node: &Tollgate, key: &str, path: &str, bytes: usize) -> String {
    let mut stream = TcpStream::connect(node.gateway()).await.expect("connect");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("send the head");
    let (mut read, mut write) = stream.split();
    let sending = async {
        for _ in 0..bytes {
            tokio::time::sleep(Duration::from_millis(40)).await;
            if write.write_all(b" ").await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let reading = async {
        // How the connection ends is of no interest, what came before is.
        let _ended = read.read_to_end(&mut answer).await;
    };
    tokio::select! {
        () = sending => {}
        done = tokio::time::timeout(SOON, reading) => done.expect("an answer in time"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_held_whole_has_to_be_there_in_time() {
    let upstream = Upstream::start();
    let node = builder()
        .config(CONFIG)
        .env("TOLLGATE_INGEST__DISK_FREE_MIN", "0B")
        .resources(&RESOURCES.replace("UPSTREAM", &upstream.url()))
        .start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;

    let (question, records, upload) = tokio::join!(
        post_slowly(&node, key, "/api/v1/predict", 100_000),
        post_slowly(&node, key, "/api/v1/ingest", 100_000),
        post_slowly(&node, key, "/tiles/7", 50),
    );
    for (what, answer) in [("a question to a model", question), ("records", records)] {
        assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
        assert!(answer.contains("the request body took too long to arrive"), "{what}: {answer}");
    }
    assert!(upload.starts_with("HTTP/1.1 200"), "{upload}");
}
