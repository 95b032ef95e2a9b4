//! Meters and reported usage over the real binary: exact after a kill, whoever delivers what how often.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Tollgate, TollgateBuilder, free_port, wait_until};

use crate::ingest::Broker;
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

[[policy]]
project = "maps"
name = "standard"
services = ["events"]
scopes = ["write"]
  [[policy.quota]]
  name = "monthly"
  unit = "units"
  amount = 10
  period = "month"

[[consumer]]
project = "maps"
name = "android-team"

[[meter]]
project = "maps"
name = "bytes"
event_type = "tile.served"
value = "$.bytes"
aggregate = "sum"
group_by = ["$.zoom"]

[[meter]]
project = "maps"
name = "requests"
event_type = "tollgate.request"
aggregate = "count"
group_by = ["$.code"]

[[meter]]
project = "maps"
name = "units"
event_type = "tollgate.usage"
value = "$.units"
aggregate = "sum"
group_by = ["@key"]
"#;

fn node() -> TollgateBuilder {
    builder().env("TOLLGATE_INGEST__DISK_FREE_MIN", "0B").resources(RESOURCES)
}

async fn ingest(node: &Tollgate, key: &str, body: &Value) -> Reply {
    Call::post("/api/v1/ingest", body).bearer(key).send(node.gateway()).await
}

async fn report(node: &Tollgate, token: &str, body: &Value) -> Reply {
    Call::post("/v1/usage", body).bearer(token).send(node.service_api()).await
}

fn total(node: &Tollgate, meter: &str) -> Value {
    node.json(&["meters", "query", meter, "--window", "total"])["total"]["value"].clone()
}

fn token_of(node: &Tollgate) -> String {
    text(&node.json(&["service-tokens", "create", "--name", "backend"]), "token").to_owned()
}

#[tokio::test]
async fn meters_are_exact_after_redelivery_and_a_kill() {
    let mut node = node().start();
    let key = text(&create_key(&node, &[]), "key").to_owned();
    wait_until(SOON, || async { ingest(&node, &key, &json!([])).await.status == 202 }).await;
    let batch = |from: u64| -> Value {
        (from..from + 50)
            .map(|id| json!({"id": id.to_string(), "type": "tile.served", "bytes": 0.1, "zoom": id % 2}))
            .collect()
    };
    for from in [0, 25, 0, 50] {
        assert_eq!(ingest(&node, &key, &batch(from)).await.status, 202);
    }
    node.kill9();
    node.start();
    wait_until(SOON, || async { ingest(&node, &key, &json!([])).await.status == 202 }).await;
    for from in [25, 75] {
        assert_eq!(ingest(&node, &key, &batch(from)).await.status, 202);
    }
    wait_until(SOON, || async { total(&node, "bytes") == json!(12.5) }).await;
    let by = node.json(&["meters", "query", "maps/bytes", "--window", "total", "--group-by", "$.zoom"]);
    let groups = by["groups"].as_array().expect("groups");
    assert_eq!(groups.iter().map(|group| group["total"]["events"].as_u64()).sum::<Option<u64>>(), Some(125));
    assert_eq!((groups.len(), &by["meter"]["skipped_events"]), (2, &json!(0)));
    // Requests: as many as usage says, each outcome apart.
    let used = node.json(&["usage"])["total"]["requests"].clone();
    assert_eq!(total(&node, "requests").as_f64(), used.as_f64());
}

/// Records and requests are there before a meter, come while it counts them, and after; the node is killed in the
/// middle.
#[tokio::test]
async fn a_new_meter_counts_what_was_there_before_over_a_kill() {
    let mut node = node().start();
    let key = text(&create_key(&node, &[]), "key").to_owned();
    wait_until(SOON, || async { ingest(&node, &key, &json!([])).await.status == 202 }).await;
    let batch = |from: u64| -> Value {
        (from..from + 110)
            .map(|id| json!({"id": id.to_string(), "type": "tile.served", "bytes": 1}))
            .collect()
    };
    for from in (0..400).step_by(100) {
        assert_eq!(ingest(&node, &key, &batch(from)).await.status, 202);
    }
    let more = RESOURCES.replace("name = \"bytes\"", "name = \"bytes-again\"");
    let more = more.replace("name = \"requests\"", "name = \"requests-again\"");
    let file = node.data_dir().join("more.toml");
    std::fs::write(&file, more).expect("write a file");
    node.json(&["apply", "-f", file.to_str().expect("a path")]);
    assert_eq!(ingest(&node, &key, &batch(400)).await.status, 202);
    node.kill9();
    node.start();
    wait_until(SOON, || async { ingest(&node, &key, &json!([])).await.status == 202 }).await;
    assert_eq!(ingest(&node, &key, &batch(410)).await.status, 202);
    let is_counted = |meter: &str| {
        let shown = node.json(&["meters", "query", meter, "--window", "total"]);
        shown["meter"]["past"]["done"] == json!(true) && shown["total"]["value"] == total(&node, "bytes")
    };
    wait_until(SOON, || async { is_counted("bytes-again") }).await;
    assert_eq!(total(&node, "bytes-again"), json!(520.0));
    // As many as the meter that was there from the beginning, and as usage says.
    let used = || node.json(&["usage"])["total"]["requests"].clone();
    assert_eq!(total(&node, "requests-again").as_f64(), used().as_f64());
    assert_eq!(total(&node, "requests-again"), total(&node, "requests"));
}

