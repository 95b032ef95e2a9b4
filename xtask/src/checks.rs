//! `cargo xtask test`: the one command that says whether the project is sound. Each step shows its output as it
//! comes; the end is a table of steps and times and one closing line.

use std::time::{Duration, Instant};

use clap::Args;

use crate::command::{Outcome, cargo, show};
use crate::{browser, contract, fuzz, kafka, needs, openid, sdks, tidy};

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out fuzzing, schemathesis, the browser and the long rounds of the fault tests.
    #[arg(long)]
    quick: bool,
    /// Run one step only.
    #[arg(long, value_name = "NAME", value_parser = STEPS.map(|step| step.name))]
    only: Option<String>,
    /// Seconds for each fuzz target.
    #[arg(long, default_value_t = 60)]
    fuzz_seconds: u64,
}

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Options) -> Outcome,
}

/// In this order: what is quick to say no comes first.
const STEPS: [Step; 12] = [
    Step { name: "needs", what: "what the tests need is on the machine", run: provide },
    Step { name: "fmt", what: "the code is formatted", run: format },
    Step { name: "tidy", what: "structure and style rules hold", run: |_| tidy::run() },
    Step { name: "clippy", what: "no warning in the workspace", run: clippy },
    Step { name: "test", what: "the tests of the workspace pass", run: test },
    Step { name: "loom", what: "leases hold in every order of threads", run: loom },
    Step { name: "contract", what: "the admin API keeps to its OpenAPI document", run: |_| contract::run() },
    Step { name: "browser", what: "people get through the console in a browser", run: |_| browser::run() },
    Step { name: "openid", what: "people sign in at a real OpenID provider", run: |_| openid::run() },
    Step { name: "sdks", what: "the official SDKs of model providers work", run: |_| sdks::run() },
    Step { name: "kafka", what: "records reach a real broker", run: |_| kafka::run() },
    Step { name: "fuzz", what: "no fuzz target finds an input that breaks it", run: fuzz_shortly },
];

/// Runs the steps asked for. A failed step does not keep the later ones from running: one run tells everything.
pub(crate) fn run(options: &Options) -> Outcome {
    let mut results = Vec::new();
    for step in &STEPS {
        let chosen = options.only.as_deref().is_none_or(|name| name == step.name);
        if !chosen
            || (options.quick
                && matches!(step.name, "contract" | "browser" | "openid" | "sdks" | "kafka" | "fuzz"))
        {
            continue;
        }
        println!("\n=== {}: {}", step.name, step.what);
        let start = Instant::now();
        let outcome = (step.run)(options);
        if let Err(error) = &outcome {
            eprintln!("error: {error}");
        }
        results.push((step, outcome.is_ok(), start.elapsed()));
        if step.name == "needs" && outcome.is_err() {
            break;
        }
    }
    summarise(&results)
}

fn summarise(results: &[(&Step, bool, Duration)]) -> Outcome {
    println!("\n=== summary");
    for (step, passed, took) in results {
        let word = if *passed { "passed" } else { "FAILED" };
        println!("{word}  {:>6.1} s  {:<8} {}", took.as_secs_f64(), step.name, step.what);
    }
    let passed = results.iter().filter(|(_, passed, _)| *passed).count();
    let failed: Vec<&str> =
        results.iter().filter(|(_, passed, _)| !passed).map(|(step, _, _)| step.name).collect();
    println!("steps: {passed} passed, {} failed", failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}; again alone: cargo xtask test --only {}", failed.join(", "), failed[0]).into())
}

fn provide(options: &Options) -> Outcome {
    let more = if options.quick { &[][..] } else { &[needs::BROWSER, needs::FUZZ] };
    needs::provide(&[&[needs::TESTS], more].concat().concat())
}

fn format(_: &Options) -> Outcome {
    show(cargo().args(["fmt", "--all", "--check"]))?;
    show(cargo().args(["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))
}

fn clippy(_: &Options) -> Outcome {
    show(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn test(options: &Options) -> Outcome {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    if options.quick {
        command.env("TOLLGATE_TEST_DEPTH", "quick");
    }
    show(&mut command)
}

/// In a folder of its own: the flag would make every other build begin anew.
fn loom(_: &Options) -> Outcome {
    let mut command = cargo();
    command.args(["test", "-p", "tollgate-counters", "--test", "loom", "--target-dir", "target/loom"]);
    show(command.env("RUSTFLAGS", "--cfg loom"))
}

fn fuzz_shortly(options: &Options) -> Outcome {
    fuzz::run_all(options.fuzz_seconds)
}
