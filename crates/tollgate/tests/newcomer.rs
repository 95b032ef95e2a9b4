//! The first hour: init, apply, create, serve, request, explain, usage, over the real binary.

use tollgate_testkit::http::{Call, get};
use tollgate_testkit::{Upstream, wait_until};

use crate::world::{SOON, create_key, node, text, tiles};

#[tokio::test]
async fn a_newcomer_gets_from_nothing_to_counted_and_explained_requests() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &["--name", "first", "--metadata", "team=blue"]);
    let (id, key) = (text(&created, "id"), text(&created, "key"));
    assert!(key.starts_with("mbk_live_") && key.ends_with(text(&created, "last4")));
    assert_eq!(text(&created, "prefix"), "mbk");

    // A running node learns of the key by itself.
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let allowed = tiles(&node, key).await;
    assert_eq!(allowed.status, 200);
    let denied = Call::new("DELETE", "/tiles/7").bearer(key).send(node.gateway()).await;
    assert_eq!((denied.status.as_u16(), denied.code().as_str()), (403, "scope_missing"));
    let missing = get(node.gateway(), "/tiles/7").await;
    assert_eq!(missing.code(), "key_missing");

    // Everything answered before the call is in it, without waiting (I12).
    let usage = node.json(&["usage", "--by", "key,service,code,consumer,model,day"]);
    let requests = |code: &str| -> u64 {
        let rows = usage["rows"].as_array().expect("rows");
        rows.iter().filter(|row| row["code"] == code).filter_map(|row| row["requests"].as_u64()).sum()
    };
    assert_eq!(requests("scope_missing"), 1);
    assert_eq!(requests("key_missing"), 1);
    assert!(requests("valid") >= 2);
    let total = usage["total"]["requests"].as_u64().expect("a total");
    assert_eq!(usage["total"]["denied"].as_u64().expect("denied") + requests("valid"), total);
    let row = usage["rows"].as_array().expect("rows").iter().find(|row| row["code"] == "scope_missing");
    let row = row.expect("the denied request");
    assert_eq!((row["key"].as_str(), row["service"].as_str()), (Some(id), Some("tiles")));
    assert_eq!((row["consumer"].as_str(), row["model"].as_str()), (Some("android-team"), None));

    // The denial explains itself by the id that the client got.
    let decision = denied.json()["decision_id"].as_str().expect("a decision id").to_owned();
    assert_eq!(denied.header("x-request-id"), Some(decision.as_str()));
    let explained = node.json(&["explain", &decision]);
    assert_eq!(explained["code"], "scope_missing");
    assert_eq!(explained["decision"]["path"], "/tiles/7");
    let steps = explained["steps"].as_array().expect("steps");
    let failed: Vec<_> = steps.iter().filter(|step| step["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["check"], "scope");

    // So does one that was only imagined, whole key or id.
    for credential in [key, id] {
        let imagined =
            node.json(&["explain", "--key", credential, "--method", "DELETE", "--path", "/tiles/7"]);
        assert_eq!(imagined["code"], "scope_missing");
        assert_eq!(imagined["key_id"], id);
    }
    let imagined = node.json(&["explain", "--key", key, "--path", "/tiles/%2e%2e/other"]);
    assert_eq!(imagined["code"], "no_service");

    let counted = node.json(&["events", "query", "--code", "scope_missing", "--key", id, "--count"]);
    assert_eq!(counted["count"], 1);
    let events = node.json(&["events", "query", "--service", "tiles", "--consumer", "android-team"]);
    assert_eq!(events["events"][0]["type"], "decision");

    // The key is nowhere but in the answer that made it (I6).
    let everything = [
        node.cli(&["keys", "list"]).success().stdout,
        node.cli(&["keys", "show", id]).success().stdout,
        node.cli(&["export"]).success().stdout,
        node.cli(&["audit", "list"]).success().stdout,
        node.cli(&["events", "query"]).success().stdout,
        node.log(),
    ];
    assert!(everything.iter().all(|text| !text.contains(key)));
}

#[tokio::test]
async fn explain_knows_quotas_hosts_and_headers() {
    let node = crate::world::prepared();
    let resources = crate::world::resources("http://127.0.0.1:9").replace(
        "scopes = [\"read\"]",
        "allow_referers = [\"https://*.example.com/*\"]\n  [[policy.limit]]\n  name = \"burst\"\n  amount = 5\n  window = \"1s\"\n",
    );
    let _ = node.apply(&resources);
    let created = create_key(&node, &["--bind-host", "localhost", "--allow-ip", "127.0.0.0/8"]);
    let key = text(&created, "key");
    let explain = |more: &[&str]| {
        let mut arguments = vec!["explain", "--key", key, "--path", "/tiles/1"];
        arguments.extend_from_slice(more);
        node.json(&arguments)
    };
    assert_eq!(explain(&[])["code"], "ip_not_allowed");
    assert_eq!(explain(&["--ip", "10.0.0.1"])["code"], "ip_not_allowed");
    assert_eq!(explain(&["--ip", "127.0.0.9"])["code"], "host_mismatch");
    assert_eq!(explain(&["--ip", "127.0.0.1"])["code"], "referer_not_allowed");
    let good = explain(&["--ip", "127.0.0.1", "--header", "Referer: https://a.example.com/x"]);
    assert_eq!(good["allowed"], true);
    assert!(good["notes"].as_array().is_some_and(|notes| notes.len() == 2), "{good}");
    let standard_input =
        node.cli_with_input(&["explain", "--key", "-", "--path", "/tiles/1"], &format!("{key}\n"));
    assert_eq!(standard_input.success().json()["code"], "ip_not_allowed");
    assert_eq!(node.json(&["explain", "--key", "mbk_live_x", "--path", "/tiles/1"])["code"], "key_malformed");
    assert_eq!(node.json(&["explain", "--key", key, "--path", "/a/%2f/b"])["code"], "malformed_request");
}
