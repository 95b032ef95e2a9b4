//! The same records straight to a broker by librdkafka, set as the relay sets it.

use std::process::Command;
use std::time::Duration;

use crate::command::{Outcome, take};
use crate::records::broker::{self, Broker};

const SCRIPT: &str = include_str!("produce.py");

/// Records that were acknowledged, seconds, and microseconds of the producer.
pub(super) fn run(broker: &Broker, length: Duration) -> Outcome<(u64, f64, Option<f64>)> {
    let mut command = Command::new(broker::python()?);
    command.args(["-c", SCRIPT, &broker.address().to_string(), "bench", &length.as_secs_f64().to_string()]);
    let words = take(&mut command)?;
    let told: serde_json::Value = serde_json::from_str(&words)?;
    let number = |name: &str| told[name].as_f64().ok_or_else(|| format!("no `{name}` in {words}"));
    Ok((told["records"].as_u64().ok_or("no records")?, number("seconds")?, Some(number("cpu_us")?)))
}
