//! The same records by COPY into PostgreSQL, without anything that makes them count once or go anywhere.

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bench::sample::Usage;
use crate::command::Outcome;
use crate::records::postgres::Postgres;
use crate::records::text::Batch;

/// What is copied, by whom.
pub(super) struct Plan<'p> {
    pub(super) table: &'p str,
    /// Rows of one COPY, which is one commit.
    pub(super) rows: usize,
    /// How many do it at the same time.
    pub(super) clients: usize,
    pub(super) length: Duration,
    pub(super) numbers: &'p AtomicU64,
}

/// A table without an index, one where ids are unique, and one for large commits.
pub(super) fn make_tables(postgres: &Postgres) -> Outcome {
    for (table, constraint) in [("without", ""), ("with_ids", "PRIMARY KEY"), ("bulk", "")] {
        postgres.sql(
            "postgres",
            &format!("CREATE TABLE {table} (id text {constraint}, kind text NOT NULL, data text NOT NULL)"),
        )?;
    }
    Ok(())
}

/// Records, seconds, and microseconds of the clients.
pub(super) fn run(postgres: &Postgres, plan: &Plan<'_>) -> Outcome<(u64, f64, Option<f64>)> {
    let start = Instant::now();
    let results: Vec<Result<(u64, f64), String>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..plan.clients)
            .map(|index| {
                scope.spawn(move || client(postgres, plan, index, start).map_err(|error| error.to_string()))
            })
            .collect();
        clients
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("a client broke off".to_owned())))
            .collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let (mut records, mut client_us) = (0, 0.0);
    for result in results {
        let (own_records, own_us) = result?;
        records += own_records;
        client_us += own_us;
    }
    Ok((records, seconds, Some(client_us)))
}

fn client(postgres: &Postgres, plan: &Plan<'_>, index: usize, start: Instant) -> Outcome<(u64, f64)> {
    let mut batch = Batch::copy(plan.table, plan.rows, index as u64 + 1);
    let mut psql = postgres.psql("postgres").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut pipe = psql.stdin.take().ok_or("psql has no standard input")?;
    let mut records = 0;
    while start.elapsed() < plan.length {
        batch.number(plan.numbers.fetch_add(plan.rows as u64, Ordering::Relaxed), 2);
        pipe.write_all(&batch.bytes)?;
        records += plan.rows as u64;
    }
    // What psql has used until now is nearly all: only its end is missing.
    let client_us = Usage::of(&[psql.id()]).cpu.total_us();
    drop(pipe);
    ended(&mut psql)?;
    Ok((records, client_us))
}

fn ended(psql: &mut Child) -> Outcome {
    let status = psql.wait()?;
    if status.success() { Ok(()) } else { Err(format!("psql ended with {status}").into()) }
}
