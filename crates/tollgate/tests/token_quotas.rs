//! Token quotas and `kill -9`: what calls in flight had taken is used, once, and never more than there is passes,
//! on one node with SQLite and on two with PostgreSQL (I8, I12, I22).

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tollgate_testkit::{Postgres, Tollgate, http::Call, wait_until};

use crate::world::{SOON, builder, text};

/// How many tokens a month.
const AMOUNT: u64 = 20_000;
/// What a call takes at most beyond the bytes of its body and its output: what providers may add to a prompt.
const ADDED: u64 = 2_048;
/// What a call says that it used.
const USED: u64 = 500;

/// A provider that begins its streams and, while it is slow, never ends them.
struct Provider {
    address: SocketAddr,
    is_slow: Arc<AtomicBool>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_slow = Arc::new(AtomicBool::new(false));
        let slow = Arc::clone(&is_slow);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, slow.load(Ordering::SeqCst)));
            }
        });
        Self { address, is_slow }
    }
}

async fn answer(mut stream: TcpStream, is_slow: bool) -> Option<()> {
    let mut read = vec![0; 65_536];
    let mut length = 0;
    // Small calls come in one piece or two; what they say does not matter.
    while !read[..length].ends_with(b"}") {
        let count = stream.read(&mut read[length..]).await.ok().filter(|count| *count > 0)?;
        length += count;
    }
    let usage = json!({ "prompt_tokens": USED - 100, "completion_tokens": 100, "total_tokens": USED });
    let chunk = |choices: Value, usage: &Value| {
        let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
                            "choices": choices, "usage": usage });
        let event = format!("data: {chunk}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    let word = json!([{ "index": 0, "delta": { "content": "word" }, "finish_reason": null }]);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let begun = format!("{head}{}", chunk(word, &Value::Null));
    stream.write_all(begun.as_bytes()).await.ok()?;
    if is_slow {
        // Until the gateway is gone.
        let _ = stream.read(&mut read).await;
        return None;
    }
    let ended = format!("{}e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", chunk(json!([]), &usage));
    stream.write_all(ended.as_bytes()).await.ok()
}

fn resources(provider: SocketAddr) -> String {
    format!(
        r#"
[[project]]
tenant = "default"
name = "ai"

[[service]]
project = "ai"
name = "models"
kind = "llm"
provider = "openai"
upstreams = ["http://{provider}"]
credential = {{ env = "PROVIDER_KEY" }}

[[policy]]
project = "ai"
name = "standard"
services = ["*"]
  [[policy.quota]]
  name = "tokens"
  unit = "tokens"
  amount = {AMOUNT}
  period = "month"
  per = "consumer"

[[consumer]]
project = "ai"
name = "team"
"#
    )
}

fn body(output_max: u64) -> String {
    json!({ "model": "m-1", "stream": true, "max_completion_tokens": output_max,
            "messages": [{ "role": "user", "content": "Hi" }] })
    .to_string()
}

/// What a call with this limit on its output takes of the quota until it has ended.
fn held(output_max: u64) -> u64 {
    body(output_max).len() as u64 + ADDED + output_max
}

