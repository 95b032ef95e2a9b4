//! What Tollgate says over HTTP, checked word for word.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::string_slice,
    reason = "a test that cannot go on fails, and cuts only texts of its own making"
)]

mod admin;
mod codes;
mod fixture;
mod me;
mod predict;
mod problem;
mod rate;
mod text;
mod verify;
