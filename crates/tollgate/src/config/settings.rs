//! Every setting, declared once: path, shape, default, meaning, how it is read.
//!
//! Defaults are written as in an environment variable and go through the same reader as
//! everything else. What a setting does is in its `doc`; `docs/generated/configuration.md` is
//! rendered from here.

use super::{
    Config, audit, events, influx, people, reminders, secrets, smtp,
    value::{Written, address, bytes, choice, duration, networks, number, path, text},
};

/// One setting.
#[derive(Clone, Copy)]
pub struct Setting {
    /// `section.name`.
    pub path: &'static str,
    /// What may be written, with unit and range.
    pub shape: &'static str,
    /// The default, as in an environment variable; empty when the setting is not set.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Reads a value into the configuration, or says what is wrong with it.
    pub(super) read: fn(Written<'_>, &mut Config) -> Result<(), String>,
}

impl Setting {
    /// The environment variable that sets it.
    #[must_use]
    pub fn environment_name(&self) -> String {
        format!("TOLLGATE_{}", self.path.replace('.', "__").to_ascii_uppercase())
    }
}

const CERT: &str =
    "PEM file: the certificate, then its chain. With it the listener speaks TLS, with HTTP/2 by ALPN.";
const KEY: &str = "PEM file: the private key of the certificate (PKCS#8, PKCS#1 or SEC1).";
const ADDRESS: &str = "IP address and port; port 0 takes a free one";
const FILE: &str = "path of a file";
const COUNT_MAX: u64 = 1_000_000;

/// All settings, in the order of the documentation.
pub const SETTINGS: &[Setting] = &ALL;

const PARTS: [&[Setting]; 12] = [
    GENERAL,
    people::SETTINGS,
    smtp::SETTINGS,
    audit::SETTINGS,
    reminders::SETTINGS,
    secrets::SETTINGS,
    events::SETTINGS,
    super::topics::SETTINGS,
    influx::SETTINGS,
    super::redis::SETTINGS,
    super::webhooks::SETTINGS,
    super::upstreams::SETTINGS,
];

const LENGTH: usize = {
    let (mut part, mut length) = (0, 0);
    while part < PARTS.len() {
        length += PARTS[part].len();
        part += 1;
    }
    length
};

const ALL: [Setting; LENGTH] = {
    let mut all = [GENERAL[0]; _];
    let (mut part, mut index, mut next) = (0, 0, 0);
    while next < all.len() {
        if index == PARTS[part].len() {
            (part, index) = (part + 1, 0);
        } else {
            all[next] = PARTS[part][index];
            (index, next) = (index + 1, next + 1);
        }
    }
    all
};

/// Those that have no file of their own.
const GENERAL: &[Setting] = &[
    Setting {
        path: "gateway.listen",
        shape: ADDRESS,
        default: "127.0.0.1:8080",
        doc: "Where the gateway takes requests: HTTP/1.1 and HTTP/2, with TLS or in the clear.",
        read: |written, config| put(&mut config.gateway.listener.listen, address(written)),
    },
    Setting {
        path: "gateway.public_url",
        shape: "`https://HOST` or `http://HOST:PORT`, without a path",
        default: "",
        doc: "Where clients reach the gateway. It is in the command that the console shows with a new key. When not set, it is the address that the gateway listens on.",
        read: |written, config| put(&mut config.gateway.public_url, people::origin(written).map(Some)),
    },
    Setting {
        path: "gateway.threads",
        shape: "whole number, 0 to 256",
        default: "0",
        doc: "Threads, each with a runtime and a listening socket of its own. 0 takes one per core.",
        read: |written, config| {
            let count = number(written, 0..=256)?;
            put(&mut config.gateway.threads, narrow(count))
        },
    },
    Setting {
        path: "gateway.trusted_proxies",
        shape: "list of networks",
        default: "",
        doc: "Peers that are believed when they say on whose behalf they call (`X-Forwarded-For`, `-Proto`, `-Host`). The right-most hop that is not in the list counts as the client.",
        read: |written, config| put(&mut config.gateway.trusted_proxies, networks(written)),
    },
    Setting {
        path: "gateway.tls.cert",
        shape: FILE,
        default: "",
        doc: CERT,
        read: |written, config| put(&mut config.gateway.listener.tls_cert, path(written).map(Some)),
    },
    Setting {
        path: "gateway.tls.key",
        shape: FILE,
        default: "",
        doc: KEY,
        read: |written, config| put(&mut config.gateway.listener.tls_key, path(written).map(Some)),
    },
    Setting {
        path: "gateway.connections_max",
        shape: "whole number, 1 to 1000000",
        default: "65536",
        doc: "Connections open at once, over all threads; more are closed unread.",
        read: |written, config| {
            put(&mut config.gateway.connections_max, count(number(written, 1..=COUNT_MAX)))
        },
    },
    Setting {
        path: "gateway.connections_per_ip_max",
        shape: "whole number, 1 to 1000000",
        default: "16384",
        doc: "Connections open at once from one IPv4 address or IPv6 /64. A reverse proxy in front of the gateway is one address.",
        read: |written, config| {
            put(&mut config.gateway.connections_per_ip_max, count(number(written, 1..=COUNT_MAX)))
        },
    },
    Setting {
        path: "gateway.head_bytes_max",
        shape: "bytes, 1KiB to 1MiB",
        default: "32KiB",
        doc: "The largest head of a request, its first line and all fields together; a larger one gets 431.",
        read: |written, config| {
            put(&mut config.gateway.head_bytes_max, count(bytes(written, 1 << 10..=1 << 20)))
        },
    },
    Setting {
        path: "gateway.body_bytes_max",
        shape: "bytes, 0B to 1TiB",
        default: "100MiB",
        doc: "The largest body of a request where its service has no `body_bytes_max`; a larger one gets 413.",
        read: |written, config| put(&mut config.gateway.body_bytes_max, bytes(written, 0..=1 << 40)),
    },
    Setting {
        path: "gateway.head_timeout",
        shape: "length of time, 100ms to 10m",
        default: "10s",
        doc: "From the first byte of a head to its last; also the wait for the first byte of a connection.",
        read: |written, config| put(&mut config.gateway.head_timeout, duration(written, "100ms", "10m")),
    },
    Setting {
        path: "gateway.keep_alive_idle",
        shape: "length of time, 100ms to 1d",
        default: "60s",
        doc: "How long a connection may rest between two requests.",
        read: |written, config| put(&mut config.gateway.keep_alive_idle, duration(written, "100ms", "1d")),
    },
    Setting {
        path: "gateway.body_idle",
        shape: "length of time, 100ms to 1d",
        default: "60s",
        doc: "How long the body of a request may be silent while the gateway waits for it.",
        read: |written, config| put(&mut config.gateway.body_idle, duration(written, "100ms", "1d")),
    },
    Setting {
        path: "gateway.body_rate_min",
        shape: "bytes a second, 0B to 1MiB",
        default: "240",
        doc: "The least average rate of a request body, after 15 seconds of grace; only time counts in which the gateway waits for the client. 0 turns it off.",
        read: |written, config| put(&mut config.gateway.body_rate_min, bytes(written, 0..=1 << 20)),
    },
    Setting {
        path: "gateway.held_body_timeout",
        shape: "length of time, 100ms to 1d",
        default: "5m",
        doc: "How long the body of a request may take, however steadily it comes, where it is held whole before anything is done with it: records and points, questions to models, calls of models, signed requests, questions of services. Only time counts in which the gateway waits for the client. What a proxy passes on as it comes has no such bound.",
        read: |written, config| put(&mut config.gateway.held_body_timeout, duration(written, "100ms", "1d")),
    },
    Setting {
        path: "gateway.write_idle",
        shape: "length of time, 100ms to 1d",
        default: "60s",
        doc: "How long a client may leave no room for its answer, or for what a WebSocket brings it. Time in which nothing waits for the client does not count, and bytes that it takes give time back (`gateway.write_rate_min`).",
        read: |written, config| put(&mut config.gateway.write_idle, duration(written, "100ms", "1d")),
    },
    Setting {
        path: "gateway.write_rate_min",
        shape: "bytes a second, 0B to 1MiB",
        default: "240",
        doc: "The least that a client has to take while bytes wait for it: each byte gives back the time that it takes at this rate, up to `gateway.write_idle`. Whoever takes less in the long run is cut, and its request is recorded as given up by the client. With 0 any byte gives back all.",
        read: |written, config| put(&mut config.gateway.write_rate_min, bytes(written, 0..=1 << 20)),
    },
    Setting {
        path: "gateway.tunnel_idle",
        shape: "length of time, 100ms to 7d",
        default: "5m",
        doc: "How long a WebSocket may be silent in both directions.",
        read: |written, config| put(&mut config.gateway.tunnel_idle, duration(written, "100ms", "7d")),
    },
    Setting {
        path: "gateway.bad_keys_per_minute",
        shape: "whole number, 1 to 1000000",
        default: "30",
        doc: "Bad keys an address may show a minute, and at once; beyond it its bad keys get 429 `too_many_bad_keys`. Good keys are never affected.",
        read: |written, config| put(&mut config.gateway.bad_keys_per_minute, number(written, 1..=COUNT_MAX)),
    },
    Setting {
        path: "gateway.upstream_connections_max",
        shape: "whole number, 1 to 1000000",
        default: "4096",
        doc: "Connections open at once to one upstream, WebSockets included, for each thread; beyond it requests get `overloaded`.",
        read: |written, config| {
            put(&mut config.gateway.upstream_connections_max, count(number(written, 1..=COUNT_MAX)))
        },
    },
    Setting {
        path: "gateway.slow_hash_threads",
        shape: "whole number, 1 to 64",
        default: "2",
        doc: "Threads that verify imported bcrypt and argon2 hashes. A key needs them at its first use only.",
        read: |written, config| put(&mut config.gateway.slow_hash_threads, count(number(written, 1..=64))),
    },
    Setting {
        path: "gateway.drain_timeout",
        shape: "length of time, 0s to 1h",
        default: "30s",
        doc: "After SIGTERM: how long requests in flight may take before their connections are cut.",
        read: |written, config| put(&mut config.gateway.drain_timeout, duration(written, "0s", "1h")),
    },
    Setting {
        path: "service_api.listen",
        shape: ADDRESS,
        default: "127.0.0.1:8082",
        doc: "Where services and other proxies ask whether a key is good.",
        read: |written, config| put(&mut config.service_api.listen, address(written)),
    },
    Setting {
        path: "service_api.tls.cert",
        shape: FILE,
        default: "",
        doc: CERT,
        read: |written, config| put(&mut config.service_api.tls_cert, path(written).map(Some)),
    },
    Setting {
        path: "service_api.tls.key",
        shape: FILE,
        default: "",
        doc: KEY,
        read: |written, config| put(&mut config.service_api.tls_key, path(written).map(Some)),
    },
    Setting {
        path: "assertion.key_file",
        shape: FILE,
        default: "",
        doc: "PEM file of the private key (PKCS#8, Ed25519 or ECDSA P-256) that signs the assertion for services with `assertion = true`; of several keys the first signs and all are published. Without it upstreams get no assertion.",
        read: |written, config| put(&mut config.assertion.key_file, path(written).map(Some)),
    },
    Setting {
        path: "assertion.issuer",
        shape: "text",
        default: "tollgate",
        doc: "The `iss` of the assertion.",
        read: |written, config| put(&mut config.assertion.issuer, text(written)),
    },
    Setting {
        path: "database.url",
        shape: "`sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME`",
        default: "",
        doc: "The database. When not set, `tollgate.db` in the data folder. More than one node needs PostgreSQL. Parameters stand behind a `?`: `sslmode=verify-full` speaks TLS and verifies the server's authority and name, `verify-ca` the authority alone, `require` neither; `sslrootcert=FILE` names an authority to believe beside the system's, `sslcert=FILE` and `sslkey=FILE` a certificate of its own. Without `sslmode` TLS is spoken where the server offers it, and nothing is verified.",
        read: |written, config| {
            let url = text(written)?;
            check_database_url(&url)?;
            put(&mut config.database.url, Ok(Some(tollgate_core::secret::Secret::new(url))))
        },
    },
    Setting {
        path: "database.connections_max",
        shape: "whole number, 2 to 1000",
        default: "12",
        doc: "Connections open at once to PostgreSQL; half of them write. Nothing on the way of a request waits for one.",
        read: |written, config| {
            let count = number(written, 2..=1_000)?;
            put(&mut config.database.connections_max, narrow(count))
        },
    },
    Setting {
        path: "journal.dir",
        shape: "path of a folder",
        default: "",
        doc: "The folder of the usage journal. When not set, `journal` in the data folder. It must outlive the process.",
        read: |written, config| put(&mut config.journal.dir, path(written).map(Some)),
    },
    Setting {
        path: "journal.bytes_max",
        shape: "bytes, 1MiB to 16TiB",
        default: "4GiB",
        doc: "What the usage journal may take on disk while the database cannot be reached. When it is full, requests get `overloaded` rather than go uncounted.",
        read: |written, config| put(&mut config.journal.bytes_max, bytes(written, 1 << 20..=16 << 40)),
    },
    Setting {
        path: "journal.promise",
        shape: "`process`",
        default: "process",
        doc: "What is survived: `process` is every end of the process, with nothing lost; a power cut loses at most the last 20 ms, counted.",
        read: |written, config| put(&mut config.journal.promise, choice(written, &["process"])),
    },
    Setting {
        path: "retention.decisions",
        shape: "length of time, 1h to 3650d, or `0s`",
        default: "30d",
        doc: "How long single decisions are kept for `tollgate events` and `tollgate explain`; `0s` keeps none, and what they sum up to stays.",
        read: |written, config| {
            let none = duration(written, "0s", "0s");
            put(&mut config.retention.decisions, none.or_else(|_| duration(written, "1h", "3650d")))
        },
    },
    Setting {
        path: "retention.usage",
        shape: "length of time, 1d to 3650d",
        default: "1100d",
        doc: "How long usage is kept for `tollgate usage`, by day; by hour and by minute at most as long.",
        read: |written, config| put(&mut config.retention.usage, duration(written, "1d", "3650d")),
    },
    Setting {
        path: "retention.usage_hours",
        shape: "length of time, 1d to 3650d",
        default: "400d",
        doc: "How long usage by hour is kept. What is older is told by day: a span begins and ends with whole days (UTC) there.",
        read: |written, config| put(&mut config.retention.usage_hours, duration(written, "1d", "3650d")),
    },
    Setting {
        path: "retention.usage_minutes",
        shape: "length of time, 1d to 3650d",
        default: "90d",
        doc: "How long usage by minute is kept, most of what usage takes on disk. What is older is told by hour.",
        read: |written, config| put(&mut config.retention.usage_minutes, duration(written, "1d", "3650d")),
    },
    Setting {
        path: "retention.events",
        shape: "length of time, 1h to 3650d",
        default: "7d",
        doc: "How long records are kept, for `tollgate events query` and to be sent again. Never shorter than until Kafka has them.",
        read: |written, config| put(&mut config.events.kept, duration(written, "1h", "3650d")),
    },
    Setting {
        path: "feed.poll",
        shape: "length of time, 10ms to 5s",
        default: "100ms",
        doc: "How often a node asks the database for changes made elsewhere.",
        read: |written, config| put(&mut config.feed.poll, duration(written, "10ms", "5s")),
    },
    Setting {
        path: "feed.lease",
        shape: "length of time, 1s to 1h",
        default: "10s",
        doc: "How long a node goes on with what it knows while the database does not answer; then requests get 503 `auth_stale`. It bounds how long a revoked key can live.",
        read: |written, config| put(&mut config.feed.lease, duration(written, "1s", "1h")),
    },
    Setting {
        path: "log.format",
        shape: "`auto`, `human` or `json`",
        default: "auto",
        doc: "`auto` is for people on a terminal and JSON lines otherwise. The log goes to standard error.",
        read: |written, config| put(&mut config.log.format, choice(written, &["auto", "human", "json"])),
    },
    Setting {
        path: "log.level",
        shape: "`error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,tollgate_gateway=debug`",
        default: "info",
        doc: "What is logged. No level logs a credential.",
        read: |written, config| {
            let level = text(written)?;
            check_level(&level)?;
            put(&mut config.log.level, Ok(level))
        },
    },
    Setting {
        path: "control.listen",
        shape: ADDRESS,
        default: "127.0.0.1:8081",
        doc: "Where the console, the admin API, `/livez`, `/readyz` and `/metrics` are. Keep it away from the public network.",
        read: |written, config| put(&mut config.control.listen, address(written)),
    },
];

pub(super) fn put<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    *field = value?;
    Ok(())
}

fn count(number: Result<u64, String>) -> Result<usize, String> {
    number.and_then(narrow)
}

/// Ranges keep every number far inside its type.
fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, String> {
    T::try_from(number).map_err(|_| format!("`{number}` is too large"))
}

fn check_database_url(url: &str) -> Result<(), String> {
    let known = ["sqlite:", "postgres://", "postgresql://"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    // The value may hold a password: it is not repeated.
    Err("it does not begin with `sqlite://` or `postgres://`; write `sqlite:///var/lib/tollgate/tollgate.db` or `postgres://USER:PASSWORD@HOST/NAME`".to_owned())
}

fn check_level(level: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let good = |part: &str| {
        let level = match part.split_once('=') {
            Some((target, level)) => Some(level).filter(|_| !target.is_empty()),
            None => Some(part),
        };
        level.is_some_and(|level| LEVELS.contains(&level.trim()))
    };
    if level.split(',').all(|part| good(part.trim())) {
        return Ok(());
    }
    let shown: String = level.chars().take(64).collect();
    Err(format!(
        "`{shown}` is not a level; write `info`, `debug` or directives such as `info,tollgate_gateway=debug`"
    ))
}