#[tokio::test]
async fn a_report_counts_once_into_usage_quota_events_and_meters() {
    let mut node = node().start();
    let made = create_key(&node, &[]);
    let (key, id) = (text(&made, "key").to_owned(), text(&made, "id").to_owned());
    let token = token_of(&node);
    let line =
        |name: &str, units: u64| json!({"key_id": id, "service": "maps/events", "units": units, "id": name});
    wait_until(SOON, || async { report(&node, &token, &json!([])).await.status == 200 }).await;
    let first = report(&node, &token, &json!([line("a", 3), line("b", 4)])).await;
    assert_eq!((first.status.as_u16(), first.json()), (200, json!({"accepted": 2, "duplicates": 0})));
    node.kill9();
    node.start();
    wait_until(SOON, || async { report(&node, &token, &json!([])).await.status == 200 }).await;
    let again = report(&node, &token, &json!([line("b", 4), line("c", 2)])).await;
    assert_eq!(again.json(), json!({"accepted": 1, "duplicates": 1}));
    let usage = node.json(&["usage", "--by", "key"]);
    let row = &usage["rows"][0];
    assert_eq!((&row["key"], &row["requests"], &row["units"]), (&json!(id), &json!(3), &json!(9)));
    let events = node.json(&["events", "query", "--type", "tollgate.usage", "--key", &id, "--count"]);
    assert_eq!(events["count"], 3);
    wait_until(SOON, || async { total(&node, "units") == json!(9.0) }).await;
    // One unit is left of the quota; a report may go over it, and it is exhausted then.
    wait_until(SOON, || async { ingest(&node, &key, &json!([])).await.status == 202 }).await;
    assert_eq!(report(&node, &token, &json!([line("d", 5)])).await.status, 200);
    let refused = ingest(&node, &key, &json!([])).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "quota_exhausted"));
    // Whole or not at all, with the place of what is wrong; nobody reports without a token.
    let wrong =
        report(&node, &token, &json!([line("e", 1), {"key_id": id, "service": "maps/nothing"}])).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (422, "record_invalid"), "{}", wrong.text());
    assert!(wrong.text().contains("[1].service"), "{}", wrong.text());
    let unknown = json!([{"key_id": "key_00000000000", "service": "maps/events"}]);
    assert!(report(&node, &token, &unknown).await.text().contains("[0].key_id"));
    assert_eq!(report(&node, &key, &json!([line("e", 1)])).await.code(), "token_unknown");
    assert_eq!(report(&node, &token, &json!([line("e", 1)])).await.json()["accepted"], 1);
}

/// How long a broker takes to give the partitions of a node that was killed to another.
const GROUP: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask test --only kafka"]
async fn real_kafka_broker_reports_count_once_and_wrong_ones_block_nothing() {
    let port = free_port();
    let _broker = Broker::start(port);
    crate::ingest::make_topic(port, "usage").await;
    let mut node = node()
        .env("TOLLGATE_KAFKA__BROKERS", &format!("127.0.0.1:{port}"))
        .env("TOLLGATE_KAFKA__USAGE_TOPIC", "usage")
        .start();
    let id = text(&create_key(&node, &[]), "id").to_owned();
    let send = |messages: Vec<String>| {
        let mut config = ClientConfig::new();
        let producer: BaseProducer =
            config.set("bootstrap.servers", format!("127.0.0.1:{port}")).create().expect("a producer");
        for message in &messages {
            producer.send(BaseRecord::<str, str>::to("usage").payload(message)).expect("send");
        }
        producer.flush(Duration::from_secs(20)).expect("deliver");
    };
    let line = |name: u64| {
        json!([{"key_id": id, "service": "default/maps/events", "id": name.to_string()}]).to_string()
    };
    let bare = json!({"key_id": id, "service": "maps/events"}).to_string();
    let mut messages = vec!["no JSON".to_owned(), "[{}]".to_owned(), bare];
    messages.extend((0..20).chain(10..30).map(line));
    tokio::task::block_in_place(|| send(messages));
    let requests = || node.json(&["usage"])["total"]["requests"].as_u64().expect("a number");
    wait_until(GROUP, || async { requests() == 31 }).await;
    node.kill9();
    node.start();
    tokio::task::block_in_place(|| send((20..40).map(line).collect()));
    let requests = || node.json(&["usage"])["total"]["requests"].as_u64().expect("a number");
    wait_until(GROUP, || async { requests() == 41 }).await;
    assert_eq!(requests(), 41, "each counts once");
}
