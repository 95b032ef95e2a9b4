//! Calls to models: what is read of requests and answers, and the few bytes that are changed.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails must end the test at that line")]

pub(crate) mod answers;
mod event_streams;
mod flaws;
mod mutations;
mod requests;
mod shapes;
mod usage_chunks;
