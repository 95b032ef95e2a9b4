//! One contestant: its process on its CPU, its address, and how it is asked for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::sample;
use crate::command::{Outcome, line};

/// How long a server may take until it answers; loading a million keys is measured on its own.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long a server may take to end after SIGTERM.
const END_MAX: Duration = Duration::from_secs(10);

/// A running server. Dropping it ends it and its children by their process ids.
pub(super) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program pinned to a CPU, with its output in `log`.
    pub(super) fn start(cpu: &str, command: &Command, log: &Path) -> Outcome<Self> {
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cpu]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                pinned.env(name, value);
            }
        }
        let output = File::create(log)?;
        let child = pinned
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", line(&pinned)))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `GET target` at `address` is answered with a status below 500; returns how long it took.
    pub(super) fn wait_until_ready(&mut self, address: SocketAddr, target: &str) -> Outcome<Duration> {
        let start = Instant::now();
        while start.elapsed() < READY_MAX {
            if status(address, target).is_some_and(|status| status < 500) {
                return Ok(start.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("a server ended at its start ({status}):\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("no answer from {address} within {READY_MAX:?}; see {}", self.log.display()).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let family = sample::family(self.pid());
        signal(self.pid(), Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < END_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            family.iter().for_each(|pid| signal(*pid, Signal::KILL));
            let _ = self.child.wait();
        }
    }
}

/// The status of one answer, asked for on a connection of its own.
pub(super) fn status(address: SocketAddr, target: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(head.get(9..)?).ok()?.parse().ok()
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process may have ended in between; then there is nothing to do.
        let _ = kill_process(pid, signal);
    }
}
