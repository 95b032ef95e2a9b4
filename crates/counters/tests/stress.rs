//! I22 from many threads: never over a limit in any span, and what is refused moves nothing.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tollgate_core::counters::Counters;
use tollgate_counters::LocalCounters;

use crate::support::{HOUR_US, at, concurrency, quota, rate, take};

const THREADS: u64 = 4;
const TRIES: u64 = 20_000;

/// Runs `work` on every thread and returns what each gave.
fn on_threads<T: Send>(work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let work = &work;
                    move || work(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Fails if in any span of time more passed than the burst and one every `interval_ns`.
fn check_every_span(mut passed_ns: Vec<u64>, burst: u64, interval_ns: u64) {
    passed_ns.sort_unstable();
    // For i < j: j - i + 1 <= burst + (t_j - t_i) / interval, so with f = index * interval - t,
    // f_j may be at most (burst - 1) * interval above the least f before it.
    let mut least = i128::MAX;
    for (index, time_ns) in passed_ns.iter().enumerate() {
        let height = index as i128 * i128::from(interval_ns) - i128::from(*time_ns);
        least = least.min(height);
        assert!(height - least <= i128::from((burst - 1) * interval_ns), "too many until {time_ns}");
    }
}

#[test]
fn no_span_of_time_sees_more_than_the_limit_while_the_clock_runs_and_cells_are_swept() {
    let counters = LocalCounters::new(100);
    let (burst, interval_ns) = (7, 1_000);
    let rule = rate(1, burst, interval_ns);
    let clock = AtomicU64::new(0);
    // A cell is kept for a minute, so that no request is that far behind a sweep. Here minutes pass
    // in one step: a sweep sees the time of the thread that is furthest behind.
    let readings: [AtomicU64; THREADS as usize] = Default::default();
    let stop = AtomicBool::new(false);
    let passed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let behind = readings.iter().map(|reading| reading.load(Ordering::SeqCst)).min();
                counters.sweep(at(behind.unwrap(), 0));
                std::thread::yield_now();
            }
        });
        let passed = on_threads(|thread| {
            let mut passed = Vec::new();
            for attempt in 0..TRIES {
                // Mostly short steps; now and then so long that the cell may be dropped.
                let step = if (attempt + thread) % 997 == 0 { 200_000_000_000 } else { attempt % 300 };
                let now_ns = clock.fetch_add(step, Ordering::SeqCst) + step;
                readings[thread as usize].store(now_ns, Ordering::SeqCst);
                if take(&counters, &[&rule], 1, 1, at(now_ns, 0)).is_ok() {
                    passed.push(now_ns);
                }
            }
            passed
        });
        stop.store(true, Ordering::Relaxed);
        passed
    });
    let passed: Vec<u64> = passed.into_iter().flatten().collect();
    let elapsed = THREADS * TRIES * 150;
    assert!(passed.len() as u64 > elapsed / interval_ns / 2, "the limit is used: {}", passed.len());
    check_every_span(passed, burst, interval_ns);
}

#[test]
fn with_the_clock_still_exactly_the_least_amount_passes_and_refusals_move_nothing() {
    for (burst, amount) in [(900, 500), (500, 900), (700, 700)] {
        let counters = LocalCounters::new(100);
        let rules = [rate(1, burst, 1_000), quota(2, amount), rate(3, 2_000, 5)];
        let now = at(50, HOUR_US);
        let admitted: u64 = on_threads(|thread| {
            let mut order: Vec<_> = rules.iter().collect();
            // Each thread asks in another order; holding in the order of addresses cannot lock up.
            order.rotate_left(thread as usize % 3);
            (0..TRIES / 10).filter(|_| take(&counters, &order, 1, 1, now).is_ok()).count() as u64
        })
        .into_iter()
        .sum();
        assert_eq!(admitted, burst.min(amount));
        for (rule, most) in rules.iter().zip([burst, amount, 2_000]) {
            assert_eq!(counters.peek(rule, 1, now).remaining, most - admitted);
        }
    }
}

#[test]
fn never_more_in_flight_than_allowed_while_cells_come_and_go() {
    let counters = LocalCounters::new(100);
    let rule = concurrency(1, 3);
    let in_flight = AtomicU64::new(0);
    let most = AtomicU64::new(0);
    on_threads(|thread| {
        for _ in 0..TRIES {
            if thread == 0 {
                counters.sweep(at(0, 0));
            } else if take(&counters, &[&rule], 1, 1, at(0, 0)).is_ok() {
                most.fetch_max(in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                in_flight.fetch_sub(1, Ordering::SeqCst);
                counters.release(rule.id, 1);
            }
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    assert_eq!(counters.peek(&rule, 1, at(0, 0)).remaining, 3);
    counters.sweep(at(0, 0));
    assert_eq!(counters.cells(), 0);
}

#[test]
fn quotas_are_exact_over_subjects_threads_and_the_turn_of_a_period() {
    let counters = LocalCounters::new(100);
    let rule = quota(1, 300);
    let admitted = Mutex::new(std::collections::HashMap::<(u64, i64), u64>::new());
    on_threads(|thread| {
        let mut own = std::collections::HashMap::new();
        for attempt in 0..TRIES / 4 {
            let wall_us = HOUR_US + (attempt as i64) * HOUR_US / 1_000;
            let subject = (attempt + thread) % 3;
            if let Ok(standings) = take(&counters, &[&rule], subject, 1, at(attempt, wall_us)) {
                // What was charged is the period that the standing names: that is what is stored.
                let window = standings[0].window.unwrap();
                *own.entry((subject, window.start_us)).or_insert(0) += 1;
            }
        }
        let mut admitted = admitted.lock().unwrap();
        for (key, count) in own {
            *admitted.entry(key).or_default() += count;
        }
    });
    let admitted = admitted.into_inner().unwrap();
    assert!(admitted.values().all(|count| *count <= 300), "{admitted:?}");
    assert!(admitted.values().filter(|count| **count == 300).count() >= 12, "{admitted:?}");
}

#[test]
fn the_bound_of_cells_holds_under_a_storm_of_new_subjects() {
    let counters = LocalCounters::new(50);
    let rule = rate(1, 1, 1_000_000_000_000);
    let passed: usize = on_threads(|thread| {
        (0..2_000)
            .filter(|subject| take(&counters, &[&rule], subject * THREADS + thread, 1, at(0, 0)).is_ok())
            .count()
    })
    .into_iter()
    .sum();
    assert!(passed <= 50);
    assert!(counters.cells() <= 50 && counters.cells() >= passed);
}
