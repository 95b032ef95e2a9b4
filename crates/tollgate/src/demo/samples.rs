//! The sample requests: sent over real sockets, each with the answer that it should get.

use std::{net::SocketAddr, time::Duration};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{furnish::Furnished, place::Place};
use crate::failure::Failure;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Requests in a row that use the limit up.
const BURST: usize = 12;
/// Refusals in a row that the demo's rule is told by: one more than it lets pass.
const KNOCKS: usize = 6;
/// How often it is looked whether the rule has acted, and how long between: half a minute, for under load decisions
/// are shipped within ten seconds only.
const LOOKS: usize = 150;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What a sample request came to.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// What it tries.
    pub(super) tries: &'static str,
    /// Method and path.
    pub(super) request: String,
    /// Status of the answer.
    pub(super) status: u16,
    /// Its code.
    pub(super) code: String,
    /// Why, in the words of the answer.
    pub(super) why: String,
    /// The decision, to explain.
    pub(super) decision_id: String,
    #[serde(skip)]
    expected: &'static str,
}

impl Outcome {
    pub(super) fn is_as_expected(&self) -> bool {
        self.code == self.expected
    }
}

/// A request to send, and the code it should get.
struct Sample<'a> {
    tries: &'static str,
    method: &'static str,
    path: &'a str,
    credential: Option<&'a str>,
    body: Option<Value>,
    expected: &'static str,
}

const fn get<'a>(
    tries: &'static str,
    path: &'a str,
    credential: Option<&'a str>,
    expected: &'static str,
) -> Sample<'a> {
    Sample { tries, method: "GET", path, credential, body: None, expected }
}

/// Sends all of them, one after the other.
pub(super) async fn send_all(place: &Place, furnished: &Furnished) -> Result<Vec<Outcome>, Failure> {
    let reader: &str = furnished.reader.key.expose();
    let shop: &str = furnished.shop.key.expose();
    let mistyped = mistyped(reader);
    let order = || Some(json!({ "item": "a map of the coast" }));
    let samples = [
        get("a key that may", "/tiles/7/66/42", Some(reader), "valid"),
        get("what a key may do", "/v1/me", Some(reader), "valid"),
        get("a page without key", "/status", None, "valid"),
        Sample { method: "POST", body: order(), ..get("creating an order", "/orders", Some(shop), "valid") },
        Sample {
            method: "POST",
            body: Some(json!({ "field": "os_updates", "value": 5 })),
            ..get("a host's figures", "/api/submit", Some(furnished.agent.key.expose()), "valid")
        },
        Sample {
            method: "POST",
            body: Some(json!({ "model": "fraud", "inputs": [[940, 3, 0.9, 12]] })),
            ..get("asking for a prediction", "/api/v1/predict", Some(shop), "valid")
        },
        get("no key", "/tiles/7/66/42", None, "key_missing"),
        get("a mistyped key", "/tiles/7/66/42", Some(&mistyped), "key_malformed"),
        get("an expired key", "/tiles/7/66/42", Some(furnished.expired.key.expose()), "key_expired"),
        get("a service not granted", "/orders", Some(reader), "service_not_granted"),
        Sample { method: "DELETE", ..get("deleting an order", "/orders/1", Some(shop), "scope_missing") },
        get("a key for the office", "/orders", Some(furnished.office.key.expose()), "ip_not_allowed"),
        get("a path past its policy", "/orders/../tiles/%2e%2e/orders", Some(reader), "service_not_granted"),
        get("an unknown path", "/nowhere", Some(reader), "no_service"),
    ];
    let mut outcomes = Vec::new();
    for sample in samples {
        outcomes.push(send(place.gateway, sample).await?);
    }
    let question = Sample {
        method: "POST",
        body: Some(
            json!({ "key": reader, "service": "tiles", "method": "GET", "path": "/tiles/7", "cost": 0 }),
        ),
        ..get("a service that asks", "/v1/keys/verify", Some(furnished.token.expose()), "valid")
    };
    outcomes.push(send(place.service_api, question).await?);
    let prompt = || {
        Some(json!({
            "model": "demo-small", "max_tokens": 400,
            "messages": [{ "role": "user", "content": "Which way is north?" }],
        }))
    };
    let call = |tries, key, expected| Sample {
        method: "POST",
        body: prompt(),
        ..get(tries, "/v1/chat/completions", Some(key), expected)
    };
    let (assistant, intern) = (furnished.assistant.key.expose(), furnished.intern.key.expose());
    outcomes.push(send(place.gateway, call("asking a model", assistant, "valid")).await?);
    outcomes.push(send(place.gateway, call("more than is left", intern, "budget_exhausted")).await?);
    outcomes.push(use_up(place, furnished.hasty.key.expose()).await?);
    outcomes.push(provoke(place, furnished.curious.key.expose()).await?);
    Ok(outcomes)
}

