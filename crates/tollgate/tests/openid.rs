//! Sign-in at a real OpenID provider, npm's `oidc-provider`: code flow with PKCE over the real binary, through
//! the provider's own login pages.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{OpenIdProvider, Tollgate, TollgateBuilder, free_port};

use crate::world::{builder, resources};

const CALLBACK: &str = "/sign-in/oidc/callback";

/// Starts the provider where the node expects it.
fn provider_of(node: &Tollgate, port: u16) -> OpenIdProvider {
    let people = json!({
        "alice": { "email": "alice@example.test", "groups": ["ops", "others"] },
        "bob": { "email": "bob@example.test", "groups": ["others"] },
    });
    let back = format!("http://{}{CALLBACK}", node.control());
    OpenIdProvider::start(node.folder(), (port, &back), &people)
}

/// From now on alice is in these groups.
fn groups_of_alice(provider: &OpenIdProvider, groups: &[&str]) {
    provider.know(&json!({ "alice": { "email": "alice@example.test", "groups": groups } }));
}

/// A browser: follows addresses, keeps the cookies of each host.
#[derive(Default)]
struct Browser {
    jars: BTreeMap<SocketAddr, BTreeMap<String, String>>,
}

/// Host and path of an address.
fn apart(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").expect("an address in the clear");
    let (host, path) = rest.split_at(rest.find('/').expect("a path"));
    (host.parse().expect("an address and port"), path)
}

