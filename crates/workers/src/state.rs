//! How far the tasks are: what health reports and heartbeats read.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// How far the tasks of this process are.
#[derive(Debug, Default)]
pub struct Progress {
    applied: watch::Sender<u64>,
    /// Somebody waits for a change: the feed looks now instead of when it would.
    wanted: Notify,
    shipped_until_us: AtomicI64,
    records_shipped: AtomicU64,
    records_lost: AtomicU64,
    database_ok: AtomicBool,
    shipping_ok: AtomicBool,
    restored: AtomicBool,
    sealed_seq: AtomicU64,
    audit_broken: AtomicBool,
    checkpoints_missing: AtomicBool,
}

impl Progress {
    /// The last change that is in the snapshot.
    #[must_use]
    pub fn applied_seq(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Returns once the snapshot holds the change with this number. The feed is woken, so that this
    /// takes as long as one look at the database.
    pub async fn reach(&self, seq: u64) {
        let mut applied = self.applied.subscribe();
        if *applied.borrow() < seq {
            self.wanted.notify_one();
            // The sender is this value's own, so that it is not gone.
            let _reached = applied.wait_for(|applied| *applied >= seq).await;
        }
    }

    /// Returns when somebody waits for a change.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Everything answered before this moment (wall microseconds) is in the database.
    #[must_use]
    pub fn shipped_until_us(&self) -> i64 {
        self.shipped_until_us.load(Ordering::Acquire)
    }

    /// Records shipped since the start.
    #[must_use]
    pub fn records_shipped(&self) -> u64 {
        self.records_shipped.load(Ordering::Relaxed)
    }

    /// Records known to be lost (I14), reported by the journal since the start.
    #[must_use]
    pub fn records_lost(&self) -> u64 {
        self.records_lost.load(Ordering::Relaxed)
    }

    /// Whether the last poll of the database worked.
    #[must_use]
    pub fn is_database_ok(&self) -> bool {
        self.database_ok.load(Ordering::Acquire)
    }

    /// Whether the last attempt to ship worked. While it does not, nothing is lost: the journal
    /// keeps what is answered until it is full.
    #[must_use]
    pub fn is_shipping_ok(&self) -> bool {
        self.shipping_ok.load(Ordering::Acquire)
    }

    /// Whether the database turned out to have another history than before (I23).
    #[must_use]
    pub fn was_restored(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }

    /// The change that the last checkpoint of this run is of; 0 before the first.
    #[must_use]
    pub fn sealed_seq(&self) -> u64 {
        self.sealed_seq.load(Ordering::Relaxed)
    }

    /// Whether the audit does not go on from its last checkpoint.
    #[must_use]
    pub fn is_audit_broken(&self) -> bool {
        self.audit_broken.load(Ordering::Relaxed)
    }

    /// Whether the file lacked checkpoints that this node's key is known to have signed, at the start.
    #[must_use]
    pub fn are_checkpoints_missing(&self) -> bool {
        self.checkpoints_missing.load(Ordering::Relaxed)
    }

    pub(crate) fn checkpoints_missing(&self, missing: bool) {
        self.checkpoints_missing.store(missing, Ordering::Relaxed);
    }

    pub(crate) fn sealed(&self, seq: u64) {
        self.sealed_seq.store(seq, Ordering::Relaxed);
    }

    pub(crate) fn audit_broken(&self, broken: bool) {
        self.audit_broken.store(broken, Ordering::Relaxed);
    }

    pub(crate) fn applied(&self, seq: u64) {
        self.applied.send_replace(seq);
    }

    pub(crate) fn shipped_until(&self, wall_us: i64) {
        self.shipped_until_us.fetch_max(wall_us, Ordering::AcqRel);
    }

    pub(crate) fn shipped(&self, records: u64, lost: u64) {
        self.records_shipped.fetch_add(records, Ordering::Relaxed);
        self.records_lost.fetch_add(lost, Ordering::Relaxed);
    }

    pub(crate) fn database(&self, ok: bool) {
        self.database_ok.store(ok, Ordering::Release);
    }

    pub(crate) fn shipping(&self, ok: bool) {
        self.shipping_ok.store(ok, Ordering::Release);
    }

    pub(crate) fn restored(&self) {
        self.restored.store(true, Ordering::Release);
    }
}
