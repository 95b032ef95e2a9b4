//! Taking batches of records: many at once into one commit, each record once (I15, I16).
//!
//! Batches that wait at the same time are one group and share a commit: the records packed into blocks, what
//! they are told apart by, the names of their requests, and the position from which the outbox goes on, all in
//! one transaction. A batch is answered after it. What must never be here: how records came, and where they go.

mod beside;
mod block;
mod commit;
mod known;
mod query;
mod queue;
mod retention;

pub(crate) use beside::Beside;
pub use block::Event;
pub(crate) use block::{each, unpack};
pub use query::{EventFilter, EventRow};
pub use queue::{Committing, IngestOptions, Ingester};
pub(crate) use retention::hold_shard;

/// The one sequence of records there is. Tables and cursors have a place for more.
pub(crate) const SHARD: i64 = 0;
