//! A throw-away Redis server on a free loopback port, which keeps nothing on disk.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::port::free_port;
use crate::process::Process;

/// How long a start may take on a loaded machine.
const START_MAX: Duration = Duration::from_secs(20);

/// A Redis server of our own. It ends when this is dropped.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Redis {
    /// A running server.
    ///
    /// # Panics
    /// When Redis is not installed or does not start; the message says what to do.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tollgate-redis-").tempdir();
        let folder = folder.expect("make a temporary folder");
        let mut server = Self { folder, port: free_port(), process: None };
        server.run();
        server
    }

    /// What a client is told.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL: the server and all that it knew are gone.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts a server again on the same port, which knows nothing.
    ///
    /// # Panics
    /// When it runs, or does not start.
    pub fn run(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(self.port.to_string()).arg("--dir").arg(self.folder.path());
        assert!(
            Command::new("redis-server").arg("--version").output().is_ok(),
            "redis-server is not installed; on Debian: apt-get install redis-server"
        );
        let log: PathBuf = self.folder.path().join("redis.log");
        let mut process = Process::start(&mut command, &log);
        let start = Instant::now();
        while self.try_say("PING").is_none() {
            let ended = process.ended();
            assert!(ended.is_none() && start.elapsed() < START_MAX, "redis-server: {}", process.log_end(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
    }

    /// SIGSTOP: connections stay, and nothing is answered.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it goes on where it was.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Forgets everything.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn flush(&self) {
        assert_eq!(self.try_say("FLUSHALL").as_deref(), Some("+OK\r\n"), "redis-server takes FLUSHALL");
    }

    fn signal(&mut self, signal: Signal) {
        self.process.as_mut().expect("the server runs").signal(signal);
    }

    /// The first line that it answers to a command.
    fn try_say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).ok().filter(|length| *length > 0)?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill9();
    }
}
