//! The console in a real Chromium, over the real binary with real traffic: every flow that people go through, at
//! the width of a desk and of a phone, in light and dark, by keyboard alone, and without scripts.
//!
//! Every tab also proves, when a test is done with it, that its pages logged no error, broke no content security
//! policy, asked no other host and may not be kept by the browser (see `tollgate_testkit::browser`).
//!
//! The tests are ignored in an ordinary run, because they need Chromium and axe-core:
//! `cargo xtask test --only browser` installs both and runs them. With `UPDATE_DOCS=1` it also makes the pictures
//! of `docs/images/console`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step must end the test at that line; tests measure with the ordinary clock"
)]

mod accessibility;
mod administration;
mod elsewhere;
mod events;
mod history;
mod keyboard;
mod keys;
mod mail;
mod many;
mod meters;
mod money;
mod newcomer;
mod people;
mod pictures;
mod policies;
mod records;
mod reminders;
mod rules;
mod signing_in;
mod traffic;
mod webhooks;
mod world;
