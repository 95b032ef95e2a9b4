//! A listener on a store with two tenants and people of every role.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use tollgate_control::{Control, Health, Part, Report, SignInOptions, serve};
use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::{TenantId, UserId},
    key::Digest,
    secret::Secret,
    time::{Clock, Now},
};
use tollgate_store::{ApplyMode, NewInstallation, NewSession, SessionLimits, Store};
use tollgate_testkit::{
    Postgres,
    http::{Call, Reply},
};

/// The present at the beginning: 2026-01-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_767_225_600_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const BASE: &str = "/api/admin/v1";

/// A clock that a test moves.
pub(crate) struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Now {
        let wall_us = self.0.load(Ordering::SeqCst);
        Now { wall_us, mono_ns: (wall_us - NOW).unsigned_abs() * 1000 }
    }
}

struct Well;

impl Health for Well {
    fn report(&self) -> Report {
        let part = Part { name: "keys", ok: true, detail: "14 secrets, fresh".into() };
        Report { node: "n1".into(), roles: vec!["control"], parts: vec![part] }
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<Hand>,
    pub(crate) acme: TenantId,
    /// Trials of models that take their time.
    pub(crate) slow: Arc<super::models::Slow>,
    people: u8,
    _folder: Option<tempfile::TempDir>,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Person {
    address: SocketAddr,
    pub(crate) user: UserId,
    cookie: String,
    csrf: String,
}

impl World {
    /// Two tenants: `acme` with a project `maps`, services, policies and consumers, and `other` with a
    /// project of the same name.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", folder.path().display());
        Self::on(url, Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = tokio::task::spawn_blocking(|| Postgres::shared().create_database()).await.unwrap();
        Self::on(url, None).await
    }

    async fn on(url: String, folder: Option<tempfile::TempDir>) -> Self {
        let store = Arc::new(Store::open(&url, crate::with_keys()).await.unwrap());
        let new = NewInstallation {
            tenant: "acme".into(),
            owner_email: "owner@acme.example".into(),
            password_hash: Secret::new("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA".into()),
        };
        let made = store.init(&os(Action::Initialise), new, NOW).await.unwrap().value;
        let resources = serde_json::from_value(furniture()).unwrap();
        store.apply(&os(Action::ChangeResources), &resources, ApplyMode::default(), NOW).await.unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(NOW)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = Arc::new(super::models::Slow::default());
        let control = Control {
            health: Arc::new(Well),
            metrics: Arc::new(String::new),
            version: "9.9.9",
            store: store.clone(),
            clock: clock.clone(),
            sign_in: SignInOptions::default(),
            follow: Arc::new(()),
            models: Arc::new(super::models::Picky(slow.clone())),
            kept: crate::KEPT,
        };
        tokio::spawn(serve(listener, control, std::future::pending()));
        Self { store, url, address, clock, acme: made.tenant, slow, people: 0, _folder: folder }
    }

    /// Time goes on.
    pub(crate) fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn raw(&self, text: &str) {
        let pool = sqlx::AnyPool::connect(&self.url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(text.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// The first column of the rows of a query, as numbers.
    pub(crate) async fn numbers(&self, text: &str) -> Vec<i64> {
        let pool = sqlx::AnyPool::connect(&self.url).await.unwrap();
        let rows = sqlx::query(sqlx::AssertSqlSafe(text.to_owned())).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.iter().map(|row| sqlx::Row::get(row, 0)).collect()
    }

    /// Somebody of `acme` with a role, signed in just now.
    pub(crate) async fn person(&mut self, role: &str) -> Person {
        self.member("acme", role, &[]).await
    }

    /// A developer of `acme` who is mapped to these consumers.
    pub(crate) async fn developer(&mut self, consumers: &[&str]) -> Person {
        self.member("acme", "developer", consumers).await
    }

    /// Somebody of a tenant, mapped to consumers of its project `maps`, signed in just now.
    pub(crate) async fn member(&mut self, tenant: &str, role: &str, consumers: &[&str]) -> Person {
        self.people += 1;
        let seed = self.people;
        let user = UserId(u64::from(seed) + 1000);
        let tenants = self.numbers(&format!("SELECT id FROM tenants WHERE name = '{tenant}'")).await;
        let tenant_id = TenantId::from_sql(tenants[0]);
        let (id, tenant_number) = (user.to_sql(), tenant_id.to_sql());
        self.raw(&format!(
            "INSERT INTO accounts (id, email, name, totp_step, created_us, version) \
             VALUES ({id}, 'p{seed}@{tenant}.example', 'P{seed}', 0, {NOW}, 1)"
        ))
        .await;
        self.raw(&format!(
            "INSERT INTO members (account, tenant, role, source, created_us, version) \
             VALUES ({id}, {tenant_number}, '{role}', 'local', {NOW}, 1)"
        ))
        .await;
        for name in consumers {
            self.raw(&format!(
                "INSERT INTO member_consumers (account, tenant, consumer) SELECT {id}, {tenant_number}, c.id \
                 FROM consumers c JOIN projects p ON p.id = c.project \
                 WHERE c.name = '{name}' AND p.tenant = {tenant_number}"
            ))
            .await;
        }
        self.sign_in(user, tenant_id, seed).await
    }

    async fn sign_in(&self, user: UserId, tenant: TenantId, seed: u8) -> Person {
        let token = [seed; 32];
        let session = NewSession {
            digest: Digest::of(&token),
            account: user,
            proven: None,
            tenant,
            method: "password".into(),
            signed_in_us: self.clock.now().wall_us,
            address: [127, 0, 0, 1].into(),
            user_agent: "test".into(),
        };
        let limits = SessionLimits { idle_us: 1800 * SECOND, life_us: 43_200 * SECOND };
        let permit = authorise(&Actor::Person(user), Action::UseOwnAccount, None).unwrap();
        self.store.start_session(&permit, session, limits, self.clock.now().wall_us).await.unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&token).unwrap();
        mac.update(b"tollgate csrf 1");
        Person {
            address: self.address,
            user,
            cookie: format!("__Host-tollgate={}", URL_SAFE_NO_PAD.encode(token)),
            csrf: URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()),
        }
    }

    /// A request of nobody.
    pub(crate) async fn bare(&self, method: &str, path: &str) -> Reply {
        Call::new(method, &format!("{BASE}{path}")).send(self.address).await
    }
}

impl Person {
    /// The request as this person's browser sends it.
    pub(crate) fn dress(&self, call: Call) -> Call {
        call.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf)
    }

    /// The headers that make a request this person's, as lines.
    pub(crate) fn headers(&self) -> [String; 2] {
        [format!("Cookie: {}", self.cookie), format!("X-CSRF-Token: {}", self.csrf)]
    }

    pub(crate) async fn send(&self, call: Call) -> Reply {
        self.dress(call).send(self.address).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Call::get(&format!("{BASE}{path}"))).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Call::post(&format!("{BASE}{path}"), &body)).await
    }

