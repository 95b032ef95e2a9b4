//! What an append costs: `cargo run --release -p tollgate-journal --example append`.
//!
//! Prints nanoseconds per reserve and append of a typical record (one charge, a path of 60 bytes),
//! at full speed and at the pace of a busy gateway, beside a shipper that releases what it read.

use std::{
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tollgate_journal::{Charge, Charges, Entry, Journal, Options, Reader, Record, Writer};

/// Records of one measurement; few enough to fit what is faulted in ahead of the writer.
const RUN_RECORDS: u64 = 4_000;
const RUNS: usize = 200;

fn main() -> Result<(), Failure> {
    let dir = std::env::temp_dir().join(format!("tollgate-append-{}", std::process::id()));
    let (journal, _) = Journal::open(&dir, 1, Options::default())?;
    let writer = journal.writer(0)?;
    let stop = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| ship(&journal, &stop));
        let report = measure(&writer);
        stop.store(true, Ordering::Release);
        report
    });
    drop((writer, journal));
    std::fs::remove_dir_all(&dir)?;
    let mut output = std::io::stdout().lock();
    let (mut paced, mut burst, mut single) = report?;
    for (title, runs) in [
        ("mean of 100, at 100,000/s", &mut paced),
        ("mean of 4,000, at full speed", &mut burst),
        ("each, at 50,000/s", &mut single),
    ] {
        runs.sort_by(f64::total_cmp);
        let at = |share: f64| {
            runs.get((runs.len() as f64 * share) as usize).or(runs.last()).copied().unwrap_or(f64::NAN)
        };
        writeln!(
            output,
            "{title:<30} median {:6.1} ns   p90 {:6.1}   p99 {:7.1}   p99.9 {:8.1}   max {:9.1}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(1.0)
        )?;
    }
    Ok(())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Runs = (Vec<f64>, Vec<f64>, Vec<f64>);

fn measure(writer: &Writer) -> Result<Runs, Failure> {
    let (mut paced, mut burst, mut single) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS * 20 {
        let before = now_ns();
        append(writer, 100)?;
        paced.push((now_ns() - before) as f64 / 100.0);
        std::thread::sleep(Duration::from_micros(900));
    }
    for _ in 0..RUNS {
        let before = now_ns();
        append(writer, RUN_RECORDS)?;
        burst.push((now_ns() - before) as f64 / RUN_RECORDS as f64);
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..RUNS * 20 {
        for _ in 0..50 {
            let before = now_ns();
            append(writer, 1)?;
            single.push((now_ns() - before) as f64);
        }
        std::thread::sleep(Duration::from_micros(900));
    }
    Ok((paced, burst, single))
}

fn append(writer: &Writer, count: u64) -> Result<(), Failure> {
    let charges = [Charge { rule: 1, subject: 2, period_start_us: 3, period_end_us: 4, amount: 1 }];
    let mut record = Record {
        entry: Entry { key: 7, consumer: 8, project: 9, tenant: 10, status: 200, ..Entry::default() },
        charges: Charges::new(&charges)?,
        path: "/tiles/v1/layers/roads/zoom/12/column/2185/row/1422/tile.png",
        detail: "",
        user_agent: "",
        ..Record::default()
    };
    for at_us in 0..count {
        let ticket = writer.reserve()?;
        record.entry.at_us = at_us as i64;
        record.entry.latency_us = at_us as u32;
        writer.append(ticket, std::hint::black_box(&record))?;
    }
    Ok(())
}

fn ship(journal: &Journal, stop: &AtomicBool) {
    let Ok(mut reader) = Reader::open(journal.dir()) else { return };
    while !stop.load(Ordering::Acquire) {
        if let Ok(batches) = reader.batches(&[], 10_000) {
            let marks: Vec<_> = batches.iter().map(tollgate_journal::Batch::next).collect();
            let _later = journal.release(&marks);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn now_ns() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
