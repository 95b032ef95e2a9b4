//! Records in: batches of 500 records of a kilobyte, on SQLite and on PostgreSQL, with ids and without, beside the
//! same rows by COPY into the same PostgreSQL and the same records straight to a broker by librdkafka.
//!
//! Everybody has both processors, and whoever sends them the records runs on the same two. A batch is answered when
//! it is durable, for all of them as their databases are set up out of the box; the broker keeps it in memory.

mod copy;
mod produce;
mod result;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use self::result::{Row, Run, print};
use super::Options;
use super::places::Folder;
use super::report::median;
use super::sample::{self, Usage};
use crate::command::Outcome;
use crate::needs;
use crate::records::broker::{self, Broker};
use crate::records::node::{Node, free};
use crate::records::post::{self, Load};
use crate::records::postgres::Postgres;

/// Batches that are on their way at once, of everybody.
const CONNECTIONS: usize = 16;
/// Rows of one COPY and commit where it is as large as people make it.
const BULK_ROWS: usize = 50_000;
/// Records a second on SQLite, with ids and without.
const AIMS: [(&str, f64); 2] = [("sqlite, ids", 50_000.0), ("sqlite", 100_000.0)];
/// Records a second on PostgreSQL, beside COPY.
const COPY_SHARE: f64 = 0.5;

/// One that takes records.
enum Way {
    Door { node: usize, with_ids: bool },
    Copy { table: &'static str, rows: usize },
    Broker,
}

/// Who takes part, and what they need.
struct Stage {
    /// On SQLite, on PostgreSQL; `None` when nobody asked for it.
    nodes: [Option<(Node, String)>; 2],
    postgres: Option<Postgres>,
    broker: Option<Broker>,
    numbers: AtomicU64,
}

const WAYS: [(&str, Way); 8] = [
    ("sqlite, ids", Way::Door { node: 0, with_ids: true }),
    ("sqlite", Way::Door { node: 0, with_ids: false }),
    ("postgres, ids", Way::Door { node: 1, with_ids: true }),
    ("postgres", Way::Door { node: 1, with_ids: false }),
    ("copy, unique ids", Way::Copy { table: "with_ids", rows: crate::records::text::RECORDS }),
    ("copy", Way::Copy { table: "without", rows: crate::records::text::RECORDS }),
    ("copy, 50,000 a commit", Way::Copy { table: "bulk", rows: BULK_ROWS }),
    ("librdkafka to tansu", Way::Broker),
];

pub(super) fn run(options: &Options) -> Outcome {
    needs::provide(needs::TESTS)?;
    let ways: Vec<&(&str, Way)> = WAYS.iter().filter(|(name, _)| options.wants(name)).collect();
    let folder = Folder::fresh("ingest")?;
    let stage = Stage::set(&options.tollgate()?, folder.path(), &ways)?;
    let mut rows: Vec<Row> = ways.iter().map(|(name, _)| Row { name, runs: Vec::new() }).collect();
    for round in 0..=options.rounds {
        for turn in 0..ways.len() {
            let index = (round + turn) % ways.len();
            let (Some((name, way)), Some(row)) = (ways.get(index), rows.get_mut(index)) else { continue };
            // The first round fills caches and files and is not counted.
            let seconds = if round == 0 { 1 } else { options.seconds };
            let run =
                stage.run(way, Duration::from_secs(seconds)).map_err(|error| format!("{name}: {error}"))?;
            if round > 0 {
                println!(
                    "round {round} {name:<22} {:>8.0}/s  {:>6.2} µs a record, {:>5.2} of whoever sends",
                    run.per_second(),
                    run.server_us(),
                    run.client_us()
                );
                row.runs.push(run);
            }
        }
    }
    print(&rows);
    aims(&rows);
    drop(stage);
    // Gigabytes of databases, which nobody looks at once the figures are there.
    std::fs::remove_dir_all(folder.path())?;
    Ok(())
}

impl Stage {
    fn set(binary: &Path, folder: &Path, ways: &[&(&str, Way)]) -> Outcome<Self> {
        let wants = |test: fn(&Way) -> bool| ways.iter().any(|(_, way)| test(way));
        let on_postgres = wants(|way| matches!(way, Way::Copy { .. } | Way::Door { node: 1, .. }));
        let postgres = on_postgres
            .then(|| -> Outcome<Postgres> {
                let postgres = Postgres::start(&folder.join("postgres"), free()?.port())?;
                postgres.sql("postgres", "CREATE DATABASE tollgate")?;
                copy::make_tables(&postgres)?;
                Ok(postgres)
            })
            .transpose()?;
        let node = |name: &str, environment: &[(&str, String)]| -> Outcome<(Node, String)> {
            let (node, mut keys) = Node::start(binary, &folder.join(name), 1, environment)?;
            Ok((node, keys.pop().ok_or("there is no key")?))
        };
        let sqlite = wants(|way| matches!(way, Way::Door { node: 0, .. }));
        let sqlite = sqlite.then(|| node("sqlite", &[])).transpose()?;
        let server = postgres.as_ref().filter(|_| wants(|way| matches!(way, Way::Door { node: 1, .. })));
        let url = server.map(|postgres| postgres.url("tollgate"));
        let on_postgres =
            url.map(|url| node("postgres-node", &[("TOLLGATE_DATABASE__URL", url)])).transpose()?;
        let broker = wants(|way| matches!(way, Way::Broker))
            .then(|| -> Outcome<Broker> {
                let broker = Broker::start(&broker::forgetful()?, &folder.join("broker"), false)?;
                broker.make_topic("bench", 1)?;
                Ok(broker)
            })
            .transpose()?;
        Ok(Self { nodes: [sqlite, on_postgres], postgres, broker, numbers: AtomicU64::new(1) })
    }

