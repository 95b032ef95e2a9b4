//! `ANY /authz/forward`: Traefik's ForwardAuth and Caddy's `forward_auth`.

use serde_json::json;
use tollgate_core::code::Code;
use tollgate_gateway::options::GatewayOptions;
use tollgate_journal::Flags;
use tollgate_testkit::http::{Call, Reply};

use super::world::{GLOBEX_TOKEN, TILES_TOKEN, TOKEN, World, assert_mistake, service_id};

/// What Traefik sends about a request, without the client's credential.
fn about(method: &str, uri: &str) -> Call {
    Call::get("/authz/forward")
        .header("x-tollgate-service-token", TOKEN)
        .header("x-forwarded-method", method)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "maps.example.com")
        .header("x-forwarded-uri", uri)
        .header("x-forwarded-for", "192.0.2.7")
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_mistake(reply, status, code);
    assert_eq!(reply.json()["decision_id"].as_str(), reply.header("x-request-id"), "{}", reply.text());
}

#[tokio::test]
async fn an_allowed_request_gets_its_identity() {
    let world = World::start();
    let key = world
        .key("scopes = [\"read\", \"export\"]\n[[limit]]\nname = \"burst\"\namount = 10\nwindow = \"1m\"");
    let reply = world.send(about("GET", "/tiles/1?zoom=2").bearer(&key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for (name, value) in [
        ("x-tollgate-tenant", "acme"),
        ("x-tollgate-project", "maps"),
        ("x-tollgate-consumer", "android%20team"),
        ("x-tollgate-consumer-external-id", "p-17"),
        ("x-tollgate-key-id", "key_00000000001"),
        ("x-tollgate-environment", "live"),
        ("x-tollgate-scopes", "read export"),
        ("ratelimit-policy", "\"burst\";q=10;w=60"),
        ("ratelimit", "\"burst\";r=9;t=6"),
        ("x-ratelimit-remaining", "9"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert!(reply.body.is_empty() && reply.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_refusal_is_the_gateways_own_answer() {
    let world = World::start();
    let limited = world.key("[[limit]]\nname = \"burst\"\namount = 1\nwindow = \"1m\"");
    assert_refused(&world.send(about("GET", "/tiles/1")).await, 401, "key_missing");
    assert_refused(
        &world.send(about("GET", "/tiles/1").bearer(&world.unknown_key())).await,
        401,
        "key_unknown",
    );
    let read_only = world.key("scopes = [\"read\"]");
    let reply = world.send(about("POST", "/tiles/1").bearer(&read_only)).await;
    assert_refused(&reply, 403, "scope_missing");
    assert_eq!(world.send(about("GET", "/tiles/1").bearer(&limited)).await.status, 200);
    let reply = world.send(about("GET", "/tiles/1").bearer(&limited)).await;
    assert_refused(&reply, 429, "rate_limited");
    assert_eq!(reply.header("retry-after"), Some("60"));
    assert_eq!(reply.header("ratelimit"), Some("\"burst\";r=0;t=60"));
    assert_eq!(reply.json()["violated-policies"], json!(["burst"]));
    let reply = world.send(about("GET", "/nowhere").bearer(&limited)).await;
    assert_refused(&reply, 404, "no_service");
}

#[tokio::test]
async fn the_credential_is_looked_for_where_the_gateway_looks() {
    let world = World::start();
    let key = world.key("");
    let places = [
        about("GET", "/tiles/1").header("x-api-key", &key),
        about("GET", &format!("/tiles/1?key={key}&x=1")),
        about("GET", "/tiles/1").header("authorization", &format!("bearer {key}")),
    ];
    for call in places {
        assert_eq!(world.send(call).await.status, 200);
    }
    let twice = about("GET", &format!("/tiles/1?key={key}")).bearer(&key);
    assert_refused(&world.send(twice).await, 400, "credential_ambiguous");
    for record in world.records() {
        assert_eq!(record.path, "/tiles/1", "no query, no credential");
    }
}

#[tokio::test]
async fn the_query_of_the_question_is_not_the_clients() {
    let world = World::start();
    let key = world.key("");
    let call = Call::get(&format!("/authz/forward?token={TOKEN}&key={key}"))
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-uri", "/tiles/1");
    assert_refused(&world.send(call).await, 401, "key_missing");
}

#[tokio::test]
async fn the_token_is_the_proxys_and_the_query_comes_first() {
    let world = World::start();
    let key = world.key("");
    let call = |target: &str| {
        Call::get(target)
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-uri", "/tiles/1")
            .bearer(&key)
    };
    assert_mistake(&world.send(call("/authz/forward")).await, 401, "token_missing");
    assert_mistake(&world.send(call("/authz/forward?token=tgs_none")).await, 401, "token_unknown");
    assert_eq!(world.send(call(&format!("/authz/forward?token={TOKEN}"))).await.status, 200);
    let forged =
        call(&format!("/authz/forward?token={TILES_TOKEN}")).header("x-tollgate-service-token", "tgs_forged");
    assert_eq!(world.send(forged).await.status, 200, "a header of the client's changes nothing");
    let api_key = call("/authz/forward").header("x-tollgate-service-token", &key);
    assert_mistake(&world.send(api_key).await, 401, "token_unknown");
    let look_alike = call("/authz/forward").header("x_tollgate_service_token", TOKEN);
    assert_mistake(&world.send(look_alike).await, 401, "token_missing");
}

#[tokio::test]
async fn a_proxy_that_does_not_describe_the_request_is_refused() {
    let world = World::start();
    let key = world.key("");
    let base = || Call::get(&format!("/authz/forward?token={TOKEN}")).bearer(&key);
    let cases = [
        (base().header("x-forwarded-uri", "/tiles/1"), "`x-forwarded-method` is missing"),
        (base().header("x-forwarded-method", "GET"), "`x-forwarded-uri` is missing"),
        (
            base()
                .header("x-forwarded-method", "GET")
                .header("x-forwarded-uri", "/tiles/1")
                .header("x-forwarded-uri", "/admin"),
            "`x-forwarded-uri` is there more than once",
        ),
        (
            base().header("x-forwarded-method", "GET").header("x_forwarded_uri", "/tiles/1"),
            "`x-forwarded-uri` is missing",
        ),
        (base().header("x-forwarded-method", "GET").header("x-forwarded-uri", "/%2e%2e/x"), "above its root"),
    ];
    for (call, words) in cases {
        let reply = world.send(call).await;
        assert_refused(&reply, 400, "malformed_request");
        assert!(reply.text().contains(words), "{}", reply.text());
    }
}

/// No spelling of a path escapes its policy.
#[tokio::test]
async fn the_path_is_decided_in_its_one_spelling() {
    let world = World::start();
    let key = world.key("endpoints = [\"GET /tiles/public/**\"]");
    for (uri, status) in [
        ("/tiles/public/1", 200),
        ("/tiles/%70ublic/1", 200),
        ("//tiles/./public/x/../1", 200),
        ("/tiles/public/../secret", 403),
        ("/tiles/public/%2e%2e/secret", 403),
        ("/tiles/public/..%2fsecret", 400),
        ("/tiles/public/1\\..\\..\\secret", 400),
    ] {
        assert_eq!(world.send(about("GET", uri).bearer(&key)).await.status, status, "{uri}");
    }
}

#[tokio::test]
async fn the_clients_address_is_the_rightmost_hop() {
    let world = World::start();
    let key = world.key("allow_ips = [\"192.0.2.7\"]");
    let base = || {
        Call::get(&format!("/authz/forward?token={TOKEN}"))
            .bearer(&key)
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-uri", "/tiles/1")
    };
    for (hops, status) in [
        (Some("192.0.2.7"), 200),
        (Some("198.51.100.1, 192.0.2.7"), 200),
        (Some("192.0.2.7, 198.51.100.1"), 403),
        (Some("192.0.2.7, nonsense"), 403),
        (Some("nonsense, 192.0.2.7"), 200),
        (None, 403),
    ] {
        let mut call = base().header("x-real-ip", "192.0.2.7");
        if let Some(hops) = hops {
            call = call.header("x-forwarded-for", hops);
        }
        assert_eq!(world.send(call).await.status, status, "{hops:?}");
    }
}

/// A hop that is a trusted proxy is passed over, as at the gateway.
#[tokio::test]
async fn trusted_proxies_in_between_are_passed_over() {
    let trusted_proxies = vec!["198.51.100.0/24".parse().unwrap()];
    let world = World::start_with(GatewayOptions { trusted_proxies, ..GatewayOptions::default() }, u64::MAX);
    let key = world.key("allow_ips = [\"192.0.2.7\"]");
    for (hops, status) in [
        ("192.0.2.7, 198.51.100.1", 200),
        ("192.0.2.7, 198.51.100.1, 198.51.100.2", 200),
        ("192.0.2.7, 203.0.113.1, 198.51.100.2", 403),
    ] {
        let call = Call::get(&format!("/authz/forward?token={TOKEN}"))
            .bearer(&key)
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-uri", "/tiles/1")
            .header("x-forwarded-for", hops);
        assert_eq!(world.send(call).await.status, status, "{hops}");
    }
}

#[tokio::test]
async fn a_service_is_found_by_host_and_path_or_by_its_name() {
    let world = World::start();
    let key = world.key("services = [\"admin\"]");
    let about = |query: &str, host: &str, uri: &str| {
        Call::get(&format!("/authz/forward?token={TOKEN}{query}"))
            .bearer(&key)
            .header("x-forwarded-method", "GET")
            .header("x-forwarded-host", host)
            .header("x-forwarded-uri", uri)
    };
    assert_eq!(world.send(about("", "admin.example.com:8443", "/admin/1")).await.status, 200);
    assert_eq!(world.send(about("", "other.example.com", "/admin/1")).await.status, 404);
    assert_eq!(world.send(about("&service=maps/admin", "other.example.com", "/x")).await.status, 200);
    assert_eq!(world.send(about("&service=maps%2Fadmin", "other.example.com", "/x")).await.status, 200);
    assert_eq!(world.send(about("&service=vault", "other.example.com", "/vault")).await.status, 404);
    assert_eq!(world.send(about("", "other.example.com", "/vault/1")).await.status, 404, "another tenant's");
}

#[tokio::test]
async fn nothing_of_another_tenant_passes() {
    let world = World::start();
    let key = world.key("");
    let call = Call::get(&format!("/authz/forward?token={GLOBEX_TOKEN}"))
        .bearer(&key)
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-uri", "/vault/1");
    let reply = world.send(call).await;
    assert_refused(&reply, 401, "key_unknown");
    let limited = Call::get(&format!("/authz/forward?token={TILES_TOKEN}"))
        .bearer(&key)
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-host", "admin.example.com")
        .header("x-forwarded-uri", "/admin/1");
    assert_refused(&world.send(limited).await, 404, "no_service");
}

#[tokio::test]
async fn a_public_service_needs_no_key() {
    let world = World::start();
    let reply = world.send(about("GET", "/open/1")).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-key-id")), (200, None));
}

/// I12, I17: what was answered is what is logged.
#[tokio::test]
async fn every_answer_is_journalled_with_its_status() {
    let world = World::start();
    let key = world.key("scopes = [\"read\"]\nmax_concurrency = 1");
    for (method, status) in [("GET", 200), ("POST", 403), ("GET", 200)] {
        assert_eq!(world.send(about(method, "/tiles/1").bearer(&key)).await.status, status);
    }
    let records = world.records();
    let seen: Vec<_> = records
        .iter()
        .map(|record| (record.entry.status, record.entry.code, record.entry.method, record.entry.key))
        .collect();
    let refused = Code::ScopeMissing.number();
    assert_eq!(seen, [(200, 0, 1, 1), (403, refused, 3, 1), (200, 0, 1, 1)]);
    for record in &records {
        assert!(record.entry.flags.contains(Flags::VERIFIED));
        assert_eq!(record.entry.service, service_id("maps", "tiles").0);
        assert_eq!(record.path, "/tiles/1");
    }
}
