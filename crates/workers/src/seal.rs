//! Sealing the audit: within a minute of a change, or after 1,000 of them, a signed checkpoint is
//! appended to a file outside of the database, and handed to a system log (I20).
//!
//! Before it signs, it recomputes the chain from its last checkpoint on. A chain that does not go on
//! from there is never signed: that is said to the log for as long as it is so, until somebody who
//! knows why (a restored backup) moves the file away. Each node with the role has a key and a file of
//! its own; two that seal the same chain agree or one of them says so.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tollgate_core::time::Clock;
use tollgate_store::{AuditHead, Broken, Checkpoint, CheckpointKey, Seal, Store, StoreError};

use crate::{
    faults::Faults,
    state::Progress,
    stop::Stop,
    syslog::{self, SyslogAddress},
};

/// How often it looks whether something changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long recomputing the chain since the last checkpoint may take; the first time that is all of it.
const FOLLOW_MAX: Duration = Duration::from_secs(300);
/// How much of the end of the file is read at the start: some hundred checkpoints.
const TAIL_BYTES: u64 = 64 << 10;

/// Who seals, how often, and where to.
#[derive(Clone, Debug)]
pub struct SealOptions {
    /// The key that signs.
    pub key: Arc<CheckpointKey>,
    /// The file that checkpoints are appended to.
    pub file: PathBuf,
    /// The system log that gets them too.
    pub syslog: Option<SyslogAddress>,
    /// A change is sealed within this long.
    pub every: Duration,
    /// So many changes are sealed at once.
    pub changes: u64,
}

impl SealOptions {
    /// A minute or 1,000 changes.
    #[must_use]
    pub fn new(key: Arc<CheckpointKey>, file: PathBuf, syslog: Option<SyslogAddress>) -> Self {
        Self { key, file, syslog, every: Duration::from_secs(60), changes: 1000 }
    }
}

pub(crate) struct Sealer {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    progress: Arc<Progress>,
    options: SealOptions,
    /// The last checkpoint; `None` while the file was not read.
    last: Option<Last>,
    /// What the system log has not got yet: only ever the newest.
    unsent: Option<String>,
}

/// The last checkpoint of the file, and when it was written as far as this process knows.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    point: Option<Checkpoint>,
    at_ns: Option<u64>,
}

