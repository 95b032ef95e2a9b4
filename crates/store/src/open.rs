//! Opening a store: pools, sessions, migrations; and whether it is well.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use sqlx::{
    Any, AnyPool, Connection as _, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    pool::PoolConnection,
};
use tollgate_core::webhook::Egress;

use crate::{
    dialect::{Engine, POSTGRES_VERSION_MIN, Place, SQLITE_VERSION_MIN},
    error::StoreError,
    key_file::KeyFile,
    migrate,
    sql::{Columns as _, only, sql},
};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How long a call may wait for a connection of the pools, milliseconds.
    pub wait_ms: u64,
    /// Connections to PostgreSQL at once, at least 2: half of them write. SQLite has its own numbers.
    pub connections_max: u32,
    /// The file of the keys that secrets are encrypted under; without one no secret can be kept or read.
    pub secrets_key_file: Option<PathBuf>,
    /// Networks beside the public internet that upstreams may be in which one tenant of several writes.
    pub upstreams_allow_private: Vec<IpNet>,
    /// Networks that no upstream may be in which a tenant writes.
    pub egress_deny: Vec<IpNet>,
    /// Whether that file is made where there is none and something is to be encrypted. Where several nodes
    /// share a database it must not be: each would need the one that another made.
    pub makes_key_file: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            wait_ms: 5_000,
            connections_max: 12,
            secrets_key_file: None,
            upstreams_allow_private: Vec::new(),
            egress_deny: Vec::new(),
            makes_key_file: true,
        }
    }
}

/// SQLite has one writer at a time anyway; with one connection those who wait stand in a fair queue
/// instead of polling a lock.
const SQLITE_WRITERS: u32 = 1;
/// SQLite's readers read beside each other on several cores.
const SQLITE_READERS: u32 = 4;

/// The rows. Cheap to clone; all clones share the pools.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: Place,
    reads: AnyPool,
    writes: AnyPool,
    key_file: Option<KeyFile>,
    upstream_egress: Egress,
}

/// Whether a store is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCheck {
    /// The engine.
    pub engine: Engine,
    /// Its version as it says it: `3.51.3`, `150010`.
    pub version: String,
    /// How many migrations ran.
    pub schema: usize,
    /// The number of the last change.
    pub head: u64,
    /// Whether a tenant exists, i.e. `init` or `apply` ran.
    pub initialised: bool,
    /// Bytes free on the file system of the database's file; `None` for a server.
    pub free_bytes: Option<u64>,
    /// Why it cannot be written, in words for users; `None` when it can.
    pub not_writable: Option<String>,
}

impl Store {
    /// Opens a database, creates the file if there is none, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a URL that is none, [`StoreError::Unavailable`] when it cannot be
    /// reached, [`StoreError::Corrupt`] when the engine is too old or a later version wrote it.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let place = Place::parse(url)?;
        if let Some(file) = &place.file {
            create_private(file)?;
        }
        // A pool hides why it cannot connect behind its own patience; one connection tells at once.
        probe(&place, &options).await?;
        // The writer comes first: it makes the file a WAL database.
        let writes = pool(&place, &options, true).await?;
        let reads = pool(&place, &options, false).await?;
        let (allow_private, deny) = (options.upstreams_allow_private, options.egress_deny);
        let upstream_egress = Egress { allow_private, deny, allow_http: true };
        let makes = options.makes_key_file;
        let key_file = options.secrets_key_file.map(|path| KeyFile::new(path, makes));
        let store = Self { inner: Arc::new(Inner { place, reads, writes, key_file, upstream_egress }) };
        let engine = store.engine();
        check_version(engine, &store.version().await?)?;
        if !store.is_current().await {
            let mut tx = store.begin_write().await?;
            migrate::migrate(engine, &mut tx).await?;
            tx.commit().await?;
        }
        Ok(store)
    }

    /// Whether nothing is to be migrated, found out without waiting for those who write. A database
    /// that cannot answer is not current; migrating says why.
    async fn is_current(&self) -> bool {
        let Ok(mut conn) = self.reader().await else { return false };
        migrate::is_current(&mut conn).await
    }

    /// The keys that secrets are encrypted under.
    pub(crate) fn key_file(&self) -> Option<&KeyFile> {
        self.inner.key_file.as_ref()
    }

    /// Where upstreams may be that one tenant of several writes.
    pub(crate) fn upstream_egress(&self) -> &Egress {
        &self.inner.upstream_egress
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.inner.place.engine
    }

    /// Bytes free on the file system of the database's file; `None` for a server.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.inner.place.file.as_deref().and_then(free_bytes)
    }

    /// Closes all connections once the calls under way are done.
    pub async fn close(&self) {
        self.inner.reads.close().await;
        self.inner.writes.close().await;
    }

    /// Looks whether it can be read and written, for `doctor` and readiness.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn check(&self) -> Result<StoreCheck, StoreError> {
        let version = self.version().await?;
        let mut conn = self.reader().await?;
        let schema = migrate::version(&mut conn).await?;
        let text = "SELECT seq, (SELECT COUNT(*) FROM tenants) FROM feed_head WHERE id = 1";
        let row = only(sql(text), &mut conn).await?;
        let (head, initialised) = (row.count(0)?, row.int(1)? > 0);
        let not_writable = self.try_write().await.err().map(|error| error.to_string());
        let free_bytes = self.inner.place.file.as_deref().and_then(free_bytes);
        Ok(StoreCheck { engine: self.engine(), version, schema, head, initialised, free_bytes, not_writable })
    }

    async fn try_write(&self) -> Result<(), StoreError> {
        let mut tx = self.begin_write().await?;
        crate::sql::run(sql("UPDATE feed_head SET seq = seq WHERE id = 1"), &mut tx).await?;
        Ok(tx.rollback().await?)
    }

    async fn version(&self) -> Result<String, StoreError> {
        let mut conn = self.reader().await?;
        let row = only(sql(self.engine().version_query()), &mut conn).await?;
        Ok(row.text(0)?.to_owned())
    }

    pub(crate) async fn reader(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.inner.reads.acquire().await.map_err(|error| without(&self.inner.reads, error))
    }

    pub(crate) async fn writer(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.inner.writes.acquire().await.map_err(|error| without(&self.inner.writes, error))
    }

    /// Gives back the memory of the pages that a connection keeps and nothing has changed.
    pub(crate) async fn shrink_cache(&self, conn: &mut sqlx::AnyConnection) -> Result<(), StoreError> {
        if let Some(shrink) = self.engine().shrink_cache() {
            sqlx::raw_sql(shrink).execute(conn).await?;
        }
        Ok(())
    }

    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = self.engine().begin_read();
        self.inner.reads.begin_with(begin).await.map_err(|error| without(&self.inner.reads, error))
    }

    /// A transaction that writes. For changes of resources, keys and tokens go through
    /// [`Store::write`](crate::write) instead; this is for what nodes report of themselves.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let (writes, begin) = (&self.inner.writes, self.engine().begin_write());
        let begun = match writes.begin_with(begin).await {
            // A commit that failed (a full disk) was taken back by SQLite itself, and the connection
            // still counts it as open: it can begin nothing any more, a new one can.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                writes.acquire().await?.close().await?;
                writes.begin_with(begin).await
            }
            begun => begun,
        };
        begun.map_err(|error| without(writes, error))
    }
}

