//! `ANY /authz/nginx`: what `auth_request` understands.

use tollgate_testkit::http::{Call, Reply};

use super::world::{TOKEN, World};

fn about(method: &str, uri: &str) -> Call {
    Call::get("/authz/nginx")
        .header("x-tollgate-service-token", TOKEN)
        .header("x-original-method", method)
        .header("x-original-uri", uri)
        .header("x-real-ip", "192.0.2.7")
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, real: &str, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.header("x-tollgate-code"), Some(code));
    assert_eq!(reply.header("x-tollgate-status"), Some(real));
    assert_eq!(reply.header("www-authenticate").is_some(), status == 401 || code == "scope_missing");
}

#[tokio::test]
async fn only_200_401_and_403_are_answered() {
    let world = World::start();
    let limited = world.key("[[limit]]\nname = \"burst\"\namount = 1\nwindow = \"1m\"");
    let ok = world.send(about("GET", "/tiles/1?x=1").bearer(&limited)).await;
    assert_eq!((ok.status.as_u16(), ok.header("x-tollgate-key-id")), (200, Some("key_00000000001")));
    assert_eq!(ok.header("x-tollgate-code"), None);
    let reply = world.send(about("GET", "/tiles/1").bearer(&limited)).await;
    assert_refused(&reply, 403, "429", "rate_limited");
    assert_eq!(reply.header("x-tollgate-retry-after"), Some("60"));
    assert_refused(&world.send(about("GET", "/tiles/1")).await, 401, "401", "key_missing");
    assert_refused(&world.send(about("GET", "/nowhere").bearer(&limited)).await, 403, "404", "no_service");
    let twice = about("GET", &format!("/tiles/1?key={limited}")).bearer(&limited);
    assert_refused(&world.send(twice).await, 403, "400", "credential_ambiguous");
    let read_only = world.key("scopes = [\"read\"]");
    let reply = world.send(about("DELETE", "/tiles/1").bearer(&read_only)).await;
    assert_refused(&reply, 403, "403", "scope_missing");
    let statuses: Vec<u16> = world.records().iter().map(|record| record.entry.status).collect();
    assert_eq!(statuses, [200, 403, 401, 403, 403, 403], "the log holds what was answered");
}

#[tokio::test]
async fn a_stale_node_refuses() {
    let world = World::start_stale();
    let reply = world.send(about("GET", "/tiles/1").bearer(&world.key(""))).await;
    assert_refused(&reply, 403, "503", "auth_stale");
}

#[tokio::test]
async fn a_wrong_configuration_of_the_proxy_is_no_fault_of_the_client() {
    let world = World::start();
    let key = world.key("");
    let bare = || Call::get("/authz/nginx").bearer(&key).header("x-original-uri", "/tiles/1");
    let reply = world.send(bare().header("x-original-method", "GET")).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (403, Some("token_missing")));
    let unknown = bare().header("x-original-method", "GET").header("x-tollgate-service-token", "tgs_unknown");
    let reply = world.send(unknown).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (403, Some("token_unknown")));
    let without_method = bare().header("x-tollgate-service-token", TOKEN);
    assert_refused(&world.send(without_method).await, 403, "400", "malformed_request");
}

#[tokio::test]
async fn look_alikes_with_underscores_do_not_exist() {
    let world = World::start();
    let key = world.key("endpoints = [\"GET /tiles/public\"]");
    let call = Call::get("/authz/nginx")
        .bearer(&key)
        .header("x-tollgate-service-token", TOKEN)
        .header("x_original_uri", "/tiles/public")
        .header("x-original-uri", "/tiles/secret")
        .header("x_original_method", "GET")
        .header("x-original-method", "GET");
    assert_refused(&world.send(call).await, 403, "403", "endpoint_not_allowed");
}

/// A configuration writes one of the two fields; the other may be the client's own.
#[tokio::test]
async fn an_address_that_two_fields_disagree_about_is_not_known() {
    let world = World::start();
    let key = world.key("allow_ips = [\"192.0.2.7\"]");
    for (hops, real, status) in [
        (Some("192.0.2.7"), None, 200),
        (Some("10.0.0.1, 192.0.2.7"), None, 200),
        (None, Some("192.0.2.7"), 200),
        (Some("192.0.2.7"), Some("192.0.2.7"), 200),
        (Some("192.0.2.7"), Some("198.51.100.1"), 403),
        (Some("198.51.100.1"), Some("192.0.2.7"), 403),
        (None, None, 403),
    ] {
        let mut call = Call::get(&format!("/authz/nginx?token={TOKEN}"))
            .bearer(&key)
            .header("x-original-method", "GET")
            .header("x-original-uri", "/tiles/1");
        for (name, value) in [("x-forwarded-for", hops), ("x-real-ip", real)] {
            if let Some(value) = value {
                call = call.header(name, value);
            }
        }
        assert_eq!(world.send(call).await.status, status, "{hops:?} {real:?}");
    }
}
