//! Being asked to ship now: by who reads usage (through the feed), by who ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A bell that stays rung until somebody has heard it.
#[derive(Default)]
pub(crate) struct Asks {
    is_asked: AtomicBool,
    bell: Notify,
}

impl Asks {
    /// Asks.
    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether was asked since the last time.
    pub(crate) fn hear(&self) -> bool {
        self.is_asked.swap(false, Ordering::AcqRel)
    }

    /// Returns when somebody asks.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}
