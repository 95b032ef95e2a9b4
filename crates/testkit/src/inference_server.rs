//! A server of models, true to the wires of KServe (Open Inference Protocol v2, `inference_rest.md`) and of
//! TensorFlow Serving (`api_rest.md`): it has one model, `twice`, which takes `x` (FP32, any rows of two) and gives
//! `y`, twice as much.
//!
//! It refuses what those servers refuse, in their words' shape: `{"error": "…"}`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of a head or a body at most.
const BYTES_MAX: usize = 1 << 20;

/// A running server; it lives as long as the runtime it was started on.
#[derive(Clone, Debug)]
pub struct InferenceServer {
    address: SocketAddr,
    calls: Arc<AtomicU64>,
}

impl InferenceServer {
    /// Starts it on a free loopback port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(thinks: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind the server of models");
        let address = listener.local_addr().expect("read the bound address");
        let calls = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&own), thinks));
            }
        });
        Self { address, calls }
    }

    /// Its origin.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many questions it was asked.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, calls: Arc<AtomicU64>, thinks: Duration) {
    let mut unread = Vec::new();
    while let Some((line, body)) = request(&mut stream, &mut unread).await {
        let (status, answer) = answer(&line, &body);
        if line.starts_with("POST") {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(thinks).await;
        }
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(line: &str, body: &Value) -> (&'static str, Value) {
    let refused = |problem: &str| ("400 Bad Request", json!({"error": problem}));
    let missing = || ("404 Not Found", json!({"error": "Request for unknown model"}));
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (method, path) {
        ("GET", "/v2/health/live") => ("200 OK", json!({"live": true})),
        ("GET", "/v2/health/ready") => ("200 OK", json!({"ready": true})),
        ("POST", "/v2/models/twice/infer" | "/v2/models/twice/versions/7/infer") => {
            let Some([input]) = body["inputs"].as_array().map(Vec::as_slice) else {
                return refused("expected one input");
            };
            if input["name"] != "x" || input["datatype"] != "FP32" {
                return refused("unexpected inference input");
            }
            let Some(data) = doubled(&input["data"]) else { return refused("data is not numbers") };
            let output = json!({"name": "y", "shape": input["shape"], "datatype": "FP32", "data": data});
            let id = body["id"].clone();
            let answer = json!({"model_name": "twice", "model_version": "7", "id": id, "outputs": [output]});
            ("200 OK", answer)
        }
        ("POST", "/v1/models/twice:predict" | "/v1/models/twice/versions/7:predict") => {
            match doubled(&body["inputs"]["x"]) {
                Some(outputs) => ("200 OK", json!({"outputs": outputs})),
                None => refused("Missing 'inputs' or 'instances' key"),
            }
        }
        _ => missing(),
    }
}

/// Twice every number of nested arrays.
fn doubled(value: &Value) -> Option<Value> {
    match value {
        Value::Array(rows) => rows.iter().map(doubled).collect::<Option<Vec<_>>>().map(Value::Array),
        value => value.as_f64().map(|number| json!(number * 2.0)),
    }
}

/// The line and the body of the next request; `None` when there is none.
async fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<(String, Value)> {
    let head = loop {
        if let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break unread.drain(..end + 4).collect::<Vec<u8>>();
        }
        more(stream, unread).await?;
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0);
    while unread.len() < length {
        more(stream, unread).await?;
    }
    let body: Vec<u8> = unread.drain(..length).collect();
    let line = head.lines().next().unwrap_or_default().to_owned();
    Some((line, serde_json::from_slice(&body).unwrap_or_default()))
}

async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut bytes = vec![0; 16_384];
    let count = stream.read(&mut bytes).await.ok()?;
    unread.extend_from_slice(bytes.get(..count)?);
    (count > 0 && unread.len() <= BYTES_MAX).then_some(())
}
