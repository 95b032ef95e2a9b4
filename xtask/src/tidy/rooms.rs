//! Which crate may depend on which: the table of the design, kept here because Cargo only enforces what a manifest
//! says, not what it may say.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::source::Tree;
use super::{Finding, Weight};
use crate::command::Outcome;

/// One room: its rooms below, and crates of others that it must never see.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

/// Everything that does input, output, time or chance.
const EFFECTS: &[&str] = &[
    "tokio",
    "http",
    "http-body",
    "hyper",
    "hyper-util",
    "axum",
    "sqlx",
    "serde_json",
    "tracing",
    "metrics",
    "rand",
    "getrandom",
    "rustix",
    "reqwest",
    "mio",
    "socket2",
];
const HTTP: &[&str] = &["http", "http-body", "hyper", "hyper-util", "axum", "h2"];
const ALL: &[&str] =
    &["core", "wire", "journal", "store", "counters", "gateway", "inference", "control", "workers", "client"];

/// The table of the design, section "Rooms". A crate that is not here is refused: it needs a decision record first.
const ROOMS: &[Room] = &[
    Room { name: "core", may_use: &[], never: EFFECTS },
    Room { name: "wire", may_use: &["core"], never: &["tokio", "sqlx", "axum", "hyper"] },
    Room { name: "journal", may_use: &["core"], never: &["sqlx", "hyper", "http", "axum", "tokio"] },
    Room { name: "store", may_use: &["core", "journal"], never: HTTP },
    Room { name: "counters", may_use: &["core"], never: &["sqlx", "hyper", "axum"] },
    Room { name: "gateway", may_use: &["core", "wire", "journal", "counters"], never: &["sqlx", "axum"] },
    Room { name: "inference", may_use: &["core", "wire"], never: &["sqlx", "axum", "hyper", "tokio"] },
    Room { name: "control", may_use: &["core", "wire", "store"], never: &["sqlx"] },
    // It speaks HTTP to where records, points and webhooks go, and answers none.
    Room { name: "workers", may_use: &["core", "store", "journal"], never: &["axum", "h2"] },
    Room { name: "client", may_use: &["core", "wire"], never: &["sqlx", "axum"] },
    Room { name: "tollgate", may_use: ALL, never: &[] },
    Room { name: "testkit", may_use: &[], never: &["sqlx"] },
    Room { name: "xtask", may_use: &[], never: &["tokio", "sqlx"] },
];

/// What pulls a second TLS stack or a C library into the build; anywhere in `Cargo.lock` is too near.
/// `openssl-sys` may stand there for librdkafka alone (docs/decisions/0015-openssl-for-kafka-alone.md); `cargo xtask deny` sees to that.
const FORBIDDEN_ANYWHERE: [&str; 5] = ["openssl", "native-tls", "aws-lc-rs", "aws-lc-sys", "async-std"];

/// Paths of the standard library that reach outside; the room of pure decisions must not name them.
const OUTSIDE: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "std::time::SystemTime",
];

pub(super) fn check(tree: &Tree) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in manifests(tree) {
        let manifest: Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
        findings.extend(check_manifest(path, &manifest));
    }
    for name in locked(tree)?.keys().filter(|name| FORBIDDEN_ANYWHERE.contains(&name.as_str())) {
        findings.push(Finding::fault(
            "Cargo.lock",
            format!("{name} came in"),
            "choose features that use rustls with ring (`cargo tree -i NAME` shows who brings it)",
        ));
    }
    findings.extend(outside(tree));
    Ok(findings)
}

/// Crates that are in the build in more than one version, as lines to print.
pub(super) fn duplicates(tree: &Tree) -> Outcome<Vec<String>> {
    let several = |(name, versions): (String, BTreeSet<String>)| {
        let versions: Vec<String> = versions.into_iter().collect();
        (versions.len() > 1).then(|| format!("{name} {}", versions.join(", ")))
    };
    let found: Vec<String> = locked(tree)?.into_iter().filter_map(several).collect();
    Ok(if found.is_empty() {
        found
    } else {
        vec![format!("several versions in Cargo.lock: {}", found.join("; "))]
    })
}

