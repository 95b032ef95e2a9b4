//! Writing down how far this node is, for those who wait for all nodes.
//!
//! Apart from the feed on purpose: a database that can be read but not written keeps serving, and
//! who waits for this node then waits for its lease instead.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tollgate_core::time::Clock;
use tollgate_store::{NodeBeat, Store};

use crate::{faults::Faults, state::Progress, stop::Stop};

/// How often a node speaks when nothing happens.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long writing may take.
const WRITE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Beat {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) node: u64,
    pub(crate) boot: u64,
    pub(crate) lease: Duration,
    pub(crate) moved: Arc<Notify>,
}

impl Beat {
    pub(crate) fn now(&self) -> NodeBeat {
        NodeBeat {
            node: self.node,
            boot: self.boot,
            applied_seq: self.progress.applied_seq(),
            seen_us: self.clock.now().wall_us,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            shipped_until_us: self.progress.shipped_until_us(),
        }
    }

    pub(crate) async fn run(self, mut stop: Stop) {
        let mut faults = Faults::of("beat");
        loop {
            match tokio::time::timeout(WRITE_MAX, self.store.heartbeat(&self.now())).await {
                Ok(Ok(())) => {
                    faults.worked();
                }
                Ok(Err(error)) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
                Err(_) => {
                    faults.failed(self.clock.now(), &"the database did not answer within 5 s", None);
                }
            }
            if stop.pause(BEAT_EVERY, self.moved.notified()).await {
                return;
            }
        }
    }
}
