//! The configuration: `tollgate.toml`, then `TOLLGATE_<SECTION>__<NAME>`, then `--set`.
//!
//! Every setting is declared once, in [`settings::SETTINGS`]: its path, what may be written, its
//! default, its meaning and how it is read. Reading never stops at the first error: everything
//! that is wrong is reported at once, each with its place, problem and remedy (invariant of this
//! module). Parsing is pure; only [`load`] touches files and the environment.

pub mod audit;
mod build;
pub mod docs;
pub mod events;
pub mod influx;
mod load;
pub mod people;
pub mod redis;
pub mod reminders;
pub mod secrets;
pub mod settings;
pub mod smtp;
pub mod topics;
pub mod upstreams;
mod value;
pub mod webhooks;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use tollgate_core::secret::Secret;

pub(crate) use build::syntax_error;
pub use build::{Sources, parse};
pub use load::{LoadError, Options, load};
pub(crate) use load::{environment, reason};

/// All settings, read and checked.
#[derive(Debug)]
pub struct Config {
    /// The gateway.
    pub gateway: Gateway,
    /// The service API.
    pub service_api: Listener,
    /// The control listener.
    pub control: Listener,
    /// How people sign in there.
    pub people: people::People,
    /// Where mail is handed in.
    pub smtp: smtp::Smtp,
    /// Of what people are reminded.
    pub reminders: reminders::Reminders,
    /// How the audit is sealed, and where the seals go.
    pub audit: audit::Audit,
    /// How secrets are kept.
    pub secrets: secrets::Secrets,
    /// Records, and the Kafka that they go to.
    pub events: events::Events,
    /// Topics of decisions and changes.
    pub topics: topics::Topics,
    /// The InfluxDB that points go to.
    pub influx: influx::Influx,
    /// Where limits are counted that all nodes share.
    pub redis: redis::Redis,
    /// Where webhooks may be sent, and for how long.
    pub webhooks: webhooks::Webhooks,
    /// Where upstreams may be that tenants write.
    pub upstreams: upstreams::Upstreams,
    /// The signed assertion for upstreams.
    pub assertion: Assertion,
    /// The database.
    pub database: Database,
    /// The usage journal.
    pub journal: Journal,
    /// How long things are kept.
    pub retention: Retention,
    /// How nodes learn of changes.
    pub feed: Feed,
    /// The log.
    pub log: Log,
    /// The folder that holds the database, the journal and the node's id, unless said otherwise.
    pub data_dir: PathBuf,
}

/// An address that is listened on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where.
    pub listen: SocketAddr,
    /// PEM file of the certificate and its chain; with it the listener speaks TLS.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the private key.
    pub tls_key: Option<PathBuf>,
}

/// Settings of the gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Where it listens.
    pub listener: Listener,
    /// Where clients reach it, without a path; `None` at the address that it listens on.
    pub public_url: Option<String>,
    /// Threads, each with its own runtime; 0 takes one per core.
    pub threads: u16,
    /// Networks whose peers are believed about whom they call for.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections open at once.
    pub connections_max: usize,
    /// Connections open at once from one address.
    pub connections_per_ip_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Bytes of a request's body where the service says nothing.
    pub body_bytes_max: u64,
    /// How long a head may take.
    pub head_timeout: Duration,
    /// How long a connection may rest between requests.
    pub keep_alive_idle: Duration,
    /// How long a request body may be silent.
    pub body_idle: Duration,
    /// Bytes per second of a request body that a client has to send.
    pub body_rate_min: u64,
    /// How long a request body may take that is held whole.
    pub held_body_timeout: Duration,
    /// How long a client may leave no room for an answer.
    pub write_idle: Duration,
    /// Bytes per second of an answer that a client has to take while they wait for it.
    pub write_rate_min: u64,
    /// How long a tunnel may be silent.
    pub tunnel_idle: Duration,
    /// Bad keys an address may show a minute.
    pub bad_keys_per_minute: u64,
    /// Connections open at once to one upstream, per thread.
    pub upstream_connections_max: usize,
    /// Threads for bcrypt and argon2 of imported keys.
    pub slow_hash_threads: usize,
    /// How long requests in flight may take after SIGTERM.
    pub drain_timeout: Duration,
}

/// The signed assertion for upstreams.
#[derive(Clone, Debug, Default)]
pub struct Assertion {
    /// PEM file of the signing key.
    pub key_file: Option<PathBuf>,
    /// The `iss` of the assertion.
    pub issuer: String,
}

/// Settings of the database.
#[derive(Debug)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`; `None` is `tollgate.db` in the data folder. May hold a
    /// password.
    pub url: Option<Secret<String>>,
    /// Connections open at once.
    pub connections_max: u32,
}

/// Settings of the usage journal.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Its folder; `journal` in the data folder when not said.
    pub dir: Option<PathBuf>,
    /// Bytes it may take.
    pub bytes_max: u64,
    /// What it promises: `process`.
    pub promise: &'static str,
}

/// How long things are kept.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Single decisions.
    pub decisions: Duration,
    /// Sums of usage by day, and at most those by hour and minute.
    pub usage: Duration,
    /// Sums by hour.
    pub usage_hours: Duration,
    /// Sums by minute.
    pub usage_minutes: Duration,
}

/// How nodes learn of changes.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// How often a node asks for changes.
    pub poll: Duration,
    /// How long a node trusts what it knows without an answer.
    pub lease: Duration,
}

/// Settings of the log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// `auto`, `human` or `json`.
    pub format: &'static str,
    /// What is logged: a level, or `tracing` directives.
    pub level: String,
}

impl Config {
    /// The database's address, with its default in the data folder.
    #[must_use]
    pub fn database_url(&self) -> Secret<String> {
        self.database.url.clone().unwrap_or_else(|| {
            Secret::new(format!("sqlite://{}", self.data_dir.join("tollgate.db").display()))
        })
    }

    /// The journal's folder, with its default in the data folder.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.journal.dir.clone().unwrap_or_else(|| self.data_dir.join("journal"))
    }
}
