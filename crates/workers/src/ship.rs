//! Taking the journal over into the database, exactly once.
//!
//! The store remembers per lane how far it has taken over, in the same commit as the counts; so a
//! batch that is sent again after an unknown outcome adds nothing (I13). Only when the store has a
//! batch is its room in the journal given back.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tollgate_core::time::Clock;
use tollgate_journal::{Batch, Journal, JournalError, Mark, Reader};
use tollgate_store::{QuotaTotal, Shipped, Store, StoreError};

use crate::{faults::Faults, state::Progress, stop::Stop};

/// Records in one transaction, and of one lane in one round.
const RECORDS_MAX: usize = 20_000;
/// Under load the shipper rests this many times as long as it worked, for at most [`REST_MAX`]: many
/// records of the same keys then become one row, and requests keep the processor.
const REST_FACTOR: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(1);
/// How long one transaction may take before its outcome counts as unknown.
const SHIP_MAX: Duration = Duration::from_secs(30);
/// The pause after a failure: this, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// Who wants to know what quotas have taken over all nodes.
pub trait QuotaSink: Send + Sync + 'static {
    /// Totals as the database has them now.
    fn merge(&self, totals: &[QuotaTotal]);
}

pub(crate) struct Shipper {
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) reader: Reader,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) quotas: Arc<dyn QuotaSink>,
    pub(crate) ship_every: Duration,
    /// Whether raw decisions are kept.
    pub(crate) keep: bool,
    /// Asks for a shipment now.
    pub(crate) now: Arc<Notify>,
    /// Wakes the heartbeat when more was proven to be shipped.
    pub(crate) moved: Arc<Notify>,
    /// Whether the reader stands where the store does; not at the start and after a failure.
    pub(crate) is_in_step: bool,
    /// When the last round began, while it is not proven that it saw all that was there.
    pub(crate) unproven_us: Option<i64>,
}

/// What a round found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing: all that was there before the round is shipped.
    Nothing,
    /// Records, and perhaps more are there at once.
    Some,
    /// As many as a round takes.
    Full,
}

impl Shipper {
    pub(crate) async fn run(mut self, mut stop: Stop) -> Self {
        let mut faults = Faults::of("ship");
        let mut worked = Duration::ZERO;
        loop {
            let began_ns = self.clock.now().mono_ns;
            let outcome = self.round().await;
            worked += Duration::from_nanos(self.clock.now().mono_ns.saturating_sub(began_ns));
            let pause = match outcome {
                Ok(Found::Full) => Duration::ZERO,
                Ok(Found::Nothing | Found::Some) => {
                    faults.worked();
                    let rest = worked.saturating_mul(REST_FACTOR).min(REST_MAX);
                    worked = Duration::ZERO;
                    self.ship_every.max(rest)
                }
                Err(failure) => {
                    faults.failed(self.clock.now(), &failure.public, failure.cause.as_deref());
                    pause_after(faults.in_a_row())
                }
            };
            let now = Arc::clone(&self.now);
            if stop.pause(pause, now.notified()).await {
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
            match self.round().await {
                Ok(Found::Nothing) => return Ok(()),
                Ok(Found::Some | Found::Full) => {
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

    /// Takes over what is there.
    async fn round(&mut self) -> Result<Found, Failure> {
        let outcome = self.ship_once().await;
        self.progress.shipping(outcome.is_ok());
        outcome
    }

    async fn ship_once(&mut self) -> Result<Found, Failure> {
        let began_us = self.clock.now().wall_us;
        let from = self.step().await?;
        // Until this round has succeeded the outcome of its last transaction is not known, and the
        // reader may be ahead of the store.
        self.is_in_step = false;
        let unproven_us = self.unproven_us.take();
        let batches = self.reader.batches(&from, RECORDS_MAX).map_err(|error| unreadable(&error))?;
        for group in groups(&batches) {
            self.take_over(group).await?;
        }
        self.is_in_step = true;
        Ok(self.note(&batches, began_us, unproven_us))
    }

    /// Where the reader shall go on: nowhere else while it is in step, where the store is when not.
    ///
    /// The reader begins anew then, because the store does not name a lane of which it has nothing,
    /// and the reader would go on behind what it read before the failure. The journal gives back the
    /// room of all that the store has: a process that died between the store's commit and the release
    /// would otherwise leave segments that no later batch names.
    async fn step(&mut self) -> Result<Vec<Mark>, Failure> {
        if self.is_in_step {
            return Ok(Vec::new());
        }
        let marks =
            tokio::time::timeout(SHIP_MAX, self.store.shipped_marks()).await.map_err(|_| slow())??;
        self.release(&marks)?;
        self.reader = Reader::open(self.journal.dir()).map_err(|error| unreadable(&error))?;
        Ok(marks)
    }

    async fn take_over(&self, batches: &[Batch]) -> Result<(), Failure> {
        let shipped = tokio::time::timeout(SHIP_MAX, self.store.ship(batches, self.keep)).await;
        let Shipped { records, lost, quotas } = shipped.map_err(|_| slow())??;
        self.progress.shipped(records, lost);
        if lost > 0 {
            tracing::error!(
                lost,
                "usage records are gone from the journal (power cut or damage); the loss is counted"
            );
        }
        self.quotas.merge(&quotas);
        let marks: Vec<Mark> = batches.iter().map(Batch::next).collect();
        self.release(&marks)
    }

    fn release(&self, marks: &[Mark]) -> Result<(), Failure> {
        self.journal.release(marks).map_err(|error| Failure {
            public: "shipped room of the journal cannot be given back".to_owned(),
            cause: Some(error.to_string()),
        })
    }

    /// Works out up to when everything is shipped.
    ///
    /// A batch that is not full may have ended at the end of its lane or before a gap; the next one
    /// of the lane tells, for behind a gap it begins with a loss. So a round proves what the one
    /// before it saw, and one that finds nothing proves itself.
    fn note(&mut self, batches: &[Batch], began_us: i64, unproven_us: Option<i64>) -> Found {
        let is_full = batches.iter().any(|batch| batch.records.len() >= RECORDS_MAX);
        let after_gap = batches.iter().any(|batch| batch.lost > 0);
        if batches.is_empty() {
            self.progress.shipped_until(began_us);
            // Who waits for usage waits for what was used last, not for silence.
            if unproven_us.is_some() {
                self.moved.notify_one();
            }
            return Found::Nothing;
        }
        if let Some(proven_us) = unproven_us
            && !after_gap
        {
            self.progress.shipped_until(proven_us);
            self.moved.notify_one();
        }
        if is_full {
            return Found::Full;
        }
        self.unproven_us = Some(began_us);
        Found::Some
    }
}

/// Splits batches into transactions of at most [`RECORDS_MAX`] records; no batch is larger.
fn groups(batches: &[Batch]) -> impl Iterator<Item = &[Batch]> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let mut records = 0;
        let fitting = rest.iter().take_while(|batch| {
            records += batch.records.len();
            records <= RECORDS_MAX
        });
        let (group, later) = rest.split_at_checked(fitting.count().max(1))?;
        rest = later;
        Some(group)
    })
}

fn pause_after(failures: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1).min(16)).unwrap_or(16);
    PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_LONGEST)
}

/// Why a round failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) public: String,
    pub(crate) cause: Option<String>,
}

pub(crate) fn unreadable(error: &JournalError) -> Failure {
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
