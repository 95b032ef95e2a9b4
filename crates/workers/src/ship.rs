//! Taking the journal over into the database, exactly once.
//!
//! Every turn reads what was appended and adds it up; writing is another matter (`pace`), and so is
//! what waits to be written (`tollgate_store::Intake`). The store remembers per lane how far it has
//! taken over, in the same commit as the counts; a commit with an unknown outcome is found out by
//! beginning anew where the store stands (I13). Only when the store has the sums of a record is its
//! room in the journal given back (I12).

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tollgate_core::{tables::Snapshot, time::Clock};
use tollgate_journal::{Extent, Journal, JournalError, Reader, State};
use tollgate_store::{Intake, LastUses, Lessee, QuotaTotal, Shipped, Store, StoreError, Taken, With};

use crate::{asks::Asks, faults::Faults, pace::Pace, state::Progress, stop::Stop};

/// Records of all lanes in one read, and of one lane at the least.
const READ_RECORDS: usize = 16_384;
const READ_LANE_RECORDS_MIN: usize = 256;
/// Reads in one turn.
const READS_MAX: usize = 32;
/// How long one transaction may take before its outcome counts as unknown.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The pause after a failure: this, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);
/// Where rules watch, decisions wait no longer than this for their block.
const WATCHED_EVERY_NS: u64 = 300_000_000;

/// Who wants to know what quotas have taken over all nodes.
pub trait QuotaSink: Send + Sync + 'static {
    /// Totals as the database has them now.
    fn merge(&self, totals: &[QuotaTotal]);
}

pub(crate) struct Shipper {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) quotas: Arc<dyn QuotaSink>,
    /// How often the journal is read.
    pub(crate) ship_every: Duration,
    /// Says whether rules watch.
    pub(crate) snapshot: Arc<Snapshot>,
    /// When blocks were written for rules.
    pub(crate) kept_ns: u64,
    /// Whether raw decisions are kept.
    pub(crate) keep: bool,
    pub(crate) asks: Arc<Asks>,
    /// Wakes the heartbeat when what was asked for is shipped.
    pub(crate) moved: Arc<Notify>,
    pub(crate) pace: Pace,
    /// What was read, and the reader that stands behind it; none at the start and after a failure.
    pub(crate) open: Option<(Reader, Intake)>,
    /// What an intake that was thrown away has left.
    pub(crate) uses: LastUses,
    /// Everything answered before this moment was read.
    pub(crate) read_until_us: i64,
    /// Whose journals these are.
    pub(crate) node: u64,
    /// Whose quotas are leased; `None` where this process counts them alone.
    pub(crate) lessee: Option<Lessee>,
    /// Whether other nodes were there, and may have charged the same quotas.
    pub(crate) has_company: bool,
    /// When somebody asked, until it is done.
    pub(crate) asked_us: Option<i64>,
}

/// What a turn found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// All that was there before the turn was read.
    All,
    /// There is more.
    More,
}

impl Shipper {
    pub(crate) async fn run(mut self, mut stop: Stop) -> Self {
        let mut faults = Faults::of("ship");
        loop {
            if self.asks.hear() {
                self.asked_us = Some(self.clock.now().wall_us);
            }
            let pause = match self.turn(self.asked_us.is_some()).await {
                Ok(found) => {
                    faults.worked();
                    if found == Found::More || self.is_still_asked() {
                        Duration::ZERO
                    } else {
                        self.ship_every
                    }
                }
                Err(failure) => {
                    faults.failed(self.clock.now(), &failure.public, failure.cause.as_deref());
                    pause_after(faults.in_a_row())
                }
            };
            let asks = Arc::clone(&self.asks);
            if stop.pause(pause, asks.rung()).await {
                return self;
            }
        }
    }

    /// Ships until nothing is left, or `patience` has passed without success.
    pub(crate) async fn drain(&mut self, patience: Duration) -> Result<(), Failure> {
        let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let mut worked_ns = self.clock.now().mono_ns;
        let mut failures = 0;
        loop {
            match self.turn(true).await {
                Ok(Found::All) if self.is_done() => return Ok(()),
                Ok(_) => {
                    failures = 0;
                    worked_ns = self.clock.now().mono_ns;
                }
                Err(failure) if self.clock.now().mono_ns.saturating_sub(worked_ns) >= patience_ns => {
                    return Err(failure);
                }
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(pause_after(failures)).await;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, intake)| intake.is_empty() && intake.secrets_used() == 0)
    }

