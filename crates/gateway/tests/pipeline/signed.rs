//! Requests that their senders sign: forwarded as they came when the signature is right, and not at all when not.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tollgate_core::{keyring::KeyState, secret::Secret, time::Clock as _};
use tollgate_testkit::http::{Call, Reply};

use super::world::{PROJECT, Plan, World, assert_refused};

const SERVICES: &str = r#"
    [[service]]
    project = "maps"
    name = "hooks"
    kind = "proxy"
    match = { path_prefix = "/hooks" }
    upstreams = ["{upstream}"]
    body_bytes_max = 1000
    [service.signature]
    scheme = "standard-webhooks"
    secret = { secret = "new" }
    also = [{ secret = "old" }]
    mode = "instead"
    key = { secret = "counts-as" }

    [[service]]
    project = "maps"
    name = "github"
    kind = "proxy"
    match = { path_prefix = "/github" }
    upstreams = ["{upstream}"]
    signature = { scheme = "github", secret = { secret = "github" } }

    [[service]]
    project = "maps"
    name = "unset"
    kind = "proxy"
    match = { path_prefix = "/unset" }
    upstreams = ["{upstream}"]
    signature = { scheme = "github", secret = { secret = "nowhere" }, mode = "instead", key = { secret = "nowhere" } }

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["*"]
      [[policy.limit]]
      name = "burst"
      amount = 4
      window = "1m"
"#;

const NEW: &[u8] = b"a secret of 24 bytes now";
const OLD: &[u8] = b"a secret that goes away.";

struct Stage {
    world: World,
    /// The key that signed requests count as.
    key: String,
}

impl Stage {
    fn new() -> Self {
        let world = Plan::new(SERVICES).start();
        let key = world.key("standard");
        let stage = Self { world, key };
        stage.keep("counts-as", &stage.key);
        stage.keep("new", &format!("whsec_{}", STANDARD.encode(NEW)));
        stage.keep("old", &format!("whsec_{}", STANDARD.encode(OLD)));
        stage.keep("github", "It's a Secret to Everybody");
        stage
    }

    fn keep(&self, name: &str, text: &str) {
        let secret = Arc::new(Secret::new(text.to_owned()));
        self.world.change_tables(|tables| {
            tables.secrets.insert((PROJECT, name.into()), secret);
        });
    }

    /// A message as Standard Webhooks has it, signed so many seconds ago.
    fn message(&self, id: &str, (secret, ago_s): (&[u8], i64), body: &str) -> Call {
        let timestamp = self.world.clock.now().wall_us / 1_000_000 - ago_s;
        let signature = STANDARD.encode(mac(secret, &format!("{id}.{timestamp}.{body}")));
        Call::new("POST", "/hooks/in")
            .header("webhook-id", id)
            .header("webhook-timestamp", &timestamp.to_string())
            .header("webhook-signature", &format!("v1,{signature}"))
            .body(body.to_owned())
    }

    async fn send(&self, call: Call) -> Reply {
        self.world.send(call).await
    }
}

