//! I6 over everything that makes keys: API, console, command line, rotation, many at once. Each whole key is
//! in exactly one answer, and in no file, page, log, metric or export. What is made or ended through the
//! API counts at the gateway when its answer comes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_testkit::http::{Call, get};
use tollgate_testkit::{Upstream, wait_until};

use crate::person::{BASE, Owner, keys_in};
use crate::secrets::{holders, holds};
use crate::world::{SOON, builder, create_key, resources, text, tiles};

fn started(upstream: &Upstream) -> tollgate_testkit::Tollgate {
    builder()
        .config("[journal]\nbytes_max = \"1MiB\"\n[log]\nlevel = \"debug\"\n")
        .resources(&resources(&upstream.url()))
        .start()
}

fn new_key(name: &str) -> Value {
    json!({ "project": "maps", "consumer": "android-team", "policy": "standard", "name": name })
}

#[tokio::test]
async fn what_the_api_answers_holds_at_the_gateway_at_once() {
    let upstream = Upstream::start();
    let node = started(&upstream);
    let owner = Owner::sign_in(&node).await;
    for round in 0..10 {
        let made = owner.post("/keys", new_key(&format!("r{round}"))).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made = made.json();
        let (id, key) = (text(&made, "id"), text(&made, "key"));
        // No waiting anywhere: the answer says that it is so.
        assert_eq!(tiles(&node, key).await.status, 200, "accepted at once");
        assert_eq!(owner.post(&format!("/keys/{id}/disable"), json!({})).await.status, 400, "no body");
        let act = |what: &str| Call::new("POST", &format!("{BASE}/keys/{id}/{what}"));
        assert_eq!(owner.send(act("disable")).await.status, 200);
        assert_eq!(tiles(&node, key).await.code(), "key_disabled");
        assert_eq!(owner.send(act("enable")).await.status, 200);
        assert_eq!(tiles(&node, key).await.status, 200);
        let rotated = owner.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "0s" })).await.json();
        assert_eq!(tiles(&node, text(&rotated, "key")).await.status, 200);
        assert_eq!(tiles(&node, key).await.status, 401, "the old secret");
        assert_eq!(owner.send(act("revoke")).await.status, 200);
        assert_eq!(tiles(&node, text(&rotated, "key")).await.code(), "key_revoked");
    }
}

#[tokio::test]
async fn each_whole_key_is_in_one_answer_and_nowhere_else() {
    let upstream = Upstream::start();
    let node = started(&upstream);
    let owner = Owner::sign_in(&node).await;

    // Made in every way there is.
    let by_cli = create_key(&node, &["--name", "cli"]);
    let rotated_by_cli = node.json(&["keys", "rotate", text(&by_cli, "id"), "--overlap", "1h"]);
    let by_api = owner.post("/keys", new_key("api")).await.json();
    let id = text(&by_api, "id").to_owned();
    owner.post(&format!("/keys/{id}/rotate"), json!({ "overlap": "1h" })).await;
    let named = Call::post(&format!("{BASE}/keys"), &new_key("twice")).header("idempotency-key", "one");
    let again = Call::post(&format!("{BASE}/keys"), &new_key("twice")).header("idempotency-key", "one");
    assert_eq!(owner.send(named).await.status, 201);
    assert_eq!(owner.send(again).await.header("idempotent-replayed"), Some("true"));
    let many: Vec<Value> = (0..20).map(|index| new_key(&format!("bulk{index}"))).collect();
    assert_eq!(owner.post("/keys/bulk", json!({ "keys": many })).await.status, 201);
    let consumer = owner.get("/consumers").await.json();
    let consumer = text(&consumer["items"][0], "id").to_owned();
    let page = format!("/keys/new?consumer={consumer}");
    let fields = [("consumer", consumer.as_str()), ("name", "console"), ("policy", "standard")];
    let made = owner.form(&page, "/keys", &fields).await;
    assert_eq!(keys_in(&made.text()).len(), 1, "{}", made.text());
    let rotate = format!("/keys/{id}/rotate");
    let rotated = owner.form(&rotate, &rotate, &[("overlap", "1h")]).await;
    assert_eq!(keys_in(&rotated.text()).len(), 1, "{}", rotated.text());

    let mut answers: Vec<String> = owner.bodies.lock().expect("no panic").drain(..).collect();
    answers.push(by_cli.to_string());
    answers.push(rotated_by_cli.to_string());
    let whole: Vec<String> = answers.iter().flat_map(|answer| keys_in(answer)).collect();
    let different: BTreeSet<&String> = whole.iter().collect();
    assert_eq!(different.len(), 27, "each way made its own: {whole:?}");
    assert_eq!(whole.len(), 27, "and none was answered twice");

    // Used, listed, tagged, exported, looked at from everywhere.
    for key in &whole {
        let _answered = tiles(&node, key).await;
    }
    let tag = json!({ "operation": "tag", "keys": { "project": "maps" }, "set": { "wave": "1" } });
    let job = owner.post("/jobs", tag).await.json();
    let path = format!("/jobs/{}", text(&job, "id"));
    wait_until(SOON, || async { owner.get(&path).await.json()["state"] == "done" }).await;
    for path in
        ["/keys?limit=1000", "/audit?limit=1000", "/audit/export", "/events?wait=true", "/usage?by=key"]
    {
        assert_eq!(owner.get(path).await.status, 200, "{path}");
    }
    let pages = ["/", "/keys", "/events", "/usage", "/audit", "/consumers", "/settings", "/search?q=mbk"];
    for page in
        pages.into_iter().map(str::to_owned).chain([format!("/keys/{id}"), format!("/consumers/{consumer}")])
    {
        assert_eq!(owner.page(&page).await.status, 200, "{page}");
    }
    let mut told: Vec<String> = owner.bodies.lock().expect("no panic").drain(..).collect();
    told.push(get(node.control(), "/metrics").await.text());
    told.push(node.log());
    told.extend(upstream.seen().iter().map(|seen| format!("{seen:?}")));
    for arguments in [&["keys", "list"][..], &["events", "query"], &["audit", "list"], &["export"]] {
        told.push(node.cli(arguments).success().stdout);
    }
    for key in &different {
        let random = key.rsplit('_').next().expect("a last part");
        assert!(!told.iter().any(|text| holds(text.as_bytes(), random)), "something else holds it");
        // The database with its write-ahead log, the journal, the log, the configuration.
        let mut found = Vec::new();
        holders(node.folder(), random, &mut found);
        assert_eq!(found, Vec::<String>::new(), "files hold it");
    }
    println!("I6: {} keys, each in one answer and nowhere else", different.len());
}
