//! T6: records on their way from a pipeline to Kafka, through the real binary, under fire. A job of Spark with kills
//! of Tollgate and of the broker; with `--outage` a broker that is away while records come as fast as they are
//! taken. Afterwards the topic is read from its beginning: nothing is missing, and after dropping what came twice
//! by `event_id` nothing is there twice and every tenant's records are in order.

mod outage;
mod spark;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::command::{Outcome, cargo, show};
use crate::needs;
use crate::records::broker::{self, Broker};
use crate::records::node::Node;
use crate::workspace;

/// The topic of records.
const TOPIC: &str = "app-events";
/// Partitions of it, so that tenants are in different ones.
const PARTITIONS: usize = 3;
/// How long the brokers may take to get the rest, without coming forward.
const DRAIN_PATIENCE: Duration = Duration::from_secs(300);

/// How much, and what is done to it.
#[derive(Args)]
pub(crate) struct Ingest {
    /// Records that the job posts
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Records of a batch of the job
    #[arg(long, default_value_t = 500)]
    batch: u64,
    /// Tenants, with a key each
    #[arg(long, default_value_t = 3)]
    tenants: usize,
    /// Tollgate is killed every so many seconds, the broker every third time
    #[arg(long, default_value_t = 10)]
    kill_every: u64,
    /// Instead of the job: the broker is away for so long (`90s`, `10m`) while records come at full load
    #[arg(long, value_parser = span)]
    outage: Option<Duration>,
    /// Records a second that come during the outage; all that are taken when not said
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// A `tansu` that was built with SQLite, instead of building one
    #[arg(long, value_name = "FILE")]
    broker: Option<PathBuf>,
    /// A broker that keeps all in its memory: it is made to hang where the other one is killed
    #[arg(long, conflicts_with = "broker")]
    memory: bool,
    /// A `tollgate` binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// What everything runs in.
struct Stage {
    node: Node,
    keys: Vec<String>,
    broker: Broker,
}

pub(super) fn run(ingest: &Ingest) -> Outcome {
    needs::provide(needs::KAFKA)?;
    let home = folder()?;
    let stage = Stage::set(ingest, &home)?;
    let outcome = match ingest.outage {
        Some(length) => outage::run(stage, length, ingest.rate),
        None => spark::run(stage, ingest, &home),
    };
    if outcome.is_ok() {
        // What went wrong is worth a look; what went well only takes room.
        std::fs::remove_dir_all(&home)?;
    }
    outcome
}

impl Stage {
    fn set(ingest: &Ingest, home: &Path) -> Outcome<Self> {
        let binary = match &ingest.binary {
            Some(binary) => binary
                .canonicalize()
                .map_err(|error| format!("--binary: {} cannot be used: {error}", binary.display()))?,
            None => {
                show(cargo().args(["build", "--release", "-p", "tollgate"]))?;
                workspace::target().join("release/tollgate")
            }
        };
        let program = match (&ingest.broker, ingest.memory) {
            (Some(program), _) => std::path::absolute(program)?,
            (None, true) => broker::forgetful()?,
            (None, false) => broker::lasting()?,
        };
        let broker = Broker::start(&program, &home.join("broker"), !ingest.memory)?;
        broker.make_topic(TOPIC, PARTITIONS)?;
        let kafka = [("TOLLGATE_KAFKA__BROKERS", broker.address().to_string())];
        let (node, keys) = Node::start(&binary, &home.join("node"), ingest.tenants.max(1), &kafka)?;
        Ok(Self { node, keys, broker })
    }

    /// Waits until the broker has everything; how long that took, and how much was left at its beginning.
    fn drain(&self) -> Outcome<(f64, u64)> {
        let start = Instant::now();
        let begun = self.node.behind()?;
        let (mut least, mut since) = (begun, Instant::now());
        while least > 0 {
            std::thread::sleep(Duration::from_millis(500));
            let behind = self.node.behind()?;
            if behind < least {
                (least, since) = (behind, Instant::now());
            }
            if since.elapsed() > DRAIN_PATIENCE {
                return Err(
                    format!("{behind} records do not arrive; see {}", self.node.home().display()).into()
                );
            }
        }
        Ok((start.elapsed().as_secs_f64(), begun))
    }

    /// Reads the topic and says what is there; an error when that is not what was taken.
    fn check(&self, taken: u64) -> Outcome {
        let found = self.broker.look_at(TOPIC, taken)?;
        let number = |name: &str| found[name].as_u64().unwrap_or(u64::MAX);
        let (records, twice, out_of_order) = (number("records"), number("twice"), number("out_of_order"));
        println!("on the topic: {records} records in {} messages", number("messages"));
        println!("lost: {}", i128::from(taken) - i128::from(records));
        println!(
            "came twice and are dropped by event_id: {twice} ({:.3} %)",
            100.0 * twice as f64 / taken.max(1) as f64
        );
        println!("out of order within their tenant: {out_of_order}");
        println!("records of each tenant: {}", found["tenants"]);
        if records == taken && out_of_order == 0 {
            return Ok(());
        }
        Err("what is on the topic is not what was taken".into())
    }
}

/// A folder for this run alone.
fn folder() -> Outcome<PathBuf> {
    let home = std::path::absolute(workspace::target().join("torture/ingest"))?;
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    std::fs::create_dir_all(&home)?;
    Ok(home)
}

/// `90s`, `10m`.
fn span(text: &str) -> Result<Duration, String> {
    let scale = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        _ => return Err("write it like `90s` or `10m`".to_owned()),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u64>().ok());
    number
        .map(|number| Duration::from_secs(number * scale))
        .ok_or_else(|| format!("`{text}` is no length of time"))
}
