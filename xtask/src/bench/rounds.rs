//! Contestants taking turns under the same load.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::load::{self, Seen};
use super::sample::{Usage, resident_mb};
use super::{Options, server::Server};
use crate::command::{Outcome, find};

/// Something that can be put under load.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// The script of its load.
    pub(super) script: PathBuf,
    /// Its processes; more than one when it needs a second server to do the same work.
    pub(super) servers: Vec<Server>,
    /// Processes of another contestant that serve this one too.
    pub(super) shares: Option<u32>,
}

impl Contestant {
    pub(super) fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Server::pid).chain(self.shares).collect()
    }
}

/// One run of one contestant.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) seen: Seen,
    pub(super) usage: Usage,
    pub(super) resident_mb: f64,
}

/// All runs of one contestant.
pub(super) struct Result {
    pub(super) name: &'static str,
    pub(super) runs: Vec<Run>,
    /// System calls per request, when they were counted.
    pub(super) syscalls: Option<f64>,
}

/// Runs every contestant once a round; who begins changes from round to round.
pub(super) fn run(contestants: &[Contestant], options: &Options) -> Outcome<Vec<Result>> {
    let mut results: Vec<Result> = contestants
        .iter()
        .map(|contestant| Result { name: contestant.name, runs: Vec::new(), syscalls: None })
        .collect();
    for contestant in contestants {
        // Connections to the upstream are opened and caches filled before anything is counted.
        let warm = |seconds| load::run(&contestant.script, contestant.address, options.connections, seconds);
        // What is slow at its very first requests is given more time for them.
        let seen = warm(1).or_else(|_| warm(5)).or_else(|_| warm(5))?;
        if seen.errors * 100.0 > seen.requests {
            return Err(format!("{} answers with errors: {seen:?}", contestant.name).into());
        }
    }
    for round in 0..options.rounds {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            let (Some(contestant), Some(result)) = (contestants.get(index), results.get_mut(index)) else {
                continue;
            };
            let run = measure(contestant, options)?;
            println!(
                "round {} {:<22} {:>7.0}/s  {:>6.2} µs",
                round + 1,
                contestant.name,
                run.seen.per_second,
                run.usage.cpu.total_us() / run.seen.requests
            );
            result.runs.push(run);
        }
    }
    if options.syscalls {
        for (contestant, result) in contestants.iter().zip(&mut results) {
            result.syscalls = count_system_calls(contestant, options)?;
        }
    }
    Ok(results)
}

fn measure(contestant: &Contestant, options: &Options) -> Outcome<Run> {
    let pids = contestant.pids();
    let before = Usage::of(&pids);
    let seen = load::run(&contestant.script, contestant.address, options.connections, options.seconds)?;
    let usage = Usage::of(&pids).since(&before);
    Ok(Run { seen, usage, resident_mb: resident_mb(&pids) })
}

/// One run under strace. It slows everything down, so only the number of calls is taken from it.
fn count_system_calls(contestant: &Contestant, options: &Options) -> Outcome<Option<f64>> {
    let Some(strace) = find("strace") else { return Ok(None) };
    let pids: Vec<u32> = contestant.pids().iter().flat_map(|pid| super::sample::family(*pid)).collect();
    let table = std::env::temp_dir().join(format!("tollgate-bench-strace-{}", std::process::id()));
    let mut command = Command::new(strace);
    command.args(["-f", "-c", "-q", "-o"]).arg(&table);
    pids.iter().for_each(|pid| {
        command.args(["-p", &pid.to_string()]);
    });
    let mut tracer = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let seen = load::run(&contestant.script, contestant.address, options.connections, options.seconds);
    kill_process(Pid::from_child(&tracer), Signal::INT)?;
    tracer.wait()?;
    let text = std::fs::read_to_string(&table).unwrap_or_default();
    let _ = std::fs::remove_file(&table);
    // The last line: `100.00    0.123456           1    123456      1234 total`.
    let total = text.lines().rev().find(|line| line.ends_with("total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
    let requests = seen?.requests;
    Ok(calls.map(|calls| calls / requests))
}
