//! Saying that something fails, at most once in a while, and that it works again.

use tollgate_core::time::Now;

/// How often one failing task speaks.
const SPEAK_EVERY_NS: u64 = 10_000_000_000;

/// The faults of one task.
pub struct Faults {
    task: &'static str,
    in_a_row: u64,
    spoke_ns: Option<u64>,
}

impl Faults {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn of(task: &'static str) -> Self {
        Self { task, in_a_row: 0, spoke_ns: None }
    }

    /// It failed: logs when nothing was logged of this task for ten seconds.
    pub fn failed(&mut self, now: Now, error: &dyn std::fmt::Display, cause: Option<&str>) {
        self.in_a_row += 1;
        if self.spoke_ns.is_none_or(|spoke| now.mono_ns.saturating_sub(spoke) >= SPEAK_EVERY_NS) {
            self.spoke_ns = Some(now.mono_ns);
            let (task, in_a_row, cause) = (self.task, self.in_a_row, cause.unwrap_or(""));
            tracing::error!(task, in_a_row, cause, "{error}; it is tried again");
        }
    }

    /// It worked: logs when it had failed and that was logged.
    pub fn worked(&mut self) {
        if self.in_a_row > 0 && self.spoke_ns.is_some() {
            tracing::info!(task = self.task, failures = self.in_a_row, "works again");
        }
        self.in_a_row = 0;
        self.spoke_ns = None;
    }

    /// How often it has failed without a success between.
    #[must_use]
    pub const fn in_a_row(&self) -> u64 {
        self.in_a_row
    }
}
