//! The memory of a segment file: the only unsafe code of Tollgate, but for one call in `checksum`.
//!
//! [`SegmentWriter`] is the one owner of a mapping's bytes and is never cloned; [`Mapping`] can
//! only flush, fault pages in and let go of them. Readers, in this process or another, never map: they read the
//! file, and the page cache is the same memory.
//!
//! Invariant: a frame's first word is stored with release order after everything else in it, and
//! is never changed again. Whoever sees the word sees the frame (I12).
//!
//! A file that somebody else truncates under the mapping kills the process with SIGBUS; the folder
//! is ours alone, and preallocation keeps a full disk from having that effect.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use memmap2::{Advice, MmapRaw, UncheckedAdvice};

use crate::{
    frame::{self, SEAL_BYTES, WORD_BYTES},
    header::{FIRST_AT, HEADER_BYTES, NEXT_AT},
};

/// Advice is about pages of this size; where they are larger, ranges are rounded outwards by `memmap2`.
const PAGE_BYTES: usize = HEADER_BYTES;
/// How much is let go of at once.
const DROP_BYTES: usize = 1024 * 1024;

/// The mapped segment as the maintenance thread sees it.
pub(crate) struct Mapping {
    raw: MmapRaw,
    /// Bytes from the start of the file that hold published frames.
    written: AtomicUsize,
    /// Up to where pages were faulted in.
    populated: AtomicUsize,
    /// Up to where pages behind the writer were let go of.
    dropped: AtomicUsize,
}

impl Mapping {
    fn new(raw: MmapRaw) -> Self {
        let [written, populated, dropped] = [0, 0, HEADER_BYTES].map(AtomicUsize::new);
        Self { raw, written, populated, dropped }
    }

    /// Bytes from the start of the file that hold published frames.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::Acquire)
    }

    /// Waits until the first `bytes` bytes are on the disk.
    pub(crate) fn flush(&self, bytes: usize) -> io::Result<()> {
        self.raw.flush_range(0, bytes.min(self.raw.len()))
    }

    /// Faults in for writing what the writer of a segment meets next, so that it meets no page fault: what
    /// lies `ahead` bytes behind `written`, and what a flush of all before has made read-only again,
    /// which is the header and the page that is half full. No other page twice: looking at one that is
    /// there costs a third of making it.
    ///
    /// Only a help: kernels before 5.14 do not know it, and then the writer takes the faults.
    pub(crate) fn populate(&self, written: usize, ahead: usize) {
        let populated = self.populated.load(Ordering::Relaxed);
        if populated > 0 {
            self.fault_in(0, 1);
            if written < populated {
                self.fault_in(written, written + 1);
            }
        }
        let to = written.saturating_add(ahead).min(self.raw.len());
        if to > populated {
            self.fault_in(populated.max(written), to);
            self.populated.store(to, Ordering::Relaxed);
        }
    }

    /// Takes what lies behind the writer and is on the disk out of the memory of this process, some at a
    /// time; the page cache keeps it for readers. A lane would otherwise hold a whole segment. To be called
    /// with what was flushed.
    pub(crate) fn drop_behind(&self, flushed: usize) {
        let from = self.dropped.load(Ordering::Relaxed);
        let to = flushed.min(self.written()).min(self.raw.len()) & !(DROP_BYTES - 1);
        if to > from {
            self.let_go(from, to - from);
            self.dropped.store(to, Ordering::Relaxed);
        }
    }

    #[expect(unsafe_code, reason = "advice that can lose bytes of private memory is unsafe for all memory")]
    fn let_go(&self, from: usize, bytes: usize) {
        // SAFETY: the mapping is shared (`MmapRaw::map_raw`), and of shared memory of a file MADV_DONTNEED
        // loses nothing (madvise(2)): it only empties entries of the page table, dirty or not; the bytes stay
        // in the page cache, and an access faults the same page in again. So what the range holds never
        // changes, even for a reference into it; there is none: the caller's range ends at `written`, and
        // `SegmentWriter::bytes_mut` only gives out what lies behind.
        let advised = unsafe { self.raw.unchecked_advise_range(UncheckedAdvice::DontNeed, from, bytes) };
        // Only a help: the pages stay until the segment is complete.
        let _unsupported = advised;
    }

    fn fault_in(&self, from: usize, to: usize) {
        let from = from.min(self.raw.len()) & !(PAGE_BYTES - 1);
        if to > from {
            let _unsupported =
                self.raw.advise_range(Advice::PopulateWrite, from, to.min(self.raw.len()) - from);
        }
    }
}