/// A call that has begun to answer and does not end.
async fn begun(node: &Tollgate, key: &str, output_max: u64) -> TcpStream {
    let (gateway, body) = (node.gateway(), body(output_max));
    let mut stream = TcpStream::connect(gateway).await.expect("the gateway");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {gateway}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("the call is sent");
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("word") {
        let mut some = [0; 4_096];
        let read = tokio::time::timeout(SOON, stream.read(&mut some)).await.expect("in time");
        let count = read.expect("an answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&some[..count]);
    }
    stream
}

/// A whole call: its status and the code of its refusal.
async fn whole(node: &Tollgate, key: &str, output_max: u64) -> (u16, String) {
    let call = Call::new("POST", "/v1/chat/completions").header("content-type", "application/json");
    let reply = call.bearer(key).body(body(output_max)).send(node.gateway()).await;
    let code =
        if reply.status == 200 { String::new() } else { text(&reply.json()["error"], "code").to_owned() };
    (reply.status.as_u16(), code)
}

/// What the node says is left.
async fn left(node: &Tollgate, key: &str) -> Option<u64> {
    let me = Call::get("/v1/me").bearer(key).send(node.gateway()).await;
    if me.status == 200 { me.json()["quotas"][0]["remaining"].as_u64() } else { None }
}

async fn key_of(nodes: &[&Tollgate]) -> String {
    let made: Value = nodes[0].create_key("ai", "team", &["--policy", "standard"]);
    let key = text(&made, "key").to_owned();
    for node in nodes {
        wait_until(SOON, || async { left(node, &key).await.is_some() }).await;
    }
    key
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_a_kill_cut_off_count_against_their_token_quota_once() {
    let provider = Provider::start().await;
    let mut node = builder().env("PROVIDER_KEY", "sk").resources(&resources(provider.address)).start();
    let key = key_of(&[&node]).await;
    assert_eq!(whole(&node, &key, 100).await, (200, String::new()));
    wait_until(SOON, || async { left(&node, &key).await == Some(AMOUNT - USED) }).await;
    provider.is_slow.store(true, Ordering::SeqCst);
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(begun(&node, &key, 1_000).await);
    }
    let after = AMOUNT - USED - 3 * held(1_000);
    assert_eq!(left(&node, &key).await, Some(after), "what they can use is taken");
    node.kill9();
    node.restart();
    assert_eq!(left(&node, &key).await, Some(after), "nobody knows what they used, so it is all used");
    // Nothing is counted again by further starts, and one more in flight is counted beside them.
    streams.push(begun(&node, &key, 700).await);
    node.kill9();
    // Whoever looks at usage meanwhile ships the journal in its place.
    let _shown = node.cli(&["usage"]).success();
    node.restart();
    node.kill9();
    node.restart();
    let after = after - held(700);
    assert_eq!(left(&node, &key).await, Some(after));
    // What is left can be used, and no more; an orderly stop changes nothing.
    provider.is_slow.store(false, Ordering::SeqCst);
    assert_eq!(whole(&node, &key, 100).await.0, 200);
    wait_until(SOON, || async { left(&node, &key).await == Some(after - USED) }).await;
    node.term_and_wait();
    node.start();
    assert_eq!(left(&node, &key).await, Some(after - USED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_a_killed_node_are_used_for_all_nodes() {
    let provider = Provider::start().await;
    let url = Postgres::shared().create_database();
    let one = || builder().env("PROVIDER_KEY", "sk").database(&url);
    let mut first = one().resources(&resources(provider.address)).start();
    let second = one().without_init().start();
    let key = key_of(&[&first, &second]).await;
    provider.is_slow.store(true, Ordering::SeqCst);
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(begun(&first, &key, 1_000).await);
    }
    // Killed, and its recovery again.
    for _ in 0..2 {
        first.kill9();
        first.restart();
    }
    provider.is_slow.store(false, Ordering::SeqCst);
    let mut passed = 0;
    let mut refused = 0;
    while refused < 6 {
        for node in [&first, &second] {
            match whole(node, &key, 100).await {
                (200, _) => (passed, refused) = (passed + 1, 0),
                (429, code) => {
                    assert_eq!(code, "quota_exhausted");
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let (lost, used) = (3 * held(1_000), passed * USED);
    assert!(lost + used <= AMOUNT, "{lost} were lost in flight and {used} used of {AMOUNT}");
    assert!(used >= 3 * USED, "what was lost counts once: {lost} lost, {used} used of {AMOUNT}");
    let sums = "SELECT SUM(used + leased) FROM quota_usage";
    let sum: u64 = Postgres::shared().sql(&url, sums).trim().parse().expect("a sum");
    assert!((lost + used..=AMOUNT).contains(&sum), "{lost} and {used} of {AMOUNT}, the database says {sum}");
    drop(streams);
}
