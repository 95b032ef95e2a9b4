//! Saying that something fails, at most once in a while, and that it works again.

use tollgate_core::time::Now;

/// How often one failing task speaks.
const SPEAK_EVERY_NS: u64 = 10_000_000_000;

/// The faults of one task.
pub struct Faults {
    task: &'static str,
    in_a_row: u64,
    /// When it last spoke; kept over a success, so that what fails now and then stays quiet too.
    spoke_ns: Option<u64>,
    /// Whether the present row of failures was logged, and its end is worth a line.
    was_told: bool,
}

impl Faults {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn of(task: &'static str) -> Self {
        Self { task, in_a_row: 0, spoke_ns: None, was_told: false }
    }

    /// It failed. Logs, and says so, when nothing was logged of this task for ten seconds.
    pub fn failed(&mut self, now: Now, error: &dyn std::fmt::Display, cause: Option<&str>) -> bool {
        self.in_a_row += 1;
        let speaks = self.spoke_ns.is_none_or(|spoke| now.mono_ns.saturating_sub(spoke) >= SPEAK_EVERY_NS);
        if speaks {
            self.spoke_ns = Some(now.mono_ns);
            self.was_told = true;
            let (task, in_a_row, cause) = (self.task, self.in_a_row, cause.unwrap_or(""));
            tracing::error!(task, in_a_row, cause, "{error}; it is tried again");
        }
        speaks
    }

    /// It worked. Logs, and says so, when it had failed and that was logged.
    pub fn worked(&mut self) -> bool {
        let speaks = std::mem::take(&mut self.was_told);
        if speaks {
            tracing::info!(task = self.task, failures = self.in_a_row, "works again");
        }
        self.in_a_row = 0;
        speaks
    }

    /// How often it has failed without a success between.
    #[must_use]
    pub const fn in_a_row(&self) -> u64 {
        self.in_a_row
    }
}
