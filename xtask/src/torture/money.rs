//! T3: budgets under fire. The test of the product does it; this says how long and how hard.

use clap::Args;

use crate::command::{Outcome, cargo, show};

/// How long and how hard.
#[derive(Args)]
pub(crate) struct Money {
    /// For how many seconds
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How many clients call at once
    #[arg(long, default_value_t = 500)]
    clients: u64,
    /// A process is killed every so many seconds
    #[arg(long, default_value_t = 5)]
    kill_every: u64,
    /// The budget, in dollars
    #[arg(long, default_value_t = 20_000)]
    dollars: u64,
    /// How many of a hundred calls the provider resets
    #[arg(long, default_value_t = 5)]
    resets: u64,
    /// Builds without optimisation
    #[arg(long)]
    debug: bool,
}

pub(super) fn run(money: &Money) -> Outcome {
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--test", "main"]);
    if !money.debug {
        test.arg("--release");
    }
    test.args(["--", "--ignored", "--nocapture", "torture_by_kills"]);
    for (name, value) in [
        ("TORTURE_SECONDS", money.seconds),
        ("TORTURE_CLIENTS", money.clients),
        ("TORTURE_KILL_SECONDS", money.kill_every),
        ("TORTURE_DOLLARS", money.dollars),
        ("TORTURE_RESETS", money.resets),
    ] {
        test.env(name, value.to_string());
    }
    show(&mut test)
}
