//! `cargo xtask torture`: what must hold whatever happens, for as long as it takes to believe it.

mod ingest;
mod kafka_tls;
mod money;

use clap::Subcommand;

use crate::command::Outcome;

/// What is put under fire.
#[derive(Subcommand)]
pub(crate) enum Torture {
    /// T3: budgets, with clients that leave, kills, and a database that restarts
    Money(money::Money),
    /// TLS with a private authority, and SCRAM, to a real broker, by a build that knows them
    KafkaTls(kafka_tls::KafkaTls),
    /// T6: records from a job of Spark on their way to Kafka, with kills of Tollgate and of the broker
    Ingest(ingest::Ingest),
}

/// Runs it, and shows what it measured.
pub(crate) fn run(torture: &Torture) -> Outcome {
    match torture {
        Torture::Money(money) => money::run(money),
        Torture::KafkaTls(kafka) => kafka_tls::run(kafka),
        Torture::Ingest(ingest) => ingest::run(ingest),
    }
}
