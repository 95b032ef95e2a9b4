//! The memory that batches on their way may take in one process, over all lanes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that are free.
#[derive(Debug)]
pub(crate) struct Room {
    free: AtomicU64,
}

impl Room {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { free: AtomicU64::new(bytes) })
    }

    /// Nothing yet, to be grown.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { room: Arc::clone(self), bytes: 0 }
    }
}

/// What one request holds of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: Arc<Room>,
    bytes: u64,
}

/// Shares grow by this much at least, so that the counter is not touched for every piece of a body.
const STEP_BYTES: u64 = 64 << 10;

impl Share {
    /// Makes sure that it holds so many bytes; `false` when there is no room for them.
    #[must_use]
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        let more = (bytes - self.bytes).max(STEP_BYTES);
        let taken = self
            .room
            .free
            .try_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(more))
            .is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.free.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let room = Room::new(3 * STEP_BYTES);
        let mut one = room.share();
        assert!(one.grow_to(1) && one.grow_to(STEP_BYTES) && one.grow_to(2 * STEP_BYTES));
        let mut other = room.share();
        assert!(other.grow_to(1));
        assert!(!other.grow_to(STEP_BYTES + 1));
        drop(one);
        assert!(other.grow_to(3 * STEP_BYTES));
        assert!(!room.share().grow_to(1));
    }
}
