//! The maintenance thread: flushes, keeps spare segments ready, faults pages in ahead of writers.
//!
//! Everything that waits for the disk is here, so that a writer never does.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{
    error::JournalError,
    shared::{FAILED, LaneSlot, Shared, lock},
};

/// How long a failed attempt to make a segment is left alone. The disk is full then; asking it
/// again at every flush would only cost it more.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The least that is kept faulted in ahead of a writer.
const AHEAD_BYTES_MIN: usize = 256 * 1024;
/// How many times what was written since the last flush is kept ahead.
const AHEAD_FACTOR: usize = 4;

/// Tends until the journal is dropped; what was appended before is on the disk when it returns.
pub(crate) fn run(shared: &Shared) {
    let interval = shared.options.flush_interval;
    let retry_rounds = u32::try_from(RETRY_INTERVAL.as_micros() / interval.as_micros().max(1)).unwrap_or(1);
    let mut pause_rounds = 0;
    loop {
        let is_closing = shared.is_closing.load(Ordering::Acquire);
        if shared.has_more_room.swap(false, Ordering::AcqRel) {
            pause_rounds = 0;
        }
        if pause_rounds > 0 && !is_closing {
            pause_rounds -= 1;
        } else if !is_closing && !keep_spares(shared) {
            pause_rounds = retry_rounds;
        }
        flush(shared);
        if is_closing {
            return;
        }
        std::thread::park_timeout(interval);
    }
}

/// Makes a spare for every lane that has none; `false` when the disk refused one.
fn keep_spares(shared: &Shared) -> bool {
    let lanes: Vec<Arc<LaneSlot>> = lock(&shared.lanes).clone();
    for slot in lanes {
        if !slot.is_open.load(Ordering::Acquire) || lock(&slot.spare).is_some() {
            continue;
        }
        match shared.prepare(&slot) {
            Ok(prepared) => *lock(&slot.spare) = Some(prepared),
            Err(JournalError::Full { .. }) => return false,
            Err(_) => return true,
        }
    }
    true
}

/// Forces what was appended to the disk.
fn flush(shared: &Shared) {
    let mapped = lock(&shared.catalog).mapped();
    for (name, mapping, flushed) in mapped {
        if shared.state.load(Ordering::Acquire) == FAILED {
            return;
        }
        let written = mapping.written();
        if written > flushed {
            if let Err(source) = shared.disk.flush(&mapping, written) {
                shared.fail(format!("cannot flush {name}: {source}"));
                return;
            }
            let ahead = (AHEAD_FACTOR * (written - flushed)).max(AHEAD_BYTES_MIN);
            mapping.populate(written, ahead);
            mapping.drop_behind(written);
        }
        lock(&shared.catalog).flushed(name, written);
    }
}
