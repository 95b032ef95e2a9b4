//! `cargo xtask deny`: licences, bans and sources of all dependencies, by `deny.toml`. Not part of
//! `cargo xtask test`, because the tool takes minutes to build; the crates that must never come in are checked there
//! by tidy, from `Cargo.lock`. Advisories need a database from the network:
//! `cargo deny check advisories` fetches it.

use crate::command::{Outcome, cargo, find, in_root, show};
use crate::workspace;

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Outcome {
    let installed = workspace::tools().join("bin/cargo-deny");
    if !installed.exists() && find("cargo-deny").is_none() {
        println!("installing cargo-deny {VERSION} into {} (some minutes)", workspace::tools().display());
        show(
            cargo()
                .args(["install", "--locked", "cargo-deny", "--version", VERSION, "--root"])
                .arg(workspace::tools()),
        )?;
    }
    let program = if installed.exists() { installed } else { "cargo-deny".into() };
    show(in_root(program).args(["check", "bans", "licenses", "sources"]))
}