/// Sends requests until the limit refuses one.
async fn use_up(place: &Place, key: &str) -> Result<Outcome, Failure> {
    let sample = || get("too many in ten seconds", "/tiles/1/0/0", Some(key), "rate_limited");
    let mut outcome = send(place.gateway, sample()).await?;
    for _ in 1..BURST {
        if outcome.is_as_expected() {
            break;
        }
        outcome = send(place.gateway, sample()).await?;
    }
    Ok(outcome)
}

/// Asks for what the key is not granted, until the rule that watches refusals has blocked it.
async fn provoke(place: &Place, key: &str) -> Result<Outcome, Failure> {
    let sample = || get("a key that a rule blocks", "/orders", Some(key), "key_blocked");
    let mut outcome = send(place.gateway, sample()).await?;
    for knock in 1..KNOCKS + LOOKS {
        if outcome.is_as_expected() {
            break;
        }
        if knock >= KNOCKS {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        outcome = send(place.gateway, sample()).await?;
    }
    Ok(outcome)
}

/// The key with another last character, as a slip of the finger makes it.
fn mistyped(key: &str) -> String {
    let mut text = key.to_owned();
    let last = text.pop();
    text.push(if last == Some('a') { 'b' } else { 'a' });
    text
}

async fn send(address: SocketAddr, sample: Sample<'_>) -> Result<Outcome, Failure> {
    let request = format!("{} {}", sample.method, sample.path);
    let exchange = tokio::time::timeout(ANSWER_MAX, exchange(address, &sample)).await;
    let answer = match exchange {
        Ok(answer) => answer.map_err(|error| Failure::failed(format!("{request} got no answer: {error}")))?,
        Err(_) => return Err(Failure::failed(format!("{request} got no answer within 10 s"))),
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    let header = |name: &str| {
        let named = head.lines().find_map(|line| {
            line.split_once(':').filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        });
        named.unwrap_or_default().trim().to_owned()
    };
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    // Denials of model calls have the shape of the provider's errors.
    let inner = |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    let member = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let cost = header("x-tollgate-cost");
    let cost = (!cost.is_empty()).then(|| format!("it cost {cost}"));
    let code = Some(member("code")).filter(|code| !code.is_empty()).or(inner("code").map(str::to_owned));
    let decision = Some(member("decision_id")).filter(|id| !id.is_empty());
    Ok(Outcome {
        tries: sample.tries,
        request,
        status,
        code: code.unwrap_or_else(|| if status < 300 { "valid" } else { "" }.to_owned()),
        why: cost.or(inner("message").map(str::to_owned)).unwrap_or_else(|| member("detail")),
        decision_id: decision.unwrap_or_else(|| header("x-request-id")),
        expected: sample.expected,
    })
}

/// One request on a connection of its own; the whole answer.
async fn exchange(address: SocketAddr, sample: &Sample<'_>) -> std::io::Result<String> {
    let body = sample.body.as_ref().map(Value::to_string).unwrap_or_default();
    let mut request = format!(
        "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: tollgate-demo\r\n",
        sample.method, sample.path
    );
    if let Some(credential) = sample.credential {
        request.push_str(&format!("Authorization: Bearer {credential}\r\n"));
    }
    if sample.body.is_some() {
        request.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(&body);
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
