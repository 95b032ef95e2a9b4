//! Points over the real binary: in by HTTP, kept over a kill -9 and an outage of InfluxDB, there exactly as they were
//! submitted. Once with Debian's InfluxDB 1.x, once with the write endpoint of 2.x.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_testkit::http::Call;
use tollgate_testkit::{Influx, Influx2, InfluxMood, Tollgate, TollgateBuilder, wait_until};

use crate::world::{SOON, builder, text};

const RESOURCES: &str = r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "metrics"
kind = "metrics"

[[service]]
project = "maps"
name = "typed"
kind = "metrics"
match = { path_prefix = "/typed" }
metrics = { numbers = "written" }

[[policy]]
project = "maps"
name = "standard"
services = ["metrics", "typed"]
scopes = ["write"]

[[consumer]]
project = "maps"
name = "web-1"
kind = "host"
"#;

const MOMENT: i64 = 1_699_786_600_000_000_000;
/// Points of one request.
const BATCH: i64 = 500;

fn node() -> TollgateBuilder {
    builder().env("TOLLGATE_INGEST__DISK_FREE_MIN", "0B").resources(RESOURCES)
}

/// A key that is bound to this machine.
async fn key_of(node: &Tollgate) -> String {
    let more = ["--policy", "standard", "--bind-host", "127.0.0.1"];
    let key = text(&node.create_key("maps", "web-1", &more), "key").to_owned();
    wait_until(SOON, || async { submit(node, &key, &json!([])).await == 202 }).await;
    key
}

async fn submit(node: &Tollgate, key: &str, body: &Value) -> u16 {
    let sent = Call::post("/api/submit", body).bearer(key).try_send(node.gateway()).await;
    sent.map_or(0, |reply| reply.status.as_u16())
}

fn batch(part: i64) -> Value {
    let point = |number: i64| {
        json!({"field": "n", "value": number, "timestamp": MOMENT + number,
            "tags": {"disk, no": format!("a={}", number % 7)}, "fields": {"note": format!("a \"quoted\" \\ text, {number}")}})
    };
    (part * BATCH..(part + 1) * BATCH).map(point).collect()
}

fn parked(node: &Tollgate) -> Vec<Value> {
    node.json(&["outbox", "list", "--all"])["parked"].as_array().expect("a list").clone()
}

/// Records that InfluxDB has not had.
fn behind(node: &Tollgate) -> Option<u64> {
    let status = node.json(&["outbox", "status"]);
    let sinks = status["sinks"].as_array().expect("sinks");
    sinks.iter().find(|sink| sink["sink"] == "influx").and_then(|sink| sink["behind"].as_u64())
}