fn manifests(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    let files = tree.other.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    files.filter(|(path, _)| path.ends_with("/Cargo.toml") && !path.starts_with("fuzz/"))
}

fn check_manifest(path: &str, manifest: &Table) -> Vec<Finding> {
    let name = path.trim_end_matches("/Cargo.toml").rsplit('/').next().unwrap_or_default();
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let remedy = "write a decision record, then add it to the table in xtask/src/tidy/rooms.rs";
        return vec![Finding::fault(path, format!("unknown crate `{name}`"), remedy)];
    };
    let section = |key: &str| manifest.get(key).and_then(Value::as_table).into_iter().flat_map(Table::keys);
    let product = section("dependencies").chain(section("build-dependencies"));
    let mut findings: Vec<Finding> = product.filter_map(|dependency| wrong(path, room, dependency)).collect();
    // Tests may use anything foreign, and the testkit, but they keep the direction between rooms.
    let tests = section("dev-dependencies").filter(|name| name.starts_with("tollgate"));
    findings
        .extend(tests.filter(|name| *name != "tollgate-testkit").filter_map(|name| wrong(path, room, name)));
    findings
}

fn wrong(path: &str, room: &Room, dependency: &str) -> Option<Finding> {
    if let Some(inner) = dependency.strip_prefix("tollgate-") {
        let what = format!("`{}` must not depend on `{inner}`", room.name);
        let remedy = "take what is needed through a port that the `tollgate` crate wires";
        return (!room.may_use.contains(&inner)).then(|| Finding::fault(path, what, remedy));
    }
    let what = format!("`{}` must never see `{dependency}`", room.name);
    let remedy = "move the effect to the room that owns it (table of rooms in the design)";
    room.never.contains(&dependency).then(|| Finding::fault(path, what, remedy))
}

/// Uses of the outside world in the room of pure decisions.
fn outside(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust.iter().filter(|file| file.path.starts_with("crates/core/src/")) {
        let code = |line: &str| !line.trim_start().starts_with("//");
        let lines = file.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        for (number, line) in lines.filter(|(number, line)| code(line) && !file.is_test_line(*number)) {
            if let Some(name) = OUTSIDE.iter().find(|name| line.contains(**name)) {
                let remedy = "take the value as an argument or through a trait";
                findings.push(Finding {
                    weight: Weight::Fault,
                    place: format!("{}:{number}", file.path),
                    what: format!("pure room names `{name}`"),
                    remedy,
                });
            }
        }
    }
    findings
}

fn locked(tree: &Tree) -> Outcome<BTreeMap<String, BTreeSet<String>>> {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let Some((_, text)) = tree.other.iter().find(|(path, _)| path == "Cargo.lock") else {
        return Ok(versions);
    };
    let lock: Table = text.parse()?;
    for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
        let field = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        versions.entry(field("name")).or_default().insert(field("version"));
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        check_manifest(path, &text.parse().unwrap()).iter().map(|finding| finding.what.clone()).collect()
    }

    #[test]
    fn the_gateway_cannot_see_the_store() {
        let text = "[dependencies]\ntollgate-core = {}\ntollgate-store = {}\n[dev-dependencies]\ntollgate-testkit = {}";
        assert_eq!(faults("crates/gateway/Cargo.toml", text), ["`gateway` must not depend on `store`"]);
    }

    #[test]
    fn the_core_sees_json_in_its_tests_only() {
        let text = "[dependencies]\ntokio = \"1\"\n[dev-dependencies]\nserde_json = \"1\"";
        assert_eq!(faults("crates/core/Cargo.toml", text), ["`core` must never see `tokio`"]);
    }

    #[test]
    fn a_new_crate_needs_a_place_in_the_table() {
        assert_eq!(faults("crates/common/Cargo.toml", ""), ["unknown crate `common`"]);
    }
}
