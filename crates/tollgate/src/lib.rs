//! The binary: command line, configuration, wiring, signals, demo.
//!
//! This is the only crate that knows all the others, and the only one that reads the environment,
//! asks for the time and draws the process's randomness. It holds no rule of its own: what is
//! allowed is decided by `tollgate_core`, what is stored by `tollgate_store`. It is a library with
//! a thin `main` so that its parsers can be fuzzed and tested.
//!
//! What it must never do: print a credential anywhere but in the answer of create and rotate (and
//! of the demo, whose keys are for show), or stop at the first error of a file that has several.

mod cli;
mod clock;
mod commands;
pub mod config;
mod context;
mod data_dir;
mod demo;
mod failure;
mod hypothetical;
mod import_file;
pub mod located;
mod model_file;
mod password;
mod print;
pub mod resource_file;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

/// Threads of the runtime that serves beside the data plane, whose lanes have their own.
const SERVE_THREADS: usize = 2;

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                print::say(&format!("error: {message}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    let mut builder = match &cli.command {
        Command::Serve(_) | Command::Demo(_) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(SERVE_THREADS);
            builder
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(commands::run(&cli.global, cli.command));
    // Whatever still runs in the background belongs to a command that has ended.
    runtime.shutdown_background();
    outcome
}