async fn wait_for_cursor(node: &Tollgate) {
    wait_until(SOON * 2, || async { behind(node) == Some(0) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influxdb_1_holds_exactly_what_was_submitted_after_an_outage_and_a_kill() {
    let mut influx = Influx::start();
    let node = node().env("TOLLGATE_INFLUX__URL", &influx.url()).env("TOLLGATE_INFLUX__DATABASE", "m");
    let mut node = node.start();
    let key = key_of(&node).await;
    // Its database is not there yet: that is no fault of the points.
    assert_eq!(submit(&node, &key, &batch(0)).await, 202);
    let found = node.cli(&["doctor"]);
    assert!(found.stdout.contains("database not found"), "{}", found.stdout);
    influx.query("", "CREATE DATABASE m").await;
    wait_for_cursor(&node).await;
    influx.stop();
    for part in 1..4 {
        assert_eq!(submit(&node, &key, &batch(part)).await, 202);
    }
    node.kill9();
    node.start();
    wait_until(SOON, || async { submit(&node, &key, &json!([])).await == 202 }).await;
    assert_eq!(submit(&node, &key, &batch(4)).await, 202);
    assert!(behind(&node).is_some_and(|records| records >= 2000));
    influx.resume();
    // Killed with points on their way.
    node.kill9();
    node.start();
    wait_for_cursor(&node).await;
    let answer = influx.query("m", "SELECT * FROM metrics").await;
    let series = &answer["results"][0]["series"][0];
    assert_eq!(series["columns"], json!(["time", "disk, no", "host", "n", "note"]));
    let rows: BTreeSet<String> =
        series["values"].as_array().expect("rows").iter().map(Value::to_string).collect();
    let wanted: BTreeSet<String> = (0..5 * BATCH)
        .map(|number| {
            let note = format!("a \"quoted\" \\ text, {number}");
            json!([MOMENT + number, format!("a={}", number % 7), "127.0.0.1", number, note]).to_string()
        })
        .collect();
    assert!(rows == wanted, "{} rows, first {:?}, wanted {:?}", rows.len(), rows.first(), wanted.first());
    assert!(parked(&node).is_empty());
    let found = node.json(&["doctor"]);
    let check = found["checks"].as_array().expect("checks").iter().find(|check| check["check"] == "influx");
    assert_eq!(check.expect("the check")["outcome"], "ok", "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_point_that_influxdb_1_never_takes_is_parked_and_the_others_are_there() {
    let influx = Influx::start();
    influx.query("", "CREATE DATABASE m").await;
    let node =
        node().env("TOLLGATE_INFLUX__URL", &influx.url()).env("TOLLGATE_INFLUX__DATABASE", "m").start();
    let key = key_of(&node).await;
    assert_eq!(submit(&node, &key, &json!({"field": "n", "value": 1, "timestamp": MOMENT})).await, 202);
    wait_for_cursor(&node).await;
    let mut points = batch(1);
    points[77]["value"] = json!("a text where numbers are");
    assert_eq!(submit(&node, &key, &points).await, 202);
    wait_for_cursor(&node).await;
    let answer = influx.query("m", "SELECT count(n) FROM metrics").await;
    assert_eq!(answer["results"][0]["series"][0]["values"][0][1], BATCH);
    let parked = parked(&node);
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!((&parked[0]["sink"], &parked[0]["type"]), (&json!("influx"), &json!("tollgate.metric")));
    assert!(text(&parked[0], "reason").contains("field type conflict"), "{parked:?}");
    // Every kind of value reads back as what it was, whatever stands in names.
    let odd = json!({"measurement": "a, b", "timestamp": MOMENT, "tags": {"t=1": "C:\\temp x,y=z", "größe": "\"q\""},
        "fields": {"i, =": 1e300, "small": -2.5e-9, "yes": true, "text": "line\nbreak \\ \" end\\", "neg": -0.5}});
    assert_eq!(submit(&node, &key, &odd).await, 202);
    let typed = json!({"measurement": "typed", "timestamp": MOMENT, "fields": {"i": 9_007_199_254_740_993_i64, "f": 5.0}});
    let reply = Call::post("/typed", &typed).bearer(&key).send(node.gateway()).await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    wait_for_cursor(&node).await;
    let answer = influx.query("m", "SELECT * FROM \"a, b\"").await;
    let series = &answer["results"][0]["series"][0];
    assert_eq!(
        series["columns"],
        json!(["time", "größe", "host", "i, =", "neg", "small", "t=1", "text", "yes"])
    );
    let row = json!([
        MOMENT,
        "\"q\"",
        "127.0.0.1",
        1e300,
        -0.5,
        -2.5e-9,
        "C:\\temp x,y=z",
        "line\nbreak \\ \" end\\",
        true
    ]);
    assert_eq!(series["values"][0], row);
    let answer = influx.query("m", "SHOW FIELD KEYS FROM typed").await;
    assert_eq!(answer["results"][0]["series"][0]["values"], json!([["f", "float"], ["i", "integer"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influxdb_2_holds_exactly_what_was_submitted_after_every_kind_of_fault() {
    let influx = Influx2::start().await;
    let node = node()
        .env("TOLLGATE_INFLUX__URL", &influx.url())
        .env("TOLLGATE_INFLUX__ORG", Influx2::ORG)
        .env("TOLLGATE_INFLUX__BUCKET", Influx2::BUCKET)
        .env("TOLLGATE_INFLUX__TOKEN", Influx2::TOKEN);
    let mut node = node.start();
    let key = key_of(&node).await;
    for (part, mood) in (0..).zip([InfluxMood::Down, InfluxMood::Busy, InfluxMood::Silent, InfluxMood::Well])
    {
        influx.feel(mood);
        let (before, _) = influx.requests();
        assert_eq!(submit(&node, &key, &batch(part)).await, 202);
        wait_until(SOON, || async { influx.requests().0 > before }).await;
    }
    node.kill9();
    node.start();
    wait_for_cursor(&node).await;
    let line = |number: i64| {
        let series = format!("metrics,disk\\,\\ no=a\\={},host=127.0.0.1", number % 7);
        format!("{series} n={number},note=\"a \\\"quoted\\\" \\\\ text, {number}\" {}", MOMENT + number)
    };
    let wanted: BTreeSet<String> = (0..4 * BATCH).map(line).collect();
    let lines: BTreeSet<String> = influx.lines().into_iter().collect();
    assert!(lines == wanted, "{} lines, first {:?}, wanted {:?}", lines.len(), lines.first(), wanted.first());
    let mut points = batch(9);
    points[3]["value"] = json!(true);
    assert_eq!(submit(&node, &key, &points).await, 202);
    wait_for_cursor(&node).await;
    assert_eq!(influx.lines().len() as i64, 5 * BATCH - 1);
    assert!(text(&parked(&node)[0], "reason").contains("field type conflict"));
    let found = node.json(&["doctor"]);
    assert!(found.to_string().contains("takes points (v2.7.1)"), "{found}");
}

#[test]
fn settings_of_influxdb_say_what_is_missing() {
    for (names, problem) in [
        (vec![("URL", "http://h:8086")], "influx.database"),
        (vec![("URL", "h:8086"), ("DATABASE", "m")], "is no address of InfluxDB"),
        (vec![("DATABASE", "m")], "influx.url"),
        (vec![("URL", "http://h"), ("BUCKET", "b")], "influx.org"),
        (vec![("URL", "http://h"), ("DATABASE", "m"), ("ORG", "o"), ("BUCKET", "b")], "leave one away"),
    ] {
        let node = names.iter().fold(builder().without_init(), |node, (name, value)| {
            node.env(&format!("TOLLGATE_INFLUX__{name}"), value)
        });
        let output = node.prepare().cli(&["doctor"]);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(problem), "{names:?}: {said}");
    }
}
