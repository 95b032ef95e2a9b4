//! Live counters of limits, quotas and concurrency, for one node.
//!
//! [`LocalCounters`] is the `Counters` of `tollgate_core` that the gateway decides with: exact on
//! one node (I22), in memory, and bounded. A request's charges are decided together: the cells
//! they touch are held for the few dozen nanoseconds that this takes, all are asked, and only if
//! all pass is any of them written. So a refused request moves no counter, and there is nothing to
//! roll back. (Giving an amount back to a GCRA cell later would not be exact: when other requests
//! have passed and time has gone on, part of what was taken has drained already, and giving back
//! all of it would let more pass than the limit.)
//!
//! Cells are made at first use and dropped by [`LocalCounters::sweep`] once they are as good as
//! new. At the bound a subject that has no cell is refused, never passed uncounted (rule 1).
//!
//! Quotas are durable elsewhere: after a start, [`LocalCounters::seed`] puts back what was used.
//!
//! What this crate must never know: clocks (the moment is an argument), keys, HTTP, databases.

mod calendar;
mod cells;
mod local;
mod state;

pub use cells::CELLS_MAX_DEFAULT;
pub use local::LocalCounters;
