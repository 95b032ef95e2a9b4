//! Tests of the command line and its parsers, over the library and over the real binary.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step must end the test at that line; tests measure with the ordinary clock"
)]

mod administration;
mod auditing;
mod client;
mod cluster;
mod configuration;
mod credentials;
mod demo;
mod faults;
mod help;
mod hostile_heads;
mod importing;
mod ingest;
#[cfg(feature = "kafka-tls")]
mod kafka_tls;
mod many_keys;
mod meters;
mod metrics;
mod money;
mod newcomer;
mod openid;
mod outages;
mod person;
mod predict;
mod quotas;
mod reach;
mod refusals;
mod resources;
mod roles;
mod rules;
mod sdks;
mod secrets;
mod serving;
mod shared_limits;
mod signed;
mod signing_in;
mod slow_clients;
mod token_quotas;
mod topics;
mod webhooks;
mod whole_keys;
mod world;
