//! Balances recomputed from entries, every hour, and any difference told (I10).

use std::sync::Arc;

use tokio::task::JoinHandle;
use tollgate_core::time::Now;
use tollgate_store::{Store, StoreError};

/// How often.
const EVERY_NS: u64 = 3_600_000_000_000;
/// How long after a failure it is tried again.
const AGAIN_NS: u64 = 60_000_000_000;

pub(super) struct Reconciling {
    store: Arc<Store>,
    /// Whether this node does it.
    is_on: bool,
    next_ns: u64,
    /// The one that runs, beside the keeper, for it can take a while; whether it worked.
    running: Option<JoinHandle<bool>>,
}

impl Reconciling {
    pub(super) fn new(store: Arc<Store>, is_on: bool) -> Self {
        Self { store, is_on, next_ns: 0, running: None }
    }

    /// Begins to recompute when it is time and none is running.
    pub(super) async fn look(&mut self, now: Now) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        if let Some(ended) = self.running.take()
            && !ended.await.unwrap_or(false)
        {
            self.next_ns = now.mono_ns.saturating_add(AGAIN_NS);
        }
        if !self.is_on || now.mono_ns < self.next_ns {
            return;
        }
        self.next_ns = now.mono_ns.saturating_add(EVERY_NS);
        let store = Arc::clone(&self.store);
        self.running = Some(tokio::spawn(async move {
            let done = reconcile(&store, now).await;
            if let Err(error) = &done {
                let cause = error.cause().unwrap_or("");
                tracing::error!(cause, "the ledger cannot be recomputed: {error}");
            }
            done.is_ok()
        }));
    }
}

impl Drop for Reconciling {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

async fn reconcile(store: &Store, now: Now) -> Result<(), StoreError> {
    let found = store.reconcile().await?;
    store.note_reconciled(&found, now.wall_us).await?;
    for difference in &found.differences {
        tracing::error!(
            account = %difference.account,
            side = difference.side.name(),
            balance = difference.balance,
            entries = difference.entries,
            "a balance is not the sum of its entries"
        );
    }
    for (account, reserved, held) in &found.withheld {
        tracing::error!(%account, reserved, held, "what is reserved is not what leases and calls hold");
    }
    Ok(())
}
