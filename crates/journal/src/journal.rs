//! The journal of one process: opening, handing out writers, releasing what was shipped, health.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::JoinHandle,
};

use crate::{
    catalog::Catalog,
    disk::{Disk, SystemDisk},
    error::JournalError,
    folder,
    name::{BOOT_MAX, SegmentName},
    options::Options,
    reader::Mark,
    recovery::{self, Recovery},
    shared::{CLOSED, FAILED, LaneSlot, RUNNING, Shared, lock},
    tend,
    watermarks::Watermarks,
    writer::Writer,
};

/// Whether the journal takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Running,
    /// A segment cannot be made for lack of room; what is left of the others is still used. Ends
    /// by itself.
    Full,
    /// A flush failed; it takes nothing any more.
    Failed,
}

/// How the journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes records.
    pub state: State,
    /// Why it does not, for the log.
    pub cause: Option<String>,
    /// Segments in use or waiting to be shipped.
    pub segments: usize,
    /// What all segments take on the disk.
    pub bytes: u64,
    /// What they may take.
    pub bytes_max: u64,
}

/// The journal of a process. Dropping it flushes and stops the maintenance thread; writers that
/// outlive it give no more tickets. The folder stays locked until the last of them is gone.
pub struct Journal {
    shared: Arc<Shared>,
    tender: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if it is not there, for this process alone.
    ///
    /// `boot` names this run: a random number of at most 48 bits that no earlier run has used
    /// here. What earlier runs left is counted and stays until it is released.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Option`], [`JournalError::Boot`],
    /// [`JournalError::Version`] and [`JournalError::Io`].
    pub fn open(
        dir: impl Into<PathBuf>,
        boot: u64,
        options: Options,
    ) -> Result<(Self, Recovery), JournalError> {
        Self::open_on(dir.into(), boot, options, Arc::new(SystemDisk))
    }

    /// As [`Journal::open`], on a disk of the caller's choice.
    pub(crate) fn open_on(
        dir: PathBuf,
        boot: u64,
        options: Options,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Recovery), JournalError> {
        options.check()?;
        if boot > BOOT_MAX {
            return Err(JournalError::Boot { boot, problem: "has more than 48 bits" });
        }
        folder::create(&dir)?;
        let lock = folder::lock(&dir)?;
        if folder::segments(&dir)?.keys().any(|(used, _)| *used == boot) {
            return Err(JournalError::Boot { boot, problem: "was used before in this folder" });
        }
        folder::declare_live(&dir, &lock, boot)?;
        let mut watermarks = Watermarks::read(&dir);
        let mut catalog = Catalog::default();
        let recovery = recovery::recover_folder(&dir, &watermarks, &mut catalog)?;
        watermarks.retain(|lane| catalog.contains(lane));
        let shared = Arc::new(Shared {
            folder: folder::open(&dir)?,
            dir,
            _lock: lock,
            boot,
            options,
            disk,
            state: AtomicU8::new(RUNNING),
            cause: Mutex::new(None),
            is_full: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            has_more_room: AtomicBool::new(false),
            catalog: Mutex::new(catalog),
            watermarks: Mutex::new(watermarks),
            lanes: Mutex::new(Vec::new()),
            tender: OnceLock::new(),
        });
        let tended = Arc::clone(&shared);
        let tender = std::thread::Builder::new()
            .name("journal-tend".to_owned())
            .spawn(move || tend::run(&tended))
            .map_err(JournalError::io("start the maintenance thread of", &shared.dir))?;
        let _first = shared.tender.set(tender.thread().clone());
        Ok((Self { shared, tender: Some(tender) }, recovery))
    }

    /// The run that this journal writes.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.shared.boot
    }

    /// The folder, for [`crate::Reader::open`].
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The writer of a lane; each lane has one. Waits for the disk, so it is called at start.
    ///
    /// # Errors
    /// [`JournalError::LaneTaken`], [`JournalError::Full`], [`JournalError::Failed`],
    /// [`JournalError::Io`].
    pub fn writer(&self, lane: u16) -> Result<Writer, JournalError> {
        let slot = Arc::new(LaneSlot::new(lane));
        {
            let mut lanes = lock(&self.shared.lanes);
            if lanes.iter().any(|slot| slot.lane == lane) {
                return Err(JournalError::LaneTaken { lane });
            }
            lanes.push(Arc::clone(&slot));
        }
        let prepared = self.shared.prepare(&slot).inspect_err(|_| {
            lock(&self.shared.lanes).retain(|slot| slot.lane != lane);
        })?;
        let writer = Writer::new(Arc::clone(&self.shared), Arc::clone(&slot), prepared);
        slot.is_open.store(true, Ordering::Release);
        self.shared.wake_tender();
        Ok(writer)
    }

    /// Notes that everything before these marks is committed elsewhere, and removes the segments
    /// that hold nothing else. Durable when it returns. Marks of lanes that are gone are ignored,
    /// and a mark never moves back, so the marks of the other side can be given as a whole, at
    /// start and after every batch.
    ///
    /// # Errors
    /// [`JournalError::Io`]; calling it again is right then.
    pub fn release(&self, marks: &[Mark]) -> Result<(), JournalError> {
        let shared = &self.shared;
        let mut watermarks = lock(&shared.watermarks);
        let removable: Vec<SegmentName> = {
            let catalog = lock(&shared.catalog);
            watermarks.retain(|lane| catalog.contains(lane));
            let known = marks.iter().filter(|mark| catalog.contains((mark.boot, mark.lane)));
            known
                .flat_map(|mark| {
                    watermarks.raise((mark.boot, mark.lane), mark.position);
                    catalog.releasable((mark.boot, mark.lane), mark.position)
                })
                .collect()
        };
        let write = || watermarks.write(&shared.dir, &shared.folder, shared.disk.as_ref());
        let written = write();
        // On a full disk there may be no room for the file, but removing makes it. Removing first
        // is right too: a segment that is missing at the front counts as released.
        for name in removable {
            folder::remove_segment(&shared.dir, name)?;
            lock(&shared.catalog).removed(name);
            shared.has_more_room.store(true, Ordering::Release);
        }
        shared.wake_tender();
        written.or_else(|_| write()).map_err(JournalError::io("write the watermarks in", &shared.dir))
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let (segments, bytes) = lock(&shared.catalog).totals();
        let state = match shared.state.load(Ordering::Acquire) {
            FAILED => State::Failed,
            _ if shared.is_full.load(Ordering::Acquire) => State::Full,
            _ => State::Running,
        };
        let cause = lock(&shared.cause).clone().filter(|_| state != State::Running);
        Health { state, cause, segments, bytes, bytes_max: shared.options.bytes_max }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _failed =
            self.shared.state.compare_exchange(RUNNING, CLOSED, Ordering::AcqRel, Ordering::Acquire);
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.wake_tender();
        if let Some(tender) = self.tender.take() {
            let _panicked = tender.join();
        }
        for slot in lock(&self.shared.lanes).iter() {
            if let Some(spare) = lock(&slot.spare).take() {
                self.shared.discard(spare);
            }
        }
    }
}