impl Browser {
    async fn ask(&mut self, call: Call, host: SocketAddr) -> Reply {
        let jar = self.jars.entry(host).or_default();
        let cookies: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = call.header("cookie", &cookies.join("; ")).send(host).await;
        for line in reply.headers.get_all("set-cookie") {
            let pair = line.to_str().expect("a cookie").split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a name");
            if value.is_empty() {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    async fn get(&mut self, url: &str) -> Reply {
        let (host, path) = apart(url);
        self.ask(Call::get(path), host).await
    }

    /// Begins a sign-in; where the node sends the browser to.
    async fn begin(&mut self, node: &Tollgate, path: &str) -> String {
        let reply = self.get(&format!("http://{}{path}", node.control())).await;
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply.header("location").expect("where to").to_owned()
    }

    /// Goes through the pages of the provider; where it sends the browser back to.
    async fn through(&mut self, begun: &str, login: &str) -> String {
        let provider = apart(begun).0;
        let mut url = begun.to_owned();
        for _ in 0..20 {
            let mut reply = self.get(&url).await;
            if reply.status == 200 {
                // One of its own pages: the login, then what the client may know.
                let page = reply.text();
                let path = page.split_once("action=\"").expect("a form").1;
                let path = path.split_once('"').expect("an action").0;
                let path = if path.starts_with("http") { apart(path).1 } else { path };
                let form = if page.contains("name=\"login\"") {
                    format!("prompt=login&login={login}&password=anything")
                } else {
                    "prompt=consent".to_owned()
                };
                let post =
                    Call::new("POST", path).header("content-type", "application/x-www-form-urlencoded");
                reply = self.ask(post.body(form), provider).await;
            }
            assert!(reply.status.is_redirection(), "{url}: {} {}", reply.status, reply.text());
            let to = reply.header("location").expect("where to");
            url = if to.starts_with('/') { format!("http://{provider}{to}") } else { to.to_owned() };
            if url.contains(CALLBACK) {
                return url;
            }
        }
        panic!("the provider does not come to an end: {url}");
    }

    /// Goes through a whole sign-in; what the node answers in the end.
    async fn sign_in(&mut self, node: &Tollgate, login: &str) -> Reply {
        let begun = self.begin(node, "/sign-in/oidc").await;
        let back = self.through(&begun, login).await;
        self.get(&back).await
    }

    async fn session(&mut self, node: &Tollgate) -> Value {
        self.get(&format!("http://{}/api/admin/v1/session", node.control())).await.json()
    }
}

/// An address with the value of a parameter changed.
fn with(url: &str, name: &str, value: &str) -> String {
    let (before, rest) = url.split_once(&format!("{name}=")).expect("the parameter");
    let after = rest.find('&').map_or("", |at| rest.split_at(at).1);
    format!("{before}{name}={value}{after}")
}

fn prepared(port: u16) -> TollgateBuilder {
    let config = format!(
        "[journal]\nbytes_max = \"1MiB\"\n[oidc]\nissuer = \"http://127.0.0.1:{port}\"\nclient_id = \"tollgate\"\n\
         scopes = \"email profile groups\"\nroles = \"ops=admin,staff=auditor\"\n"
    );
    builder()
        .env("TOLLGATE_OIDC__CLIENT_SECRET", OpenIdProvider::SECRET)
        .config(&config)
        .resources(&resources("http://127.0.0.1:9"))
}

/// What `doctor` finds about the provider: each check and how it is.
fn examined(node: &Tollgate) -> BTreeMap<String, String> {
    let checks = node.cli(&["doctor"]).json()["checks"].clone();
    let checks = checks.as_array().expect("a list").clone();
    let text = |check: &Value, name: &str| check[name].as_str().expect("a text").to_owned();
    let own = checks.iter().filter(|check| text(check, "check").starts_with("oidc"));
    own.map(|check| (text(check, "check"), text(check, "outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm's oidc-provider; `cargo xtask test` brings it"]
async fn people_sign_in_at_a_real_openid_provider() {
    let port = free_port();
    let mut node = prepared(port).prepare();
    node.start();
    let mut alice = Browser::default();

    // The provider is down: nobody signs in there, and the node goes on.
    let down = alice.get(&format!("http://{}/sign-in/oidc", node.control())).await;
    assert_eq!(down.status, 503, "{}", down.text());
    assert_eq!(examined(&node).get("oidc discovery").map(String::as_str), Some("wrong"));
    let provider = provider_of(&node, port);
    let examined = examined(&node);
    for check in ["oidc discovery", "oidc issuer", "oidc keys", "oidc clock"] {
        assert_eq!(examined.get(check).map(String::as_str), Some("ok"), "{check}: {examined:?}");
    }

    // The node rests for some seconds before it asks again a provider that was gone.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while alice.get(&format!("http://{}/sign-in/oidc", node.control())).await.status == 503 {
        assert!(std::time::Instant::now() < deadline, "the node does not see that the provider is back");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }

    // Groups give the role.
    let arrived = alice.sign_in(&node, "alice").await;
    assert_eq!(arrived.status, 200, "{}", arrived.text());
    let session = alice.session(&node).await;
    assert_eq!((&session["role"], &session["method"]), (&json!("admin"), &json!("oidc")), "{session}");
    assert_eq!((&session["user"]["email"], &session["fresh"]), (&json!("alice@example.test"), &json!(true)));
    let mut bob = Browser::default();
    let refused = bob.sign_in(&node, "bob").await;
    assert_eq!(refused.status, 403, "no group of ours: {}", refused.text());

    // What belongs to another sign-in is nobody's (T12).
    let failed = |reply: &Reply| reply.status == 401;
    let mut mallory = Browser::default();
    let begun = mallory.begin(&node, "/sign-in/oidc").await;
    let back = mallory.through(&begun, "alice").await;
    assert!(failed(&mallory.get(&with(&back, "state", "x")).await), "another state");
    assert!(failed(&Browser::default().get(&back).await), "another browser");
    assert_eq!(mallory.get(&back).await.status, 200, "its own");
    for (name, value) in
        [("nonce", "another"), ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")]
    {
        let mut tampered = Browser::default();
        let begun = tampered.begin(&node, "/sign-in/oidc").await;
        let back = tampered.through(&with(&begun, name, value), "alice").await;
        assert!(failed(&tampered.get(&back).await), "another {name}");
        assert!(!tampered.jars[&node.control()].contains_key("__Host-tollgate"));
    }
    let mut denied = Browser::default();
    let begun = denied.begin(&node, "/sign-in/oidc").await;
    let state = begun.split_once("state=").expect("a state").1.split('&').next().expect("its value");
    let url = format!("http://{}{CALLBACK}?error=access_denied&state={state}", node.control());
    assert!(failed(&denied.get(&url).await), "refused there");

    // A fresh sign-in asks the provider for one, and gets a new session.
    let before = alice.jars[&node.control()]["__Host-tollgate"].clone();
    let begun = alice.begin(&node, "/sign-in/oidc?fresh=1").await;
    assert!(begun.contains("max_age=600"), "{begun}");
    let back = alice.through(&begun, "alice").await;
    assert_eq!(alice.get(&back).await.status, 200);
    assert_ne!(alice.jars[&node.control()]["__Host-tollgate"], before);
    assert_eq!(alice.session(&node).await["fresh"], true);
    assert!(failed(&alice.get(&back).await), "a code is good once");

    // Who changes groups changes roles, and who is in none is out.
    groups_of_alice(&provider, &["staff"]);
    let old = Browser { jars: alice.jars.clone() };
    let mut again = Browser::default();
    assert_eq!(again.sign_in(&node, "alice").await.status, 200);
    assert_eq!(again.session(&node).await["role"], "auditor");
    let mut old = old;
    assert_eq!(old.session(&node).await["code"], "sign_in_missing", "less privilege ends sessions");
    groups_of_alice(&provider, &[]);
    assert_eq!(Browser::default().sign_in(&node, "alice").await.status, 403);
    assert_eq!(again.session(&node).await["code"], "sign_in_missing");

    // It goes down between the two halves of a sign-in.
    groups_of_alice(&provider, &["ops"]);
    let mut late = Browser::default();
    let begun = late.begin(&node, "/sign-in/oidc").await;
    let back = late.through(&begun, "alice").await;
    drop(provider);
    assert!(failed(&late.get(&back).await));
    assert_eq!(node.json(&["audit", "verify"])["intact"], true);
}
