//! What upstreams are told about the caller, and that nobody else can tell them (I18).

use tollgate_gateway::assertion::AssertionKeys;
use tollgate_testkit::http::{Call, get};

use super::world::{Plan, TILES, World};

const SCOPED: &str = r#"
    [[service]]
    project = "maps"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/tiles" }
    upstreams = ["{upstream}"]
    request_headers = { add = { X-Added = "yes" }, remove = ["X-Unwanted"] }
    response_headers = { add = { X-Down = "yes" }, remove = ["X-Seen-By"] }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["tiles"]
    scopes = ["read", "render"]
"#;

#[tokio::test]
async fn an_upstream_is_told_who_calls() {
    let world = Plan::new(SCOPED).start();
    let key = world.key_with("standard", |record| record.id = tollgate_core::id::KeyId(0x1234_5678));
    let reply = world.send(Call::get("/tiles/1").bearer(&key).header("x-unwanted", "1")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-down"), Some("yes"));
    let seen = world.upstream.take_seen().pop().unwrap();
    let key_id = tollgate_core::id::KeyId(0x1234_5678).to_string();
    for (name, value) in [
        ("x-tollgate-tenant", Some("acme")),
        ("x-tollgate-project", Some("maps")),
        ("x-tollgate-consumer", Some("team")),
        ("x-tollgate-consumer-external-id", Some("p%2017")),
        ("x-tollgate-key-id", Some(&*key_id)),
        ("x-tollgate-environment", Some("live")),
        ("x-tollgate-scopes", Some("read render")),
        ("x-request-id", reply.header("x-request-id")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some(&*world.address.to_string())),
        ("x-added", Some("yes")),
        ("x-unwanted", None),
    ] {
        let values: Vec<_> = seen.headers_named(name).collect();
        assert_eq!(values, Vec::from_iter(value), "{name}");
    }
    assert_eq!(seen.host, world.upstream.address().to_string());
}

#[tokio::test]
async fn no_field_of_the_clients_own_making_passes_for_ours() {
    let world = World::tiles();
    let key = world.key("standard");
    let mut call = Call::get("/tiles/1").bearer(&key);
    for name in [
        "X-Tollgate-Tenant",
        "x-tollgate-scopes",
        "X-Tollgate-Anything",
        "X_Tollgate_Tenant",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Client-Cert",
        "X_Forwarded_For",
        "Forwarded",
        "X-Real-IP",
        "X_Real_IP",
        "X-Request-Id",
    ] {
        call = call.header(name, "forged");
    }
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen().pop().unwrap();
    let forged: Vec<_> = seen.headers.iter().filter(|(_, value)| value.contains("forged")).collect();
    assert_eq!(forged, Vec::<&(String, String)>::new());
    assert!(seen.headers.iter().all(|(name, _)| !name.contains('_')));
}

#[tokio::test]
async fn naming_our_fields_in_connection_does_not_take_them_away() {
    let world = World::tiles();
    let call = Call::get("/tiles/1")
        .bearer(&world.key("standard"))
        .header("connection", "x-tollgate-key-id, x-tollgate-scopes, x-forwarded-for, x-request-id");
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen().pop().unwrap();
    for name in ["x-tollgate-key-id", "x-tollgate-scopes", "x-forwarded-for", "x-request-id"] {
        assert!(seen.header(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn trailers_of_a_request_cannot_speak_for_us() {
    let world = World::tiles();
    let key = world.key("standard");
    let request = format!(
        "POST /tiles/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n2\r\nhi\r\n0\r\nX-Tollgate-Tenant: forged\r\nX-Sum: 1\r\n\r\n"
    );
    let answer = tollgate_testkit::raw::exchange(world.address, request.as_bytes()).await;
    assert!(!answer.is_empty());
    let forged = |seen: &tollgate_testkit::Seen| {
        seen.trailers.iter().chain(&seen.headers).any(|(_, value)| value == "forged")
    };
    assert!(!world.upstream.seen().iter().any(forged));
}

#[tokio::test]
async fn a_trusted_proxys_chain_goes_on_with_the_proxy_added() {
    let mut plan = Plan::new(TILES);
    plan.options.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let world = plan.start();
    let call = Call::get("/tiles/1")
        .bearer(&world.key("standard"))
        .header("x-forwarded-for", "203.0.113.9, 198.51.100.7")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "maps.example.com")
        .header("x-real-ip", "203.0.113.9");
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen().pop().unwrap();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9, 198.51.100.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("maps.example.com"));
    assert_eq!(seen.header("x-real-ip"), None);
}

#[tokio::test]
async fn a_service_that_asks_for_it_gets_an_assertion_that_the_published_keys_verify() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let resources =
        TILES.replace("upstreams = [\"{upstream}\"]", "upstreams = [\"{upstream}\"]\n assertion = true");
    let mut plan = Plan::new(&resources);
    let secret = AssertionKeys::generate().unwrap();
    plan.options.assertion = Some(AssertionKeys::new(&[secret], "tollgate").unwrap());
    let world = plan.start();
    let key = world.key("standard");
    for _ in 0..2 {
        assert_eq!(world.get("/tiles/1", &key).await.status, 200);
    }
    let seen = world.upstream.take_seen();
    let token = seen[0].header("x-tollgate-assertion").unwrap().to_owned();
    assert_eq!(seen[1].header("x-tollgate-assertion"), Some(&*token), "a token is used again for a while");
    let set = get(world.address, "/.well-known/tollgate/jwks.json").await.json();
    let x = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, x)
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((claims["aud"].as_str(), claims["tenant"].as_str()), (Some("tiles"), Some("acme")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
}
