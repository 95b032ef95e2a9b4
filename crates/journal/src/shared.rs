//! What the journal, its writers and its maintenance thread share: the state, the catalog, the
//! spares, and making the next segment.

use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
    },
    thread::Thread,
};

use crate::{
    catalog::{Catalog, Segment},
    disk::Disk,
    error::JournalError,
    folder,
    frame::FRAME_BYTES_MAX,
    name::SegmentName,
    options::Options,
    segment::{self, PrepareError, Prepared},
    watermarks::Watermarks,
};

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
    /// Held as long as anything may be written.
    pub(crate) _lock: File,
    pub(crate) boot: u64,
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: AtomicU8,
    pub(crate) cause: Mutex<Option<String>>,
    pub(crate) is_full: AtomicBool,
    /// The maintenance thread is to end.
    pub(crate) is_closing: AtomicBool,
    /// Something was removed, so making a segment may succeed again.
    pub(crate) has_more_room: AtomicBool,
    pub(crate) catalog: Mutex<Catalog>,
    pub(crate) watermarks: Mutex<Watermarks>,
    pub(crate) lanes: Mutex<Vec<Arc<LaneSlot>>>,
    pub(crate) tender: OnceLock<Thread>,
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
    pub(crate) fn new(lane: u16) -> Self {
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
