//! The service API over real sockets, with its ports in memory: a snapshot made by hand, the real
//! counters, a clock of the test, a journal in a temporary folder.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails, in its helpers too"
)]

mod authz;
mod batch;
mod forward;
mod proxies;
mod questions;
mod tenancy;
mod verify;
mod waiting;
mod world;
