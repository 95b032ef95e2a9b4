//! The job of Spark: partitions post their records batch by batch, through a key each, and repeat what was not
//! answered. Tollgate and the broker are killed while it runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Ingest, Stage};
use crate::command::Outcome;
use crate::python;
use crate::records::node::path;

/// Spark 4.3 for Python; Java 17 has to be there.
const PACKAGE: &str = "pyspark==4.3.0";
const JOB: &str = include_str!("job.py");
/// How long the broker is away each time.
const AWAY: Duration = Duration::from_secs(5);
/// How long the job may take to begin: a virtual machine starts, and then others.
const BEGIN_MAX: Duration = Duration::from_secs(120);

pub(super) fn run(mut stage: Stage, ingest: &Ingest, home: &Path) -> Outcome {
    let programs = python::environment("spark", &[PACKAGE])?;
    let began = home.join("began");
    let targets: Vec<String> = (0..stage.keys.len())
        .map(|tenant| format!("http://{}{} {}", stage.node.gateway(), path(tenant), stage.keys[tenant]))
        .collect();
    let script = home.join("job.py");
    std::fs::write(&script, JOB)?;
    let mut command = Command::new(programs.join("python"));
    command
        .arg(&script)
        .args([ingest.records.to_string(), ingest.batch.to_string()])
        .arg(&began)
        .env("TARGETS", targets.join("\n"))
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .env("PYSPARK_PYTHON", programs.join("python"))
        .env("PYSPARK_DRIVER_PYTHON", programs.join("python"))
        .current_dir(home);
    let log = std::fs::File::create(home.join("spark.log"))?;
    let start = Instant::now();
    let mut job = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
    while !began.exists() {
        if start.elapsed() > BEGIN_MAX || job.try_wait()?.is_some() {
            let _gone = job.kill();
            return Err(format!("the job does not begin; see {}/spark.log", home.display()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("the job posts its first batch {:.1} s after its start", start.elapsed().as_secs_f64());
    let begun = Instant::now();
    let kills = Kills::until_it_ends(&mut stage, &mut job, Duration::from_secs(ingest.kill_every.max(1)))?;
    let seconds = begun.elapsed().as_secs_f64();
    let output = job.wait_with_output()?;
    let words = String::from_utf8_lossy(&output.stdout);
    let told = words.lines().rev().find(|line| line.starts_with('{')).unwrap_or("{}");
    let told: serde_json::Value = serde_json::from_str(told)?;
    let number = |name: &str| {
        told[name].as_u64().ok_or_else(|| format!("the job failed; see {}/spark.log", home.display()))
    };
    let (accepted, known, repeated) = (number("accepted")?, number("duplicates")?, number("repeated")?);
    println!(
        "the job: {} records in {seconds:.1} s, {:.0} a second",
        ingest.records,
        ingest.records as f64 / seconds
    );
    println!(
        "answers: {accepted} accepted, {known} known from a request that had no answer; {repeated} requests repeated"
    );
    kills.print(stage.broker.lasts());
    if accepted + known != ingest.records {
        return Err("the job was not told of every record that it is taken".into());
    }
    let (seconds, left) = stage.drain()?;
    println!("after the job {left} records were left for the broker, which had them {seconds:.1} s later");
    stage.check(ingest.records)?;
    if kills.tollgate == 0 || kills.broker == 0 {
        return Err(
            "the job was over before both were killed; give it more records, or kill more often".into()
        );
    }
    Ok(())
}

/// What was done to them.
#[derive(Default)]
struct Kills {
    tollgate: u32,
    broker: u32,
    /// Seconds from the kill until it was ready again.
    back: Vec<f64>,
}

impl Kills {
    fn until_it_ends(stage: &mut Stage, job: &mut std::process::Child, every: Duration) -> Outcome<Self> {
        let mut kills = Self::default();
        let mut last = Instant::now();
        while job.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(100));
            if last.elapsed() < every {
                continue;
            }
            if kills.broker * 2 < kills.tollgate {
                kills.broker += 1;
                if stage.broker.lasts() {
                    stage.broker.kill()?;
                } else {
                    stage.broker.hang(true);
                }
                std::thread::sleep(AWAY);
                stage.broker.hang(false);
                stage.broker.run()?;
            } else {
                kills.tollgate += 1;
                let start = Instant::now();
                stage.node.kill()?;
                stage.node.run()?;
                kills.back.push(start.elapsed().as_secs_f64());
            }
            last = Instant::now();
        }
        Ok(kills)
    }

    fn print(&self, is_killed: bool) {
        let longest = self.back.iter().copied().fold(0.0, f64::max);
        let broker = if is_killed { "the broker killed" } else { "the broker made to hang" };
        println!(
            "Tollgate killed {} times, ready again after {longest:.1} s at most; {broker} {} times for {} s",
            self.tollgate,
            self.broker,
            AWAY.as_secs()
        );
    }
}
