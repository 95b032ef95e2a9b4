//! The binary: command line, configuration, wiring, signals, demo.
//!
//! This is the only crate that knows all the others, and the only one that reads the environment,
//! asks for the time and draws the process's randomness. It holds no rule of its own: what is
//! allowed is decided by `tollgate_core`, what is stored by `tollgate_store`. It is a library with
//! a thin `main` so that its parsers can be fuzzed and tested.
//!
//! What it must never do: print a credential anywhere but in the answer of create and rotate, or
//! stop at the first error of a file that has several.

pub mod config;
pub mod located;
pub mod resource_file;
