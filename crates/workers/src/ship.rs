//! Taking the journal over into the database, exactly once.
//!
//! The store remembers per lane how far it has taken over, in the same commit as the counts; so a
//! batch that is sent again after an unknown outcome adds nothing (I13). Only when the store has a
//! batch is its room in the journal given back.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tollgate_core::time::Clock;
use tollgate_journal::{Batch, Journal, Mark, Reader};
use tollgate_store::{QuotaTotal, Shipped, Store, StoreError};

use crate::{faults::Faults, state::Progress};

/// Records of one lane in one transaction.
const RECORDS_MAX: usize = 5_000;
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
    /// Where the store goes on; `None` until it was asked.
    pub(crate) marks: Option<Vec<Mark>>,
}

impl Shipper {
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        let mut faults = Faults::of("ship");
        while !*stop.borrow() {
            let wait = match self.round().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => {
                    faults.worked();
                    self.ship_every
                }
                Err(failure) => {
                    faults.failed(self.clock.now(), &failure.public, failure.cause.as_deref());
                    pause_after(faults.in_a_row())
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.now.notified() => {}
                _stopped = stop.wait_for(|stop| *stop) => {}
            }
        }
        self
    }

    /// Ships until nothing is left, or `patience` has passed without success.
    pub(crate) async fn drain(&mut self, patience: Duration) -> Result<(), Failure> {
        let began_ns = self.clock.now().mono_ns;
        let patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let mut failures = 0;
        loop {
            match self.round().await {
                Ok(true) => failures = 0,
                Ok(false) => return Ok(()),
                Err(failure) if self.clock.now().mono_ns.saturating_sub(began_ns) >= patience_ns => {
                    return Err(failure);
                }
                Err(_) => {
                    failures += 1;
                    tokio::time::sleep(pause_after(failures)).await;
                }
            }
        }
    }

    /// Takes over what is there; whether there may be more.
    ///
    /// After a failure the marks are asked for again: the outcome of the last transaction is not
    /// known, and the reader goes back to where the store is.
    async fn round(&mut self) -> Result<bool, Failure> {
        let began_us = self.clock.now().wall_us;
        let from = match self.marks.take() {
            Some(_) => Vec::new(),
            None => self.store.shipped_marks().await?,
        };
        let batches = self.reader.batches(&from, RECORDS_MAX).map_err(|error| Failure {
            public: "the journal cannot be read".to_owned(),
            cause: Some(error.to_string()),
        })?;
        if !batches.is_empty() {
            self.take_over(&batches).await?;
        }
        self.marks = Some(Vec::new());
        let more = batches.iter().any(|batch| batch.records.len() >= RECORDS_MAX);
        if !more {
            self.progress.shipped_until(began_us);
        }
        Ok(more)
    }

    async fn take_over(&self, batches: &[Batch]) -> Result<(), Failure> {
        let shipped = tokio::time::timeout(SHIP_MAX, self.store.ship(batches, self.keep)).await;
        let Shipped { records, lost, quotas } = shipped.map_err(|_| Failure {
            public: "the database did not answer within 30 s".to_owned(),
            cause: None,
        })??;
        self.progress.shipped(records, lost);
        if lost > 0 {
            tracing::error!(
                lost,
                "usage records are gone from the journal (power cut or damage); the loss is counted"
            );
        }
        self.quotas.merge(&quotas);
        let marks: Vec<Mark> = batches.iter().map(Batch::next).collect();
        self.journal.release(&marks).map_err(|error| Failure {
            public: "shipped room of the journal cannot be given back".to_owned(),
            cause: Some(error.to_string()),
        })
    }
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

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { public: error.to_string(), cause: error.cause().map(str::to_owned) }
    }
}
