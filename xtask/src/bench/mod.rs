//! `cargo xtask bench`: Tollgate beside its peers on this machine, measured the same way in the same minute.
//!
//! What counts is CPU time per request: it does not depend on how much of the machine is left over, as requests per
//! second do. Contestants take turns, every figure is a median over rounds, and a ratio is the median of the ratios
//! of the rounds, because two measurements of one minute share its noise.
//!
//! Pinning: the contestant on CPU 0; the load (wrk) and the upstream (nginx) on CPU 1.

mod console;
mod contestants;
mod gateway;
mod idle;
mod ingest;
mod keys;
mod llm;
mod load;
mod micro;
mod places;
mod predict;
mod report;
mod rounds;
mod sample;
mod server;
mod verify;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::command::{Outcome, cargo, show};
use crate::needs;
use crate::workspace;

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// What to measure.
    what: What,
    /// Rounds in which every contestant runs once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load in each run.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Keys in Tollgate.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Connections of the load.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Only these contestants (their names in the table), separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also count system calls, with strace, in one more run each.
    #[arg(long)]
    syscalls: bool,
    /// Also show how the CPU time is spread over the threads of each contestant.
    #[arg(long)]
    threads: bool,
    /// Import the keys again instead of taking the database that an earlier bench has filled.
    #[arg(long)]
    fresh: bool,
    /// A `tollgate` binary to measure instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The proxy with a key check, against nginx, HAProxy and Envoy.
    Gateway,
    /// `POST /v1/keys/verify`, against nginx answering a constant.
    Verify,
    /// Calls to models, plain and streamed, against LiteLLM, Portkey and bare nginx.
    Llm,
    /// Batches of records, on SQLite and PostgreSQL, against COPY and librdkafka.
    Ingest,
    /// Questions to a small model, against FastAPI with onnxruntime.
    Predict,
    /// Memory of 9,000 idle connections.
    Idle,
    /// Digest, look-up and decision, in one process (example `admit` of tollgate-core).
    Core,
    /// Every page of the console, with 100,000 keys and 10,000,000 events in SQLite.
    Console,
    /// Append of a usage record (example `append` of tollgate-journal).
    Journal,
}

impl Options {
    /// Whether a contestant was asked for.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// The binary to measure, built in release mode unless one is given.
    fn tollgate(&self) -> Outcome<PathBuf> {
        if let Some(binary) = &self.binary {
            return Ok(std::path::absolute(binary)?);
        }
        show(cargo().args(["build", "--release", "-p", "tollgate"]))?;
        Ok(workspace::target().join("release/tollgate"))
    }
}

pub(crate) fn run(options: &Options) -> Outcome {
    match options.what {
        What::Core => return micro::core(options.keys),
        What::Journal => return micro::journal(),
        What::Ingest => return ingest::run(options),
        What::Console => {
            needs::provide(needs::TASKSET)?;
            return console::run(options);
        }
        What::Gateway | What::Verify | What::Llm | What::Predict | What::Idle => {}
    }
    needs::provide(needs::BENCH)?;
    idle::raise_file_limit()?;
    match options.what {
        What::Gateway => gateway::run(options),
        What::Verify => verify::run(options),
        What::Llm => llm::run(options),
        What::Predict => predict::run(options),
        _ => idle::run(options),
    }
}
