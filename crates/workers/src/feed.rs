//! Following the change feed: what was committed anywhere is in this node's snapshot soon after.
//!
//! The snapshot counts as fresh until `lease` after the *start* of the last poll that worked, on
//! `CLOCK_BOOTTIME`: whatever was committed before that start is in it (I2, I3).

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tollgate_core::{tables::Snapshot, time::Clock};
use tollgate_store::{Applied, Store};

use crate::{faults::Faults, state::Progress};

/// The longest one poll may take; after that it is given up and begun anew.
const POLL_MAX: Duration = Duration::from_secs(5);

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
}

impl Feed {
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut faults = Faults::of("feed");
        while !*stop.borrow() {
            self.poll(&mut faults).await;
            let _stopped = tokio::time::timeout(self.poll_every, stop.wait_for(|stop| *stop)).await;
        }
    }

    /// One look at the feed. A poll that is cut off leaves nothing half done: records carry
    /// versions, and the next poll asks for the same changes again.
    async fn poll(&mut self, faults: &mut Faults) {
        let began = self.clock.now();
        let caught_up = self.store.catch_up(&self.snapshot, &self.applied);
        match tokio::time::timeout(POLL_MAX, caught_up).await {
            Ok(Ok(applied)) => {
                let lease_ns = u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX);
                self.snapshot.keep_fresh_until(began.mono_ns.saturating_add(lease_ns));
                self.progress.database(true);
                faults.worked();
                self.note(applied);
            }
            Ok(Err(error)) => {
                self.progress.database(false);
                faults.failed(began, &error, error.cause());
            }
            Err(_) => {
                self.progress.database(false);
                faults.failed(began, &"the database did not answer within 5 s", None);
            }
        }
    }

    fn note(&mut self, applied: Applied) {
        if applied.restored {
            self.progress.restored();
            tracing::error!(
                seq = applied.seq,
                "the database has another history than before (restored, or failed over with loss); \
                 everything was loaded anew and keys keep their newest known state, but what was committed \
                 and lost must be repeated by hand"
            );
        }
        if applied.seq != self.applied.seq {
            self.moved.notify_one();
        }
        self.progress.applied(applied.seq);
        self.applied = Applied { restored: false, ..applied };
    }
}
