//! Decisions and changes on topics of their own, at a real broker; a sink that is there no more.

use serde_json::{Value, json};
use tollgate_testkit::{free_port, wait_until};

use crate::ingest::{Broker, consume, ingest, key_of, make_topic, node};
use crate::world::{SOON, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask test --only kafka"]
async fn real_kafka_broker_gets_decisions_and_changes_on_topics_of_their_own() {
    let port = free_port();
    let _broker = Broker::start(port);
    for topic in ["app-events", "decisions", "audit"] {
        make_topic(port, topic).await;
    }
    let mut node = node()
        .env("TOLLGATE_KAFKA__BROKERS", &format!("127.0.0.1:{port}"))
        .env("TOLLGATE_KAFKA__DECISIONS_TOPIC", "decisions")
        .env("TOLLGATE_KAFKA__DECISIONS_ONE_IN", "1000000")
        .env("TOLLGATE_KAFKA__AUDIT_TOPIC", "audit")
        .start();
    let key = key_of(&node);
    wait_until(SOON, || async { ingest(&node, &key, None, &json!([])).await.status == 202 }).await;
    // Denied ones go there, all of them; of allowed ones nearly none.
    for _ in 0..5 {
        assert_eq!(ingest(&node, "mbk_live_none", None, &json!([])).await.status.as_u16(), 401);
    }
    let is_denied = |code: &str| code != "valid";
    let seen = tokio::task::spawn_blocking(move || consume(port, "decisions", 5)).await.expect("consume");
    let codes: Vec<String> = seen
        .iter()
        .map(|(_, headers, data)| {
            let data: Value = serde_json::from_slice(data).expect("JSON");
            assert_eq!(headers["event_id"], data["decision_id"].as_str().expect("an id"));
            assert_eq!(
                headers["ce_type"],
                format!("tollgate.decision.{}", data["code"].as_str().expect("a code"))
            );
            data["code"].as_str().expect("a code").to_owned()
        })
        .collect();
    assert!(codes.iter().filter(|code| is_denied(code)).count() >= 5, "{codes:?}");
    // Killed, it goes on where it was: every change has one event id, in the order of the audit.
    node.kill9();
    node.start();
    let entries = node.json(&["audit", "list"])["changes"].as_array().map_or(0, Vec::len);
    assert!(entries > 3, "the audit has entries");
    let seen = tokio::task::spawn_blocking(move || consume(port, "audit", entries)).await.expect("consume");
    let numbers: Vec<u64> =
        seen.iter().map(|(_, headers, _)| headers["seq"].parse().expect("a number")).collect();
    let is_ordered = |of: &str| {
        let own = seen.iter().zip(&numbers).filter(|((key, _, _), _)| key == of).map(|(_, seq)| *seq);
        own.collect::<Vec<u64>>().is_sorted()
    };
    assert!(seen.iter().all(|(key, _, _)| is_ordered(key)), "{numbers:?}");
    assert_eq!(numbers.len(), entries);
    wait_until(SOON, || async {
        let status = node.json(&["outbox", "status"]);
        let sinks = status["sinks"].as_array().expect("sinks");
        let has_all = |name: &str| sinks.iter().any(|sink| sink["sink"] == name && sink["behind"] == 0);
        ["audit", "decisions", "kafka"].into_iter().all(has_all)
    })
    .await;
    let refused = node.cli(&["outbox", "forget", "audit"]);
    assert_ne!(refused.code(), Some(0), "a node hands changes on to it");
}

#[tokio::test]
async fn a_sink_that_is_set_no_more_is_told_and_can_be_forgotten() {
    let mut node = node().env("TOLLGATE_KAFKA__BROKERS", "127.0.0.1:9").start();
    wait_until(SOON, || async { node.json(&["outbox", "status"])["sinks"][0]["sink"] == "kafka" }).await;
    let status = node.term_and_wait();
    assert!(status.success(), "{status}");
    // Without the setting it is left over.
    let data_dir = node.data_dir().display().to_string();
    let examined = run(node.folder(), &["doctor", "--data-dir", &data_dir]).stdout;
    assert!(examined.contains("`kafka` is in the settings no more"), "{examined}");
    let forgotten = node.json(&["outbox", "forget", "kafka"]);
    assert_eq!(forgotten["forgotten"], "kafka");
    let left = node.json(&["outbox", "status"])["sinks"].to_string();
    assert!(!left.contains("kafka"), "{left}");
    let entries = node.json(&["audit", "list"]);
    assert_eq!(entries["changes"][0]["action"], "sink.forget", "{entries}");
    let own = node.cli(&["outbox", "forget", "meters"]);
    assert!(own.stderr.contains("Tollgate's own"), "{}", own.stderr);
    let unknown = node.cli(&["outbox", "forget", "kafka"]);
    assert_ne!(unknown.code(), Some(0));
}
