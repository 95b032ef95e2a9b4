//! Records over the real binary: in by HTTP, kept over a kill -9, on to a real broker of Kafka's protocol.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Headers as _, Message as _};
use serde_json::{Value, json};
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Tollgate, TollgateBuilder, free_port, wait_until};

use crate::world::{SOON, builder, create_key, text};

const RESOURCES: &str = r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "events"
kind = "ingest"

[[event_type]]
project = "maps"
name = "order.placed"
schema = '{"type":"object","required":["amount"]}'

[[policy]]
project = "maps"
name = "standard"
services = ["events"]
scopes = ["write"]

[[consumer]]
project = "maps"
name = "android-team"
"#;

pub(crate) fn node() -> TollgateBuilder {
    builder().env("TOLLGATE_INGEST__DISK_FREE_MIN", "0B").resources(RESOURCES)
}

pub(crate) async fn ingest(node: &Tollgate, key: &str, name: Option<&str>, body: &Value) -> Reply {
    let call = Call::post("/api/v1/ingest", body).bearer(key);
    let call = name.map_or(call.clone(), |name| call.header("idempotency-key", name));
    call.send(node.gateway()).await
}

pub(crate) fn key_of(node: &Tollgate) -> String {
    text(&create_key(node, &[]), "key").to_owned()
}

async fn taken(node: &Tollgate, key: &str, body: &Value) -> (u64, u64) {
    let reply = ingest(node, key, None, body).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    let reply = reply.json();
    (reply["accepted"].as_u64().expect("a number"), reply["duplicates"].as_u64().expect("a number"))
}

fn count(node: &Tollgate, kind: &str) -> u64 {
    node.json(&["events", "query", "--type", kind, "--count"])["count"].as_u64().expect("a number")
}

/// Text that hardly gets smaller when it is packed.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 33) as u8 % 64)
    };
    (0..len).map(|_| next()).map(|sign| if sign == '\\' { '~' } else { sign }).collect()
}

#[tokio::test]
async fn at_the_bound_of_kept_bytes_records_are_refused_and_none_that_was_taken_is_lost() {
    let mut node = node().env("TOLLGATE_INGEST__KEPT_BYTES_MAX", "1MiB").start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    let (mut taken, mut refused) = (0, None);
    for number in 0..20 {
        let record =
            json!([{"id": number.to_string(), "type": "tile.served", "text": noise(number, 200_000)}]);
        let reply = ingest(&node, &key, None, &record).await;
        if reply.status == 202 {
            assert!(refused.is_none(), "taken again without room");
            taken += 1;
        } else {
            refused = Some(reply);
        }
    }
    let refused = refused.expect("the bound is never reached");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("30"), "{}", refused.text());
    assert!((4..=10).contains(&taken), "{taken}");
    assert_eq!(count(&node, "tile.served"), taken);
    node.kill9();
    node.start();
    assert_eq!(count(&node, "tile.served"), taken);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_after_a_kill() {
    let mut node = node().start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    let batch = json!({"records": [
        {"id": "1", "type": "tile.served", "bytes": 10},
        {"id": "2", "type": "tile.served", "bytes": 20},
        {"id": "1", "type": "tile.served", "bytes": 10},
    ]});
    assert_eq!(taken(&node, &key, &batch).await, (2, 1));
    let named = ingest(&node, &key, Some("job-1"), &json!([{"type": "job"}])).await;
    assert_eq!((named.status.as_u16(), named.header("idempotent-replayed")), (202, None));
    node.kill9();
    node.start();
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    assert_eq!(taken(&node, &key, &batch).await, (0, 3));
    let again = ingest(&node, &key, Some("job-1"), &json!([{"type": "job"}])).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), named.json());
    let other = ingest(&node, &key, Some("job-1"), &json!([{"type": "other"}])).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency_conflict"));
    assert_eq!((count(&node, "tile.served"), count(&node, "job"), count(&node, "other")), (2, 1, 0));
    let shown = node.json(&["events", "query", "--type", "tile.served", "--consumer", "android-team"]);
    assert_eq!(shown["events"][0]["data"], json!({"id": "2", "type": "tile.served", "bytes": 20}));
    assert_eq!(shown["events"][1]["id"], "1");
}

