//! The configurations that `docs/service-api.md` gives for other proxies, on the real ones.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tollgate_testkit::{
    Upstream, free_address,
    http::{Call, Reply},
    wait_until,
};

use super::world::{TOKEN, World};

/// How long a proxy may take to start.
const DEADLINE: Duration = Duration::from_secs(20);

/// A proxy in front of an upstream, asking the service API.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Proxy {
    /// Starts a program with a template of its configuration.
    async fn start(
        world: &World,
        upstream: &Upstream,
        template: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Self {
        let (folder, address) = (TempDir::new().unwrap(), free_address());
        let config = template
            .replace("{listen}", &address.to_string())
            .replace("{tollgate}", &world.address.to_string())
            .replace("{upstream}", &upstream.address().to_string())
            .replace("{token}", TOKEN);
        std::fs::write(folder.path().join("config"), config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start the proxy");
        let proxy = Self { child, address, _folder: folder };
        wait_until(DEADLINE, || async { Call::get("/nowhere").try_send(address).await.is_ok() }).await;
        proxy
    }

    async fn send(&self, call: Call) -> Reply {
        call.send(self.address).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client sends that would like to be somebody else, somewhere else.
fn forged(call: Call) -> Call {
    call.header("x-original-uri", "/tiles/1")
        .header("x-original-method", "GET")
        .header("x-forwarded-uri", "/tiles/1")
        .header("x-forwarded-method", "GET")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-real-ip", "10.0.0.1")
        .header("x-tollgate-key-id", "key_forged")
        .header("x-tollgate-scopes", "admin")
        .header("x-tollgate-service-token", "tgs_forged")
}

const POLICY: &str = r#"
    scopes = ["read"]
    endpoints = ["GET /tiles/*"]
    allow_ips = ["127.0.0.1"]
    [[limit]]
    name = "burst"
    amount = 1
    window = "1m"
"#;

/// One request that passes, and what the upstream saw of it.
async fn assert_passes(proxy: &Proxy, upstream: &Upstream, key: &str) {
    let reply = proxy.send(forged(Call::get("/tiles/1?zoom=2").bearer(key))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/tiles/1?zoom=2");
    let values = |name| seen[0].headers_named(name).collect::<Vec<_>>();
    assert_eq!(values("x-tollgate-key-id"), ["key_00000000001"], "what the client made up is gone");
    assert_eq!(values("x-tollgate-scopes"), ["read"]);
    assert!(values("authorization").is_empty(), "the key stays here");
}

#[tokio::test]
async fn nginx_lets_through_what_is_allowed_and_tells_the_client_why_not() {
    let version = Command::new("nginx").arg("-V").output();
    let has_module = |text: &[u8]| String::from_utf8_lossy(text).contains("http_auth_request_module");
    if !version.is_ok_and(|version| has_module(&version.stderr)) {
        println!("skipped: no nginx with http_auth_request_module on this machine");
        return;
    }
    let (world, upstream) = (World::start(), Upstream::start());
    let nginx = Proxy::start(&world, &upstream, include_str!("nginx.conf"), |folder| {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).args(["-c", "config", "-e", "error.log"]);
        command
    })
    .await;
    let key = world.key(POLICY);
    assert_passes(&nginx, &upstream, &key).await;
    for (call, status, code) in [
        (Call::get("/tiles/1").bearer(&key), 429, "rate_limited"),
        (Call::new("DELETE", "/tiles/1").bearer(&key), 403, "scope_missing"),
        (Call::get("/tiles/a/b").bearer(&key), 403, "endpoint_not_allowed"),
        (Call::get("/tiles/1"), 401, "key_missing"),
    ] {
        let reply = nginx.send(forged(call)).await;
        assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (status, Some(code)));
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("60"));
    }
    assert_eq!(upstream.seen().len(), 1, "nothing refused reached the upstream");
}

#[tokio::test]
async fn caddy_lets_through_what_is_allowed_and_hands_the_refusal_on() {
    if Command::new("caddy").arg("version").output().is_err() {
        println!("skipped: no caddy on this machine");
        return;
    }
    let (world, upstream) = (World::start(), Upstream::start());
    let caddy = Proxy::start(&world, &upstream, include_str!("Caddyfile"), |folder| {
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("config"));
        command
    })
    .await;
    let key = world.key(POLICY);
    assert_passes(&caddy, &upstream, &key).await;
    for (call, status, code) in [
        (Call::get("/tiles/1").bearer(&key), 429, "rate_limited"),
        (Call::new("DELETE", "/tiles/1").bearer(&key), 403, "scope_missing"),
        (Call::get("/tiles/a/b").bearer(&key), 403, "endpoint_not_allowed"),
        (Call::get("/tiles/1"), 401, "key_missing"),
        (Call::get("/nowhere").bearer(&key), 404, "no_service"),
    ] {
        let reply = caddy.send(forged(call)).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("60"));
    }
    assert_eq!(upstream.seen().len(), 1, "nothing refused reached the upstream");
}

#[test]
fn the_docs_show_the_configurations_that_are_tried_here() {
    let docs = include_str!("../../../../docs/service-api.md");
    for template in [include_str!("nginx.conf"), include_str!("Caddyfile")] {
        let (_, rest) = template.split_once("# begin docs\n").unwrap();
        let (shown, _) = rest.split_once("# end docs").unwrap();
        let shown = shown
            .replace("{listen}", "127.0.0.1:8000")
            .replace("{tollgate}", "127.0.0.1:8082")
            .replace("{upstream}", "127.0.0.1:9000")
            .replace("{token}", "tgs_…");
        assert!(docs.contains(&shown), "docs/service-api.md does not hold\n{shown}");
    }
}
