//! `POST /v1/keys/verify`, against an nginx that answers a constant of the same size.

use super::Options;
use super::contestants::tollgate::Tollgate;
use super::contestants::upstream;
use super::gateway::TOLLGATE;
use super::load::{self, Requests};
use super::places::{CONTESTANT_CPU, Folder};
use super::report;
use super::rounds::{self, Contestant};
use crate::command::Outcome;

const NGINX: &str = "nginx-return-200";
/// Bytes of the constant answer: what a verify answer takes.
const ANSWER_BYTES: usize = 400;
const RATIO_MAX: f64 = 1.35;

pub(super) fn run(options: &Options) -> Outcome {
    let folder = Folder::fresh("verify")?;
    let (_upstream, upstream) = upstream::start(&folder)?;
    let tollgate = Tollgate::prepare(options.tollgate()?, upstream, options.keys, options.fresh)?;
    let token = tollgate.service_token()?;
    let start = tollgate.start(&folder)?;
    let script = load::script(&folder, "verify", options.keys, &Requests::Verify { token })?;
    let (constant, address) = upstream::constant(&folder, "constant", CONTESTANT_CPU, &constant_answer())?;
    let contestants = [
        Contestant { name: NGINX, address, script: script.clone(), servers: vec![constant], shares: None },
        Contestant {
            name: TOLLGATE,
            address: tollgate.service_api(),
            script,
            servers: vec![start.server],
            shares: None,
        },
    ];
    let results = rounds::run(&contestants, options)?;
    report::print_table(&results);
    report::print_data_plane(&results, TOLLGATE, NGINX);
    if options.threads {
        report::print_threads(&results);
    }
    let aims: Vec<report::Aim> =
        report::ratio_aim(&results, TOLLGATE, NGINX, RATIO_MAX).into_iter().collect();
    report::print_aims(&aims);
    Ok(())
}

fn constant_answer() -> String {
    let frame = r#"{"valid":true,"filler":""}"#.len();
    format!(r#"{{"valid":true,"filler":"{}"}}"#, "v".repeat(ANSWER_BYTES - frame))
}