/// T7: many clients, few names, a kill in the middle. Effects: as many as names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_the_same_requests_over_a_kill_has_one_effect_and_one_answer_each() {
    const NAMES: usize = 5;
    const CLIENTS: usize = 100;
    let mut node = node().start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    let gateway = node.gateway();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let key = key.clone();
        clients.spawn(async move {
            let name = client % NAMES;
            let call = Call::post("/api/v1/ingest", &json!([{"type": "storm", "n": name}])).bearer(&key);
            let call = call.header("idempotency-key", &format!("storm-{name}"));
            let deadline = tokio::time::Instant::now() + SOON * 3;
            loop {
                // No answer, 409 and 503 say: again.
                let reply = tokio::spawn(call.clone().send(gateway)).await;
                if let Ok(reply) = reply
                    && reply.status == 202
                {
                    return (name, reply.json());
                }
                assert!(tokio::time::Instant::now() < deadline, "client {client} has no answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let mut answers: HashMap<usize, HashSet<String>> = HashMap::new();
    let mut answered = 0;
    while let Some(answer) = clients.join_next().await {
        let (name, answer) = answer.expect("a client");
        answers.entry(name).or_default().insert(answer.to_string());
        answered += 1;
        if answered == CLIENTS / 10 {
            node.kill9();
            node.start();
        }
    }
    println!("T7: {CLIENTS} clients, {NAMES} names, 1 kill; effects: {}", count(&node, "storm"));
    assert_eq!(count(&node, "storm"), NAMES as u64, "effects = names");
    assert!(answers.values().all(|different| different.len() == 1), "{answers:?}");
}

#[tokio::test]
async fn a_record_that_breaks_its_schema_is_named_and_the_batch_is_not_kept() {
    let node = node().start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    let bad = json!([{"type": "order.placed", "amount": 1}, {"type": "order.placed"}]);
    let reply = ingest(&node, &key, None, &bad).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, "record_invalid"), "{}", reply.text());
    assert_eq!(reply.json()["errors"][0]["index"], 1);
    assert_eq!(count(&node, "order.placed"), 0);
    // Every decision about it is an event of its own.
    let decisions = node.json(&["events", "query", "--code", "record_invalid", "--count"]);
    assert_eq!(decisions["count"], 1);
}

/// A broker; killed when it is dropped.
pub(crate) struct Broker {
    process: std::process::Child,
}

impl Broker {
    pub(crate) fn start(port: u16) -> Self {
        Self::start_behind(port, &format!("127.0.0.1:{port}"))
    }

    /// One that clients reach at another address than that where it listens.
    pub(crate) fn start_behind(port: u16, address: &str) -> Self {
        let binary = std::env::var("TOLLGATE_KAFKA_BROKER").expect("cargo xtask test --only kafka sets it");
        let url = format!("tcp://127.0.0.1:{port}");
        let process = Command::new(binary)
            .args([
                "broker",
                "--listener-url",
                &url,
                "--advertised-listener-url",
                &format!("tcp://{address}"),
            ])
            .args(["--storage-engine", "memory://tansu/"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("start the broker");
        Self { process }
    }

    /// One that runs already.
    #[cfg(feature = "kafka-tls")]
    pub(crate) fn of(process: std::process::Child) -> Self {
        Self { process }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client(port: u16) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    config
}

pub(crate) async fn make_topic(port: u16, name: &str) {
    let admin: AdminClient<DefaultClientContext> = client(port).create().expect("an admin client");
    wait_until(SOON, || async {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(2)));
        let is_there = |made: &Result<String, (String, RDKafkaErrorCode)>| {
            matches!(made, Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)))
        };
        admin.create_topics([&topic], &options).await.is_ok_and(|made| made.iter().all(is_there))
    })
    .await;
}

/// What is on the topic from its beginning, until so many different events are there.
pub(crate) fn consume(
    port: u16,
    topic: &str,
    wanted: usize,
) -> Vec<(String, HashMap<String, String>, Vec<u8>)> {
    let consumer: BaseConsumer = client(port)
        .set("group.id", format!("test-{}-{topic}", std::process::id()))
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    // Whoever asked for the topic first decided how many partitions it has; a tenant's records are in one.
    let within = Duration::from_secs(10);
    let found = consumer.fetch_metadata(Some(topic), within).expect("the topic");
    let mut partitions = rdkafka::TopicPartitionList::new();
    for partition in found.topics()[0].partitions() {
        let (id, from) = (partition.id(), rdkafka::Offset::Beginning);
        partitions.add_partition_offset(topic, id, from).expect("a partition");
    }
    consumer.assign(&partitions).expect("take the partition");
    let mut seen = Vec::new();
    let mut events = HashSet::new();
    let start = std::time::Instant::now();
    while events.len() < wanted && start.elapsed() < Duration::from_secs(60) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        let headers = message.headers().expect("headers");
        let headers: HashMap<String, String> = headers
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned(),
                )
            })
            .collect();
        if events.insert(headers["event_id"].clone()) {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            seen.push((key, headers, message.payload().unwrap_or_default().to_vec()));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask test --only kafka"]
async fn real_kafka_broker_gets_every_record_in_order_after_an_outage_and_a_kill() {
    let port = free_port();
    let mut node = node().env("TOLLGATE_KAFKA__BROKERS", &format!("127.0.0.1:{port}")).start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    let batch = |from: u64| -> Value {
        (from..from + 100)
            .map(|number| json!({"id": number.to_string(), "type": "tile.served", "n": number}))
            .collect()
    };
    // The broker is not there yet: nothing is refused.
    for part in 0..3 {
        assert_eq!(taken(&node, &key, &batch(part * 100)).await, (100, 0));
    }
    let _broker = Broker::start(port);
    make_topic(port, "app-events").await;
    wait_until(SOON, || async { node.json(&["outbox", "status"])["sinks"][0]["behind"] == 0 }).await;
    // Killed with records on their way.
    for part in 3..6 {
        assert_eq!(taken(&node, &key, &batch(part * 100)).await, (100, 0));
    }
    node.kill9();
    node.start();
    wait_until(SOON, || async { node.json(&["outbox", "status"])["sinks"][0]["behind"] == 0 }).await;
    let seen = tokio::task::spawn_blocking(move || consume(port, "app-events", 600)).await.expect("consume");
    let numbers: Vec<u64> = seen
        .iter()
        .map(|(_, _, data)| {
            serde_json::from_slice::<Value>(data).expect("JSON")["n"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(numbers, (0..600).collect::<Vec<u64>>());
    let (key, headers, _) = &seen[0];
    assert!(key.starts_with("ten_"), "{key}");
    assert_eq!((headers["ce_specversion"].as_str(), headers["ce_type"].as_str()), ("1.0", "tile.served"));
    assert_eq!((headers["ce_id"].as_str(), &headers["ce_tenantid"]), ("0", key));
    for name in ["ce_source", "ce_time", "ce_projectid", "ce_consumerid", "ce_keyid", "content-type", "seq"] {
        assert!(headers.contains_key(name), "{name}: {headers:?}");
    }
}
