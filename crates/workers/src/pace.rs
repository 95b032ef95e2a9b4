//! When to write what was read of the journal.
//!
//! Seldom is cheap: of ten seconds, the requests of one key become one row. Soon is friendly: who
//! looks sees what happened. So writing takes a hundredth of the time at most, a node that answers
//! little writes within a second, and one that is asked writes at once.

use std::time::Duration;

use tollgate_store::{Engine, Intake};

/// Writing is followed by a rest this many times as long.
const REST_FACTOR: u32 = 100;
/// The longest rest. On PostgreSQL other nodes wait for what this one has charged to quotas
/// (docs/decisions/0005); behind SQLite there is one node, and it knows.
const REST_LONGEST_SQLITE: Duration = Duration::from_secs(10);
const REST_LONGEST_POSTGRES: Duration = Duration::from_secs(1);
/// No more records than these are little, and rest no longer than this.
const LITTLE_RECORDS: u64 = 200;
const REST_LITTLE: Duration = Duration::from_secs(1);
/// More records than these are not left in the journal alone, whatever the rest: some 120 MB of it.
const RECORDS_MAX: u64 = 700_000;
/// No more secrets than these are written each time, more of them only this often. What a killed
/// process had not written of them is lost: at most a minute, with the rest of the sums.
const LITTLE_USES: usize = 256;
const USES_EVERY: Duration = Duration::from_secs(30);

/// When was written last, and how long to rest.
pub(crate) struct Pace {
    longest: Duration,
    rest: Duration,
    wrote_ns: u64,
    wrote_uses_ns: u64,
}

impl Pace {
    pub(crate) const fn new(engine: Engine) -> Self {
        let longest = match engine {
            Engine::Sqlite => REST_LONGEST_SQLITE,
            Engine::Postgres => REST_LONGEST_POSTGRES,
        };
        Self { longest, rest: Duration::ZERO, wrote_ns: 0, wrote_uses_ns: 0 }
    }

    /// Whether to write now.
    pub(crate) fn is_due(&self, intake: &Intake, now_ns: u64) -> bool {
        if intake.is_empty() {
            return intake.secrets_used() > 0 && self.are_uses_due(intake, now_ns);
        }
        let rest = if intake.records() <= LITTLE_RECORDS { self.rest.min(REST_LITTLE) } else { self.rest };
        intake.is_heavy() || intake.records() >= RECORDS_MAX || since(self.wrote_ns, now_ns) >= rest
    }

    /// Whether to write last uses too.
    pub(crate) fn are_uses_due(&self, intake: &Intake, now_ns: u64) -> bool {
        intake.secrets_used() <= LITTLE_USES
            || intake.is_heavy()
            || since(self.wrote_uses_ns, now_ns) >= USES_EVERY
    }

    /// It was written, and took from `began_ns` to `now_ns`.
    pub(crate) fn wrote(&mut self, (began_ns, now_ns): (u64, u64), with_uses: bool) {
        self.rest = since(began_ns, now_ns).saturating_mul(REST_FACTOR).min(self.longest);
        self.wrote_ns = now_ns;
        if with_uses {
            self.wrote_uses_ns = now_ns;
        }
    }

    /// It could not be written: nothing is gained by resting.
    pub(crate) const fn failed(&mut self) {
        self.rest = Duration::ZERO;
    }
}

const fn since(earlier_ns: u64, now_ns: u64) -> Duration {
    Duration::from_nanos(now_ns.saturating_sub(earlier_ns))
}

#[cfg(test)]
mod tests {
    use tollgate_journal::{Entry, Extent, StoredRecord};
    use tollgate_store::{LastUses, OpenOptions, Store};

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// An intake of so many records, each of a secret of its own.
    async fn intake(folder: &std::path::Path, records: u64) -> Intake {
        let url = format!("sqlite://{}/tollgate.db", folder.display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        let mut intake = store.intake(false, LastUses::default()).await.unwrap();
        for position in 0..records {
            let record = StoredRecord {
                position,
                decision: position,
                entry: Entry { key: position + 1, ..Entry::default() },
                ..StoredRecord::default()
            };
            intake.add(1, 0, &record.lend());
        }
        intake.reached(&Extent { boot: 1, lane: 0, from: 0, to: records, lost: 0 });
        intake
    }

    #[tokio::test]
    async fn little_is_written_soon_much_seldom_and_too_much_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (little, much) = (intake(folder.path(), 100).await, intake(folder.path(), 1_000).await);
        let heavy = intake(folder.path(), 120_000).await;
        let mut pace = Pace::new(Engine::Sqlite);
        assert!(pace.is_due(&much, SECOND_NS), "nothing was written yet");
        // Writing took 50 ms: rest for five seconds.
        let wrote_ns = 100 * SECOND_NS;
        pace.wrote((wrote_ns - SECOND_NS / 20, wrote_ns), true);
        let due = |pace: &Pace, intake: &Intake| {
            (0..200).find(|tenths| pace.is_due(intake, wrote_ns + tenths * SECOND_NS / 10)).unwrap()
        };
        assert_eq!((due(&pace, &little), due(&pace, &much), due(&pace, &heavy)), (10, 50, 0));
        assert!(!pace.are_uses_due(&much, wrote_ns + 29 * SECOND_NS));
        assert!(pace.are_uses_due(&much, wrote_ns + 30 * SECOND_NS));
        assert!(pace.are_uses_due(&little, wrote_ns));
        pace.wrote((wrote_ns - SECOND_NS, wrote_ns), false);
        assert_eq!(due(&pace, &much), 100, "ten seconds are the longest");
        pace.failed();
        assert_eq!(due(&pace, &much), 0);
        let mut pace = Pace::new(Engine::Postgres);
        pace.wrote((wrote_ns - SECOND_NS, wrote_ns), false);
        assert_eq!(due(&pace, &much), 10, "other nodes wait for what was charged");
    }
}
