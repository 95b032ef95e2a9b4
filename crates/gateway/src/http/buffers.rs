//! Memory that the connections of one thread take turns with.
//!
//! What is read goes into one piece that stays in the processor's cache, and only what came is kept; what is
//! written is gathered in a buffer that goes back when it is out. So a request takes no large piece of memory
//! of its own, and a resting connection holds none. Nobody holds the shared piece over a wait.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

/// The most that one read into the shared piece can give.
pub(super) const READ_BYTES: usize = 16 * 1024;
/// Buffers that wait to be used again, of a thread.
const SPARES_MAX: usize = 8;
/// A smaller buffer is not worth a place, a larger one is let go.
const SPARE_BYTES: std::ops::RangeInclusive<usize> = 1024..=32 * 1024;
/// What a new buffer has room for: a usual head and a small body.
const FRESH_BYTES: usize = 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SPARES: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

/// Reads at most `most` bytes, and never more than [`READ_BYTES`], behind what is in `into`. 0 at the end of
/// the stream.
pub(super) fn poll_read(
    stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    (into, most): (&mut BytesMut, usize),
) -> Poll<std::io::Result<usize>> {
    READ.with(|piece| {
        let piece = &mut *piece.borrow_mut();
        piece.resize(READ_BYTES, 0);
        let room = piece.get_mut(..most.min(READ_BYTES)).unwrap_or_default();
        let mut read = ReadBuf::new(room);
        ready!(stream.poll_read(cx, &mut read))?;
        into.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
}

/// An empty buffer, perhaps one that was used before.
pub(super) fn take() -> Vec<u8> {
    SPARES.with(|spares| {
        let mut there = spares.take();
        let spare = there.pop().unwrap_or_else(|| Vec::with_capacity(FRESH_BYTES));
        spares.set(there);
        spare
    })
}

/// Hands a buffer over that is not needed any more.
pub(super) fn give(mut spare: Vec<u8>) {
    if !SPARE_BYTES.contains(&spare.capacity()) {
        return;
    }
    spare.clear();
    SPARES.with(|spares| {
        let mut there = spares.take();
        if there.len() < SPARES_MAX {
            there.push(spare);
        }
        spares.set(there);
    });
}
