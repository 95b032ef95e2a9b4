//! What the journal promises, tried on real files, real processes and real kills.
//!
//! The encoding of a record and the failures of a disk are tested beside their code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails, in its helpers too")]

mod append;
mod damage;
mod kill;
mod readers;
mod room;
mod ship;
mod support;
