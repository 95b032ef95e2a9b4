//! The log of faults, at most one line a second for each kind: what every request can cause must
//! not fill a disk.

use std::cell::Cell;

/// How long a kind of fault is silent after a line, in nanoseconds.
const QUIET_NS: u64 = 1_000_000_000;

/// One kind of fault on one lane.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    quiet_until_ns: Cell<u64>,
    suppressed: Cell<u64>,
}

impl Fault {
    /// Calls `log` with the number of lines left out since the last one, unless it is too early.
    pub(crate) fn report(&self, now_ns: u64, log: impl FnOnce(u64)) {
        if now_ns < self.quiet_until_ns.get() {
            self.suppressed.set(self.suppressed.get().saturating_add(1));
            return;
        }
        self.quiet_until_ns.set(now_ns.saturating_add(QUIET_NS));
        log(self.suppressed.replace(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_faults_makes_one_line_a_second_and_says_what_was_left_out() {
        let fault = Fault::default();
        let mut lines = Vec::new();
        for step in 0..21 {
            fault.report(step * 100_000_000, |left_out| lines.push(left_out));
        }
        assert_eq!(lines, [0, 9, 9]);
    }
}
