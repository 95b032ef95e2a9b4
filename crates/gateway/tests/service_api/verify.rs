//! `POST /v1/keys/verify`: every answer.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::{
    code::Code,
    id::DecisionId,
    keyring::{KeyState, Narrowing},
};
use tollgate_journal::Flags;

use super::world::{ACME, NOON_US, World, service_id};

const LIMITS: &str = r#"
    scopes = ["read", "write"]
    max_concurrency = 1
    [[limit]]
    name = "burst"
    amount = 3
    window = "1m"
    [[limit]]
    name = "bytes"
    unit = "units"
    amount = 100
    window = "10s"
    [[quota]]
    name = "monthly"
    amount = 10
    period = "month"
    per = "consumer"
"#;

#[tokio::test]
async fn an_allowed_answer_says_all_of_the_contract() {
    let world = World::start();
    let key = world.key_with(LIMITS, |record| record.expires_us = NOON_US + 3_600_000_000);
    let mut answer = world
        .verify(json!({"key": key, "service": "maps/tiles", "method": "GET", "path": "/tiles/1", "cost": 2}))
        .await;
    let id = answer.as_object_mut().unwrap().remove("decision_id").unwrap();
    assert!(id.as_str().unwrap().parse::<DecisionId>().is_ok());
    let expected = json!({
        "valid": true,
        "code": "valid",
        "key_id": "key_00000000001",
        "tenant": "acme",
        "project": "maps",
        "consumer": {
            "id": "con_0000000000X", "name": "android team", "external_id": "p-17", "metadata": {"plan": "gold"},
        },
        "environment": "live",
        "scopes": ["read", "write"],
        "expires_at": "2026-09-01T13:00:00Z",
        "limits": [
            {"name": "burst", "limit": 3, "remaining": 2, "reset_after_ms": 20_000},
            {"name": "bytes", "limit": 100, "remaining": 98, "reset_after_ms": 200},
        ],
        "quotas": [{"name": "monthly", "limit": 10, "remaining": 9, "reset_after_ms": 2_548_800_000_u64}],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn every_state_of_a_key_has_its_code() {
    let world = World::start();
    let unknown = world.unknown_key();
    let mut mistyped = unknown.clone();
    mistyped.pop();
    mistyped.push(if unknown.ends_with('a') { 'b' } else { 'a' });
    let cases = [
        (unknown, "key_unknown"),
        (mistyped, "key_malformed"),
        (String::new(), "key_malformed"),
        ("x".repeat(5000), "key_malformed"),
        (world.key_with("", |record| record.state = KeyState::Revoked), "key_revoked"),
        (world.key_with("", |record| record.state = KeyState::Disabled), "key_disabled"),
        (world.key_with("", |record| record.state = KeyState::Blocked), "key_blocked"),
        (world.key_with("", |record| record.expires_us = NOON_US), "key_expired"),
        (world.key_with("", |record| record.secret_until_us = NOON_US), "key_expired"),
        (world.key(""), "valid"),
    ];
    for (key, code) in cases {
        let answer = world.verify(json!({"key": key})).await;
        assert_eq!(answer["code"], code, "{answer}");
        if code != "valid" {
            assert!(answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
            assert_eq!(answer.get("retry_after_ms"), None, "{answer}");
        }
        let is_known = !matches!(code, "key_unknown" | "key_malformed");
        assert_eq!(answer.get("key_id").is_some(), is_known, "{answer}");
    }
}

#[tokio::test]
async fn every_restriction_is_asked_with_what_the_service_hands_over() {
    let world = World::start();
    let headers = |name: &str, value: &str| json!({"headers": {name: value}});
    let app = "allow_apps = [\"android:com.example.app:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\", \"ios:com.example.ios\"]";
    let android = json!({"headers": {
        "X-Android-Package": "com.example.app",
        "x-android-cert": "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09",
    }});
    let cases = [
        ("scopes = [\"read\"]", json!({"method": "POST"}), "scope_missing"),
        ("scopes = [\"read\"]", json!({"method": "GET"}), "valid"),
        ("scopes = [\"read\"]", json!({"scopes": ["export"]}), "scope_missing"),
        ("scopes = [\"read\", \"export\"]", json!({"scopes": ["export"]}), "valid"),
        ("scopes = [\"admin\"]", json!({"scopes": ["export"], "method": "DELETE"}), "valid"),
        (
            "scopes = [\"write\"]",
            json!({"service": "admin", "method": "POST", "path": "/admin/refunds/7"}),
            "scope_missing",
        ),
        ("services = [\"admin\"]", json!({"service": "maps/tiles"}), "service_not_granted"),
        ("services = []", json!({"service": "maps/tiles"}), "service_not_granted"),
        ("services = []", json!({}), "valid"),
        ("endpoints = [\"GET /tiles/*\"]", json!({"method": "GET", "path": "/tiles/1?x=/../2"}), "valid"),
        (
            "endpoints = [\"GET /tiles/*\"]",
            json!({"method": "GET", "path": "/tiles/../x"}),
            "endpoint_not_allowed",
        ),
        ("endpoints = [\"GET /tiles/*\"]", json!({"service": "maps/tiles"}), "endpoint_not_allowed"),
        ("allow_ips = [\"10.0.0.0/8\"]", json!({"ip": "10.1.2.3"}), "valid"),
        ("allow_ips = [\"10.0.0.0/8\"]", json!({"ip": "::ffff:10.1.2.3"}), "valid"),
        ("allow_ips = [\"10.0.0.0/8\"]", json!({"ip": "192.0.2.1"}), "ip_not_allowed"),
        ("allow_ips = [\"10.0.0.0/8\"]", json!({}), "ip_not_allowed"),
        (
            "allow_referers = [\"https://a.example.com/*\"]",
            headers("Referer", "https://a.example.com/x"),
            "valid",
        ),
        (
            "allow_referers = [\"https://a.example.com/*\"]",
            headers("referer", "https://b.example.com/x"),
            "referer_not_allowed",
        ),
        ("allow_origins = [\"https://a.example.com\"]", headers("ORIGIN", "https://a.example.com"), "valid"),
        ("allow_origins = [\"https://a.example.com\"]", json!({}), "origin_not_allowed"),
        ("allow_user_agents = [\"MyApp/*\"]", headers("User-Agent", "MyApp/2"), "valid"),
        ("allow_user_agents = [\"MyApp/*\"]", headers("User-Agent", "curl/8"), "user_agent_not_allowed"),
        (app, android, "valid"),
        (app, headers("X-Ios-Bundle-Identifier", "com.example.ios"), "valid"),
        (app, headers("X-Android-Package", "com.example.app"), "app_not_allowed"),
        ("models = [\"gemini-*\"]", json!({"model": "gemini-2.5-pro"}), "valid"),
        ("models = [\"gemini-*\"]", json!({"model": "gpt-5"}), "model_not_allowed"),
    ];
    for (policy, mut question, code) in cases {
        question["key"] = Value::from(world.key(policy));
        let answer = world.verify(question.clone()).await;
        assert_eq!(answer["code"], code, "{policy} {question} {answer}");
    }
}

#[tokio::test]
async fn a_path_that_servers_read_in_different_ways_is_refused_in_the_answer() {
    let world = World::start();
    let key = world.key("");
    for path in ["/tiles/%2e%2e%2fadmin", "/../x", "tiles", "", "/a%00b", "/%zz", "/a\\b"] {
        let answer = world.verify(json!({"key": key, "path": path, "method": "GET"})).await;
        assert_eq!(answer["code"], "malformed_request", "{path} {answer}");
    }
}

#[tokio::test]
async fn a_bound_host_is_compared_with_the_address_that_is_handed_over() {
    let world = World::start();
    world.hosts.lock().unwrap().insert("app.example.com".into(), vec!["192.0.2.7".parse().unwrap()]);
    let key = world.key_with("", |record| {
        record.narrowing =
            Some(Box::new(Narrowing { bind_host: Some("app.example.com".into()), networks: None }));
    });
    for (question, code) in [
        (json!({"key": key, "ip": "192.0.2.7"}), "valid"),
        (json!({"key": key, "ip": "192.0.2.8"}), "host_mismatch"),
        (json!({"key": key}), "host_mismatch"),
    ] {
        assert_eq!(world.verify(question).await["code"], code);
    }
}

#[tokio::test]
async fn a_service_is_named_in_three_ways() {
    let world = World::start();
    let key = world.key("");
    for (name, code) in [
        ("admin", "valid"),
        ("maps/admin", "valid"),
        ("acme/maps/admin", "valid"),
        ("maps/tiles", "valid"),
        ("shop/tiles", "service_not_granted"),
        ("tiles", "no_service"),
        ("nowhere", "no_service"),
        ("", "no_service"),
        ("globex/foreign/vault", "no_service"),
    ] {
        let answer = world.verify(json!({"key": key, "service": name})).await;
        assert_eq!(answer["code"], code, "{name} {answer}");
    }
    let answer = world.verify(json!({"key": key, "service": "tiles"})).await;
    assert!(answer["detail"].as_str().unwrap().contains("`project/name`"), "{answer}");
}

#[tokio::test]
async fn limits_are_counted_and_say_when_to_come_back() {
    let world = World::start();
    let key = world.key(LIMITS);
    for left in [2, 1, 0] {
        let answer = world.verify(json!({"key": key})).await;
        assert_eq!(answer["limits"][0]["remaining"], left, "{answer}");
    }
    let answer = world.verify(json!({"key": key})).await;
    assert_eq!(
        (&answer["code"], &answer["retry_after_ms"]),
        (&json!("rate_limited"), &json!(20_000)),
        "{answer}"
    );
    assert_eq!(answer["key_id"], "key_00000000001");
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(world.verify(json!({"key": key})).await["valid"], true);
}

#[tokio::test]
async fn a_cost_of_nothing_asks_and_does_not_count() {
    let world = World::start();
    let key = world.key(LIMITS);
    for _ in 0..5 {
        let answer = world.verify(json!({"key": key, "cost": 0})).await;
        assert_eq!(
            (&answer["valid"], &answer["limits"][0]["remaining"]),
            (&json!(true), &json!(3)),
            "{answer}"
        );
        assert_eq!(answer["quotas"][0]["remaining"], 10);
    }
    for _ in 0..3 {
        assert_eq!(world.verify(json!({"key": key})).await["valid"], true);
    }
    let answer = world.verify(json!({"key": key, "cost": 0})).await;
    assert_eq!(answer["code"], "rate_limited", "it says what would happen: {answer}");
}

#[tokio::test]
async fn a_cost_larger_than_the_limit_is_refused_and_takes_nothing() {
    let world = World::start();
    let key = world.key(LIMITS);
    let answer = world.verify(json!({"key": key, "cost": 101})).await;
    assert_eq!(answer["code"], "rate_limited", "{answer}");
    assert_eq!(answer.get("retry_after_ms"), None, "waiting would not help: {answer}");
    let answer = world.verify(json!({"key": key, "cost": 0})).await;
    assert_eq!(answer["limits"][0]["remaining"], 3, "a refused question moves no counter: {answer}");
    assert_eq!(answer["limits"][1]["remaining"], 100);
}

#[tokio::test]
async fn concurrency_is_given_back_at_once() {
    let world = World::start();
    let key = world.key("max_concurrency = 1");
    for _ in 0..3 {
        assert_eq!(world.verify(json!({"key": key})).await["valid"], true);
    }
}

#[tokio::test]
async fn a_node_that_is_not_known_to_be_fresh_accepts_nothing() {
    let world = World::start_stale();
    let answer = world.verify(json!({"key": world.key("")})).await;
    assert_eq!(
        (&answer["code"], &answer["retry_after_ms"]),
        (&json!("auth_stale"), &json!(1000)),
        "{answer}"
    );
}

/// I12, I18: every answer has its record, marked, with who and what, without credential and query.
#[tokio::test]
async fn every_answer_is_journalled() {
    let world = World::start();
    let key = world.key(LIMITS);
    let question = json!({
        "key": key, "service": "maps/tiles", "method": "GET", "path": "/tiles/1?key=secret", "ip": "192.0.2.1",
        "headers": {"User-Agent": "curl/8"},
    });
    let allowed = world.verify(question).await;
    let refused = world.verify(json!({"key": key, "scopes": ["export"]})).await;
    let unknown = world.verify(json!({"key": world.unknown_key()})).await;
    let records = world.records();
    assert_eq!(records.len(), 3);
    for (record, answer) in records.iter().zip([&allowed, &refused, &unknown]) {
        let id: DecisionId = answer["decision_id"].as_str().unwrap().parse().unwrap();
        assert_eq!((id.boot, id.lane, id.number), (0x7e57, 0, record.decision));
        assert!(record.entry.flags.contains(Flags::VERIFIED));
        assert_eq!((record.entry.status, record.entry.tenant), (200, ACME.0));
    }
    let [allowed, refused, unknown] = &records[..] else { panic!("three records") };
    assert_eq!(allowed.entry.service, service_id("maps", "tiles").0);
    assert_eq!((allowed.entry.key, allowed.entry.method, allowed.path.as_str()), (1, 1, "/tiles/1"));
    assert_eq!(allowed.user_agent, "curl/8");
    assert_eq!(allowed.entry.address, std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets());
    assert_eq!(allowed.charges.len(), 1, "the quota rides in the record");
    assert_eq!(allowed.charges[0].amount, 1);
    assert_eq!((refused.entry.code, refused.entry.key), (Code::ScopeMissing.number(), 1));
    assert!(
        refused.charges.is_empty() && refused.detail.contains("scope export is needed"),
        "{}",
        refused.detail
    );
    assert_eq!((unknown.entry.code, unknown.entry.key), (Code::KeyUnknown.number(), 0));
}

#[tokio::test]
async fn bad_keys_are_throttled_by_the_address_that_is_handed_over_and_good_ones_are_not() {
    let world = World::start();
    let (bad, good) = (world.unknown_key(), world.key(""));
    let mut codes = Vec::new();
    for _ in 0..31 {
        codes.push(world.verify(json!({"key": bad, "ip": "192.0.2.9"})).await["code"].clone());
    }
    assert_eq!((&codes[29], &codes[30]), (&json!("key_unknown"), &json!("too_many_bad_keys")));
    assert_eq!(world.verify(json!({"key": bad, "ip": "192.0.2.10"})).await["code"], "key_unknown");
    assert_eq!(world.verify(json!({"key": bad})).await["code"], "key_unknown", "no address, no throttle");
    assert_eq!(world.verify(json!({"key": good, "ip": "192.0.2.9"})).await["code"], "valid");
}

#[tokio::test]
async fn a_hard_budget_with_nothing_left_refuses_calls_that_name_a_model() {
    for (amount, left) in [("0.00", false), ("1.00", true)] {
        let world = World::start();
        let key = world.key("models = [\"m\"]\n[[quota]]\nname = \"daily\"\namount = 5\nperiod = \"day\"");
        world.set_budget(amount);
        let ask = |model: Option<&str>| json!({"key": key, "service": "maps/tiles", "model": model});
        let answer = world.verify(ask(Some("m"))).await;
        assert_eq!(answer["valid"], left, "{answer}");
        if !left {
            assert_eq!(answer["code"], "budget_exhausted");
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.starts_with("the budget of project maps of 0.00 USD has 0.00 left"), "{detail}");
        }
        let plain = world.verify(ask(None)).await;
        assert_eq!(plain["valid"], true, "what names no model costs nothing: {plain}");
        assert_eq!(
            plain["quotas"][0]["remaining"],
            if left { 3 } else { 4 },
            "a refused call counts nowhere"
        );
        assert_eq!(world.verify(ask(Some("other"))).await["code"], "model_not_allowed");
        world.treasury.silent.store(true, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(world.treasury.books().len(), 1);
    }
}
