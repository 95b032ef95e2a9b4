//! `cargo xtask fuzz`: libFuzzer on the stable compiler.
//!
//! The compiler's coverage pass is switched on by hand, as `cargo fuzz` does; no nightly and no sanitizer is needed,
//! because the code under test is safe Rust and its targets assert what must hold. The small corpus in
//! `fuzz/corpus` is committed; new inputs go to the build folder, and `--keep` moves those that reach new code
//! into the committed corpus.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::command::{Outcome, cargo, in_root, show, take};
use crate::workspace;

/// How long one input may take before it counts as a hang.
const INPUT_SECONDS_MAX: u32 = 10;
/// How much memory a target may use.
const MEMORY_MB_MAX: u32 = 2048;
/// Targets run at once; each is one thread.
const AT_ONCE: usize = 2;

/// Options of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Afterwards add inputs that reach new code to the committed corpus.
    #[arg(long)]
    keep: bool,
    /// Targets to run; all when none is named.
    targets: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let all = targets()?;
    let unknown = options.targets.iter().find(|name| !all.contains(name));
    if let Some(name) = unknown {
        return Err(format!("no fuzz target `{name}`; there are: {}", all.join(", ")).into());
    }
    let chosen = if options.targets.is_empty() { all } else { options.targets.clone() };
    let folder = build()?;
    fuzz(&folder, &chosen, options.seconds)?;
    if options.keep {
        for target in &chosen {
            keep(&folder, target)?;
        }
    }
    Ok(())
}

/// Every target for so many seconds, as `cargo xtask test` does.
pub(crate) fn run_all(seconds: u64) -> Outcome {
    fuzz(&build()?, &targets()?, seconds)
}

/// The targets are the files in `fuzz/targets`.
fn targets() -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join("fuzz/targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets with coverage; returns the folder of their binaries.
fn build() -> Outcome<PathBuf> {
    let host = host()?;
    let folder = workspace::target().join("fuzz");
    let flags = [
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "--cfg=fuzzing",
    ];
    // With `--target`, the flags reach the targets and not the build scripts, which could not be linked with them.
    show(
        cargo()
            .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bins"])
            .args(["--target", &host])
            .arg("--target-dir")
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")),
    )?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Outcome<String> {
    let words = take(in_root("rustc").arg("-vV"))?;
    let host = words.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not tell its host")?.to_owned())
}

/// One running target and its output.
struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    start: Instant,
}

fn fuzz(folder: &std::path::Path, names: &[String], seconds: u64) -> Outcome {
    let mut waiting: Vec<&String> = names.iter().rev().collect();
    let mut running: Vec<Running> = Vec::new();
    let mut broken = Vec::new();
    let mut told = Instant::now();
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < AT_ONCE
            && let Some(name) = waiting.pop()
        {
            println!("fuzzing {name} for {seconds} s");
            running.push(start(folder, name, seconds)?);
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut still = Vec::new();
        for mut target in running {
            match target.child.try_wait()? {
                None => still.push(target),
                Some(status) => broken.extend(finished(&target, status)),
            }
        }
        running = still;
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            running.iter().for_each(|target| println!("  {}", pulse(target)));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("fuzzing broke {}", broken.join(", ")).into()) }
}

fn start(folder: &std::path::Path, name: &str, seconds: u64) -> Outcome<Running> {
    let found = found(name);
    let artifacts = workspace::root().join("fuzz/artifacts").join(name);
    let log = workspace::target().join(format!("fuzz/{name}.log"));
    std::fs::create_dir_all(&found)?;
    std::fs::create_dir_all(&artifacts)?;
    std::fs::create_dir_all(committed(name))?;
    let output = File::create(&log)?;
    // The first folder takes what is new; the committed corpus is only read.
    let child = Command::new(folder.join(name))
        .arg(&found)
        .arg(committed(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-max_len=4096", "-verbosity=1"])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .map_err(|error| format!("cannot start fuzz target {name}: {error}"))?;
    Ok(Running { name: name.to_owned(), child, log, start: Instant::now() })
}

/// Tells how a target ended; its name when it broke.
fn finished(target: &Running, status: ExitStatus) -> Option<String> {
    let log = std::fs::read_to_string(&target.log).unwrap_or_default();
    if status.success() {
        println!("  {}", pulse(target));
        return None;
    }
    let lines: Vec<&str> = log.lines().collect();
    println!("{} BROKE ({status}):", target.name);
    lines.iter().skip(lines.len().saturating_sub(40)).for_each(|line| println!("  | {line}"));
    println!("  again: the input named above is the only argument of the target's binary");
    Some(target.name.clone())
}

/// One line on how far a target is.
fn pulse(target: &Running) -> String {
    let log = std::fs::read_to_string(&target.log).unwrap_or_default();
    let last = log.lines().rev().find(|line| is_progress(line)).unwrap_or("#0 starting");
    let words: Vec<&str> = last.split_whitespace().collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str| after(name).copied().unwrap_or("?");
    format!(
        "{:<18} {:>4} s  {:>10} inputs  {:>7} edges  corpus {}",
        target.name,
        target.start.elapsed().as_secs(),
        words.first().map_or("?", |word| word.trim_start_matches('#')),
        number("cov:"),
        number("corp:")
    )
}

/// libFuzzer's lines of progress are `#` and the number of inputs so far.
fn is_progress(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

/// Adds to the committed corpus what reaches code that it did not reach before.
fn keep(folder: &std::path::Path, name: &str) -> Outcome {
    show(
        in_root(folder.join(name))
            .args(["-set_cover_merge=1", "-use_counters=0", "-verbosity=0"])
            .arg(committed(name))
            .arg(found(name))
            .stderr(Stdio::null()),
    )
}

fn committed(name: &str) -> PathBuf {
    workspace::root().join("fuzz/corpus").join(name)
}

fn found(name: &str) -> PathBuf {
    workspace::target().join("fuzz/found").join(name)
}
