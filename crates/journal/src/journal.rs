//! The journal of one process: opening, handing out writers, releasing what was shipped, health.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use crate::{
    catalog::{Catalog, Segment},
    disk::{Disk, SystemDisk},
    error::JournalError,
    folder,
    frame::FRAME_BYTES_MAX,
    header::HEADER_BYTES,
    name::{BOOT_MAX, SegmentName},
    reader::Mark,
    recovery::{self, Recovery},
    segment::{self, PrepareError, Prepared},
    tend,
    watermarks::Watermarks,
    writer::Writer,
};

/// The settings of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of one segment, a multiple of 4096 from 64 KiB to 1 GiB. Every lane holds two to
    /// three. A lane can promise room to at least `segment_bytes / 2000` requests at once.
    pub segment_bytes: u64,
    /// What all segments together may take on the disk, at least two segments.
    pub bytes_max: u64,
    /// How often what was appended is forced to the disk: what a power cut can cost. 1 ms to 10 s.
    pub flush_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 16 * 1024 * 1024,
            bytes_max: 1024 * 1024 * 1024,
            flush_interval: Duration::from_millis(20),
        }
    }
}

impl Options {
    fn check(&self) -> Result<(), JournalError> {
        let error = |field, value, remedy| Err(JournalError::Option { field, value, remedy });
        let segment_range = 64 * 1024..=1024 * 1024 * 1024;
        if !segment_range.contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(HEADER_BYTES as u64)
        {
            return error(
                "segment_bytes",
                self.segment_bytes,
                "set a multiple of 4096 from 65536 to 1073741824",
            );
        }
        if self.bytes_max < 2 * self.segment_bytes {
            return error("bytes_max", self.bytes_max, "set at least two times journal.segment_bytes");
        }
        let interval_range = Duration::from_millis(1)..=Duration::from_secs(10);
        if !interval_range.contains(&self.flush_interval) {
            let millis = u64::try_from(self.flush_interval.as_millis()).unwrap_or(u64::MAX);
            return error("flush_interval_ms", millis, "set 1 to 10000");
        }
        Ok(())
    }
}

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

/// Tickets are given.
pub(crate) const RUNNING: u8 = 0;
/// A flush failed.
pub(crate) const FAILED: u8 = 1;
/// The journal was dropped.
pub(crate) const CLOSED: u8 = 2;

/// What the journal, its writers and its maintenance thread share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) folder: File,
    _lock: File,
    pub(crate) boot: u64,
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: AtomicU8,
    cause: Mutex<Option<String>>,
    is_full: AtomicBool,
    /// The maintenance thread is to end.
    pub(crate) is_closing: AtomicBool,
    /// Something was removed, so making a segment may succeed again.
    pub(crate) has_more_room: AtomicBool,
    pub(crate) catalog: Mutex<Catalog>,
    watermarks: Mutex<Watermarks>,
    pub(crate) lanes: Mutex<Vec<Arc<LaneSlot>>>,
    tender: OnceLock<Thread>,
}

/// What a writer and the maintenance thread share.
pub(crate) struct LaneSlot {
    pub(crate) lane: u16,
    /// Tickets that are out.
    pub(crate) outstanding: AtomicUsize,
    /// The next segment, made ready.
    pub(crate) spare: Mutex<Option<Prepared>>,
    /// Whether a writer exists that wants spares.
    pub(crate) is_open: AtomicBool,
    next_index: AtomicU32,
}

impl LaneSlot {
    fn new(lane: u16) -> Self {
        Self {
            lane,
            outstanding: AtomicUsize::new(0),
            spare: Mutex::new(None),
            is_open: AtomicBool::new(false),
            next_index: AtomicU32::new(0),
        }
    }
}

impl Shared {
    /// Makes the next segment of a lane ready.
    pub(crate) fn prepare(&self, slot: &LaneSlot) -> Result<Prepared, JournalError> {
        let Options { segment_bytes, bytes_max, .. } = self.options;
        if self.state.load(Ordering::Acquire) == FAILED {
            return Err(JournalError::Failed);
        }
        if !lock(&self.catalog).claim(segment_bytes, bytes_max) {
            return Err(self.full(format!("the segments take all of journal.bytes_max ({bytes_max} bytes)")));
        }
        // An index is used up only by a segment that exists: gaps would look like lost segments.
        let index = slot.next_index.load(Ordering::Relaxed);
        let name = SegmentName { boot: self.boot, lane: slot.lane, index };
        match segment::prepare(&self.dir, &self.folder, self.disk.as_ref(), name, segment_bytes) {
            Ok(prepared) => {
                slot.next_index.store(index.saturating_add(1), Ordering::Relaxed);
                self.is_full.store(false, Ordering::Release);
                Ok(prepared)
            }
            Err(error) => {
                lock(&self.catalog).unclaim(segment_bytes);
                match error {
                    PrepareError::Space(source) => Err(self.full(format!("cannot make {name}: {source}"))),
                    PrepareError::Sync(source) => {
                        self.fail(format!("cannot flush {name}: {source}"));
                        Err(JournalError::Failed)
                    }
                }
            }
        }
    }

    /// Takes a segment that a writer has begun into the catalog.
    pub(crate) fn started(&self, prepared: &Prepared, first: u64) {
        let mapping = Some(Arc::clone(prepared.writer.mapping()));
        let (name, bytes) = (prepared.name, self.options.segment_bytes);
        lock(&self.catalog).started(Segment { name, bytes, first, mapping, flushed: 0 });
    }

    /// Removes a segment that was made ready and not used.
    pub(crate) fn discard(&self, spare: Prepared) {
        // What remains is an unused spare, which the next start removes.
        if folder::remove_segment(&self.dir, spare.name).is_ok() {
            lock(&self.catalog).unclaim(self.options.segment_bytes);
        }
    }

    /// Gives no more tickets, for good: a flush that failed once cannot be retried truthfully,
    /// since the kernel may have dropped the pages and call the next flush a success.
    pub(crate) fn fail(&self, cause: String) {
        self.state.store(FAILED, Ordering::Release);
        lock(&self.cause).get_or_insert(cause);
    }

    /// Wakes the maintenance thread before its time.
    pub(crate) fn wake_tender(&self) {
        if let Some(tender) = self.tender.get() {
            tender.unpark();
        }
    }

    fn full(&self, cause: String) -> JournalError {
        self.is_full.store(true, Ordering::Release);
        *lock(&self.cause) = Some(cause.clone());
        JournalError::Full { cause }
    }
}

/// How many of the largest frames fit into `room` bytes.
#[inline]
pub(crate) fn frames_in(room: usize) -> usize {
    room / FRAME_BYTES_MAX
}

/// Locks; a thread that panicked while it held the lock leaves plain data that is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
