//! What the process asks of the operating system for itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of file descriptors to the hard limit and forbids core dumps, which would
/// hold keys in flight. Failing is no reason not to serve: `doctor` tells about limits.
pub(crate) fn prepare() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of file descriptors could not be raised");
        }
    }
    forbid_core_dumps();
}

/// How far behind requests everything else stands: a thread that is so much nicer gets a third of what a lane gets where
/// both want the same processor, so that journal, feed and shipping go on under any load.
#[cfg(target_os = "linux")]
const BEHIND: i32 = 5;
/// The threads that answer requests: lanes, what runs models for them, and what compares slow hashes.
#[cfg(target_os = "linux")]
const ANSWERING: [&str; 3] = ["lane-", "model-", "slow-hash-"];

/// Puts the threads that answer no request behind those that do. To be called when all lanes are there: threads that
/// are made later stand where the one stands that makes them. Failing is no reason not to serve.
#[cfg(target_os = "linux")]
pub(super) fn put_behind_requests() {
    // Of this thread, and so of the lanes that it has made.
    let Ok(own) = rustix::process::getpriority_process(None) else { return };
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if ANSWERING.iter().any(|answering| name.starts_with(answering)) {
            continue;
        }
        let number = task.file_name().to_str().and_then(|number| number.parse().ok());
        let Some(thread) = number.and_then(rustix::process::Pid::from_raw) else { continue };
        match rustix::process::setpriority_process(Some(thread), own + BEHIND) {
            // It has ended in between.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(%error, "what works beside requests cannot be put behind them");
                return;
            }
        }
    }
}

/// Elsewhere threads have no niceness of their own.
#[cfg(not(target_os = "linux"))]
pub(super) const fn put_behind_requests() {}

#[cfg(target_os = "linux")]
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be forbidden");
    }
}

#[cfg(not(target_os = "linux"))]
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be forbidden");
    }
}
