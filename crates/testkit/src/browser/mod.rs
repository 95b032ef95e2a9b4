//! A real Chromium, driven over its DevTools protocol.
//!
//! What is here: [`Browser`] (the process), [`Tab`] (one page in a profile of its own, with everything it logged and
//! was answered), and what people do with it: open, click, type, press keys. What is not here: what any page of
//! Tollgate looks like; that is in the tests.
//!
//! The protocol is spoken with the WebSocket client that the testkit has anyway, so that no driver program and no
//! second language is needed. A tab that a test is done with panics when its page logged an error, broke its content
//! security policy, asked another host, was allowed to be kept by the browser, or when axe-core found something
//! serious on any page that a person came to on the way, or one of them was wider than the window.

mod axe;
mod hands;
mod keyboard;
mod tab;
mod watch;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;
use crate::wait::poll_until;

pub use tab::{Focus, Screen, Tab};
pub use watch::Answer;

/// How long Chromium may take to start on a loaded machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Names of the program; `TOLLGATE_CHROMIUM` names another.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Nothing but the pages that a test opens is asked for, and pictures are the same on every machine with the same fonts.
const FLAGS: [&str; 16] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter,AutofillServerCommunication",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// A running Chromium. Dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Browser {
    port: u16,
    path: String,
    // In this order: the process is gone before its folder is.
    _process: Process,
    _folder: TempDir,
}

impl Browser {
    /// The Chromium of this test process; it runs as long as any test holds it.
    ///
    /// # Panics
    /// When none is installed or it does not start.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *shared = Arc::downgrade(&started);
        started
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-browser-")
            .tempdir()
            .expect("make a temporary folder for Chromium");
        let mut command = Command::new(program());
        command.args(FLAGS).arg(format!("--user-data-dir={}", folder.path().display())).arg("about:blank");
        let mut process = Process::start(&mut command, &folder.path().join("log"));
        let told = folder.path().join("DevToolsActivePort");
        let mut found = None;
        poll_until(START_MAX, || {
            assert!(process.ended().is_none(), "Chromium ended at its start:\n{}", process.log_end(20));
            found = address(&told);
            found.is_some()
        });
        let (port, path) = found.expect("the address of Chromium");
        Self { port, path, _process: process, _folder: folder }
    }

    /// A page in a profile of its own: no cookies, no history. `home` is the only host that it may ask.
    pub fn tab(self: &Arc<Self>, home: &str, screen: Screen) -> Tab {
        Tab::open(Arc::clone(self), home, screen)
    }
}

/// What Chromium wrote: a port, and the path of the browser as a whole.
fn address(told: &Path) -> Option<(u16, String)> {
    let text = std::fs::read_to_string(told).ok()?;
    let (port, path) = text.split_once('\n')?;
    Some((port.trim().parse().ok()?, path.trim().to_owned())).filter(|(_, path)| !path.is_empty())
}

fn program() -> PathBuf {
    if let Some(asked) = std::env::var_os("TOLLGATE_CHROMIUM") {
        return asked.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file());
    found.expect("Chromium is not installed (Debian: apt-get install chromium)")
}
