//! Questions to a model: Tollgate with key, grant, limit and prediction event, beside FastAPI with onnxruntime and a
//! look-up of the key. The model is small (60 trees of gradient boosting), so that what is measured is what stands
//! around it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::contestants::{tollgate::Tollgate, upstream};
use super::load::{self, Requests, Seen};
use super::places::{CONTESTANT_CPU, Folder, free_address};
use super::report::{self, Aim, median};
use super::rounds::{self, Contestant};
use super::server::Server;
use super::{Options, keys};
use crate::command::{Outcome, take};
use crate::python;

/// The versions that the figures in the docs were measured with.
const PACKAGES: [&str; 6] = [
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
    "onnxruntime==1.32.0",
    "numpy==2.4.6",
];
const OURS: &str = "tollgate";
const PEER: &str = "fastapi";
/// A tenth of the CPU.
const RATIO_MAX: f64 = 0.1;
/// What may be added to the bare model, in microseconds of the 99th of a hundred.
const ADDED_US_MAX: f64 = 200.0;
/// Runs of the bare model.
const BARE_RUNS: &str = "20000";
const BODY: &str = r#"{"model":"fraud","inputs":[[940.5,3,0.91,12.25]]}"#;
/// As long as an answer.
const ANSWER: &str = r#"{"model":"fraud","version":"1","outputs":{"output_label":[1],"output_probability":[[0.0123,0.9876]]},"latency_ms":0.003}"#;
const SAMPLE: &str = "[[940.5,3,0.91,12.25]]";

pub(super) fn run(options: &Options) -> Outcome {
    let folder = Folder::fresh("predict")?;
    let model = std::path::absolute("crates/inference/tests/models/boosted_plain.onnx")?;
    let binary = options.tollgate()?;
    let key_header = r#"["Authorization"] = "Bearer " .. key,"#;
    let asks = Requests::Post { path: "/api/v1/predict", headers: key_header.into(), body: BODY.into() };
    let script = load::script(&folder, "predict", keys::IN_USE, &asks)?;
    let mut contestants = Vec::new();
    let mut gateway = None;
    if options.wants(OURS) {
        let resources = resources(&model.display().to_string());
        let tollgate =
            Tollgate::furnished(binary.clone(), "predict-keys", &resources, keys::IN_USE, options.fresh)?;
        let start = tollgate.start(&folder)?;
        gateway = Some(tollgate.gateway());
        let (address, servers) = (tollgate.gateway(), vec![start.server]);
        contestants.push(Contestant { name: OURS, address, script: script.clone(), servers, shares: None });
    }
    if options.wants(PEER) {
        let (server, address) = peer(&folder, &model)?;
        contestants.push(Contestant {
            name: PEER,
            address,
            script: script.clone(),
            servers: vec![server],
            shares: None,
        });
    }
    let results = rounds::run(&contestants, options)?;
    report::print_table(&results);
    if options.threads {
        report::print_threads(&results);
    }
    let mut aims: Vec<Aim> = report::ratio_aim(&results, OURS, PEER, RATIO_MAX).into_iter().collect();
    if let Some(gateway) = gateway {
        let bare = bare(&binary, &model)?;
        aims.push(added(options, &folder, (gateway, script), bare)?);
    }
    report::print_aims(&aims);
    Ok(())
}

fn peer(folder: &Folder, model: &std::path::Path) -> Outcome<(Server, SocketAddr)> {
    let programs = python::environment("fastapi", &PACKAGES)?;
    let address = free_address()?;
    let mut command = Command::new(programs.join("python"));
    command.arg(std::path::absolute("xtask/src/bench/predict.py")?).arg(address.port().to_string());
    command.arg(model).arg(folder.path().join("predict.keys"));
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("fastapi.log"))?;
    server.wait_until_ready(address, "/health")?;
    Ok((server, address))
}

/// How long 99 of 100 runs of the bare model take at most, in microseconds.
fn bare(binary: &std::path::Path, model: &std::path::Path) -> Outcome<f64> {
    let mut command = Command::new("taskset");
    command.args(["-c", CONTESTANT_CPU]).arg(binary).args(["models", "check"]).arg(model);
    let words = take(command.args(["--sample", SAMPLE, "--repeat", BARE_RUNS, "--output", "json"]))?;
    let p99 = words.split("\"p99_us\":").nth(1).and_then(|rest| rest.split(['}', ',']).next());
    let p99 = p99.and_then(|number| number.trim().parse().ok());
    Ok(p99.ok_or_else(|| format!("no `p99_us` in {words}"))?)
}

/// What is added to the bare model: how long 99 of 100 questions take whose client waits for each before it asks the
/// next, from its first byte to the last of its answer, without what the model alone takes in the same program on the
/// same processor. The way through the kernel and back is in it. Printed beside it, of the same rounds: a request that
/// asks no model, and the same question to an nginx on the same processor that answers it with a constant, which is
/// what client and kernel take by themselves.
fn added(
    options: &Options,
    folder: &Folder,
    (gateway, asks): (SocketAddr, PathBuf),
    bare_us: f64,
) -> Outcome<Aim> {
    let headers = r#"["Authorization"] = "Bearer " .. key,"#.to_owned();
    let none = Requests::GetPath { path: "/v2/health/live", headers };
    let none = load::script(folder, "live", keys::IN_USE, &none)?;
    let (_constant, constant) = upstream::constant(folder, "constant", CONTESTANT_CPU, ANSWER)?;
    let alone = [
        ("a question", &asks, gateway),
        ("a request that asks no model", &none, gateway),
        ("the question, answered by nginx with a constant", &asks, constant),
    ];
    let mut seen = [const { Vec::new() }; 3];
    for _ in 0..options.rounds {
        for ((_, script, address), seen) in alone.iter().zip(&mut seen) {
            seen.push(load::run(script, *address, 1, options.seconds)?);
        }
    }
    println!("\n{:<50} {:>9} {:>9}", "alone", "p50 µs", "p99 µs");
    let median_of = |seen: &[Seen], value: fn(&Seen) -> f64| median(seen.iter().map(value).collect());
    for ((what, ..), seen) in alone.iter().zip(&seen) {
        let (p50, p99) = (median_of(seen, |seen| seen.p50_us), median_of(seen, |seen| seen.p99_us));
        println!("{what:<50} {p50:>9.1} {p99:>9.1}");
    }
    println!("{:<50} {:>9} {bare_us:>9.1}", "the bare model", "");
    let [questions, ..] = &seen;
    Ok(Aim {
        what: "added to the bare model, 99 of 100 questions that are alone".to_owned(),
        now: median_of(questions, |seen| seen.p99_us) - bare_us,
        at_most: ADDED_US_MAX,
        unit: "µs",
    })
}

fn resources(model: &str) -> String {
    format!(
        r#"
[[project]]
tenant = "default"
name = "bench"
key_prefix = "tg"

[[service]]
project = "bench"
name = "predict"
kind = "predict"

[[model]]
project = "bench"
name = "fraud"
version = "1"
file = '{model}'
sample = {{ inputs = "{SAMPLE}" }}

[[policy]]
project = "bench"
name = "standard"
services = ["predict"]
scopes = ["read", "write"]
models = ["fraud"]
  [[policy.limit]]
  name = "burst"
  amount = 100000000
  window = "1m"
  per = "key"

[[consumer]]
project = "bench"
name = "load"
"#
    )
}