fn mac(secret: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn a_signed_request_counts_as_one_with_the_key_that_the_service_names() {
    let stage = Stage::new();
    let body = r#"{"type":"order.paid"}"#;
    let reply = stage.send(stage.message("msg_1", (NEW, 0), body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = stage.world.upstream.take_seen().pop().unwrap();
    assert_eq!(seen.body, body.as_bytes());
    assert!(seen.header("x-tollgate-key-id").is_some_and(|id| id.starts_with("key_")));
    assert!(seen.header("webhook-signature").is_some(), "who wants to may look again");
    assert!(reply.header("ratelimit").is_some_and(|rate| rate.contains("r=3")), "{:?}", reply.headers);
    // While the sender changes its secret both are right.
    let reply = stage.send(stage.message("msg_2", (OLD, 299), body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // What looks like a key of ours goes no further.
    let stray = stage.message("msg_3", (NEW, 0), body).bearer(&stage.key);
    assert_eq!(stage.send(stray).await.status, 200);
    let seen = stage.world.upstream.take_seen().pop().unwrap();
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(stage.send(stage.message("msg_4", (NEW, 0), body)).await.status, 200);
    assert_refused(&stage.send(stage.message("msg_5", (NEW, 0), body)).await, 429, "rate_limited");
}

#[tokio::test]
async fn a_signature_that_is_not_right_goes_no_further_and_counts_for_nothing() {
    let stage = Stage::new();
    let wrong: [(Call, &str); 6] = [
        (Call::new("POST", "/hooks/in").body("{}"), "signature_missing"),
        (stage.message("m", (NEW, 0), "{}").header("webhook-id", "other"), "signature_missing"),
        (stage.message("m", (NEW, 0), "{}").body("{} "), "signature_invalid"),
        (stage.message("m", (b"nobody's secret, 24 byte", 0), "{}"), "signature_invalid"),
        (stage.message("m", (NEW, 301), "{}"), "signature_expired"),
        (stage.message("m", (NEW, -302), "{}"), "signature_expired"),
    ];
    for (call, code) in wrong {
        let reply = stage.send(call.clone()).await;
        assert_refused(&reply, 401, code);
        assert!(reply.header("www-authenticate").is_some());
    }
    let whole = stage.message("m", (NEW, 0), &"x".repeat(1001));
    assert_refused(&stage.send(whole).await, 413, "body_too_large");
    assert_eq!(stage.world.upstream.count(), 0);
    let reply = stage.send(stage.message("m", (NEW, 0), "{}")).await;
    assert!(reply.header("ratelimit").is_some_and(|rate| rate.contains("r=3")), "{:?}", reply.headers);
}

#[tokio::test]
async fn a_signature_counts_once() {
    let stage = Stage::new();
    let call = stage.message("msg_1", (NEW, 0), "{}");
    assert_eq!(stage.send(call.clone()).await.status, 200);
    let reply = stage.send(call).await;
    assert_refused(&reply, 401, "signature_expired");
    assert!(reply.json()["detail"].as_str().unwrap().contains("was here before"));
    // A sender that tries again signs anew.
    assert_eq!(stage.send(stage.message("msg_1", (NEW, 1), "{}")).await.status, 200);
    assert_eq!(stage.world.upstream.count(), 2);
}

#[tokio::test]
async fn beside_a_key_both_are_needed() {
    let stage = Stage::new();
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let call = |signature: Option<&str>| {
        let call = Call::new("POST", "/github").body("Hello, World!");
        signature.map_or(call.clone(), |text| call.header("x-hub-signature-256", &format!("sha256={text}")))
    };
    assert_refused(&stage.send(call(Some(digits))).await, 401, "key_missing");
    assert_refused(&stage.send(call(None).bearer(&stage.key)).await, 401, "signature_missing");
    let wrong = digits.replace('7', "8");
    assert_refused(&stage.send(call(Some(&wrong)).bearer(&stage.key)).await, 401, "signature_invalid");
    assert_eq!(stage.world.upstream.count(), 0);
    let reply = stage.send(call(Some(digits)).bearer(&stage.key)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = stage.world.upstream.take_seen().pop().unwrap();
    assert_eq!((seen.header("authorization"), &seen.body[..]), (None, &b"Hello, World!"[..]));
}

#[tokio::test]
async fn without_secret_or_key_nothing_passes() {
    let stage = Stage::new();
    let signed = |target| Call::new("POST", target).header("x-hub-signature-256", "sha256=00").body("x");
    assert_refused(&stage.send(signed("/unset")).await, 401, "key_unknown");
    let revoked = stage.world.key_with("standard", |record| record.state = KeyState::Revoked);
    stage.keep("counts-as", &revoked);
    assert_refused(&stage.send(stage.message("m", (NEW, 0), "{}")).await, 401, "key_revoked");
    stage.world.change_tables(|tables| {
        tables.secrets.remove(&(PROJECT, "github".into()));
    });
    assert_refused(&stage.send(signed("/github").bearer(&stage.key)).await, 401, "signature_invalid");
    assert_eq!(stage.world.upstream.count(), 0);
}
