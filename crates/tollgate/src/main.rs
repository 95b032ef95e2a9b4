//! The binary: everything is in the library, so that it can be tested and fuzzed.

use std::process::ExitCode;

/// Measured fastest under many small allocations from several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate::run()
}
