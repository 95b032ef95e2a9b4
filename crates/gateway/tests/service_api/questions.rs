//! Questions that cannot be answered: paths, methods, bodies.

use std::time::Duration;

use serde_json::json;
use tollgate_testkit::{http::Call, raw};

use super::world::{TOKEN, World, assert_mistake};

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told() {
    let world = World::start();
    for path in ["/", "/v1", "/v1/keys/verify/", "/v1/keys", "/authz", "/v1//keys/verify", "/V1/keys/verify"]
    {
        assert_mistake(&world.send(Call::post(path, &json!({})).bearer(TOKEN)).await, 404, "no_endpoint");
    }
    for path in ["/v1/keys/verify", "/v1/keys/verify-batch"] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let reply = world.send(Call::new(method, path).bearer(TOKEN)).await;
            assert_mistake(&reply, 405, "method_not_allowed");
            assert_eq!(reply.header("allow"), Some("POST"));
        }
    }
    assert!(world.records().is_empty(), "nothing was decided");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_with_line_field_and_remedy() {
    let world = World::start();
    for (body, words) in [
        ("", "line 1, column 0: the body ends too early"),
        ("{\n  \"key\": \"a\",\n  \"cost\": -1\n}", "line 3, column 12: cost: must be a whole number"),
        ("{\"keys\":[]}", "keys: there is no such field; fields are key, service"),
        ("{\"key\":\"a\"", "the body ends too early"),
        ("key=a", "line 1, column 1: the body is not JSON"),
        ("{\"key\":\"a\",\"ip\":\"localhost\"}", "ip: must be an address"),
    ] {
        let call = Call::new("POST", "/v1/keys/verify").header("content-type", "application/json");
        let reply = world.send(call.bearer(TOKEN).body(body)).await;
        assert_mistake(&reply, 400, "malformed_request");
        assert!(reply.json()["detail"].as_str().unwrap().contains(words), "{body}: {}", reply.text());
    }
}

#[tokio::test]
async fn another_content_is_not_supported() {
    let world = World::start();
    let body = json!({"key": world.key("")}).to_string();
    let call = || Call::new("POST", "/v1/keys/verify").bearer(TOKEN).body(body.clone());
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/jsonp", ""] {
        let reply = world.send(call().header("content-type", kind)).await;
        assert_mistake(&reply, 415, "unsupported_content");
    }
    let reply = world.send(call().header("content-encoding", "gzip")).await;
    assert_mistake(&reply, 415, "unsupported_content");
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(world.send(call().header("content-type", kind)).await.status, 200, "{kind}");
    }
    assert_eq!(world.send(call()).await.status, 200, "what says nothing is taken for JSON");
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_too_large() {
    let world = World::start();
    let key = world.key("");
    let question = |bytes: usize| format!("{{\"key\":\"{key}\",\"model\":\"{}\"}}", "m".repeat(bytes));
    let call = |path: &str, body: String| Call::new("POST", path).bearer(TOKEN).body(body);
    assert_eq!(world.send(call("/v1/keys/verify", question(60_000))).await.status, 200);
}

/// By hand: who sends so much meets a closed connection while it still writes.
#[tokio::test]
async fn a_body_that_says_that_it_is_too_large_is_refused_unread() {
    let world = World::start();
    for (path, bytes) in [("/v1/keys/verify", 65_537), ("/v1/keys/verify-batch", 4 * 1024 * 1024 + 1)] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {bytes}\r\n\r\n"
        );
        let answer = raw::exchange_within(world.address, head.as_bytes(), Duration::from_secs(10)).await;
        assert_eq!(
            (answer.status(), answer.answers(), answer.closed),
            (Some(413), 1, true),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains("\"code\":\"body_too_large\""), "{}", answer.text());
    }
}
