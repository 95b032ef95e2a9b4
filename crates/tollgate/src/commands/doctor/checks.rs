//! What is looked at, one function a thing.

use std::{io::Write as _, net::SocketAddr, path::Path};

use tollgate_core::time::Clock as _;
use tollgate_store::{OpenOptions, Store};

use super::finding::Finding;
use crate::{
    config::{self, Config},
    context::Context,
};

/// Free space below which a disk is worth a warning.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// File descriptors below which connections will be refused under load.
const DESCRIPTORS_MIN: u64 = 16_384;

/// The database: there, reachable, writable, with room, with a tenant.
pub(super) async fn database(context: &Context) -> Vec<Finding> {
    const CHECK: &str = "database";
    let file = context.config.data_dir.join("tollgate.db");
    if context.config.database.url.is_none() && !file.exists() {
        return vec![Finding::wrong(
            CHECK,
            format!("there is none at {}", file.display()),
            "create it with `tollgate init`, or give the right folder with --data-dir",
        )];
    }
    let key_file = Some(context.config.secrets_key_file());
    let options = OpenOptions { secrets_key_file: key_file, ..OpenOptions::default() };
    let opened = Store::open(context.config.database_url().expose(), options).await;
    let checked = match &opened {
        Ok(store) => store.check().await,
        Err(error) => {
            let cause = error.cause().map(|cause| format!(" ({cause})")).unwrap_or_default();
            return vec![Finding::wrong(
                CHECK,
                format!("{error}{cause}"),
                "check that it runs, that `database.url` is right, and that this user may use it",
            )];
        }
    };
    let check = match checked {
        Ok(check) => check,
        Err(error) => {
            return vec![Finding::wrong(
                CHECK,
                error.to_string(),
                "see the cause in the log of the database",
            )];
        }
    };
    let mut found = vec![Finding::ok(
        CHECK,
        format!("{} {}, schema {}, change {}", check.engine.name(), check.version, check.schema, check.head),
    )];
    if let Some(reason) = check.not_writable {
        found.push(Finding::wrong(
            "database writable",
            reason,
            "free disk space, or let this user write the file and its folder; PostgreSQL must be the primary",
        ));
    }
    if !check.initialised {
        found.push(Finding::warning(
            "installation",
            "there is no tenant yet",
            "run `tollgate init --owner YOU@EXAMPLE.COM --password-stdin`",
        ));
    }
    if let Ok(store) = &opened {
        found.extend(secrets(store).await);
        found.extend(super::sinks::left_over(store, &context.config).await);
    }
    if let Some(free) = check.free_bytes
        && free < FREE_BYTES_MIN
    {
        found.push(Finding::warning(
            "database disk",
            format!("{} MiB are free", free >> 20),
            "free space; a full disk stops changes and shipping",
        ));
    }
    found
}

/// Whether this node can decrypt what is kept encrypted.
async fn secrets(store: &Store) -> Option<Finding> {
    const CHECK: &str = "secrets";
    const REMEDY: &str = "copy the file of keys from a node that has the right one, or set the secrets again";
    let check = match store.check_secrets().await {
        Ok(check) => check,
        Err(error) => return Some(Finding::wrong(CHECK, error.to_string(), "see the log of the database")),
    };
    if let Some(problem) = check.problem {
        return Some(Finding::wrong(CHECK, problem, REMEDY));
    }
    if let [first, rest @ ..] = check.unreadable.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        return Some(Finding::wrong(CHECK, format!("{first} cannot be decrypted here{more}"), REMEDY));
    }
    let key = check.key?;
    Some(Finding::ok(CHECK, format!("{} can be decrypted here, new ones are under key {key}", check.count)))
}

/// Whether a folder can be written and has room.
pub(super) fn folder(check: &'static str, dir: &Path) -> Finding {
    if !dir.exists() {
        return Finding::ok(check, format!("{} is made at the first start", dir.display()));
    }
    let probe = dir.join(".doctor");
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    // What was not created needs no removing.
    let _ignored = std::fs::remove_file(&probe);
    if let Err(error) = written {
        return Finding::wrong(
            check,
            format!("{} cannot be written: {error}", dir.display()),
            "free space, or let this user write there",
        );
    }
    let free = rustix::fs::statvfs(dir).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    match free {
        Ok(free) if free < FREE_BYTES_MIN => Finding::warning(
            check,
            format!("{} can be written, {} MiB are free", dir.display(), free >> 20),
            "free space; without room for usage records requests are refused",
        ),
        Ok(free) => {
            Finding::ok(check, format!("{} can be written, {} GiB are free", dir.display(), free >> 30))
        }
        Err(_) => Finding::ok(check, format!("{} can be written", dir.display())),
    }
}

