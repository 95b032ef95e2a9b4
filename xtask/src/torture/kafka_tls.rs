//! TLS and SCRAM to a real broker. The broker that a package brings forgets its users, so one that keeps them is built
//! once; TLS stands in a door before the broker, for its own options for it exclude each other.

use std::path::PathBuf;

use clap::Args;

use crate::command::{Outcome, cargo, show};
use crate::needs;
use crate::records::broker;

/// With what.
#[derive(Args)]
pub(crate) struct KafkaTls {
    /// A `tansu` that was built with SQLite, instead of building one
    #[arg(long, value_name = "FILE")]
    broker: Option<PathBuf>,
}

/// Builds Tollgate with its feature `kafka-tls` and runs the tests that need it.
pub(super) fn run(kafka: &KafkaTls) -> Outcome {
    needs::provide(needs::KAFKA_TLS)?;
    let lasting = match &kafka.broker {
        Some(program) => std::path::absolute(program)?,
        None => broker::lasting()?,
    };
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--features", "kafka-tls", "--test", "main"]);
    test.args(["--", "--ignored", "kafka_tls::"]);
    show(test.env("TOLLGATE_KAFKA_BROKER", broker::forgetful()?).env("TOLLGATE_KAFKA_LASTING", lasting))
}