    /// Tells who asked when all is shipped that was answered before; `true` while it is not.
    fn is_still_asked(&mut self) -> bool {
        if self.asked_us.is_some_and(|asked_us| self.progress.shipped_until_us() >= asked_us) {
            self.asked_us = None;
            self.moved.notify_one();
        }
        self.asked_us.is_some()
    }

    /// Reads what is there, and writes when it is time or `must_write`.
    async fn turn(&mut self, must_write: bool) -> Result<Found, Failure> {
        let outcome = match self.begun().await {
            Ok((mut reader, mut intake)) => {
                let outcome = self.take(&mut reader, &mut intake, must_write).await;
                match outcome {
                    Ok(Some(_)) => self.open = Some((reader, intake)),
                    Ok(None) | Err(_) => self.uses = intake.into_last_uses(),
                }
                outcome
            }
            Err(failure) => Err(failure),
        };
        self.progress.shipping(outcome.is_ok());
        if outcome.is_err() {
            self.pace.failed();
        }
        // Overtaken: begun anew at once.
        outcome.map(|found| found.unwrap_or(Found::More))
    }

    /// What was begun, or a new beginning where the store stands.
    ///
    /// The reader begins anew too, because the store does not name a lane of which it has nothing, and
    /// the reader would go on behind what it read before. The journal gives back the room of all that
    /// the store has: a process that died between the store's commit and the release would otherwise
    /// leave segments that nothing names later.
    async fn begun(&mut self) -> Result<(Reader, Intake), Failure> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        let uses = std::mem::take(&mut self.uses);
        let intake = tokio::time::timeout(WRITE_MAX, self.store.intake(self.keep, uses));
        let intake = intake.await.map_err(|_| slow())??.leased_by(self.lessee).read_by(self.node);
        self.release(&intake)?;
        let mut reader = Reader::open(self.journal.dir()).map_err(|error| unreadable(&error))?;
        // Nothing is read: the reader only goes where the store stands.
        reader.read(&intake.marks(), 0, |_, _, _| {}).map_err(|error| unreadable(&error))?;
        Ok((reader, intake))
    }

    /// `None` when somebody else has shipped the same meanwhile.
    async fn take(
        &mut self,
        reader: &mut Reader,
        intake: &mut Intake,
        must_write: bool,
    ) -> Result<Option<Found>, Failure> {
        let Some(found) = self.read(reader, intake).await? else { return Ok(None) };
        let now_ns = self.clock.now().mono_ns;
        let is_due = self.pace.is_due(intake, now_ns) || self.is_journal_short_of_room(intake);
        let has_any = !intake.is_empty() || intake.secrets_used() > 0;
        if has_any && (must_write || is_due) && !self.write(intake, must_write).await? {
            return Ok(None);
        }
        if !self.show_rules(intake, now_ns).await? {
            return Ok(None);
        }
        if intake.is_empty() {
            self.progress.shipped_until(self.read_until_us);
        }
        Ok(Some(found))
    }

    /// Adds up what was appended; writes in between what must not grow further.
    ///
    /// A read that is not full may have ended at the end of its lane or before a gap; the next read of
    /// the lane tells, for behind a gap it begins with a loss. So a read proves what the one before it
    /// saw, and one that finds nothing proves itself.
    async fn read(&mut self, reader: &mut Reader, intake: &mut Intake) -> Result<Option<Found>, Failure> {
        let began_us = self.clock.now().wall_us;
        let (mut lanes, mut seen_all) = (1, false);
        for _ in 0..READS_MAX {
            let records_max = (READ_RECORDS / lanes).max(READ_LANE_RECORDS_MIN);
            let extents = reader.read(&[], records_max, |boot, lane, record| intake.add(boot, lane, record));
            let extents = extents.map_err(|error| unreadable(&error))?;
            extents.iter().for_each(|extent| intake.reached(extent));
            let is_proven = extents.is_empty() || (seen_all && extents.iter().all(|extent| extent.lost == 0));
            if is_proven {
                self.read_until_us = self.read_until_us.max(began_us);
            }
            if !self.bound(intake).await? {
                return Ok(None);
            }
            let is_full = |extent: &Extent| extent.to - extent.from >= records_max as u64;
            seen_all = !extents.iter().any(is_full);
            if is_proven && seen_all {
                return Ok(Some(Found::All));
            }
            lanes = extents.len().max(1);
            tokio::task::yield_now().await;
        }
        Ok(Some(Found::More))
    }

    /// Keeps the intake within its bounds; `false` when somebody else has shipped the same.
    async fn bound(&mut self, intake: &mut Intake) -> Result<bool, Failure> {
        if intake.is_heavy() {
            return self.write(intake, false).await;
        }
        if !intake.has_blocks() {
            return Ok(true);
        }
        let kept = tokio::time::timeout(WRITE_MAX, self.store.keep_blocks(intake)).await;
        Ok(kept.map_err(|_| slow())?? != Taken::Overtaken)
    }

    /// Writes all there is; `false` when somebody else has shipped the same.
    async fn write(&mut self, intake: &mut Intake, with_uses: bool) -> Result<bool, Failure> {
        let began_ns = self.clock.now().mono_ns;
        let uses = with_uses || self.pace.are_uses_due(intake, began_ns);
        let write = async {
            // What only this node has charged it knows; asking for it anyway would cost as much again.
            let is_asked = self.lessee.is_none() && !self.has_company;
            self.has_company |= is_asked && self.store.live_nodes().await?.len() > 1;
            let totals = self.lessee.is_none() && self.has_company;
            self.store.take_over(intake, With { uses, totals }).await
        };
        let taken = tokio::time::timeout(WRITE_MAX, write).await;
        let Taken::Done(Shipped { records, lost, quotas }) = taken.map_err(|_| slow())?? else {
            return Ok(false);
        };
        self.pace.wrote((began_ns, self.clock.now().mono_ns), uses);
        self.progress.shipped(records, lost);
        if lost > 0 {
            tracing::error!(
                lost,
                "usage records are gone from the journal (power cut or damage); the loss is counted"
            );
        }
        self.quotas.merge(&quotas);
        self.release(intake)?;
        Ok(true)
    }

    /// Where rules watch: writes decisions soon, without the sums unless calls of models are among them, which
    /// are written with these. `false` when somebody else has shipped the same.
    async fn show_rules(&mut self, intake: &mut Intake, now_ns: u64) -> Result<bool, Failure> {
        let is_due = now_ns.saturating_sub(self.kept_ns) >= WATCHED_EVERY_NS;
        if intake.is_empty() || !self.keep || !is_due || self.snapshot.tables_ref().rules.is_empty() {
            return Ok(true);
        }
        self.kept_ns = now_ns;
        if intake.has_calls() {
            return self.write(intake, false).await;
        }
        if !intake.finish_blocks() {
            return Ok(true);
        }
        let kept = tokio::time::timeout(WRITE_MAX, self.store.keep_blocks(intake)).await;
        Ok(kept.map_err(|_| slow())?? != Taken::Overtaken)
    }

    /// Whether writing would make room that the journal needs soon.
    fn is_journal_short_of_room(&self, intake: &Intake) -> bool {
        // What a usual record takes there, about, and how many long ones fill a segment: fewer give none back.
        const RECORD_BYTES: u64 = 200;
        const SEGMENT_RECORDS: u64 = 50_000;
        let (health, records) = (self.journal.health(), intake.records());
        health.state != State::Running
            || records * RECORD_BYTES >= health.bytes_max / 8
            || (records >= SEGMENT_RECORDS && health.bytes >= health.bytes_max / 4 * 3)
    }

    fn release(&self, intake: &Intake) -> Result<(), Failure> {
        self.journal.release(&intake.marks()).map_err(|error| Failure {
            public: "shipped room of the journal cannot be given back".to_owned(),
            cause: Some(error.to_string()),
        })
    }
}

fn pause_after(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_LONGEST)
}

/// Why a turn failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) public: String,
    pub(crate) cause: Option<String>,
}

fn unreadable(error: &JournalError) -> Failure {
    Failure { public: "the journal cannot be read".to_owned(), cause: Some(error.to_string()) }
}

fn slow() -> Failure {
    Failure { public: "the database did not answer within 30 s".to_owned(), cause: None }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { public: error.to_string(), cause: error.cause().map(str::to_owned) }
    }
}
