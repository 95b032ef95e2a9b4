//! Appending: room first, then the record. No lock, no allocation and no system call, except when
//! a writer goes on to its next segment, which the maintenance thread has made ready.
//!
//! Invariant: the largest frames of all tickets that are out fit into what is left of the current
//! segment and the next one. An append takes one ticket and at most the room of one largest frame;
//! going on to the next segment happens only when less than one such frame is left. So an append
//! never fails for lack of room.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering},
};

use tollgate_core::id::DecisionId;

use crate::{
    encoding,
    error::{AppendError, ReserveError},
    frame::{FRAME_HEAD_BYTES, SEAL_BYTES},
    header::HEADER_BYTES,
    mapping::SegmentWriter,
    record::Record,
    segment::Prepared,
    shared::{FAILED, LaneSlot, RUNNING, Shared, frames_in, lock},
};

/// The writer of one lane. It can be sent to the thread that owns the lane and is used there only.
pub struct Writer {
    shared: Arc<Shared>,
    slot: Arc<LaneSlot>,
    inner: RefCell<Inner>,
}

struct Inner {
    current: SegmentWriter,
    next: Option<Prepared>,
    /// The position of the next record.
    position: u64,
    /// The number of the next decision.
    decision: u64,
}

/// Room for one record, and the id of the decision it will be about. Dropping it without
/// appending gives the room back; its number is then never used.
#[must_use = "a ticket holds room in the journal until it is appended or dropped"]
pub struct Ticket {
    decision: DecisionId,
    slot: Arc<LaneSlot>,
}

impl Ticket {
    /// The id of the decision, known before anything is written.
    #[inline]
    pub fn decision(&self) -> DecisionId {
        self.decision
    }
}

impl Drop for Ticket {
    #[inline]
    fn drop(&mut self) {
        self.slot.outstanding.fetch_sub(1, Ordering::Release);
    }
}

impl Writer {
    /// Begins a lane with its first segment.
    pub(crate) fn new(shared: Arc<Shared>, slot: Arc<LaneSlot>, mut first: Prepared) -> Self {
        first.writer.start(0);
        shared.started(&first, 0);
        let inner = Inner { current: first.writer, next: None, position: 0, decision: 0 };
        Self { shared, slot, inner: RefCell::new(inner) }
    }

    /// The lane.
    #[must_use]
    pub fn lane(&self) -> u16 {
        self.slot.lane
    }

    /// Takes the number of a decision and room for its record.
    ///
    /// # Errors
    /// [`ReserveError`]: the request cannot be counted and must be refused.
    #[inline]
    pub fn reserve(&self) -> Result<Ticket, ReserveError> {
        let mut inner = self.inner.borrow_mut();
        let outstanding = self.slot.outstanding.load(Ordering::Acquire);
        self.check_state()?;
        if frames_in(inner.current.room()) <= outstanding {
            self.check_next(&mut inner, outstanding)?;
        }
        self.slot.outstanding.fetch_add(1, Ordering::Relaxed);
        let number = inner.decision;
        inner.decision += 1;
        let decision = DecisionId { boot: self.shared.boot, lane: self.slot.lane, number };
        Ok(Ticket { decision, slot: Arc::clone(&self.slot) })
    }

    /// Appends the record of a ticket's decision and returns its position. When this returns, the
    /// record survives the death of the process (I12).
    ///
    /// # Errors
    /// [`AppendError::ForeignTicket`] for a ticket of another lane. Nothing was appended then.
    #[inline]
    pub fn append(&self, ticket: Ticket, record: &Record<'_>) -> Result<u64, AppendError> {
        if !Arc::ptr_eq(&ticket.slot, &self.slot) {
            return Err(AppendError::ForeignTicket);
        }
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        let position = inner.position;
        let planned = encoding::plan(position, ticket.decision.number, record);
        if FRAME_HEAD_BYTES + planned.bytes() > inner.current.room() {
            self.rotate(inner)?;
        }
        inner
            .current
            .append(position, planned.bytes(), |target| planned.write(target))
            .ok_or(AppendError::NoRoom)?;
        inner.position = position + 1;
        Ok(position)
    }

    /// How many records were appended: the position of the next one.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.inner.borrow().position
    }

    #[inline]
    fn check_state(&self) -> Result<(), ReserveError> {
        match self.shared.state.load(Ordering::Acquire) {
            RUNNING => Ok(()),
            FAILED => Err(ReserveError::Failed),
            _ => Err(ReserveError::Closed),
        }
    }

    /// Whether one more ticket has room when the next segment is counted in.
    #[cold]
    fn check_next(&self, inner: &mut Inner, outstanding: usize) -> Result<(), ReserveError> {
        if inner.next.is_none() {
            inner.next = self.take_spare();
        }
        let whole = usize::try_from(self.shared.options.segment_bytes).unwrap_or(0);
        let next_frames = if inner.next.is_some() { frames_in(whole - HEADER_BYTES - SEAL_BYTES) } else { 0 };
        let has_room = frames_in(inner.current.room()) + next_frames > outstanding;
        if has_room { Ok(()) } else { Err(ReserveError::Full) }
    }

    /// Goes on to the next segment.
    #[cold]
    fn rotate(&self, inner: &mut Inner) -> Result<(), AppendError> {
        let mut next = inner.next.take().or_else(|| self.take_spare()).ok_or(AppendError::NoRoom)?;
        inner.current.seal(inner.position);
        next.writer.start(inner.position);
        self.shared.started(&next, inner.position);
        inner.current = next.writer;
        Ok(())
    }

    /// Takes the segment that was made ready, and has another one made.
    fn take_spare(&self) -> Option<Prepared> {
        let spare = lock(&self.slot.spare).take();
        self.shared.wake_tender();
        spare
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.slot.is_open.store(false, Ordering::Release);
        let inner = self.inner.get_mut();
        inner.current.seal(inner.position);
        if let Some(spare) = inner.next.take() {
            self.shared.discard(spare);
        }
        let mut catalog = lock(&self.shared.catalog);
        catalog.finished((self.shared.boot, self.slot.lane), inner.position);
    }
}
