//! The configuration that `docs/service-api.md` gives for nginx, on the real nginx.

use std::{
    fs::File,
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

/// How long nginx may take to start, and a request to be answered.
const DEADLINE: Duration = Duration::from_secs(20);

/// nginx in front of an upstream, asking the service API.
struct Nginx {
    child: Child,
    address: std::net::SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// `None` when there is no nginx with `auth_request` on this machine.
    async fn start(world: &World, upstream: &Upstream) -> Option<Self> {
        let version = Command::new("nginx").arg("-V").output().ok()?;
        if !String::from_utf8_lossy(&version.stderr).contains("http_auth_request_module") {
            return None;
        }
        let (folder, address) = (TempDir::new().unwrap(), free_address());
        let template = include_str!("nginx.conf");
        let config = template
            .replace("{listen}", &address.to_string())
            .replace("{tollgate}", &world.address.to_string())
            .replace("{upstream}", &upstream.address().to_string())
            .replace("{token}", TOKEN);
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start nginx");
        let nginx = Self { child, address, _folder: folder };
        wait_until(DEADLINE, || async { Call::get("/nowhere").try_send(address).await.is_ok() }).await;
        Some(nginx)
    }

    async fn send(&self, call: Call) -> Reply {
        call.send(self.address).await
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn nginx_lets_through_what_is_allowed_and_tells_the_client_why_not() {
    let (world, upstream) = (World::start(), Upstream::start());
    let Some(nginx) = Nginx::start(&world, &upstream).await else {
        println!("skipped: no nginx with http_auth_request_module on this machine");
        return;
    };
    let key = world.key("scopes = [\"read\"]\nallow_ips = [\"127.0.0.1\"]\n[[limit]]\nname = \"burst\"\namount = 1\nwindow = \"1m\"");
    let forged = |call: Call| {
        call.header("x-original-uri", "/tiles/1")
            .header("x-original-method", "GET")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-tollgate-key-id", "key_forged")
    };

    let reply = nginx.send(forged(Call::get("/tiles/1?zoom=2").bearer(&key))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    let ids: Vec<&str> = seen[0].headers_named("x-tollgate-key-id").collect();
    assert_eq!((seen[0].target.as_str(), ids), ("/tiles/1?zoom=2", vec!["key_00000000001"]));
    assert!(seen[0].headers_named("authorization").next().is_none(), "the key stays here");

    let reply = nginx.send(forged(Call::get("/tiles/1").bearer(&key))).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (429, Some("rate_limited")));
    assert_eq!(reply.header("retry-after"), Some("60"));

    let reply = nginx.send(forged(Call::new("DELETE", "/tiles/1").bearer(&key))).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (403, Some("scope_missing")));

    let reply = nginx.send(forged(Call::get("/tiles/1"))).await;
    assert_eq!((reply.status.as_u16(), reply.header("x-tollgate-code")), (401, Some("key_missing")));

    assert_eq!(upstream.seen().len(), 1, "nothing refused reached the upstream");
}
