//! The real `tollgate` binary: a folder of its own, free ports, its output in a file, ended by its own id.
//! It is driven through the command line and the settings of the contract only.

mod builder;
mod cli;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::port::free_address;
use crate::process::{Process, describe};

pub use builder::TollgateBuilder;
pub use cli::CliOutput;

/// How long a start may take before the test gives up; start-time promises are measured, not waited out.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long draining after SIGTERM may take.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Starts with new ports when another process took one in between.
const PORT_TRIES_MAX: u32 = 3;

/// Where the three listeners of one node are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Data plane (`gateway.listen`).
    pub gateway: SocketAddr,
    /// Service API (`service_api.listen`).
    pub service_api: SocketAddr,
    /// Control listener (`control.listen`): `/livez`, `/readyz`, `/metrics`.
    pub control: SocketAddr,
}

impl Addresses {
    fn free() -> Self {
        Self { gateway: free_address(), service_api: free_address(), control: free_address() }
    }
}

/// One node in a folder of its own. Dropping it kills the server and removes the folder.
#[derive(Debug)]
pub struct Tollgate {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    addresses: Addresses,
    process: Option<Process>,
    // Last, so that the server is gone before its folder is.
    folder: TempDir,
}

impl Tollgate {
    /// `binary` is `env!("CARGO_BIN_EXE_tollgate")` of the calling test.
    pub fn builder(binary: impl AsRef<Path>) -> TollgateBuilder {
        TollgateBuilder::new(binary.as_ref())
    }

    /// Where the listeners of the last start are.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The data plane.
    pub fn gateway(&self) -> SocketAddr {
        self.addresses.gateway
    }

    /// The service API.
    pub fn service_api(&self) -> SocketAddr {
        self.addresses.service_api
    }

    /// The control listener.
    pub fn control(&self) -> SocketAddr {
        self.addresses.control
    }

    /// The folder with `tollgate.toml`, the data folder `data` and the log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder (`--data-dir`).
    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The process id of the running server.
    ///
    /// # Panics
    /// When no server runs.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// Everything the servers of this folder have printed so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts the server on free ports; returns how long it took until `/readyz` answered 200.
    ///
    /// # Panics
    /// When it ends or is not ready in time; the message holds the end of its log.
    pub fn start(&mut self) -> Duration {
        assert!(self.process.is_none(), "the server runs already");
        for _ in 0..PORT_TRIES_MAX {
            match self.try_start() {
                Ok(took) => return took,
                Err(reason) if reason.contains("in use") => self.addresses = Addresses::free(),
                Err(reason) => panic!("tollgate serve is not ready: {reason}"),
            }
        }
        panic!("no free ports after {PORT_TRIES_MAX} tries");
    }

