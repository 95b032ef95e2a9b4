//! What the kernel says about a process and its children: CPU time by thread name, and resident memory.

use std::collections::BTreeMap;
use std::fs;

/// CPU time used so far, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cpu {
    pub(super) user_us: f64,
    pub(super) system_us: f64,
}

impl Cpu {
    pub(super) fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }

    fn add(&mut self, other: Self) {
        self.user_us += other.user_us;
        self.system_us += other.system_us;
    }

    fn since(self, earlier: Self) -> Self {
        Self { user_us: self.user_us - earlier.user_us, system_us: self.system_us - earlier.system_us }
    }
}

/// CPU time of a family of processes, in all and by the names of their threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Cpu,
    pub(super) threads: BTreeMap<String, Cpu>,
}

impl Usage {
    /// What the process `pid` and its children have used until now.
    pub(super) fn of(pids: &[u32]) -> Self {
        let mut usage = Self::default();
        for pid in pids.iter().flat_map(|pid| family(*pid)) {
            // The process's own line also holds the threads that have ended.
            if let Some((_, cpu)) = stat(&format!("/proc/{pid}/stat")) {
                usage.cpu.add(cpu);
            }
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                if let Some((name, cpu)) = stat(&task.path().join("stat").to_string_lossy()) {
                    usage.threads.entry(name).or_default().add(cpu);
                }
            }
        }
        usage
    }

    /// What was used since an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str| earlier.threads.get(name).copied().unwrap_or_default();
        let threads = self.threads.iter().map(|(name, cpu)| (name.clone(), cpu.since(before(name))));
        Self { cpu: self.cpu.since(earlier.cpu), threads: threads.collect() }
    }
}

/// CPU time, in microseconds, of the children of these processes that have ended: what a server that starts a
/// process for each client has used for those that are gone.
pub(super) fn ended_us(pids: &[u32]) -> f64 {
    let of = |pid: &u32| -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = after_name(&text)?.split(' ').collect();
        let tick_us = 1_000_000.0 / rustix::param::clock_ticks_per_second() as f64;
        // proc(5): fields 16 and 17.
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some((ticks(13)? + ticks(14)?) * tick_us)
    };
    pids.iter().filter_map(of).sum()
}

/// CPU time of this process alone, without those that it has started.
pub(super) fn own() -> Cpu {
    stat("/proc/self/stat").map(|(_, cpu)| cpu).unwrap_or_default()
}

/// Resident memory of a process and its children, in MiB.
pub(super) fn resident_mb(pids: &[u32]) -> f64 {
    let page_bytes = rustix::param::page_size() as f64;
    let pages = |pid: u32| -> Option<f64> {
        fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split(' ').nth(1)?.parse().ok()
    };
    let pages: f64 = pids.iter().flat_map(|pid| family(*pid)).filter_map(pages).sum();
    pages * page_bytes / (1024.0 * 1024.0)
}

/// A process and all processes below it.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent(child) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(member) = family.get(next).copied() {
        family.extend(children.get(&member).into_iter().flatten());
        next += 1;
    }
    family
}

fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    after_name(&text)?.split(' ').nth(1)?.parse().ok()
}

/// Name and CPU time from a `stat` file (proc(5): fields 2, 14 and 15).
fn stat(path: &str) -> Option<(String, Cpu)> {
    let text = fs::read_to_string(path).ok()?;
    let name = text.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
    let fields: Vec<&str> = after_name(&text)?.split(' ').collect();
    let tick_us = 1_000_000.0 / rustix::param::clock_ticks_per_second() as f64;
    let time = |index: usize| fields.get(index)?.parse::<f64>().ok().map(|ticks| ticks * tick_us);
    Some((name, Cpu { user_us: time(11)?, system_us: time(12)? }))
}

/// The fields from the third on; the name before them may hold blanks.
fn after_name(text: &str) -> Option<&str> {
    text.rsplit_once(") ").map(|(_, fields)| fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_done_here_is_seen() {
        let me = std::process::id();
        let before = Usage::of(&[me]);
        let mut sum = 0_u64;
        while Usage::of(&[me]).since(&before).cpu.total_us() < 50_000.0 {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 1);
        }
        assert!(resident_mb(&[me]) > 1.0);
        assert!(family(me).contains(&me));
    }
}
