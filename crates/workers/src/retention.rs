//! Forgetting what is old, and sweeping counters that are as good as new.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tollgate_core::time::{Clock, Now};
use tollgate_store::{Store, StoreError};

use crate::faults::Faults;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Ended quota periods are kept this long, for who asks about last month.
const QUOTAS_KEPT_US: i64 = 400 * 86_400_000_000;
/// Nodes that did not retire are forgotten after this long.
const NODES_KEPT_US: i64 = 7 * 86_400_000_000;

pub(crate) struct Retention {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long raw decisions are kept.
    pub(crate) decisions_kept: Duration,
    /// How long per-minute roll-ups are kept.
    pub(crate) usage_kept: Duration,
    /// Drops counters that are as good as new.
    pub(crate) sweep: Arc<dyn Fn(Now) + Send + Sync>,
}

impl Retention {
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut faults = Faults::of("retention");
        loop {
            let _stopped = tokio::time::timeout(LOOK_EVERY, stop.wait_for(|stop| *stop)).await;
            if *stop.borrow() {
                return;
            }
            (self.sweep)(self.clock.now());
            match self.forget().await {
                Ok(()) => faults.worked(),
                Err(error) => faults.failed(self.clock.now(), &error, error.cause()),
            }
        }
    }

    async fn forget(&self) -> Result<(), StoreError> {
        let now_us = self.clock.now().wall_us;
        let before =
            |kept: Duration| now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let decisions = self.store.forget_decisions_before(before(self.decisions_kept)).await?;
        let usage = self.store.forget_usage_before(before(self.usage_kept)).await?;
        let quotas = self.store.forget_quotas_ended_before(now_us.saturating_sub(QUOTAS_KEPT_US)).await?;
        let nodes = self.store.forget_nodes_before(now_us.saturating_sub(NODES_KEPT_US)).await?;
        if decisions + usage + quotas + nodes > 0 {
            tracing::debug!(decisions, usage, quotas, nodes, "forgot what is past its time");
        }
        Ok(())
    }
}
