//! Rules over the real binary: more than a hundred requests in a minute block a key until the next hour.
//!
//! The clock is shifted as a machine's would be whose clock was set back: the data folder remembers a later
//! moment, and wall time stands still there (I4).

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use sqlx::Connection as _;
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Postgres, Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, text, tiles};

/// What is promised of a rule.
const REACTS_WITHIN: Duration = Duration::from_secs(2);
const HOUR_S: i64 = 3_600;

/// Two services, and a rule that watches one of them.
fn resources(upstream: &str, mode: &str, until: &str) -> String {
    let text = crate::world::resources(upstream).replace(r#"services = ["tiles"]"#, r#"services = ["*"]"#);
    format!(
        r#"{text}
[[service]]
project = "maps"
name = "geocode"
kind = "proxy"
match = {{ path_prefix = "/geocode" }}
upstreams = ["{upstream}"]

[[rule]]
project = "maps"
name = "maps-flood"
when = {{ metric = "requests", service = "tiles", per = "key", above = 100, window = "1m" }}
then = {{ action = "block", service = "tiles", until = "{until}" }}
mode = "{mode}"
"#
    )
}

/// The start of the hour after the next, seconds since 1970.
fn later_hour() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    (i64::try_from(now).expect("a time") / HOUR_S + 2) * HOUR_S
}

/// Lets the folder of a node that does not run remember that it was later once.
fn shift(node: &Tollgate, to_s: i64) {
    std::fs::write(node.data_dir().join("clock"), (to_s * 1_000_000).to_string()).expect("shift the clock");
}

async fn geocode(node: &Tollgate, key: &str) -> Reply {
    Call::get("/geocode/7").bearer(key).send(node.gateway()).await
}

async fn accepted(node: &Tollgate, key: &str) {
    wait_until(SOON, || async { geocode(node, key).await.status == 200 }).await;
}

/// So many requests that are all answered by the upstream.
async fn flood(node: &Tollgate, key: &str, requests: u32) {
    for request in 0..requests {
        let reply = tiles(node, key).await;
        assert_eq!(reply.status, 200, "{request}: {}", reply.text());
    }
}

/// How long it takes until the key is blocked.
async fn blocked(node: &Tollgate, key: &str) -> Duration {
    let crossed = Instant::now();
    wait_until(SOON, || async { tiles(node, key).await.code() == "key_blocked" }).await;
    crossed.elapsed()
}

fn of_rule(node: &Tollgate) -> Vec<String> {
    let audit = node.json(&["audit", "list", "--limit", "100"]);
    let changes = audit["changes"].as_array().expect("changes");
    let own = changes.iter().filter(|entry| entry["actor"] == "rule:maps-flood");
    own.map(|entry| text(entry, "action").to_owned()).collect()
}

fn held(node: &Tollgate, more: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["blocks", "list"].iter().chain(more).copied().collect();
    node.json(&arguments)["blocks"].as_array().expect("blocks").clone()
}

#[tokio::test]
async fn a_hundred_and_one_requests_in_a_minute_block_the_key_until_the_next_hour() {
    let upstream = Upstream::start();
    let mut node = builder().resources(&resources(&upstream.url(), "enforce", "next_hour")).prepare();
    let hour_s = later_hour();
    shift(&node, hour_s + 600);
    node.start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    accepted(&node, key).await;
    flood(&node, key, 101).await;
    let took = blocked(&node, key).await;
    assert!(took < REACTS_WITHIN, "it took {took:?}");

    let refused = tiles(&node, key).await;
    assert_eq!(refused.status, 403);
    let until = moment(hour_s + HOUR_S);
    for word in ["maps-flood", &until, "within 1m"] {
        assert!(refused.text().contains(word), "{word}: {}", refused.text());
    }
    assert_eq!(geocode(&node, key).await.status, 200, "only tiles are closed");
    assert_eq!(of_rule(&node), ["block.create"]);

    // Nothing of it is only in the process, and what is refused does not keep the block alive.
    node.kill9();
    node.start();
    assert_eq!(tiles(&node, key).await.code(), "key_blocked");
    for _ in 0..150 {
        assert_eq!(tiles(&node, key).await.code(), "key_blocked");
    }
    node.term_and_wait();
    shift(&node, hour_s + HOUR_S);
    node.start();
    assert_eq!(tiles(&node, key).await.status, 200, "the hour is over");
    wait_until(SOON, || async { held(&node, &[]).is_empty() }).await;
    let ended = held(&node, &["--all"]);
    assert_eq!((ended.len(), &ended[0]["ended_by"]), (1, &Value::from("time")));
    flood(&node, key, 50).await;
    assert_eq!(of_rule(&node), ["block.end", "block.create"]);

    let would = node.json(&["rules", "backtest", "maps-flood", "--last", "2h"]);
    assert_eq!(would["would"].as_array().map(Vec::len), Some(1), "{would}");
    assert_eq!(would["would"][0]["subject_id"], created["id"]);
    assert!(text(&would["would"][0], "until").starts_with(until.trim_end_matches('Z')), "{would}");
}

/// A moment as answers say it.
fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).expect("a moment").to_string()
}

