//! A real OpenID provider with its own login pages: npm's `oidc-provider` as a process of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::Process;
use crate::wait::poll_until;

/// The folder with `node_modules` comes in by this name; `cargo xtask test` installs it and says where.
const PACKAGES: &str = "TOLLGATE_OIDC_PROVIDER";
/// How long it may take to listen on a loaded machine.
const START_MAX: Duration = Duration::from_secs(60);

/// The running provider. Its only client is `tollgate`, with the secret [`OpenIdProvider::SECRET`].
#[derive(Debug)]
pub struct OpenIdProvider {
    port: u16,
    people: PathBuf,
    _process: Process,
}

impl OpenIdProvider {
    /// The secret of its client.
    pub const SECRET: &'static str = "s3cret of the client";

    /// Starts it on a port; `back` is where it sends browsers back to, and `folder` holds what it reads and says.
    /// `people` are as in [`OpenIdProvider::know`].
    ///
    /// # Panics
    /// When node is missing, or the environment does not say where the package is.
    pub fn start(folder: &Path, (port, back): (u16, &str), people: &Value) -> Self {
        std::env::var(PACKAGES).unwrap_or_else(|_| {
            panic!("{PACKAGES} must name the folder with oidc-provider; `cargo xtask test` installs it")
        });
        let file = folder.join("people.json");
        std::fs::write(&file, people.to_string()).expect("write the people");
        let mut node = Command::new("node");
        node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/openid.mjs"));
        node.args([port.to_string(), back.to_owned()]).arg(&file);
        let mut process = Process::start(&mut node, &folder.join("openid.log"));
        poll_until(START_MAX, || {
            assert!(process.ended().is_none(), "the provider ended at its start:\n{}", process.log_end(20));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { port, people: file, _process: process }
    }

    /// Its issuer: `http://127.0.0.1:…`.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on it knows these people: `{"alice": {"email": "…", "groups": ["…"]}}`.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn know(&self, people: &Value) {
        std::fs::write(&self.people, people.to_string()).expect("write the people");
    }
}
