//! The tables at the end of a bench.

use std::collections::BTreeMap;

use super::rounds::{Result, Run};

/// What a ratio or a figure is meant to be.
pub(super) struct Aim {
    pub(super) what: String,
    pub(super) now: f64,
    pub(super) at_most: f64,
    pub(super) unit: &'static str,
}

pub(super) fn print_table(results: &[Result]) {
    println!(
        "\n{:<22} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8} {:>6} {:>13} {:>6}",
        "contestant",
        "req/s",
        "cpu µs",
        "user",
        "sys",
        "p50 µs",
        "p99 µs",
        "RSS MB",
        "calls",
        "cpu min-max",
        "errors"
    );
    for result in results {
        let per = |value: fn(&Run) -> f64| median(result.runs.iter().map(value).collect());
        let cpu: Vec<f64> = result.runs.iter().map(cpu_us).collect();
        let spread = format!("{:.1}-{:.1}", least(&cpu), most(&cpu));
        println!(
            "{:<22} {:>8.0} {:>8.2} {:>7.2} {:>7.2} {:>7.0} {:>7.0} {:>8.1} {:>6} {:>13} {:>6.0}",
            result.name,
            per(|run| run.seen.per_second),
            per(cpu_us),
            per(user_us),
            per(|run| run.usage.cpu.system_us / run.seen.requests),
            per(|run| run.seen.p50_us),
            per(|run| run.seen.p99_us),
            per(|run| run.resident_mb),
            result.syscalls.map_or_else(|| "-".to_owned(), |calls| format!("{calls:.2}")),
            spread,
            result.runs.iter().map(|run| run.seen.errors).sum::<f64>()
        );
    }
    println!("cpu, user, sys: microseconds of CPU per request; medians of {} rounds", rounds(results));
}

/// CPU per request by the names of threads, for those that use at least a hundredth of it.
pub(super) fn print_threads(results: &[Result]) {
    for result in results {
        let mut threads: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for run in &result.runs {
            for (name, cpu) in &run.usage.threads {
                threads.entry(name).or_default().push(cpu.total_us() / run.seen.requests);
            }
        }
        let all = median(result.runs.iter().map(cpu_us).collect());
        let shares = threads.into_iter().map(|(name, values)| (name, median(values)));
        let shown = shares.filter(|(_, value)| *value > all / 100.0);
        let words: Vec<String> = shown.map(|(name, value)| format!("{name} {value:.2}")).collect();
        println!("threads of {}: {} µs", result.name, words.join(", "));
    }
}

/// The part of Tollgate's CPU that answers requests, apart from the workers that ship what was counted to the
/// database; those run in the same process here and may run in another one.
pub(super) fn print_data_plane(results: &[Result], ours: &str, peer: &str) {
    let runs = |name: &str| results.iter().find(|result| result.name == name).map(|result| &result.runs);
    let (Some(ours), Some(peer)) = (runs(ours), runs(peer)) else { return };
    let lanes: Vec<f64> = ours.iter().map(lanes_us).collect();
    let ratios = lanes.iter().zip(peer).map(|(lanes, run)| lanes / cpu_us(run)).collect();
    println!(
        "of it the data plane (threads `lane-*`): {:.2} µs a request, {:.2} × the peer's whole",
        median(lanes),
        median(ratios)
    );
}

/// CPU of `ours` over CPU of `peer`: median, least and most of the rounds.
pub(super) fn ratio(results: &[Result], ours: &str, peer: &str) -> Option<(f64, f64, f64)> {
    let runs = |name: &str| results.iter().find(|result| result.name == name).map(|result| &result.runs);
    let ratios: Vec<f64> =
        runs(ours)?.iter().zip(runs(peer)?).map(|(one, two)| cpu_us(one) / cpu_us(two)).collect();
    (!ratios.is_empty()).then(|| (median(ratios.clone()), least(&ratios), most(&ratios)))
}

/// The median user time per request of one contestant.
pub(super) fn user_time(results: &[Result], name: &str) -> Option<f64> {
    let result = results.iter().find(|result| result.name == name)?;
    Some(median(result.runs.iter().map(user_us).collect()))
}

/// A line for a ratio with its range, and the aim it has to meet.
pub(super) fn ratio_aim(results: &[Result], ours: &str, peer: &str, at_most: f64) -> Option<Aim> {
    let (now, least, most) = ratio(results, ours, peer)?;
    let what = format!("cpu of {ours} / {peer} ({least:.2}-{most:.2})");
    Some(Aim { what, now, at_most, unit: "×" })
}

pub(super) fn print_aims(aims: &[Aim]) {
    println!();
    for aim in aims {
        let word = if aim.now <= aim.at_most { "meets" } else { "MISSES" };
        println!("{word:<6} {:<62} {:>9.2} {}  aim ≤ {}", aim.what, aim.now, aim.unit, aim.at_most);
    }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) }
}

fn cpu_us(run: &Run) -> f64 {
    run.usage.cpu.total_us() / run.seen.requests
}

fn lanes_us(run: &Run) -> f64 {
    let lanes = run.usage.threads.iter().filter(|(name, _)| name.starts_with("lane-"));
    lanes.map(|(_, cpu)| cpu.total_us()).sum::<f64>() / run.seen.requests
}

fn user_us(run: &Run) -> f64 {
    run.usage.cpu.user_us / run.seen.requests
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn rounds(results: &[Result]) -> usize {
    results.first().map_or(0, |result| result.runs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
