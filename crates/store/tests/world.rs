//! A store on an empty database, and short words for what tests do with it.

use std::path::{Path, PathBuf};

use tollgate_core::{
    authenticate::{Recognised, recognise},
    authz::{Action, Actor, Permit, authorise},
    id::KeyId,
    key::Environment,
    keyring::KeyRecord,
    resource::Resources,
    secret::Secret,
    tables::Snapshot,
};
use tollgate_store::{
    Applied, ApplyMode, Committed, CreatedKey, Engine, NewKey, OpenOptions, Plan, Store, StoreError,
};
use tollgate_testkit::Postgres;

/// The present of the tests: 2026-01-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_767_225_600_000_000;
/// One second.
pub(crate) const SECOND: i64 = 1_000_000;

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) applied: Applied,
    /// Where the file of keys is, and SQLite's database.
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", folder.path().display());
        Self::open(url, folder).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = tokio::task::spawn_blocking(|| Postgres::shared().create_database()).await.unwrap();
        Self::open(url, tempfile::tempdir().unwrap()).await
    }

    async fn open(url: String, folder: tempfile::TempDir) -> Self {
        let store = Store::open(&url, options(folder.path().join("secrets.key"))).await.unwrap();
        let snapshot = Snapshot::with_capacity(16);
        let applied = store.load(&snapshot).await.unwrap();
        Self { store, url, snapshot, applied, folder }
    }

    /// Another process on the same database.
    pub(crate) async fn other(&self) -> Store {
        self.with_key_file("secrets.key").await
    }

    /// Another process, with this file of keys.
    pub(crate) async fn with_key_file(&self, name: &str) -> Store {
        Store::open(&self.url, options(self.folder().join(name))).await.unwrap()
    }

    /// Another process that makes no file of keys, with this one.
    pub(crate) async fn one_of_several(&self, name: &str) -> Store {
        let options = OpenOptions { makes_key_file: false, ..options(self.folder().join(name)) };
        Store::open(&self.url, options).await.unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn raw(&self, text: &str) -> u64 {
        let pool = sqlx::AnyPool::connect(&self.url).await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(text.to_owned())).execute(&pool).await.unwrap();
        pool.close().await;
        done.rows_affected()
    }

    /// The one number that a question behind the store's back has for an answer.
    pub(crate) async fn count(&self, text: &str) -> i64 {
        let pool = sqlx::AnyPool::connect(&self.url).await.unwrap();
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(text.to_owned())).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }

    /// `BLOB` of hexadecimal digits in the engine's spelling.
    pub(crate) fn blob(&self, hex: &str) -> String {
        match self.store.engine() {
            Engine::Sqlite => format!("X'{hex}'"),
            Engine::Postgres => format!("'\\x{hex}'::bytea"),
        }
    }

    pub(crate) async fn catch_up(&mut self) {
        self.applied = self.store.catch_up(&self.snapshot, &self.applied).await.unwrap();
    }

    pub(crate) async fn apply(&self, resources: &Resources, mode: ApplyMode) -> Result<Plan, StoreError> {
        self.store.apply(&permit(Action::ChangeResources), resources, mode, NOW).await
    }

    /// A tenant `acme` with a project `maps`, two services, two policies and a consumer.
    pub(crate) async fn furnished(self) -> Self {
        self.apply(&furniture(), ApplyMode::default()).await.unwrap();
        self
    }

    pub(crate) async fn create(&self, new: NewKey, seed: u8) -> Committed<CreatedKey> {
        self.store.create_key(&permit(Action::ChangeKeys), new, &random(seed), NOW).await.unwrap()
    }

    /// What the snapshot knows of a credential; `None` when it is no key there.
    pub(crate) fn record(&self, credential: &str) -> Option<KeyRecord> {
        recognised(&self.snapshot, credential)
    }
}

fn options(key_file: PathBuf) -> OpenOptions {
    OpenOptions { secrets_key_file: Some(key_file), ..OpenOptions::default() }
}

pub(crate) fn recognised(snapshot: &Snapshot, credential: &str) -> Option<KeyRecord> {
    match recognise(credential.as_bytes(), &snapshot.keyring, &snapshot.tables().foreign) {
        Recognised::Key { record, .. } => Some(record),
        _ => None,
    }
}

/// The right of the operating-system user to do something anywhere.
pub(crate) fn permit(action: Action) -> Permit {
    authorise(&Actor::OsUser("test".into()), action, None).unwrap()
}

pub(crate) fn worker() -> Permit {
    authorise(&Actor::Worker("rehash".into()), Action::RehashKeys, None).unwrap()
}

pub(crate) fn random(seed: u8) -> Secret<[u8; 32]> {
    Secret::new([seed; 32])
}

pub(crate) fn new_key() -> NewKey {
    NewKey {
        project: "maps".into(),
        consumer: "app".into(),
        policy: Some("standard".into()),
        environment: Environment::Live,
        name: None,
        expires_us: None,
        bind_host: None,
        allow_ips: None,
        metadata: Default::default(),
    }
}

pub(crate) fn resources(json: serde_json::Value) -> Resources {
    serde_json::from_value(json).unwrap()
}

pub(crate) fn furniture() -> Resources {
    resources(serde_json::json!({
        "tenant": [{"name": "acme"}],
        "project": [{"tenant": "acme", "name": "maps", "key_prefix": "mbk"}],
        "service": [
            {"project": "maps", "name": "tiles", "kind": "proxy", "match": {"path_prefix": "/tiles"},
             "upstreams": ["http://127.0.0.1:9000"]},
            {"project": "maps", "name": "search", "kind": "proxy", "match": {"path_prefix": "/search"},
             "upstreams": ["http://127.0.0.1:9001"]},
        ],
        "policy": [
            {"project": "maps", "name": "standard", "services": ["tiles"],
             "limit": [{"name": "burst", "amount": 100, "window": "1m"}],
             "quota": [{"name": "monthly", "amount": 1000, "period": "month", "per": "consumer"}]},
            {"project": "maps", "name": "open", "services": ["*"]},
        ],
        "consumer": [{"project": "maps", "name": "app", "external_id": "p-17", "metadata": {"tier": "gold"}}],
    }))
}

/// The number behind the id of a key.
pub(crate) fn number(id: KeyId) -> i64 {
    id.to_sql()
}