    fn run(&self, way: &Way, length: Duration) -> Outcome<Run> {
        let servers = self.servers(way);
        let (before, own) = (Usage::of(&servers), sample::own());
        let ended_us = sample::ended_us(&servers);
        let (records, seconds, client_us) = match way {
            Way::Door { node, with_ids } => {
                let (node, key) = self.nodes.get(*node).and_then(Option::as_ref).ok_or("it does not run")?;
                let load = Load {
                    gateway: node.gateway(),
                    key,
                    with_ids: *with_ids,
                    connections: CONNECTIONS,
                    rate: 0,
                    numbers: &self.numbers,
                };
                let posted = post::run(&load, length)?;
                if posted.duplicates > 0 {
                    return Err(format!("{} records were taken for known ones", posted.duplicates).into());
                }
                (posted.accepted, posted.seconds, None)
            }
            Way::Copy { table, rows } => {
                let postgres = self.postgres.as_ref().ok_or("it does not run")?;
                let clients = if *rows == BULK_ROWS { 2 } else { CONNECTIONS };
                copy::run(
                    postgres,
                    &copy::Plan { table, rows: *rows, clients, length, numbers: &self.numbers },
                )?
            }
            Way::Broker => produce::run(self.broker.as_ref().ok_or("it does not run")?, length)?,
        };
        let server_us =
            Usage::of(&servers).since(&before).cpu.total_us() + sample::ended_us(&servers) - ended_us;
        let client_us = client_us.unwrap_or_else(|| sample::own().total_us() - own.total_us());
        Ok(Run { records: records as f64, seconds, server_us, client_us })
    }

    /// The processes that do the work of one way.
    fn servers(&self, way: &Way) -> Vec<u32> {
        let postgres = || self.postgres.as_ref().map(Postgres::pid);
        let node = |index: usize| self.nodes.get(index).and_then(Option::as_ref).map(|(node, _)| node.pid());
        let pids = match way {
            Way::Door { node: 1, .. } => vec![node(1), postgres()],
            Way::Door { node: index, .. } => vec![node(*index)],
            Way::Copy { .. } => vec![postgres()],
            Way::Broker => vec![self.broker.as_ref().map(Broker::pid)],
        };
        pids.into_iter().flatten().collect()
    }
}

/// What it should be, and whether it is.
fn aims(rows: &[Row]) {
    let rates = |name: &str| rows.iter().find(|row| row.name == name).map(Row::rates);
    println!();
    for (name, least) in AIMS {
        let Some(rates) = rates(name) else { continue };
        let now = median(rates);
        let word = if now >= least { "meets" } else { "MISSES" };
        println!("{word:<6} records a second, {name:<42} {now:>9.0}    aim ≥ {least}");
    }
    for (ours, peer) in
        [("postgres, ids", "copy, unique ids"), ("postgres, ids", "copy"), ("postgres", "copy")]
    {
        let (Some(one), Some(two)) = (rates(ours), rates(peer)) else { continue };
        let now = median(one.iter().zip(&two).map(|(one, two)| one / two).collect());
        let word = if now >= COPY_SHARE { "meets" } else { "MISSES" };
        println!(
            "{word:<6} records a second, {:<42} {now:>9.2} ×  aim ≥ {COPY_SHARE}",
            format!("{ours} / {peer}")
        );
    }
}
