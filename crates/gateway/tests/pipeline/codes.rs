//! Every code of the contract that is not about money, as a client sees it.

use std::time::Duration;

use tollgate_core::{
    key::{Digest, Environment},
    keyring::{KeyState, Narrowing},
};
use tollgate_testkit::{
    http::{Call, get},
    wait_until,
};

use super::world::{DEADLINE, Plan, TILES, World, assert_refused};

#[tokio::test]
async fn a_request_with_a_good_key_reaches_the_upstream_and_its_answer_comes_back() {
    let world = World::tiles();
    let key = world.key("standard");
    let reply = world.get("/tiles/7/8?zoom=3", &key).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(world.upstream.seen()[0].target, "/tiles/7/8?zoom=3");
    let record = &world.records_of(1).await[0];
    assert_eq!(record.entry.code, 0);
    assert_eq!(record.entry.status, 200);
    assert_eq!(record.path, "/tiles/7/8");
    assert_eq!(record.entry.bytes_out, reply.body.len() as u64);
}

#[tokio::test]
async fn a_request_without_a_key_is_asked_for_one() {
    let world = World::tiles();
    let reply = get(world.address, "/tiles/1").await;
    assert_refused(&reply, 401, "key_missing");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn what_is_no_key_is_told_apart_from_a_key_that_nobody_has() {
    let world = World::tiles();
    let malformed = world.get("/tiles/1", "hello").await;
    assert_refused(&malformed, 401, "key_malformed");
    assert_eq!(malformed.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    let unknown = world.get("/tiles/1", &world.fresh_text()).await;
    assert_refused(&unknown, 401, "key_unknown");
}

#[tokio::test]
async fn the_state_of_a_key_decides() {
    let world = World::tiles();
    for (state, status, code) in [
        (KeyState::Revoked, 401, "key_revoked"),
        (KeyState::Disabled, 403, "key_disabled"),
        (KeyState::Blocked, 403, "key_blocked"),
    ] {
        let key = world.key_with("standard", |record| record.state = state);
        assert_refused(&world.get("/tiles/1", &key).await, status, code);
    }
    let expired = world.key_with("standard", |record| record.expires_us = 1);
    assert_refused(&world.get("/tiles/1", &expired).await, 401, "key_expired");
    let rotated = world.key_with("standard", |record| record.secret_until_us = 1);
    assert_refused(&world.get("/tiles/1", &rotated).await, 401, "key_expired");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_key_revoked_while_a_connection_is_open_is_refused_at_its_next_request() {
    let world = World::tiles();
    let key = world.fresh_text();
    let record = world.record("standard");
    world.put(key.as_bytes(), "standard", |own| *own = record.clone());
    let mut connection = tollgate_testkit::http::Connection::open(world.address).await.unwrap();
    let call = || Call::get("/tiles/1").bearer(&key);
    assert_eq!(connection.send(call()).await.unwrap().status, 200);
    world.put(key.as_bytes(), "standard", |own| {
        *own = record.clone();
        own.version = 2;
        own.state = KeyState::Revoked;
    });
    assert_refused(&connection.send(call()).await.unwrap(), 401, "key_revoked");
}

const RESTRICTED: &str = r#"
    [[service]]
    project = "maps"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/tiles" }
    upstreams = ["{upstream}"]
    endpoint_scopes = { "POST /tiles/render" = ["render"] }

    [[service]]
    project = "maps"
    name = "staging"
    kind = "proxy"
    environment = "test"
    match = { path_prefix = "/staging" }
    upstreams = ["{upstream}"]

    [[service]]
    project = "other"
    name = "foreign"
    kind = "proxy"
    match = { path_prefix = "/foreign" }
    upstreams = ["{upstream}"]

    [[policy]]
    project = "maps"
    name = "all"
    services = ["*"]

    [[policy]]
    project = "maps"
    name = "none"
    services = []

    [[policy]]
    project = "maps"
    name = "reader"
    services = ["*"]
    scopes = ["read", "write"]

    [[policy]]
    project = "maps"
    name = "narrow"
    services = ["*"]
    endpoints = ["GET /tiles/*"]

    [[policy]]
    project = "maps"
    name = "networks"
    services = ["*"]
    allow_ips = ["203.0.113.0/24"]

    [[policy]]
    project = "maps"
    name = "pages"
    services = ["*"]
    allow_referers = ["https://*.example.com/*"]

    [[policy]]
    project = "maps"
    name = "origins"
    services = ["*"]
    allow_origins = ["https://app.example.com"]

    [[policy]]
    project = "maps"
    name = "agents"
    services = ["*"]
    allow_user_agents = ["MyApp/*"]

    [[policy]]
    project = "maps"
    name = "apps"
    services = ["*"]
    allow_apps = ["ios:com.example.app", "android:com.example.app:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"]
"#;

#[tokio::test]
async fn each_restriction_of_a_policy_refuses_with_its_own_code_and_lets_the_right_request_pass() {
    let world = Plan::new(RESTRICTED).start();
    let call = || Call::get("/tiles/1");
    let certificate = "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09";
    let cases = [
        ("none", call(), None, "service_not_granted"),
        ("reader", Call::new("DELETE", "/tiles/1"), Some(call()), "scope_missing"),
        (
            "reader",
            Call::new("POST", "/tiles/render"),
            Some(Call::new("POST", "/tiles/other")),
            "scope_missing",
        ),
        ("narrow", Call::get("/tiles/1/2"), Some(call()), "endpoint_not_allowed"),
        ("networks", call(), None, "ip_not_allowed"),
        (
            "pages",
            call().header("referer", "https://evil.example/.example.com/"),
            Some(call().header("referer", "https://www.example.com/map")),
            "referer_not_allowed",
        ),
        (
            "origins",
            call().header("origin", "https://evil.example"),
            Some(call().header("origin", "https://app.example.com")),
            "origin_not_allowed",
        ),
        ("agents", call(), Some(call().header("user-agent", "MyApp/2.0")), "user_agent_not_allowed"),
        (
            "apps",
            call(),
            Some(call().header("x-ios-bundle-identifier", "com.example.app")),
            "app_not_allowed",
        ),
        (
            "apps",
            call().header("x-android-package", "com.example.app"),
            Some(call().header("x-android-package", "com.example.app").header("x-android-cert", certificate)),
            "app_not_allowed",
        ),
    ];
    for (policy, refused, allowed, code) in cases {
        let key = world.key(policy);
        assert_refused(&world.send(refused.bearer(&key)).await, 403, code);
        if let Some(allowed) = allowed {
            let reply = world.send(allowed.bearer(&key)).await;
            assert_eq!(reply.status, 200, "{policy}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_key_stays_in_its_project_even_with_a_grant_of_all() {
    let world = Plan::new(RESTRICTED).start();
    let key = world.key("all");
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    assert_refused(&world.get("/foreign/1", &key).await, 403, "service_not_granted");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_live_key_does_not_open_a_test_service() {
    let world = Plan::new(RESTRICTED).start();
    assert_refused(&world.get("/staging/1", &world.key("all")).await, 403, "environment_mismatch");
    let test_key = world.key_with("all", |record| record.environment = Environment::Test);
    assert_eq!(world.get("/staging/1", &test_key).await.status, 200);
}

#[tokio::test]
async fn a_key_without_policy_grants_nothing() {
    let world = World::tiles();
    let key = world.key_with("standard", |record| record.policy = None);
    assert_refused(&world.get("/tiles/1", &key).await, 403, "service_not_granted");
}

#[tokio::test]
async fn a_keys_own_networks_narrow_its_policy() {
    let world = World::tiles();
    for (network, status) in [("127.0.0.0/8", 200), ("203.0.113.0/24", 403)] {
        let networks = Some(Box::from([network.parse().unwrap()]));
        let key = world.key_with("standard", |record| {
            record.narrowing = Some(Box::new(Narrowing { bind_host: None, networks }));
        });
        assert_eq!(world.get("/tiles/1", &key).await.status, status, "{network}");
    }
}

#[tokio::test]
async fn the_right_most_hop_that_is_no_trusted_proxy_is_the_client() {
    let mut plan = Plan::new(RESTRICTED);
    plan.options.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let world = plan.start();
    let key = world.key("networks");
    for (chain, allowed) in [
        ("203.0.113.9", true),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1", true),
        ("203.0.113.9, 198.51.100.1", false),
        ("203.0.113.9, nonsense", false),
        ("10.1.1.1", false),
    ] {
        let reply = world.send(Call::get("/tiles/1").bearer(&key).header("x-forwarded-for", chain)).await;
        assert_eq!(reply.status.is_success(), allowed, "{chain}: {}", reply.text());
    }
    let stranger = Plan::new(RESTRICTED).start();
    let key = stranger.key("networks");
    let reply =
        stranger.send(Call::get("/tiles/1").bearer(&key).header("x-forwarded-for", "203.0.113.9")).await;
    assert_refused(&reply, 403, "ip_not_allowed");
}

#[tokio::test]
async fn a_key_bound_to_a_host_works_from_its_addresses_only_and_as_long_as_they_hold() {
    let world = World::tiles();
    let key = world.key_with("standard", |record| record.narrowing = World::bound_to("build.example.com"));
    let answer = |address: &str| {
        world.names.lock().unwrap().insert("build.example.com".into(), vec![address.parse().unwrap()]);
    };
    answer("127.0.0.1");
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    answer("203.0.113.9");
    assert_eq!(world.get("/tiles/1", &key).await.status, 200, "the first answer holds for its TTL");
    world.clock.advance(Duration::from_secs(61));
    assert_refused(&world.get("/tiles/1", &key).await, 403, "host_mismatch");
    world.names.lock().unwrap().clear();
    world.clock.advance(Duration::from_secs(61));
    assert_refused(&world.get("/tiles/1", &key).await, 403, "host_mismatch");
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_host_is_looked_up_is_refused() {
    let world = World::tiles();
    let key = world.fresh_text();
    let mut record = world.record("standard");
    record.narrowing = World::bound_to("build.example.com");
    world.snapshot.keyring.put(Digest::of(key.as_bytes()), record.clone());
    world.names.lock().unwrap().insert("build.example.com".into(), vec!["127.0.0.1".parse().unwrap()]);
    let closed = world.door.acquire_many(8).await.unwrap();
    let waiting = {
        let (call, address) = (Call::get("/tiles/1").bearer(&key), world.address);
        tokio::spawn(async move { call.send(address).await })
    };
    wait_until(DEADLINE, || async { world.door.available_permits() == 0 && world.asked() == 1 }).await;
    record.version = 2;
    record.state = KeyState::Revoked;
    world.snapshot.keyring.put(Digest::of(key.as_bytes()), record);
    drop(closed);
    assert_refused(&waiting.await.unwrap(), 401, "key_revoked");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn what_no_service_takes_is_not_found() {
    let world = World::tiles();
    let reply = world.get("/elsewhere", &world.key("standard")).await;
    assert_refused(&reply, 404, "no_service");
    assert_refused(&world.get("/tilesets/1", &world.key("standard")).await, 404, "no_service");
}

#[tokio::test]
async fn a_node_that_cannot_prove_its_freshness_refuses_and_says_when_to_try_again() {
    let world = Plan::new(TILES).start_stale();
    let key = world.key("standard");
    for target in ["/tiles/1", "/nothing", "/v1/me"] {
        let reply = world.get(target, &key).await;
        assert_refused(&reply, 503, "auth_stale");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(world.upstream.count(), 0);
    world.snapshot.keep_fresh_until(u64::MAX);
    assert_eq!(world.get("/tiles/1", &key).await.status, 200);
}

#[tokio::test]
async fn a_body_beyond_the_bound_of_its_service_is_refused_before_it_is_counted() {
    let resources = TILES
        .replace("upstreams = [\"{upstream}\"]", "upstreams = [\"{upstream}\"]\n body_bytes_max = 10")
        + "\n[[policy.limit]]\nname = \"burst\"\namount = 1\nwindow = \"1h\"\n";
    let world = Plan::new(&resources).start();
    let key = world.key("standard");
    let post = |body: &'static str| Call::new("POST", "/tiles/echo").bearer(&key).body(body);
    assert_refused(&world.send(post("eleven byte")).await, 413, "body_too_large");
    let reply = world.send(post("ten bytes.")).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "ten bytes."));
}

#[tokio::test]
async fn a_streamed_body_that_grows_beyond_the_bound_is_cut_and_refused() {
    let resources =
        TILES.replace("upstreams = [\"{upstream}\"]", "upstreams = [\"{upstream}\"]\n body_bytes_max = 10");
    let world = Plan::new(&resources).start();
    let key = world.key("standard");
    let request = format!(
        "POST /tiles/hang HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    );
    let answer = tollgate_testkit::raw::exchange_within(world.address, request.as_bytes(), DEADLINE).await;
    assert_eq!(answer.status(), Some(413), "{}", answer.text());
    assert!(answer.closed);
    assert!(world.upstream.seen().iter().all(|seen| !seen.complete));
}

#[tokio::test]
async fn a_malformed_head_and_an_enormous_one_are_refused_and_journalled() {
    let world = World::tiles();
    let twice = b"GET /tiles/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let answer = tollgate_testkit::raw::exchange_within(world.address, twice, DEADLINE).await;
    assert_eq!(answer.status(), Some(400), "{}", answer.text());
    assert!(answer.closed);
    assert!(answer.text().contains("malformed_request"));
    let huge = format!("GET /tiles/1 HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let answer = tollgate_testkit::raw::exchange_within(world.address, huge.as_bytes(), DEADLINE).await;
    assert_eq!(answer.status(), Some(431), "{}", answer.text());
    assert!(answer.text().contains("head_too_large"));
    let codes: Vec<u8> = world.records_of(2).await.iter().map(|record| record.entry.code).collect();
    assert_eq!(codes, [1, 26]);
}
