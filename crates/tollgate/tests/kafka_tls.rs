//! TLS and SCRAM to a real broker, by a binary that was built with them (`cargo xtask torture kafka-tls`).

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{TlsDoor, Tollgate, TollgateBuilder, free_port, wait_until};

use crate::ingest::{Broker, ingest, key_of, node};
use crate::world::SOON;

/// Sends a record and waits until the broker has it.
async fn arrives(node: &Tollgate) {
    let key = key_of(node);
    wait_until(SOON, || async { ingest(node, &key, None, &json!([{"type": "t"}])).await.status == 202 })
        .await;
    wait_until(SOON * 2, || async { node.json(&["outbox", "status"])["sinks"][0]["behind"] == 0 }).await;
}

/// What the doctor says of Kafka.
fn examined(node: &Tollgate) -> Value {
    let found: Value = serde_json::from_str(&node.cli(&["doctor"]).stdout).expect("JSON");
    let checks = found["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["check"] == "kafka").expect("a look at Kafka").clone()
}

/// The broker's own program, and whether it did what it was asked to.
fn ask(url: &str, arguments: &[&str]) -> bool {
    let (what, rest) = arguments.split_at(2);
    let output = Command::new(lasting()).args(what).args(["--broker", url]).args(rest).output();
    output.is_ok_and(|output| output.status.success())
}

fn lasting() -> String {
    std::env::var("TOLLGATE_KAFKA_LASTING").expect("cargo xtask torture kafka-tls sets it")
}

fn over_tls(port: u16, authority: &std::path::Path) -> TollgateBuilder {
    node()
        .env("TOLLGATE_KAFKA__BROKERS", &format!("localhost:{port}"))
        .env("TOLLGATE_KAFKA__TLS", "true")
        .env("TOLLGATE_KAFKA__CA_FILE", &authority.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask torture kafka-tls"]
async fn real_kafka_tls_is_verified_by_authority_and_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, door: &TlsDoor| {
        let path = folder.path().join(name);
        std::fs::write(&path, &door.authority).expect("write the authority");
        path
    };
    let listens = free_port();
    let door = TlsDoor::open(listens, "localhost").await;
    let authority = write("ca.pem", &door);
    let _broker = Broker::start_behind(listens, &format!("localhost:{}", door.port));
    let inside = format!("tcp://127.0.0.1:{listens}");
    wait_until(SOON, || async { ask(&inside, &["topic", "create", "app-events"]) }).await;
    let good = over_tls(door.port, &authority).start();
    arrives(&good).await;
    assert_eq!(examined(&good)["outcome"], "ok", "{}", examined(&good));
    // The same broker under another name, and under an authority that is not believed.
    let wrong_name = TlsDoor::open(listens, "kafka.example.com").await;
    let wrong = over_tls(wrong_name.port, &write("other.pem", &wrong_name)).prepare();
    let found = examined(&wrong);
    assert_eq!(found["outcome"], "wrong", "{found}");
    let stranger = over_tls(wrong_name.port, &authority).prepare();
    assert_eq!(examined(&stranger)["outcome"], "wrong", "{}", examined(&stranger));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a broker: cargo xtask torture kafka-tls"]
async fn real_kafka_scram_takes_the_right_password_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("tcp://127.0.0.1:{}", free_port());
    let start = |more: &[&str]| {
        let mut command = Command::new(lasting());
        command.current_dir(folder.path()).args(["broker", "--storage-engine", "sqlite://tansu.db"]);
        command.args(["--listener-url", &url, "--advertised-listener-url", &url]).args(more);
        let process = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
        Broker::of(process.expect("start the broker"))
    };
    let open = start(&[]);
    wait_until(SOON, || async { ask(&url, &["topic", "create", "app-events"]) }).await;
    assert!(ask(&url, &["user", "create", "--mechanism", "scram512", "tollgate", "right-password"]));
    assert!(ask(&url, &["user", "create", "--mechanism", "scram256", "other", "right-password"]));
    drop(open);
    let _closed = start(&["--authentication"]);
    let with = |mechanism: &str, user: &str, password: &str| {
        node()
            .env("TOLLGATE_KAFKA__BROKERS", url.trim_start_matches("tcp://"))
            .env("TOLLGATE_KAFKA__SASL__MECHANISM", mechanism)
            .env("TOLLGATE_KAFKA__SASL__USER", user)
            .env("TOLLGATE_KAFKA__SASL__PASSWORD", password)
    };
    for (mechanism, user) in [("SCRAM-SHA-512", "tollgate"), ("SCRAM-SHA-256", "other")] {
        arrives(&with(mechanism, user, "right-password").start()).await;
    }
    let refused = with("SCRAM-SHA-512", "tollgate", "wrong-password").prepare();
    let found =
        tokio::time::timeout(Duration::from_secs(60), async { examined(&refused) }).await.expect("an answer");
    assert_eq!(found["outcome"], "wrong", "{found}");
    assert!(!found.to_string().contains("wrong-password"), "{found}");
}
