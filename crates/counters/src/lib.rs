//! Live counters of limits, quotas and concurrency, for one node; and what it may spend of budgets.
//!
//! [`LocalCounters`] is the `Counters` of `tollgate_core` that the gateway decides with: exact on
//! one node (I22), in memory, and bounded. A request's charges are decided together: the cells
//! they touch are held for the few dozen nanoseconds that this takes, all are asked, and only if
//! all pass is any of them written. So a refused request moves no counter, and there is nothing to
//! roll back. What model calls take of token limits before they are sent is corrected when they are
//! over; a limit then gives back no more than keeps its bound, for part of it may have drained.
//!
//! Cells are made at first use and dropped by [`LocalCounters::sweep`] once they are as good as
//! new. At the bound a subject that has no cell is refused, never passed uncounted (rule 1).
//!
//! Quotas are durable elsewhere. A process that is alone counts them itself ([`Quotas::Counted`]): after a
//! start, [`LocalCounters::seed`] puts back what was used. Where there may be several, each uses only what
//! the database has set aside for it ([`Quotas::Leased`]): [`LocalCounters::grant`] adds to it, and a charge
//! that finds too little is `Short`, which says that more has to be leased before it can be decided.
//!
//! Limits that all nodes count together are in Redis: [`shared::SharedLimits`].
//!
//! Budgets are leased: [`leases::LeasePots`] holds what the ledger set aside for this process.
//!
//! What this crate must never know: clocks (the moment is an argument), keys, HTTP, databases.

mod calendar;
mod cells;
mod lease;
pub mod leases;
mod local;
mod refused;
#[cfg(not(loom))]
pub mod shared;
mod state;

pub use cells::CELLS_MAX_DEFAULT;
pub use lease::{Part, Quotas};
pub use local::LocalCounters;
