//! What the counters promise: against a naive model, one step at a time; and from many threads.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails, in its helpers too")]

mod bounds;
mod leases;
mod model;
mod quota_leases;
mod shared;
mod stress;
mod support;
