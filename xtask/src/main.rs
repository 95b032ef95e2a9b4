//! The project's own tools: `cargo xtask test`, `tidy`, `deny`, `fuzz`, `bench`, `torture`.
//!
//! Everything that a newcomer or the continuous integration runs is here, in Rust, so that it is read, linted and
//! tested like the product. What must never be here: anything the product needs at run time.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person who started it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a tool measures with the ordinary clock and passes its environment on"
)]

mod bench;
mod browser;
mod checks;
mod command;
mod contract;
mod deny;
mod fuzz;
mod kafka;
mod needs;
mod npm;
mod openid;
mod prices;
mod python;
mod records;
mod sdks;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools of the Tollgate project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass: format, tidy, lints, tests, a short fuzz run. Installs what the tests need.
    Test(checks::Options),
    /// Structure and style rules that the compiler does not know. Prints the project's figures.
    Tidy,
    /// Licences, bans and sources of all dependencies (installs cargo-deny into target/tools on first use).
    Deny,
    /// Fuzz targets on the stable compiler, each for some seconds.
    Fuzz(fuzz::Options),
    /// Tollgate beside nginx, HAProxy and Envoy on this machine: CPU a request, latency, memory, ratios.
    Bench(bench::Options),
    /// What must hold whatever happens, under fire for minutes.
    #[command(subcommand)]
    Torture(torture::Torture),
    /// The table of prices that Tollgate ships with, out of the list inside the `litellm` package.
    Prices(prices::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test(options) => checks::run(&options),
        Task::Tidy => tidy::run(),
        Task::Deny => deny::run(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Torture(options) => torture::run(&options),
        Task::Prices(options) => prices::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
