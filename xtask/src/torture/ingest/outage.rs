//! A broker that is away while records come as fast as they are taken, and then comes back.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::Stage;
use crate::command::Outcome;
use crate::records::post::{self, Load};

/// Connections of the load.
const CONNECTIONS: usize = 8;
/// How long it goes well before the broker goes.
const BEFORE: Duration = Duration::from_secs(5);
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn run(mut stage: Stage, length: Duration, rate: u64) -> Outcome {
    let numbers = AtomicU64::new(1);
    let key = stage.keys.first().ok_or("there is no key")?.clone();
    let gateway = stage.node.gateway();
    let load = Load { gateway, key: &key, with_ids: true, connections: CONNECTIONS, rate, numbers: &numbers };
    let before = post::run(&load, BEFORE)?;
    println!("with the broker: {:.0} records a second", before.accepted as f64 / before.seconds);
    let bytes = stage.node.bytes();
    if stage.broker.lasts() {
        stage.broker.kill()?;
    } else {
        stage.broker.hang(true);
    }
    let during = post::run(&load, length)?;
    let waiting = stage.node.behind()?;
    let grown = stage.node.bytes().saturating_sub(bytes) as f64;
    println!(
        "without it for {:.0} s: {} records, {:.0} a second; {} batches told to come again; the longest took {:.0} ms",
        during.seconds,
        during.accepted,
        during.accepted as f64 / during.seconds,
        during.overloaded,
        during.longest_ms
    );
    println!(
        "the folder grew by {:.0} MiB, {:.0} bytes a record of 1,024, {:.1} MiB a second",
        grown / MIB,
        grown / during.accepted.max(1) as f64,
        grown / MIB / during.seconds
    );
    let start = Instant::now();
    stage.broker.hang(false);
    stage.broker.run()?;
    let (_, _) = stage.drain()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("back again: {waiting} records in {seconds:.1} s, {:.0} a second", waiting as f64 / seconds);
    stage.check(before.accepted + during.accepted)
}