/// Certificates and keys that settings name.
pub(super) fn secret_files(config: &Config) -> Vec<Finding> {
    let named = [
        ("gateway.tls.cert", &config.gateway.listener.tls_cert),
        ("gateway.tls.key", &config.gateway.listener.tls_key),
        ("service_api.tls.cert", &config.service_api.tls_cert),
        ("service_api.tls.key", &config.service_api.tls_key),
        ("assertion.key_file", &config.assertion.key_file),
    ];
    let named = named.into_iter().filter_map(|(check, path)| Some((check, path.as_ref()?)));
    named
        .map(|(check, path)| match std::fs::read_to_string(path) {
            Ok(text) if text.contains("-----BEGIN ") => Finding::ok(check, path.display().to_string()),
            Ok(_) => Finding::wrong(
                check,
                format!("{} holds no PEM", path.display()),
                "give the file that begins with `-----BEGIN`",
            ),
            Err(error) => Finding::wrong(
                check,
                format!("{}: {}", path.display(), config::reason(&error)),
                "give the right file, and let this user read it",
            ),
        })
        .collect()
}

/// The mail server: reached, proven, let in.
pub(super) async fn smtp(config: &Config) -> Finding {
    const CHECK: &str = "smtp";
    let Some(options) = config.smtp.options() else { return Finding::absent(CHECK) };
    match tollgate_control::check_smtp(&options).await {
        Ok(()) => Finding::ok(CHECK, format!("{} takes mail", options.place())),
        Err(problem) => Finding::wrong(
            CHECK,
            format!("{}: {problem}", options.place()),
            "check smtp.host, smtp.port, smtp.security, and smtp.user with smtp.password",
        ),
    }
}

/// Directory and OpenID provider, as a sign-in would use them.
pub(super) async fn providers(context: &Context) -> Vec<Finding> {
    let options = context.config.people.providers();
    let found = tollgate_control::examine_providers(&options, context.clock.now().wall_us).await;
    let finding = |found: tollgate_control::ProviderFinding| {
        if found.is_ok {
            Finding::ok(found.check, found.found)
        } else {
            Finding::wrong(found.check, found.found, found.remedy)
        }
    };
    found.into_iter().map(finding).collect()
}

pub(super) fn clock(context: &Context) -> Finding {
    const CHECK: &str = "clock";
    /// A clock before the year 2024 was never set.
    const PLAUSIBLE_US: i64 = 1_704_067_200_000_000;
    let behind = context.clock.behind_us();
    let now = context.clock.now();
    if now.wall_us < PLAUSIBLE_US {
        return Finding::wrong(CHECK, "the wall clock stands before 2024", "set it, best with NTP");
    }
    if behind > 1_000_000 {
        let remedy = format!(
            "set it with NTP; if it was wrong before and is right now, stop the node and delete {}",
            context.clock.file().display()
        );
        return Finding::warning(
            CHECK,
            format!(
                "it is {} s behind the highest time this node has seen; keys expire by that one",
                behind / 1_000_000
            ),
            remedy,
        );
    }
    Finding::ok(CHECK, crate::cli::time::rfc3339(now.wall_us))
}

pub(super) fn descriptors() -> Finding {
    const CHECK: &str = "file descriptors";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < DESCRIPTORS_MIN => Finding::warning(
            CHECK,
            format!("at most {most}"),
            format!("raise the hard limit (LimitNOFILE=, ulimit -Hn) to {DESCRIPTORS_MIN} or more"),
        ),
        Some(most) => Finding::ok(CHECK, format!("at most {most}")),
        None => Finding::ok(CHECK, "no limit"),
    }
}

pub(super) fn listeners(config: &Config) -> Vec<Finding> {
    let all = [
        ("gateway.listen", config.gateway.listener.listen),
        ("service_api.listen", config.service_api.listen),
        ("control.listen", config.control.listen),
    ];
    all.map(|(check, address)| listener(check, address)).into()
}

fn listener(check: &'static str, address: SocketAddr) -> Finding {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Finding::ok(check, format!("{address} is in use, by a running node or by another program"))
        }
        Err(error) => Finding::wrong(
            check,
            format!("{address} cannot be listened on: {error}"),
            "use an address of this machine, and a port that this user may take",
        ),
    }
}
