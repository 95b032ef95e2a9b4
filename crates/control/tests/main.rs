//! The control listener over a real socket.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod admin;

mod people;

mod sign_in;

use std::sync::Arc;

use tollgate_control::{Control, Health, Part, Report, SignInOptions, serve};
use tollgate_core::time::{Clock, Now};
use tollgate_store::{OpenOptions, Store};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Now {
        Now { wall_us: 1_767_225_600_000_000, mono_ns: 0 }
    }
}

struct Parts(bool);

impl Health for Parts {
    fn report(&self) -> Report {
        let part = Part { name: "keys", ok: self.0, detail: "14 <keys>".into() };
        Report { node: "n1".into(), roles: vec!["gateway"], parts: vec![part] }
    }
}

/// How long a listener says that things are kept.
pub(crate) const KEPT: tollgate_control::Kept = tollgate_control::Kept {
    decisions: std::time::Duration::from_secs(30 * 86_400),
    usage_days: std::time::Duration::from_secs(1100 * 86_400),
    usage_hours: std::time::Duration::from_secs(400 * 86_400),
    usage_minutes: std::time::Duration::from_secs(90 * 86_400),
    reminders: tollgate_store::ReminderRules {
        expiring: true,
        rotation_after_us: Some(365 * 86_400_000_000),
        unused_after_us: Some(90 * 86_400_000_000),
    },
};

/// How stores are opened: with a file of keys of their own, which the operating system tidies, and with upstreams of
/// this machine allowed to all tenants.
pub(crate) fn with_keys() -> OpenOptions {
    let file = tempfile::tempdir().unwrap().keep().join("secrets.key");
    let upstreams_allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    OpenOptions { secrets_key_file: Some(file), upstreams_allow_private, ..OpenOptions::default() }
}

async fn start(well: bool) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The folder stays for as long as the test runs; the operating system tidies it.
    let folder = tempfile::tempdir().unwrap().keep();
    let url = format!("sqlite://{}/tollgate.db", folder.display());
    let control = Control {
        health: Arc::new(Parts(well)),
        metrics: Arc::new(|| "up 1\n".into()),
        version: "9.9.9",
        store: Arc::new(Store::open(&url, with_keys()).await.unwrap()),
        clock: Arc::new(Fixed),
        sign_in: SignInOptions::default(),
        follow: Arc::new(()),
        models: Arc::new(()),
        kept: crate::KEPT,
    };
    tokio::spawn(serve(listener, control, std::future::pending()));
    address
}

async fn ask(address: std::net::SocketAddr, head: &str) -> String {
    let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    String::from_utf8(exchange(address, request.as_bytes()).await).unwrap()
}

async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn readiness_follows_the_parts() {
    let ready = ask(start(true).await, "GET /readyz HTTP/1.1").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains(r#""ready":true"#) && ready.contains(r#""node":"n1""#), "{ready}");
    let not = ask(start(false).await, "GET /readyz HTTP/1.1").await;
    assert!(not.starts_with("HTTP/1.1 503") && not.contains(r#""ok":false"#), "{not}");
    let alive = ask(start(false).await, "GET /livez HTTP/1.1").await;
    assert!(alive.starts_with("HTTP/1.1 200"), "a node that is not ready is alive: {alive}");
}

#[tokio::test]
async fn metrics_and_page_are_served_with_strict_headers() {
    let address = start(true).await;
    assert!(ask(address, "GET /metrics HTTP/1.1").await.ends_with("up 1\n"));
    let page = ask(address, "GET /sign-in HTTP/1.1").await;
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(page.contains("cache-control: no-store") && !page.contains("style="), "{page}");
    let front = ask(address, "GET / HTTP/1.1").await;
    assert!(front.starts_with("HTTP/1.1 303") && front.contains("location: /sign-in?next=%2F"), "{front}");
    let missing = ask(address, "GET /nowhere HTTP/1.1").await;
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("application/problem+json"), "{missing}");
    let posted = ask(address, "POST /readyz HTTP/1.1").await;
    assert!(
        posted.starts_with("HTTP/1.1 405") && posted.replace(", ", ",").contains("allow: GET,HEAD"),
        "{posted}"
    );
}

#[tokio::test]
async fn keys_never_reach_the_admin_api() {
    let address = start(true).await;
    let random = tollgate_core::secret::Secret::new([7; 32]);
    let key = tollgate_core::key::mint("tg", tollgate_core::key::Environment::Live, &random).unwrap();
    let key = key.expose();
    let carriers = [
        format!("GET /api/admin/v1/keys HTTP/1.1\r\nauthorization: Bearer {key}"),
        "GET /api/admin/v1/keys HTTP/1.1\r\nauthorization: Bearer tgs_abc".to_owned(),
        format!("POST /api/admin/v1/keys HTTP/1.1\r\nx-api-key: {key}"),
        format!("DELETE /api/admin/v1/keys/1?key={key} HTTP/1.1"),
        format!("GET /api/admin/v1/keys?a=b&api_key={key} HTTP/1.1"),
        format!("GET /api/admin/v1/keys?%6bey={key} HTTP/1.1"),
        format!("GET /api/admin/v1/keys HTTP/1.1\r\nauthorization:  bearer   {key}"),
        format!("GET /api/admin/v1/keys HTTP/1.1\r\nauthorization: {key}"),
        format!("GET /api/admin/v1/keys HTTP/1.1\r\nauthorization: Bearer a\r\nauthorization: Bearer {key}"),
        "PATCH /api/admin/v1/keys HTTP/1.1\r\nauthorization: Bearer a.b.c\r\nx-api-key: anything".to_owned(),
    ];
    for head in carriers {
        let answer = ask(address, &head).await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && answer.contains("keys_cannot_manage_keys"),
            "{head}\n{answer}"
        );
        assert!(!answer.contains(key), "the key is not echoed");
    }
    // Somebody's identity token is not a key: it is merely not good for anything yet.
    let token = "GET /api/admin/v1/keys HTTP/1.1\r\nauthorization: Bearer eyJhbGciOi.eyJzdWIi.c2ln";
    assert!(ask(address, token).await.starts_with("HTTP/1.1 401"));
    let bare = ask(address, "GET /api/admin/v1/keys HTTP/1.1").await;
    assert!(bare.starts_with("HTTP/1.1 401") && bare.contains("sign_in_missing"), "{bare}");
}
