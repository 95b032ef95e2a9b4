//! The process's clock: `CLOCK_BOOTTIME` beside wall time that never runs backwards.
//!
//! A machine whose wall clock is set back must not bring expired keys back to life (I4), so the
//! highest wall time ever seen is kept, in memory and every few seconds on disk. This is the only
//! file that asks the operating system for the time.

use std::{
    cell::Cell,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use rustix::time::{ClockId, clock_gettime};
use tollgate_core::time::{Clock, Now};

/// The file in the data folder that keeps the highest wall time.
const FILE_NAME: &str = "clock";
/// Lanes share one mark; it is written when it is this far behind, so that they seldom meet there.
const MARK_STEP_US: i64 = 1_000;

#[cfg(target_os = "linux")]
const MONO: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const MONO: ClockId = ClockId::Monotonic;

/// The clock of this process.
pub(crate) struct SystemClock {
    /// The highest wall time seen by any thread, to [`MARK_STEP_US`].
    mark_us: AtomicI64,
    file: PathBuf,
}

/// For so long wall time is taken to go on as the monotonic clock does, which is asked anyway. Setting the
/// wall clock is seen after it.
const WALL_EVERY_NS: u64 = 1_000_000;

thread_local! {
    /// The last wall time this thread was given.
    static LAST_US: Cell<i64> = const { Cell::new(i64::MIN) };
    /// What the operating system said of wall time last, and when.
    static SYSTEM: Cell<(i64, u64)> = const { Cell::new((0, 0)) };
}

impl SystemClock {
    /// A clock that starts where the one of the last process in this data folder was.
    #[must_use]
    pub(crate) fn open(data_dir: &Path) -> Self {
        let file = data_dir.join(FILE_NAME);
        let mark_us =
            std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(i64::MIN);
        Self { mark_us: AtomicI64::new(mark_us), file }
    }

    /// The file that keeps the highest wall time.
    #[must_use]
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// How far the operating system's clock is behind the highest wall time seen, microseconds;
    /// 0 when it is not.
    #[must_use]
    pub(crate) fn behind_us(&self) -> i64 {
        self.mark_us.load(Ordering::Relaxed).saturating_sub(system_wall_us()).max(0)
    }

    /// Writes the highest wall time down, as a whole or not at all.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub(crate) fn persist(&self) -> std::io::Result<()> {
        let unfinished = self.file.with_extension("new");
        let mut file = std::fs::File::create(&unfinished)?;
        writeln!(file, "{}", self.now().wall_us)?;
        file.sync_data()?;
        std::fs::rename(&unfinished, &self.file)
    }
}

impl Clock for SystemClock {
    fn mono_ns(&self) -> u64 {
        mono_ns()
    }

    fn now(&self) -> Now {
        let mono_ns = self.mono_ns();
        let system_us = wall_at(mono_ns);
        let mark_us = self.mark_us.load(Ordering::Relaxed);
        if system_us >= mark_us.saturating_add(MARK_STEP_US) {
            self.mark_us.fetch_max(system_us, Ordering::Relaxed);
        }
        let wall_us = system_us.max(mark_us).max(LAST_US.get());
        LAST_US.set(wall_us);
        Now { wall_us, mono_ns }
    }
}

/// The present moment for lengths of time, nanoseconds.
pub(crate) fn mono_ns() -> u64 {
    let mono = clock_gettime(MONO);
    mono.tv_sec.unsigned_abs() * 1_000_000_000 + mono.tv_nsec.unsigned_abs()
}

/// Wall time at a present moment of the monotonic clock.
fn wall_at(mono_ns: u64) -> i64 {
    let (known_us, at_ns) = SYSTEM.get();
    if let Some(since_ns) = mono_ns.checked_sub(at_ns).filter(|since| at_ns > 0 && *since < WALL_EVERY_NS) {
        return known_us.saturating_add_unsigned(since_ns / 1_000);
    }
    let system_us = system_wall_us();
    SYSTEM.set((system_us, mono_ns));
    system_us
}

fn system_wall_us() -> i64 {
    let wall = clock_gettime(ClockId::Realtime);
    wall.tv_sec * 1_000_000 + wall.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use tollgate_core::time::Clock as _;

    use super::{SYSTEM, SystemClock, WALL_EVERY_NS, mono_ns, system_wall_us, wall_at};

    #[test]
    fn wall_time_goes_on_with_the_monotonic_clock_for_a_millisecond_and_no_longer() {
        let (now_ns, now_us) = (mono_ns(), system_wall_us());
        // As if the clock was set between then and now.
        SYSTEM.set((42, now_ns));
        assert_eq!(wall_at(now_ns), 42);
        assert_eq!(wall_at(now_ns + WALL_EVERY_NS - 1), 42 + 999);
        assert!(wall_at(now_ns + WALL_EVERY_NS) >= now_us);
        SYSTEM.set((42, now_ns));
        assert!(wall_at(now_ns - 1) >= now_us);
    }

    #[test]
    fn wall_time_never_runs_backwards_even_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = SystemClock::open(folder.path());
        let first = clock.now();
        assert!(clock.now().wall_us >= first.wall_us && clock.now().mono_ns >= first.mono_ns);
        assert_eq!(clock.behind_us(), 0);
        clock.persist().expect("write the mark");

        // As after a clock that was set back by an hour.
        let ahead = system_wall_us() + 3_600_000_000;
        std::fs::write(folder.path().join("clock"), ahead.to_string()).expect("write the mark");
        let clock = SystemClock::open(folder.path());
        assert!(clock.now().wall_us >= ahead);
        assert!(clock.behind_us() > 3_599_000_000);
    }
}
