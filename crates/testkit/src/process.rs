//! One child process: started with its output in a file, ended by its own id. Nothing is ever ended by name.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running child whose stdout and stderr are appended to one file.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `log` and nothing on its standard input.
    ///
    /// # Panics
    /// When the program cannot be started; the message names it.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = append(log);
        let copy = file.try_clone().expect("duplicate the log file handle");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the child has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for the state of a child")
    }

    /// Sends `signal` to this child. A child that has already ended is left alone.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("signal a child that is running");
        }
    }

    /// SIGKILL, then waits until the kernel has taken the process away.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.child.wait().expect("wait for a killed child")
    }

    /// SIGTERM, then waits for the end.
    ///
    /// # Panics
    /// When the child is still there after `deadline`; it is then killed, and the log's end is in the message.
    pub(crate) fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if start.elapsed() > deadline {
                self.kill();
                panic!("pid {} ignored SIGTERM for {deadline:?}; log:\n{}", self.pid(), self.log_end(40));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last `lines` lines of the log.
    pub(crate) fn log_end(&self, lines: usize) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all.iter().skip(all.len().saturating_sub(lines)).fold(String::new(), |end, line| end + line + "\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Drop must not panic: the child may end between the look and the signal.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether the process was ended by a signal rather than by its own exit.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()))
}