/// A pool that has no connection and cannot make one has lost its server; others are merely busy.
fn without(pool: &AnyPool, error: sqlx::Error) -> StoreError {
    if matches!(error, sqlx::Error::PoolTimedOut) && pool.size() == 0 {
        return StoreError::Unavailable {
            public: "no connection could be made".to_owned(),
            cause: error.to_string(),
        };
    }
    error.into()
}

/// Connects once and says what the session is told, for the sake of the error.
async fn probe(place: &Place, options: &OpenOptions) -> Result<(), StoreError> {
    let attempt = async {
        let mut conn = sqlx::AnyConnection::connect(&place.url).await?;
        for statement in place.engine.session(true) {
            sqlx::raw_sql(*statement).execute(&mut conn).await?;
        }
        conn.close().await
    };
    match tokio::time::timeout(Duration::from_millis(options.wait_ms), attempt).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StoreError::Unavailable {
            public: "it did not answer in time".to_owned(),
            cause: format!("no connection within {} ms", options.wait_ms),
        }),
    }
}

async fn pool(place: &Place, options: &OpenOptions, writes: bool) -> Result<AnyPool, StoreError> {
    let engine = place.engine;
    let connect: AnyConnectOptions = place.url.parse()?;
    let connect = sqlx::ConnectOptions::disable_statement_logging(connect);
    let most = match (engine, writes) {
        (Engine::Sqlite, true) => SQLITE_WRITERS,
        (Engine::Sqlite, false) => SQLITE_READERS,
        (Engine::Postgres, true) => (options.connections_max / 2).max(1),
        (Engine::Postgres, false) => options.connections_max.div_ceil(2).max(1),
    };
    let pool = AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_millis(options.wait_ms))
        .max_lifetime(None)
        .test_before_acquire(engine == Engine::Postgres)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                for statement in engine.session(writes) {
                    sqlx::raw_sql(*statement).execute(&mut *conn).await?;
                }
                Ok(())
            })
        })
        .connect_with(connect)
        .await?;
    Ok(pool)
}

/// The file holds hashes of passwords: nobody but its owner reads it.
#[cfg(unix)]
fn create_private(file: &std::path::Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file);
    match opened {
        Ok(_) => Ok(()),
        // An existing file that can only be read is for SQLite to judge.
        Err(_) if file.exists() => Ok(()),
        Err(error) => Err(StoreError::Unavailable {
            public: format!("the file {} cannot be created: {error}", file.display()),
            cause: error.to_string(),
        }),
    }
}

fn free_bytes(file: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(file).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn check_version(engine: Engine, version: &str) -> Result<(), StoreError> {
    let good = match engine {
        Engine::Sqlite => {
            let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            let mut next = || parts.next().unwrap_or(0);
            (next(), next(), next()) >= SQLITE_VERSION_MIN
        }
        Engine::Postgres => version.parse::<u32>().unwrap_or(0) >= POSTGRES_VERSION_MIN,
    };
    if good {
        return Ok(());
    }
    Err(StoreError::corrupt(format!(
        "{} {version} is too old; SQLite 3.51.3 or PostgreSQL 11 is the least",
        engine.name()
    )))
}
