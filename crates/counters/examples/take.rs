//! What counting costs: `cargo run --release -p tollgate-counters --example take`.
//!
//! Prints nanoseconds of CPU time per request for the usual sets of rules, over 20,000 subjects.

use std::io::Write as _;

use tollgate_core::{
    counters::{Charge, Counters, Measure, Rule, RuleId, Standings},
    limits::Gcra,
    period::{Period, PeriodUnit},
    resource::{Per, Unit},
    time::{Now, Span},
};
use tollgate_counters::LocalCounters;

const SUBJECTS: u64 = 20_000;
const REQUESTS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rule = |id, measure| Rule {
        id: RuleId(id),
        name: "rule".into(),
        unit: Unit::Requests,
        per: Per::Key,
        amount: 1 << 40,
        measure,
    };
    let rate = rule(
        1,
        Measure::Rate {
            gcra: Gcra::new(1_000_000, 1_000_000_000, 1_000_000),
            window: Span::from_secs(1),
            shared: None,
        },
    );
    let quota = rule(2, Measure::Quota(Period::new(PeriodUnit::Month, "Europe/Berlin")?));
    let concurrency = rule(3, Measure::Concurrency);
    let mut output = std::io::stdout().lock();
    for (title, rules) in [
        ("one limit", vec![&rate]),
        ("one limit, one quota", vec![&rate, &quota]),
        ("one limit, one quota, concurrency", vec![&concurrency, &rate, &quota]),
    ] {
        let counters = LocalCounters::default();
        let mut standings = Standings::new();
        let mut run = |requests: u64| {
            let before = cpu_ns();
            for request in 0..requests {
                let subject = request.wrapping_mul(7_919) % SUBJECTS;
                let now = Now { wall_us: 1_760_000_000_000_000 + request as i64, mono_ns: request * 1_000 };
                let mut charges = smallvec::SmallVec::<[Charge<'_>; 4]>::new();
                charges.extend(rules.iter().map(|rule| Charge { rule, subject, amount: 1 }));
                let _answer = std::hint::black_box(counters.take(&charges, now, &mut standings));
                if rules.len() == 3 {
                    counters.release(concurrency.id, subject);
                }
            }
            (cpu_ns() - before) as f64 / requests as f64
        };
        run(SUBJECTS);
        let mut runs: Vec<f64> = (0..5).map(|_| run(REQUESTS)).collect();
        runs.sort_by(f64::total_cmp);
        writeln!(output, "{title:<36} {:6.1} ns", runs.get(2).copied().unwrap_or(f64::NAN))?;
    }
    Ok(())
}

fn cpu_ns() -> i128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
