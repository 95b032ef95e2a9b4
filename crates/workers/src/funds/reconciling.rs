//! Balances recomputed from entries, every hour, and any difference told (I10).

use std::sync::Arc;

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
}

impl Reconciling {
    pub(super) fn new(store: Arc<Store>, is_on: bool) -> Self {
        Self { store, is_on, next_ns: 0 }
    }

    /// Recomputes when it is time.
    pub(super) async fn look(&mut self, now: Now) {
        if !self.is_on || now.mono_ns < self.next_ns {
            return;
        }
        self.next_ns = now.mono_ns.saturating_add(EVERY_NS);
        if let Err(error) = self.reconcile(now).await {
            self.next_ns = now.mono_ns.saturating_add(AGAIN_NS);
            tracing::error!(cause = error.cause().unwrap_or(""), "the ledger cannot be recomputed: {error}");
        }
    }

    async fn reconcile(&self, now: Now) -> Result<(), StoreError> {
        let found = self.store.reconcile().await?;
        self.store.note_reconciled(&found, now.wall_us).await?;
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
}
