//! How a node is to be prepared and started. What it is once it runs is in the parent module.

use std::path::{Path, PathBuf};

use super::{Addresses, Tollgate};

/// How a node is to be started.
#[derive(Debug)]
pub struct TollgateBuilder {
    binary: PathBuf,
    config: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    resources: Option<String>,
    initialise: bool,
}

impl TollgateBuilder {
    pub(super) fn new(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            config: String::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            resources: None,
            initialise: true,
        }
    }

    /// The text of `tollgate.toml`. Listen addresses come from the harness and need not be in it.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        text.clone_into(&mut self.config);
        self
    }

    /// One environment variable for the server and every later command.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets `database.url`, for PostgreSQL or for several nodes on one database.
    #[must_use]
    pub fn database(self, url: &str) -> Self {
        self.env("TOLLGATE_DATABASE__URL", url)
    }

    /// Further arguments of `tollgate serve`, e.g. `["--roles", "gateway"]`.
    #[must_use]
    pub fn serve_args(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Resources (TOML of `tollgate apply`) to be applied before the server starts.
    #[must_use]
    pub fn resources(mut self, text: &str) -> Self {
        self.resources = Some(text.to_owned());
        self
    }

    /// Leaves out `tollgate init`: for tests of an uninitialised folder, or of a second node on one database.
    #[must_use]
    pub fn without_init(mut self) -> Self {
        self.initialise = false;
        self
    }

    /// Prepares the folder (`init`, `apply`) without starting a server.
    pub fn prepare(self) -> Tollgate {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-test-")
            .tempdir()
            .expect("make a temporary folder for tollgate");
        std::fs::write(folder.path().join("tollgate.toml"), &self.config).expect("write tollgate.toml");
        let node = Tollgate {
            binary: self.binary,
            environment: self.environment,
            arguments: self.arguments,
            folder,
            addresses: Addresses::free(),
            process: None,
        };
        if self.initialise {
            let arguments = ["init", "--owner", "owner@example.com", "--password-stdin"];
            let _ = node.cli_with_input(&arguments, "correct horse battery staple\n").success();
        }
        if let Some(resources) = &self.resources {
            let _ = node.apply(resources);
        }
        node
    }

    /// Prepares the folder, starts `tollgate serve` and waits until `/readyz` answers 200.
    ///
    /// # Panics
    /// When any step fails; the message holds the end of the server's log.
    pub fn start(self) -> Tollgate {
        let mut node = self.prepare();
        node.start();
        node
    }
}
