//! The usage journal: what was answered, written down before the last byte of the answer leaves.
//!
//! Every lane (core) of the gateway appends its records to preallocated, memory-mapped segment
//! files; a record is in the page cache when [`Writer::append`] returns, so it survives the death
//! of the process at any moment (promise level `process`: kill -9, panic, out of memory lose
//! nothing). One maintenance thread flushes every [`Options::flush_interval`] (20 ms), so a power
//! cut loses at most that interval and one flush. Recovery never reads a damaged record as a
//! different one, and counts what is missing exactly, from gaps in the positions and from how far
//! the headers say a lane had got (I12, I14); only of a record that left no trace at all on the
//! disk, nor in what follows it, can nobody know.
//!
//! Two numbers, not to be confused:
//!
//! | number | given by | property |
//! | --- | --- | --- |
//! | *decision* | [`Writer::reserve`], when a request is admitted | unique on its boot and lane; has gaps where a ticket was dropped; out of order in the file, as requests finish out of order |
//! | *position* | [`Writer::append`] | the order in the file; gap-free on its boot and lane, so shipped ranges are `[from, to)` of positions |
//!
//! The way of a record: [`Journal::open`] → [`Journal::writer`] → [`Writer::reserve`] →
//! [`Writer::append`] → [`Reader::batches`] → (committed somewhere else) → [`Journal::release`].
//!
//! Room is promised before work begins: a [`Ticket`] holds room for the largest record, so an
//! append never fails for lack of it. When the disk or [`Options::bytes_max`] is full, tickets are
//! refused; when the disk fails to flush, they are refused for good, because a flush that failed
//! once cannot be retried truthfully.
//!
//! What this crate must never know: databases, HTTP, policies, what a code or a check means. It
//! stores numbers and short texts and gives them back.
//!
//! The folder must outlive the process and belong to it alone; only this crate writes in it, but for
//! files of other names (`*.run`), which it leaves alone.

mod catalog;
mod charge;
mod checksum;
mod disk;
mod encoding;
mod error;
#[cfg(test)]
mod faults;
mod folder;
mod frame;
mod header;
mod journal;
mod lane_reader;
mod mapping;
mod money;
mod name;
mod options;
mod reader;
mod record;
mod recovery;
mod segment;
mod segment_reader;
mod shared;
mod tend;
mod watermarks;
mod writer;

pub use charge::Charge;
pub use error::{AppendError, JournalError, ReserveError};
pub use journal::{Health, Journal, State};
pub use money::{DRAWS_MAX, Draw, Draws, Tokens, TooManyDraws};
pub use name::{BOOT_MAX, SegmentName};
pub use options::Options;
pub use reader::{Batch, Extent, Mark, Reader};
pub use record::{
    CHARGES_MAX, Charges, DETAIL_BYTES_MAX, Entry, Flags, LentRecord, MODEL_BYTES_MAX, PATH_BYTES_MAX,
    Record, StoredRecord, TooManyCharges, USER_AGENT_BYTES_MAX,
};
pub use recovery::{End, Recovered, Recovery, recover};
pub use writer::{Ticket, Writer};