/// What was counted is not counted anew from what is stored: here nothing of it is stored any more.
#[tokio::test]
async fn a_rule_that_comes_leaves_the_windows_of_others_as_they_are() {
    let upstream = Upstream::start();
    let text_of = resources(&upstream.url(), "enforce", "next_hour").replace("1m", "1h");
    let node = builder().resources(&text_of).start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    accepted(&node, key).await;
    flood(&node, key, 60).await;
    let url = format!("sqlite://{}", node.data_dir().join("tollgate.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.expect("open the database");
    // The watch has read all, as it says itself.
    let unread = "SELECT COUNT(*) FROM shipped s LEFT JOIN rule_reads r ON r.boot = s.boot AND r.lane = s.lane \
                  WHERE s.kept > COALESCE(r.position, 0)";
    let stored = "SELECT CAST(COALESCE(SUM(records), 0) AS BIGINT) FROM decision_blocks";
    let deadline = Instant::now() + SOON;
    loop {
        let left: i64 = sqlx::query_scalar(unread).fetch_one(&mut database).await.expect("what is left");
        let there: i64 = sqlx::query_scalar(stored).fetch_one(&mut database).await.expect("what is there");
        if left == 0 && there >= 61 {
            break;
        }
        assert!(Instant::now() < deadline, "{left} lanes are not read, {there} decisions are stored");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sqlx::query("DELETE FROM decision_blocks").execute(&mut database).await.expect("forget decisions");
    let more = format!(
        "{text_of}\n[[rule]]\nproject = \"maps\"\nname = \"other\"\nmode = \"observe\"\n\
         when = {{ metric = \"denials\", per = \"key\", above = 5, window = \"1h\" }}\n\
         then = {{ action = \"notify\" }}\n"
    );
    let file = node.data_dir().join("more.toml");
    std::fs::write(&file, more).expect("write a file");
    node.json(&["apply", "-f", file.to_str().expect("a path")]);
    flood(&node, key, 41).await;
    blocked(&node, key).await;
}

#[tokio::test]
async fn a_rule_that_observes_says_what_it_would_do_and_does_nothing() {
    let upstream = Upstream::start();
    let node = builder().resources(&resources(&upstream.url(), "observe", "next_hour")).start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    accepted(&node, key).await;
    flood(&node, key, 101).await;
    let log = || node.json(&["rules", "log"])["firings"].as_array().expect("firings").clone();
    wait_until(SOON, || async { !log().is_empty() }).await;
    flood(&node, key, 20).await;
    let firings = log();
    assert_eq!(firings.len(), 1, "{firings:?}");
    assert_eq!((&firings[0]["observed"], &firings[0]["action"]), (&Value::from(true), &Value::from("block")));
    assert_eq!(firings[0]["subject_id"], created["id"]);
    assert!(held(&node, &["--all"]).is_empty() && of_rule(&node).is_empty());
}

#[tokio::test]
async fn who_is_unblocked_by_hand_begins_anew() {
    let upstream = Upstream::start();
    let mut node = builder().resources(&resources(&upstream.url(), "enforce", "manual")).start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    accepted(&node, key).await;
    flood(&node, key, 101).await;
    blocked(&node, key).await;
    let blocks = held(&node, &["--key", text(&created, "id")]);
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    let lifted = node.json(&["blocks", "lift", text(&blocks[0], "id")]);
    assert!(text(&lifted, "ended_by").starts_with("os:"), "{lifted}");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    // What came before counts no more, not even for a node that counts anew.
    node.restart();
    flood(&node, key, 60).await;
    // Long enough for a rule that counted what it must not.
    tokio::time::sleep(REACTS_WITHIN).await;
    flood(&node, key, 41).await;
    assert!(blocked(&node, key).await < REACTS_WITHIN);
    let audit = node.json(&["audit", "verify"]);
    assert_eq!(audit["intact"], true);
}

#[tokio::test]
async fn requests_to_two_nodes_count_together_and_the_block_holds_on_both() {
    let upstream = Upstream::start();
    let url = Postgres::shared().create_database();
    let resources = resources(&upstream.url(), "enforce", "manual");
    let one = builder().database(&url).resources(&resources).start();
    let other = builder().database(&url).without_init().start();
    let created = create_key(&one, &[]);
    let key = text(&created, "key");
    accepted(&one, key).await;
    accepted(&other, key).await;
    flood(&one, key, 51).await;
    flood(&other, key, 50).await;
    let (first, second) = (blocked(&one, key).await, blocked(&other, key).await);
    assert!(first + second < REACTS_WITHIN, "{first:?}, {second:?}");
}

#[tokio::test]
async fn a_draft_policy_is_tried_on_recorded_requests() {
    let upstream = Upstream::start();
    let node = builder().resources(&crate::world::resources(&upstream.url())).start();
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let before = upstream.count();
    flood(&node, key, 20).await;
    let draft = node.folder().join("draft.toml");
    let text_of = |more: &str| {
        format!("[[policy]]\nproject = \"maps\"\nname = \"standard\"\nservices = [\"tiles\"]\n{more}")
    };
    let tried = |more: &str| {
        std::fs::write(&draft, text_of(more)).expect("write the draft");
        let path = draft.display().to_string();
        node.json(&["policies", "backtest", &path, "--last", "1h"])["policies"][0].clone()
    };
    let same = tried("scopes = [\"read\"]");
    assert_eq!((&same["newly_denied"], &same["newly_allowed"]), (&Value::from(0), &Value::from(0)), "{same}");
    assert_eq!(same["requests"].as_u64(), Some(before + 20));
    let narrow = tried("allow_ips = [\"10.0.0.0/8\"]");
    assert_eq!(narrow["newly_denied"].as_u64(), Some(before + 20), "{narrow}");
    assert_eq!(
        (&narrow["changes"][0]["after"], &narrow["changes"][0]["key_id"]),
        (&Value::from("ip_not_allowed"), &created["id"])
    );
    let limited = tried("[[policy.limit]]\nname = \"few\"\namount = 5\nwindow = \"1h\"");
    assert_eq!(limited["newly_denied"].as_u64(), Some(before + 15), "{limited}");
    let unknown = tried("allow_origins = [\"https://app.example.com\"]");
    assert_eq!(unknown["newly_denied"], 0, "what is not recorded refuses nothing");
    assert!(unknown["notes"].to_string().contains("allow_origins"), "{unknown}");
}