impl Sealer {
    pub(crate) fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        progress: Arc<Progress>,
        options: SealOptions,
    ) -> Self {
        Self { store, clock, progress, options, last: None, unsent: None }
    }

    pub(crate) async fn run(mut self, mut stop: Stop) {
        let mut faults = Faults::of("seal");
        let mut ends = false;
        loop {
            match self.turn(ends).await {
                Ok(()) => {
                    self.progress.audit_broken(false);
                    faults.worked();
                }
                Err(Fault::Broken(broken)) => {
                    self.progress.audit_broken(true);
                    let what = format!(
                        "the audit was altered, or restored: at change {}: {}; it is not sealed until {} is moved away by somebody who knows why",
                        broken.seq,
                        broken.what,
                        self.options.file.display()
                    );
                    faults.failed(self.clock.now(), &what, None);
                }
                Err(Fault::Store(error)) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
                Err(Fault::Other(what)) => {
                    faults.failed(self.clock.now(), &what, None);
                }
            }
            if ends {
                return;
            }
            // At the end once more, so that an orderly end leaves nothing unsealed.
            ends = stop.pause(LOOK_EVERY, std::future::pending()).await;
        }
    }

    async fn turn(&mut self, ends: bool) -> Result<(), Fault> {
        let last = match self.last {
            Some(last) => last,
            None => {
                let file = self.options.file.clone();
                let point = on_a_thread(move || last_in(&file)).await?;
                self.look_for_missing(point).await?;
                Last { point, at_ns: None }
            }
        };
        self.last = Some(last);
        let head = self.store.audit_head().await?;
        if self.is_due(last, head, ends)? {
            self.seal(last).await?;
        }
        self.send().await
    }

    /// Whoever cuts the end of the audit off may take the checkpoints with it. A file that was moved away
    /// on purpose looks the same: a new one is begun, and that is said for as long as this process runs.
    async fn look_for_missing(&self, point: Option<Checkpoint>) -> Result<(), Fault> {
        let key = self.options.key.public();
        let seal = self.store.checkpoints().await?.into_iter().find(|seal| seal.key == key);
        let missing = seal.filter(|seal| point.is_none_or(|point| point.seq < seal.checkpoint.seq));
        self.progress.checkpoints_missing(missing.is_some());
        if let Some(seal) = missing {
            tracing::error!(
                file = %self.options.file.display(),
                sealed_to = seal.checkpoint.seq,
                "checkpoints of this node's key are missing from the file; unless somebody moved it away on purpose, hold the audit against a copy of them"
            );
        }
        Ok(())
    }

    fn is_due(&self, last: Last, head: AuditHead, ends: bool) -> Result<bool, Fault> {
        let Some(point) = last.point else { return Ok(head.seq > 0) };
        if point.installation != head.installation {
            return Err(Fault::Other(format!(
                "{} holds checkpoints of another installation; move it away",
                self.options.file.display()
            )));
        }
        if head.seq == point.seq && head.hash == point.hash {
            return Ok(false);
        }
        let waited_ns = last.at_ns.map(|at| self.clock.now().mono_ns.saturating_sub(at));
        let is_long = waited_ns.is_none_or(|ns| u128::from(ns) >= self.options.every.as_nanos());
        // What does not go on from the checkpoint is looked at at once.
        Ok(ends || is_long || head.seq <= point.seq || head.seq - point.seq >= self.options.changes)
    }

    async fn seal(&mut self, last: Last) -> Result<(), Fault> {
        let from = last.point.map(|point| (point.seq, point.hash));
        let followed = tokio::time::timeout(FOLLOW_MAX, self.store.audit_follow(from)).await;
        let followed =
            followed.map_err(|_| Fault::Other("recomputing the chain took too long".to_owned()))?;
        let AuditHead { installation, seq, hash } = followed?.map_err(Fault::Broken)?;
        let now = self.clock.now();
        let seal = self.options.key.sign(Checkpoint { installation, seq, hash, at_us: now.wall_us });
        let line = seal.line();
        let (file, text) = (self.options.file.clone(), format!("{line}\n"));
        on_a_thread(move || append(&file, &text)).await?;
        self.last = Some(Last { point: Some(seal.checkpoint), at_ns: Some(now.mono_ns) });
        self.progress.sealed(seq);
        if self.options.syslog.is_some() {
            self.unsent = Some(line);
        }
        // Only for showing: the file has it.
        self.store.note_checkpoint(&seal).await?;
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Fault> {
        let (Some(address), Some(line)) = (&self.options.syslog, &self.unsent) else { return Ok(()) };
        let now_us = self.clock.now().wall_us;
        let sent = syslog::send(address, "audit-checkpoint", line, now_us).await;
        sent.map_err(|error| Fault::Other(format!("{address} does not take the checkpoint: {error}")))?;
        self.unsent = None;
        Ok(())
    }
}

enum Fault {
    Store(StoreError),
    Broken(Broken),
    Other(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::Other(error.to_string()))?.map_err(Fault::Other)
}

/// The last checkpoint of a file; none when there is no file. A line that was not finished before a
/// power cut is cut off.
fn last_in(path: &Path) -> Result<Option<Checkpoint>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let length = file.metadata().map_err(wrong)?.len();
    let begin = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(begin)).map_err(wrong)?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).map_err(wrong)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < tail.len() {
        let keep = begin + whole as u64;
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(keep)).map_err(wrong)?;
        tracing::warn!(file = %path.display(), "an unfinished checkpoint was cut off");
    }
    let lines = tail.get(..whole).unwrap_or_default().trim_ascii_end();
    let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.is_empty() {
        return Ok(None);
    }
    let seal = std::str::from_utf8(line).map_err(|error| error.to_string()).and_then(Seal::parse);
    let seal = seal.ok().filter(Seal::is_signed);
    let seal = seal.ok_or_else(|| {
        format!("{}: its last line is no signed checkpoint; it was altered", path.display())
    })?;
    Ok(Some(seal.checkpoint))
}

fn append(path: &Path, text: &str) -> Result<(), String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(wrong)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(wrong)
}
