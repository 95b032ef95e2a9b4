//! What was measured of each, and the table of it.

use crate::bench::report::median;

/// One run of one that takes records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) records: f64,
    pub(super) seconds: f64,
    /// CPU of the servers.
    pub(super) server_us: f64,
    /// CPU of whoever sends.
    pub(super) client_us: f64,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.records / self.seconds
    }

    pub(super) fn server_us(&self) -> f64 {
        self.server_us / self.records
    }

    pub(super) fn client_us(&self) -> f64 {
        self.client_us / self.records
    }
}

/// All runs of one.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) runs: Vec<Run>,
}

impl Row {
    /// Records a second of each round.
    pub(super) fn rates(&self) -> Vec<f64> {
        self.runs.iter().map(Run::per_second).collect()
    }
}

pub(super) fn print(rows: &[Row]) {
    println!("\n{:<24} {:>10} {:>17} {:>8} {:>8}", "who", "records/s", "min-max", "cpu µs", "client");
    for row in rows {
        let rates = row.rates();
        let of = |value: fn(&Run) -> f64| median(row.runs.iter().map(value).collect());
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rates.iter().copied().fold(0.0, f64::max);
        println!(
            "{:<24} {:>10.0} {:>17} {:>8.2} {:>8.2}",
            row.name,
            median(rates),
            format!("{least:.0}-{most:.0}"),
            of(Run::server_us),
            of(Run::client_us)
        );
    }
    let rounds = rows.first().map_or(0, |row| row.runs.len());
    println!(
        "cpu: microseconds of the servers a record, client: of whoever sends; medians of {rounds} rounds"
    );
    println!("batches of 500 records of 1,024 bytes, 16 at once; PostgreSQL's clients are psql");
    println!(
        "the broker keeps records in memory, alone and without a flush; its sender is librdkafka under Python, \
         which costs more a record than in C"
    );
}