    /// A POST without a body.
    pub(crate) async fn act(&self, path: &str) -> Reply {
        self.send(Call::new("POST", &format!("{BASE}{path}"))).await
    }

    /// A change that says which version it is for.
    pub(crate) async fn change(&self, method: &str, path: &str, (tag, body): (&str, Option<Value>)) -> Reply {
        let mut call = Call::new(method, &format!("{BASE}{path}")).header("if-match", tag);
        if let Some(body) = body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        self.send(call).await
    }

    /// Creates something and gives its id.
    pub(crate) async fn create(&self, path: &str, body: Value) -> String {
        let reply = self.post(path, body).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// A key of a consumer of `maps`.
    pub(crate) async fn key(&self, consumer: &str) -> String {
        self.create("/keys", json!({"project": "maps", "consumer": consumer, "policy": "standard"})).await
    }
}

/// The right of the operating-system user.
pub(crate) fn os(action: Action) -> Permit {
    authorise(&Actor::OsUser("test".into()), action, None).unwrap()
}

pub(crate) fn furniture() -> Value {
    json!({
        "tenant": [{"name": "acme"}, {"name": "other"}],
        "project": [
            {"tenant": "acme", "name": "maps", "key_prefix": "mbk"},
            {"tenant": "other", "name": "maps"},
            {"tenant": "other", "name": "secret-plans"},
        ],
        "service": [
            {"project": "acme/maps", "name": "tiles", "kind": "proxy", "match": {"path_prefix": "/tiles"},
             "upstreams": ["http://127.0.0.1:9000"]},
            {"project": "other/maps", "name": "hidden", "kind": "proxy", "match": {"path_prefix": "/hidden"},
             "upstreams": ["http://127.0.0.1:9001"]},
        ],
        "policy": [
            {"project": "acme/maps", "name": "standard", "services": ["tiles"]},
            {"project": "acme/maps", "name": "open", "services": ["*"]},
            {"project": "other/maps", "name": "standard", "services": ["hidden"]},
        ],
        "consumer": [
            {"project": "acme/maps", "name": "app", "external_id": "p-17"},
            {"project": "acme/maps", "name": "web"},
            {"project": "other/maps", "name": "app"},
        ],
    })
}
