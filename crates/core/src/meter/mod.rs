//! Meters: what is counted from events (CONTRACT §6).
//!
//! A meter looks at the events of one type in one project, takes a value out of each, and adds it up by minute
//! and group. What is here is pure: what may be written, where values lie in JSON, how parts merge into the whole,
//! and where windows begin and end. Which event is counted when, and that it is counted once, is the store's.
//!
//! Everything adds up exactly and in any order: numbers are decimals, different words are hashes. So it does not
//! matter in which pieces events come, how late, or who merges what.

pub mod number;
pub mod partial;
pub mod path;
pub mod set;
pub mod sketch;
pub mod spec;
pub mod window;
