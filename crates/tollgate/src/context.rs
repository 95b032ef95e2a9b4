//! What every command begins with: configuration, clock, printer, store, and who acts.

use std::sync::Arc;

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    secret::Secret,
    time::Clock as _,
};
use tollgate_store::{OpenOptions, Store};

use crate::{
    cli::Global,
    clock::SystemClock,
    config::{self, Config},
    data_dir,
    failure::Failure,
    print::Printer,
};

/// What every command begins with.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) printer: Printer,
}

impl Context {
    /// Reads the configuration.
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let config = config::load(config::Options {
            file: global.config.clone(),
            data_dir: global.data_dir.clone(),
            flags: global.settings.clone(),
        })?;
        Ok(Self::with(config, Printer::new(global.output)))
    }

    /// Takes a configuration that was read before.
    pub(crate) fn with(config: Config, printer: Printer) -> Self {
        let clock = Arc::new(SystemClock::open(&config.data_dir));
        Self { config, clock, printer }
    }

    /// The present wall time, microseconds.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now().wall_us
    }

    /// Opens the database, which must be there.
    pub(crate) async fn store(&self) -> Result<Store, Failure> {
        let file = self.config.data_dir.join("tollgate.db");
        if self.config.database.url.is_none() && !file.exists() {
            return Err(Failure::failed(format!(
                "there is no database at {}; create it with `tollgate init`, or give the right folder with --data-dir",
                file.display()
            )));
        }
        self.open_store().await
    }

    /// Opens the database, or makes it.
    pub(crate) async fn store_or_new(&self) -> Result<Store, Failure> {
        data_dir::create(&self.config.data_dir)?;
        self.open_store().await
    }

    /// As [`Context::store_or_new`], for a node that starts: what former versions kept in the clear is encrypted.
    pub(crate) async fn store_of_node(&self) -> Result<Store, Failure> {
        let store = self.store_or_new().await?;
        store.seal_what_is_clear().await?;
        Ok(store)
    }

    /// Whether the database is this node's alone, a file; a server may have other nodes.
    fn has_own_database(&self) -> bool {
        self.config.database_url().expose().starts_with("sqlite:")
    }

    async fn open_store(&self) -> Result<Store, Failure> {
        let options = OpenOptions {
            connections_max: self.config.database.connections_max,
            secrets_key_file: Some(self.config.secrets_key_file()),
            makes_key_file: self.has_own_database(),
            upstreams_allow_private: self.config.upstreams.allow_private.clone(),
            egress_deny: self.config.upstreams.deny.clone(),
            ..OpenOptions::default()
        };
        Ok(Store::open(self.config.database_url().expose(), options).await?)
    }

    /// The right of the operating system's user to do something in the whole installation.
    pub(crate) fn permit(&self, action: Action) -> Result<Permit, Failure> {
        Ok(authorise(&Actor::OsUser(os_user()), action, None)?)
    }
}

/// 32 random bytes for a new secret.
pub(crate) fn random_secret() -> Result<Secret<[u8; 32]>, Failure> {
    data_dir::random().map(Secret::new)
}

/// The name of the operating system's user; `uid:1000` where it has none.
fn os_user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, own) = (fields.next()?, fields.nth(1)?);
        (own.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid:{uid}"))
}
