//! Webhooks over the real binary: from a file to a receiver, over a kill -9, and as the official library of Standard
//! Webhooks sees them.

use std::io::BufRead as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tollgate_testkit::{Tollgate, TollgateBuilder, Upstream, poll_until};

use crate::world::{SOON, builder, create_key, resources, text};

/// The Python that has the library comes in by this name; `cargo xtask test` installs it and says where.
const PYTHON: &str = "TOLLGATE_SDK_PYTHON";

fn hook(url: &str, events: &str) -> String {
    format!("\n[[webhook]]\nproject = \"maps\"\nurl = \"{url}\"\nevents = {events}\n")
}

/// A node that may send to this machine, in the clear.
fn node() -> TollgateBuilder {
    builder()
        .env("TOLLGATE_WEBHOOKS__ALLOW_PRIVATE", "127.0.0.0/8")
        .env("TOLLGATE_WEBHOOKS__ALLOW_HTTP", "true")
}

fn deliveries(node: &Tollgate, url: &str) -> Vec<Value> {
    node.json(&["webhooks", "deliveries", url])["deliveries"].as_array().expect("a list").clone()
}

fn ids(receiver: &Upstream, path: &str) -> Vec<String> {
    let seen = receiver.seen();
    let own = seen.iter().filter(|seen| seen.path() == path);
    own.map(|seen| seen.header("webhook-id").expect("an id").to_owned()).collect()
}

#[test]
fn a_webhook_of_a_file_is_told_once_it_has_a_secret() {
    let receiver = Upstream::start();
    let url = format!("{}/hooks", receiver.url());
    let node = node().resources(&(resources("http://127.0.0.1:9") + &hook(&url, r#"["key.*"]"#))).start();
    let state = |node: &Tollgate| text(&node.json(&["webhooks", "list"])["webhooks"][0], "state").to_owned();
    assert_eq!(state(&node), "without secret");
    assert_eq!(node.cli(&["webhooks", "test", &url]).code(), Some(1), "nothing is sent unsigned");
    let secret = node.json(&["webhooks", "secret", &url]);
    assert!(text(&secret, "secret").starts_with("whsec_"));
    assert_eq!(node.cli(&["webhooks", "secret", &url]).code(), Some(2), "it is shown once");
    let test = node.json(&["webhooks", "test", &url]);
    assert_eq!((text(&test, "state"), test["status"].as_u64()), ("delivered", Some(200)));
    let key = create_key(&node, &[]);
    let _ = node.cli(&["keys", "revoke", text(&key, "id")]).success();
    poll_until(SOON, || ids(&receiver, "/hooks").len() == 3);
    let kinds: Vec<String> = receiver
        .seen()
        .iter()
        .map(|seen| serde_json::from_slice::<Value>(&seen.body).expect("JSON")["type"].to_string())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "\"key.created\"").count(), 1, "{kinds:?}");
    let told = node.json(&["events", "query", "--type", "key.revoked"]);
    assert_eq!(told["events"][0]["data"]["key_id"], key["id"]);
    let export = node.cli(&["export"]).success();
    assert!(export.stdout.contains("[[webhook]]") && !export.stdout.contains("whsec_"));
    let replay = node.json(&["webhooks", "replay", &url, text(&test, "id")]);
    assert_eq!(replay, json!({ "replayed": 1 }));
    poll_until(SOON, || ids(&receiver, "/hooks").iter().filter(|id| *id == text(&test, "id")).count() == 2);
    let audit = node.json(&["audit", "list", "--limit", "50"]).to_string();
    for action in ["webhook.create", "webhook.secret", "webhook.test", "webhook.replay"] {
        assert!(audit.contains(action), "{action}");
    }
    assert!(!audit.contains("whsec_") && !node.log().contains("whsec_"));
}

#[test]
fn what_was_sent_and_not_written_down_is_sent_again_after_a_kill() {
    let receiver = Upstream::start();
    let url = format!("{}/slow/4000", receiver.url());
    let furnished = resources("http://127.0.0.1:9") + &hook(&url, r#"["key.created"]"#);
    let mut node = node().resources(&furnished).start();
    node.json(&["webhooks", "secret", &url]);
    create_key(&node, &[]);
    poll_until(SOON, || receiver.count() == 1);
    node.kill9();
    node.start();
    poll_until(SOON, || deliveries(&node, &url)[0]["state"] == "delivered");
    let ids = ids(&receiver, "/slow/4000");
    assert!(
        ids.len() >= 2 && ids.iter().all(|id| *id == ids[0]),
        "at least once, told apart by one id: {ids:?}"
    );
}

#[test]
fn nothing_is_sent_into_the_own_network_by_default() {
    let receiver = Upstream::start();
    let (plain, tls) =
        (format!("{}/a", receiver.url()), receiver.url().replace("http://", "https://") + "/b");
    let hooks = hook(&plain, r#"["*"]"#) + &hook(&tls, r#"["*"]"#);
    let node = builder().resources(&(resources("http://127.0.0.1:9") + &hooks)).start();
    for (url, why) in [(&plain, "not https"), (&tls, "this machine itself")] {
        node.json(&["webhooks", "secret", url]);
        let test = node.cli(&["webhooks", "test", url]);
        assert_eq!(test.code(), Some(1));
        let row = &deliveries(&node, url)[0];
        assert!(text(row, "answer").contains(why), "{row}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
#[ignore = "needs the official library; `cargo xtask test` brings it"]
fn official_sdks_verify_webhooks() {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| panic!("{PYTHON} must name the program"));
    let mut receiver = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks/webhooks.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the receiver");
    let mut said = std::io::BufReader::new(receiver.stdout.take().expect("its output")).lines();
    let mut next = || said.next().expect("a line").expect("read a line");
    let url = format!("http://127.0.0.1:{}/hooks", next());
    let furnished = resources("http://127.0.0.1:9") + &hook(&url, r#"["key.*"]"#);
    let node = node().resources(&furnished).start();
    let mut input = receiver.stdin.take().expect("its input");
    let mut tell = |secret: &Value| {
        std::io::Write::write_all(&mut input, format!("{}\n", text(secret, "secret")).as_bytes())
            .expect("tell it");
    };
    // Each secret by itself verifies what both sign while one follows the other.
    tell(&node.json(&["webhooks", "secret", &url]));
    create_key(&node, &[]);
    assert_eq!(next(), "key.created");
    let second = node.json(&["webhooks", "rotate", &url, "--overlap", "1h"]);
    create_key(&node, &[]);
    assert_eq!(next(), "key.created", "the former secret still verifies");
    tell(&second);
    create_key(&node, &[]);
    assert_eq!(next(), "key.created");
    drop(input);
    let _killed = receiver.kill();
    let _ended = receiver.wait();
}
