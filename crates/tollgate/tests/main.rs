//! Tests of the command line and its parsers, over the library and over the real binary.

mod configuration;
mod resources;
