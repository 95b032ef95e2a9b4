//! The outcome of one command of the command line.

use std::ffi::OsStr;
use std::process::{ExitStatus, Output};

use serde_json::Value;

use crate::process::describe;

/// What one run of the command line printed.
#[derive(Debug)]
pub struct CliOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
    line: String,
}

impl CliOutput {
    pub(super) fn new<A: AsRef<OsStr>>(output: &Output, arguments: &[A]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let line = arguments.iter().fold("tollgate".to_owned(), |line, argument| {
            format!("{line} {}", argument.as_ref().to_string_lossy())
        });
        Self { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr), line }
    }

    /// Passes the output through when the command succeeded.
    ///
    /// # Panics
    /// When it failed; the message holds the command and what it printed.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> Self {
        assert!(
            self.status.success(),
            "`{}` ended with {}\nstdout: {}\nstderr: {}",
            self.line,
            describe(self.status),
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as one JSON value.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`{}` printed no JSON ({error}):\n{}\n{}", self.line, self.stdout, self.stderr)
        })
    }

    /// The exit code: 0 done, 1 failed, 2 wrong usage.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}
