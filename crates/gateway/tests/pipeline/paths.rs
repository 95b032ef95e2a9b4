//! No spelling of a path escapes its policy (CONTRACT §4).

use tollgate_testkit::{http::Call, raw::exchange_within};

use super::world::{DEADLINE, Plan, World, assert_refused};

const TWO: &str = r#"
    [[service]]
    project = "maps"
    name = "open"
    kind = "proxy"
    match = { path_prefix = "/open" }
    upstreams = ["{upstream}"]

    [[service]]
    project = "maps"
    name = "closed"
    kind = "proxy"
    match = { path_prefix = "/closed" }
    upstreams = ["{upstream}"]

    [[service]]
    project = "maps"
    name = "stripped"
    kind = "proxy"
    match = { path_prefix = "/stripped" }
    strip_prefix = true
    rewrite = { from = "/v1/*/items/**", to = "/items/{1}/{2}" }
    upstreams = ["{upstream}"]

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["open", "stripped"]
    endpoints = ["GET /open/public/**", "GET /stripped/**"]
"#;

/// Sends a target exactly as it is written.
async fn status_of(world: &World, key: &str, target: &str) -> u16 {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange_within(world.address, request.as_bytes(), DEADLINE).await;
    answer.status().unwrap_or_else(|| panic!("{target}: {}", answer.text()))
}

#[tokio::test]
async fn every_spelling_is_decided_and_forwarded_as_the_same_path() {
    let world = Plan::new(TWO).start();
    let key = world.key("standard");
    for target in [
        "/open/public/a",
        "//open/public//a",
        "/open/./public/a",
        "/open/x/../public/a",
        "/open/%70ublic/a",
        "/open/x/%2e%2e/public/a",
        "/closed/../open/public/a",
        "/%6fpen/public/%61",
    ] {
        assert_eq!(status_of(&world, &key, target).await, 200, "{target}");
        assert_eq!(world.upstream.take_seen().pop().unwrap().target, "/open/public/a", "{target}");
    }
}

#[tokio::test]
async fn no_spelling_leads_out_of_what_the_policy_allows() {
    let world = Plan::new(TWO).start();
    let key = world.key("standard");
    for target in [
        "/open/private",
        "/open/public/../private",
        "/open/public/%2e%2e/private",
        "/open/public/%2E%2e/private",
        "/open/public/./../private",
        "//open//private",
        "/open/public/../../closed/a",
        "/open/%2e%2e/closed/a",
        "/closed/a",
        "/%63losed/a",
        "/OPEN/public/a",
        "/open/Public/a",
        "/open/public%3b/../private",
        "/open;x/public/a",
    ] {
        let status = status_of(&world, &key, target).await;
        assert!(status == 403 || status == 404, "{target}: {status}");
    }
    for target in [
        "/open/public%2f..%2fprivate",
        "/open/public/%2f/a",
        "/open/public/..%5cprivate",
        "/open/public/%00",
        "/open/public/%c0%ae%c0%ae/private",
        "/open/public/..;/private",
        "/open/public/%",
        "/open/public/%zz",
        "/../open/public/a",
        "/open/../../closed",
    ] {
        assert_eq!(status_of(&world, &key, target).await, 400, "{target}");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn what_is_no_plain_character_goes_upstream_encoded() {
    let world = Plan::new(TWO).start();
    let key = world.key("standard");
    assert_eq!(status_of(&world, &key, "/open/public/a%20b/%C3%BC/100%25/%3Fx").await, 200);
    assert_eq!(world.upstream.take_seen()[0].target, "/open/public/a%20b/%C3%BC/100%25/%3Fx");
    assert_eq!(world.records_of(1).await[0].path, "/open/public/a b/ü/100%/?x");
}

#[tokio::test]
async fn reserved_characters_go_upstream_as_they_came_and_are_judged_decoded() {
    let world = Plan::new(TWO).start();
    let key = world.key("standard");
    let cases = [
        ("/open/public/a%2bb+c?q=%2b", "/open/public/a%2Bb+c?q=%2b", "/open/public/a+b+c"),
        ("/open/%70ublic/%40@%3a:", "/open/public/%40@%3A:", "/open/public/@@::"),
        ("/stripped/v1/%2C,/items/%3D/=", "/items/%2C,/%3D/=", "/stripped/v1/,,/items/=/="),
    ];
    for (count, (target, upstream, path)) in (1..).zip(cases) {
        assert_eq!(status_of(&world, &key, target).await, 200, "{target}");
        assert_eq!(world.upstream.take_seen().pop().unwrap().target, upstream, "{target}");
        assert!(world.records_of(count).await.iter().any(|record| record.path == path), "{target}");
    }
}

#[tokio::test]
async fn prefixes_are_cut_off_and_paths_rewritten_with_the_query_kept() {
    let world = Plan::new(TWO).start();
    let key = world.key("standard");
    for (target, upstream) in [
        ("/stripped", "/"),
        ("/stripped/a/b?c=d", "/a/b?c=d"),
        ("/stripped/v1/7/items/x/y?c=%20", "/items/7/x/y?c=%20"),
    ] {
        assert_eq!(status_of(&world, &key, target).await, 200, "{target}");
        assert_eq!(world.upstream.take_seen().pop().unwrap().target, upstream, "{target}");
    }
}

#[tokio::test]
async fn the_words_about_a_bad_path_say_what_is_wrong() {
    let world = Plan::new(TWO).start();
    let reply = world.send(Call::get("/open/a%2fb").bearer(&world.key("standard"))).await;
    assert_refused(&reply, 400, "malformed_request");
    assert!(reply.json()["detail"].as_str().unwrap().contains("slash"), "{}", reply.text());
}
