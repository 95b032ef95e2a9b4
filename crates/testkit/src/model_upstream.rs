//! A provider of models that bills: it speaks OpenAI's chat completions and writes down what each call costs,
//! so that a test can hold Tollgate's account against it.
//!
//! What it answers follows from the number of the call alone: a share of the calls is reset, before or in
//! the middle of the answer. What it billed, it billed at the moment it began to answer, whether or not
//! anybody read it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a head or a body at most.
const BYTES_MAX: usize = 1 << 20;

/// What a call costs, in billionths of the currency a token.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// A token that is read.
    pub input: i64,
    /// A token that is produced.
    pub output: i64,
}

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Billing {
    /// What it bills.
    pub rates: Rates,
    /// The most tokens of an answer; fewer when the caller asks for fewer.
    pub output_max: u64,
    /// How many of a hundred calls are reset before or in the middle of the answer.
    pub resets_percent: u64,
    /// How long it thinks.
    pub thinks: Duration,
}

#[derive(Debug)]
struct Shared {
    billing: Billing,
    calls: AtomicU64,
    bill: AtomicI64,
}

/// A running provider; it lives as long as the runtime it was started on.
#[derive(Clone, Debug)]
pub struct ModelUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ModelUpstream {
    /// Starts it on a free loopback port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(billing: Billing) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind the provider");
        let address = listener.local_addr().expect("read the bound address");
        let shared = Arc::new(Shared { billing, calls: AtomicU64::new(0), bill: AtomicI64::new(0) });
        let own = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&own)));
            }
        });
        Self { address, shared }
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has billed, in billionths of the currency.
    pub fn bill(&self) -> i64 {
        self.shared.bill.load(Ordering::SeqCst)
    }

    /// How many calls arrived whole.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }
}

/// How one call goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Whole,
    ResetBefore,
    ResetWithin,
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut unread = Vec::new();
    while let Some(body) = request(&mut stream, &mut unread).await {
        let number = shared.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(shared.billing.thinks).await;
        let chance = mixed(number);
        let turn = match chance % 100 {
            share if share >= shared.billing.resets_percent => Turn::Whole,
            share if share.is_multiple_of(2) => Turn::ResetBefore,
            _ => Turn::ResetWithin,
        };
        if turn == Turn::ResetBefore {
            return reset(&stream);
        }
        let (answer, cost) = answer(&body, chance, &shared.billing);
        shared.bill.fetch_add(cost, Ordering::SeqCst);
        let sent = if turn == Turn::ResetWithin { answer.len() / 2 } else { answer.len() };
        let sent = answer.get(..sent).unwrap_or_default();
        if stream.write_all(sent).await.is_err() {
            return;
        }
        if turn == Turn::ResetWithin {
            return reset(&stream);
        }
    }
}

/// The connection ends with RST.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// The body of the next request; `None` when there is none.
async fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Value> {
    let head = loop {
        if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break unread.drain(..end + 4).collect::<Vec<u8>>();
        }
        more(stream, unread).await?;
    };
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let length: usize = length.trim().parse().ok()?;
    while unread.len() < length {
        more(stream, unread).await?;
    }
    let body: Vec<u8> = unread.drain(..length).collect();
    serde_json::from_slice(&body).ok()
}

async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut bytes = vec![0; 16_384];
    let count = stream.read(&mut bytes).await.ok()?;
    if count == 0 || unread.len() > BYTES_MAX {
        return None;
    }
    unread.extend_from_slice(&bytes[..count]);
    Some(())
}

/// The whole answer, and what it costs.
fn answer(body: &Value, chance: u64, billing: &Billing) -> (Vec<u8>, i64) {
    let asked = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).unwrap_or(u64::MAX);
    let most = asked.min(billing.output_max).max(1);
    let output = 1 + (chance >> 8) % most;
    // Fewer than there are bytes, as with any tokeniser.
    let input = body["messages"].to_string().len() as u64 / 5 + 1;
    let cost = input as i64 * billing.rates.input + output as i64 * billing.rates.output;
    let usage =
        json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
    let model = &body["model"];
    if body["stream"] != json!(true) {
        let message = json!({ "role": "assistant", "content": "word ".repeat(output.min(200) as usize) });
        let choice = json!({ "index": 0, "finish_reason": "stop", "message": message });
        let whole = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [choice], "usage": usage,
        })
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}",
            whole.len()
        );
        return (head.into_bytes(), cost);
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": choices, "usage": usage,
        });
        let event = format!("data: {chunk}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    };
    let mut text =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for _ in 0..output.min(20) {
        text.push_str(&chunk(
            json!([{ "index": 0, "delta": { "content": "word " }, "finish_reason": null }]),
            Value::Null,
        ));
    }
    text.push_str(&chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]), Value::Null));
    text.push_str(&chunk(json!([]), usage));
    text.push_str("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    (text.into_bytes(), cost)
}

/// SplitMix64: the same in every run.
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