    /// Starts the server and tells why it did not become ready instead of panicking.
    ///
    /// # Errors
    /// How it ended, with the end of its log.
    pub fn try_start(&mut self) -> Result<Duration, String> {
        let mut command = self.command();
        command.arg("serve");
        command.args(&self.arguments);
        self.add_common_arguments(&mut command);
        let start = Instant::now();
        let mut process = Process::start(&mut command, &self.log_path());
        loop {
            if is_ready(self.addresses.control) {
                self.process = Some(process);
                return Ok(start.elapsed());
            }
            if let Some(status) = process.ended() {
                return Err(format!("it ended with {}; log:\n{}", describe(status), process.log_end(40)));
            }
            if start.elapsed() > READY_MAX {
                return Err(format!("not within {READY_MAX:?}; log:\n{}", process.log_end(40)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, as the out-of-memory killer or a power switch for processes would. Returns when it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, then waits for the drain to end.
    ///
    /// # Panics
    /// When no server runs or draining takes longer than thirty seconds.
    pub fn term_and_wait(&mut self) -> ExitStatus {
        self.process.take().expect("the server runs").terminate(DRAIN_MAX)
    }

    /// Sends SIGTERM and returns at once; [`Tollgate::term_and_wait`] waits for the end.
    pub fn begin_drain(&mut self) {
        self.process.as_mut().expect("the server runs").signal(Signal::TERM);
    }

    /// Freezes the server (SIGSTOP) as a suspended machine would be; `resume` ends it.
    pub fn freeze(&mut self) {
        self.process.as_mut().expect("the server runs").signal(Signal::STOP);
    }

    /// Ends [`Tollgate::freeze`].
    pub fn resume(&mut self) {
        self.process.as_mut().expect("the server runs").signal(Signal::CONT);
    }

    /// Ends the server with SIGTERM if one runs and starts it again; returns the time to ready.
    pub fn restart(&mut self) -> Duration {
        if self.process.is_some() {
            self.term_and_wait();
        }
        self.start()
    }

    /// Runs one command of the command line in this folder, with `--output json`.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: &[A]) -> CliOutput {
        self.cli_with_input(arguments, "")
    }

    /// As [`Tollgate::cli`], with text on standard input.
    pub fn cli_with_input<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> CliOutput {
        let mut command = self.command();
        command.args(arguments);
        self.add_common_arguments(&mut command);
        command.args(["--output", "json"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.binary.display()));
        let mut pipe = child.stdin.take().expect("standard input is a pipe");
        // A command that does not read its input may be gone already; its own answer tells more.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let output = child.wait_with_output().expect("wait for a command");
        CliOutput::new(&output, arguments)
    }

    /// Runs one command that must succeed and returns its JSON.
    #[track_caller]
    pub fn json<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Value {
        self.cli(arguments).success().json()
    }

    /// `tollgate apply -f` with resources given as text.
    ///
    /// # Panics
    /// When they are refused.
    #[track_caller]
    pub fn apply(&self, resources: &str) -> CliOutput {
        self.try_apply(resources).success()
    }

    /// `tollgate apply -f` with resources given as text, succeeding or not.
    pub fn try_apply(&self, resources: &str) -> CliOutput {
        let path = self.folder().join("resources.toml");
        std::fs::write(&path, resources).expect("write the resources");
        self.cli(&["apply".as_ref(), "-f".as_ref(), path.as_os_str()])
    }

    /// `tollgate keys create`; returns its JSON (`id`, `key`, …). `more` are further flags.
    #[track_caller]
    pub fn create_key(&self, project: &str, consumer: &str, more: &[&str]) -> Value {
        let mut arguments = vec!["keys", "create", "--project", project, "--consumer", consumer];
        arguments.extend_from_slice(more);
        self.json(&arguments)
    }

    /// `tollgate service-tokens create`; returns the token `tgs_…`.
    #[track_caller]
    pub fn create_service_token(&self, name: &str) -> String {
        let created = self.json(&["service-tokens", "create", "--name", name]);
        created["token"].as_str().unwrap_or_else(|| panic!("no token in {created}")).to_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder()).env_remove("RUST_LOG").envs(self.environment.iter().cloned());
        command
            .env("TOLLGATE_GATEWAY__LISTEN", self.addresses.gateway.to_string())
            .env("TOLLGATE_SERVICE_API__LISTEN", self.addresses.service_api.to_string())
            .env("TOLLGATE_CONTROL__LISTEN", self.addresses.control.to_string());
        command
    }

    fn add_common_arguments(&self, command: &mut Command) {
        command.arg("--config").arg(self.folder().join("tollgate.toml"));
        command.arg("--data-dir").arg(self.data_dir());
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }
}

impl Drop for Tollgate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.iter().skip(lines.len().saturating_sub(60));
            let text = end.fold(String::new(), |text, line| text + line + "\n");
            // Only a failing test gets here: the log is what its reader needs next.
            let _ = writeln!(std::io::stderr(), "--- end of tollgate's log ---\n{text}---");
        }
    }
}

/// One look at `/readyz`, without a runtime, so that it works in every kind of test.
fn is_ready(control: SocketAddr) -> bool {
    let look = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&control, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0_u8; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    look().unwrap_or(false)
}
