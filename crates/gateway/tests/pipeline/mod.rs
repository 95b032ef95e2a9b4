//! The gateway over real sockets, with its ports in memory: a snapshot made by hand, counters and
//! clock of the test, a journal in a temporary folder, upstreams of the testkit.

#![expect(
    clippy::disallowed_methods,
    reason = "tests measure with the ordinary clock; the gateway under test gets the test's own"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed set-up step must end the test at that line"
)]

mod codes;
mod credentials;
mod cross_origin;
mod hostile;
mod identity;
mod ingest;
mod journal;
mod limits;
mod me;
mod metrics;
mod models;
mod paths;
mod ports;
mod predict;
mod services;
mod signed;
mod streams;
mod upstreams;
mod world;
