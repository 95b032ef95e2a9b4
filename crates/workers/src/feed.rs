//! Following the change feed: what was committed anywhere is in this node's snapshot soon after. The
//! same poll sees whether somebody asks for usage to be shipped.
//!
//! The snapshot counts as fresh until `lease` after the *start* of the last poll that worked, on
//! `CLOCK_BOOTTIME`: whatever was committed before that start is in it (I2, I3). A poll that fails is
//! begun anew after the usual pause; a node that cannot poll stops deciding by itself.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tollgate_core::{tables::Snapshot, time::Clock};
use tollgate_store::{Applied, Store, StoreError};

use crate::{asks::Asks, faults::Faults, state::Progress, stop::Stop};

/// How long one poll may take before it is given up and begun anew. Each time that happens the next
/// one is given twice as long, up to the longest: a database that hangs is soon asked again, and a
/// million changes at once get the time that they take.
const PATIENCE_FIRST: Duration = Duration::from_secs(5);
const PATIENCE_LONGEST: Duration = Duration::from_secs(600);
/// The longest pause after a poll that failed, so that a database that is back is seen soon.
const PAUSE_AFTER_FAULT_MAX: Duration = Duration::from_millis(250);

pub(crate) struct Feed {
    pub(crate) store: Arc<Store>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) applied: Applied,
    pub(crate) poll_every: Duration,
    pub(crate) lease: Duration,
    /// Wakes the heartbeat when something was applied.
    pub(crate) moved: Arc<Notify>,
    /// Who ships; a process without journal ships nothing.
    pub(crate) asks: Option<Arc<Asks>>,
    /// How often somebody had asked all nodes to ship at the last poll.
    pub(crate) asks_seen: Option<u64>,
}

impl Feed {
    pub(crate) async fn run(mut self, mut stop: Stop) {
        let mut faults = Faults::of("feed");
        let mut patience = PATIENCE_FIRST;
        loop {
            let pause = match self.poll(patience, &mut faults).await {
                Polled::Worked => {
                    patience = PATIENCE_FIRST;
                    self.poll_every
                }
                Polled::Failed => self.poll_every.min(PAUSE_AFTER_FAULT_MAX),
                Polled::Slow => {
                    patience = patience.saturating_mul(2).min(PATIENCE_LONGEST);
                    self.poll_every.min(PAUSE_AFTER_FAULT_MAX)
                }
            };
            if stop.pause(pause, self.progress.wanted()).await {
                return;
            }
        }
    }

    /// One look at the feed. A poll that is cut off leaves nothing half done: records carry versions,
    /// and the next poll asks for the same changes again.
    async fn poll(&mut self, patience: Duration, faults: &mut Faults) -> Polled {
        let began = self.clock.now();
        let look = async {
            let applied = self.store.catch_up(&self.snapshot, &self.applied).await?;
            let asks = if self.asks.is_some() { Some(self.store.ship_asks().await?) } else { None };
            Ok::<_, StoreError>((applied, asks))
        };
        let outcome = tokio::time::timeout(patience, look).await;
        if let Ok(Ok((applied, asks))) = outcome {
            let lease_ns = u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX);
            self.snapshot.keep_fresh_until(began.mono_ns.saturating_add(lease_ns));
            self.progress.database(true);
            faults.worked();
            self.note(applied);
            self.pass_on(asks);
            return Polled::Worked;
        }
        self.progress.database(false);
        let now = self.clock.now();
        match outcome {
            Ok(outcome) => {
                if let Err(error) = outcome {
                    faults.failed(now, &error, error.cause());
                }
                Polled::Failed
            }
            Err(_) => {
                faults.failed(now, &"the database did not answer the poll of changes in time", None);
                Polled::Slow
            }
        }
    }

    /// Wakes the shipper when somebody has asked since the last poll; after the first one too, for who
    /// asked while this process started.
    fn pass_on(&mut self, asks: Option<u64>) {
        if asks != self.asks_seen
            && let Some(shipper) = &self.asks
        {
            shipper.ask();
        }
        self.asks_seen = asks;
    }

    fn note(&mut self, applied: Applied) {
        // The store has logged what it means.
        if applied.restored {
            self.progress.restored();
        }
        if applied.seq != self.applied.seq {
            self.moved.notify_one();
        }
        self.progress.applied(applied.seq);
        self.applied = Applied { restored: false, ..applied };
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Polled {
    Worked,
    Failed,
    Slow,
}