/// The one handle that writes to a segment.
pub(crate) struct SegmentWriter {
    mapping: Arc<Mapping>,
    seed: u32,
    /// Where the next frame goes; a multiple of 8.
    at: usize,
}

impl SegmentWriter {
    /// Maps the whole of `file`, which is new, exclusively ours, and a multiple of 8 bytes long.
    pub(crate) fn new(file: &File, seed: u32) -> io::Result<Self> {
        let raw = MmapRaw::map_raw(file)?;
        if raw.len() < HEADER_BYTES + SEAL_BYTES || !raw.len().is_multiple_of(8) {
            return Err(io::Error::other("the segment has an impossible size"));
        }
        let mapping = Arc::new(Mapping::new(raw));
        Ok(Self { mapping, seed, at: HEADER_BYTES })
    }

    /// The handle for the maintenance thread.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Bytes left for frames; the room of the seal is not among them.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.mapping.raw.len() - SEAL_BYTES - self.at
    }

    /// Declares the segment in use, from position `first` on.
    pub(crate) fn start(&mut self, first: u64) {
        self.store_pair(NEXT_AT, first);
        self.store_pair(FIRST_AT, first);
        self.mapping.written.store(self.at, Ordering::Release);
    }

    /// Appends a frame with a record of `record_bytes` bytes (a multiple of 8) that `fill` writes
    /// whole. `None`, and nothing published, when there is no room or `fill` gives up.
    #[inline]
    pub(crate) fn append(
        &mut self,
        position: u64,
        record_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<()> {
        let rest_bytes = 8 + record_bytes;
        if WORD_BYTES + rest_bytes > self.room() || !record_bytes.is_multiple_of(8) {
            return None;
        }
        self.publish(rest_bytes, |rest| {
            let (head, record) = rest.split_first_chunk_mut::<8>()?;
            *head = position.to_le_bytes();
            fill(record)
        })?;
        self.store_pair(NEXT_AT, position.wrapping_add(1));
        Some(())
    }

    /// Says that the segment is complete and that `position` comes next.
    pub(crate) fn seal(&mut self, position: u64) {
        if self.at + SEAL_BYTES <= self.mapping.raw.len() {
            let _sealed = self.publish(SEAL_BYTES - WORD_BYTES, |rest| {
                rest.copy_from_slice(&position.to_le_bytes());
                Some(())
            });
        }
    }

    /// Writes the frame at `at` behind its word, then stores the word. The caller has checked that
    /// word and `rest_bytes` lie within the mapping.
    #[inline]
    fn publish(&mut self, rest_bytes: usize, fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<()> {
        let (at, seed) = (self.at, self.seed);
        let rest = self.bytes_mut(at + WORD_BYTES, rest_bytes);
        fill(rest)?;
        let word = frame::word(seed, rest);
        self.store(at, word);
        self.at = at + WORD_BYTES + rest_bytes;
        self.mapping.written.store(self.at, Ordering::Release);
        Some(())
    }

    /// Stores a number and its complement.
    #[inline]
    fn store_pair(&mut self, at: usize, value: u64) {
        self.store(at, value);
        self.store(at + 8, !value);
    }

    #[inline]
    #[expect(
        unsafe_code,
        reason = "a slice of the mapped file is the only way to write without a system call"
    )]
    fn bytes_mut(&mut self, at: usize, bytes: usize) -> &mut [u8] {
        debug_assert!(at + bytes <= self.mapping.raw.len());
        // SAFETY: callers pass ranges behind `self.at` that they have checked against the length
        // of the mapping, which lives as long as `self.mapping`. No other reference to these bytes
        // exists: this handle is the only one that makes any and `&mut self` makes them one at a
        // time; `Mapping` never reads or writes through the pointer; readers use the file, and do
        // not look behind a word that is still zero. The bytes are initialised: the file was
        // allocated as zeros. Other processes could only write here by breaking into a folder that
        // is locked and ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.raw.as_mut_ptr().add(at), bytes) }
    }

    #[inline]
    #[expect(unsafe_code, reason = "a frame must be published by one atomic store into the mapped file")]
    fn store(&mut self, at: usize, value: u64) {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= self.mapping.raw.len());
        // SAFETY: the mapping starts at a page, every `at` is a multiple of 8 (constants of the
        // header, and `self.at`, which only grows by multiples of 8) and lies within the mapping
        // (as for `bytes_mut`), so the pointer is valid and aligned for the life of `&mut self`.
        // All accesses to these eight bytes through this mapping are atomic stores.
        let word = unsafe { AtomicU64::from_ptr(self.mapping.raw.as_mut_ptr().add(at).cast()) };
        word.store(value.to_le(), Ordering::Release);
    }
}
