//! Handing records on: who does it, how far it is, and what a sink does not take (I15).
//!
//! One relay at a time moves the cursor of a sink. Its epoch is taken with the lease and goes up each time, and
//! every write says it: one that was overtaken changes nothing any more, whatever its clock says. Two that run
//! at once by mistake both send from the cursor on and in order, so that what is told apart by its event id is
//! still whole and in order. What must never be here: what a sink is.

mod forget;
mod parked;
mod relay;
mod stream;

pub use parked::{NewParked, ParkedFilter, ParkedRow, ParkedState, Policy, SettledSpan};
pub use relay::{Lag, Outbox, RelayLease, RelayLost};
pub use stream::{Stream, StreamLease};
