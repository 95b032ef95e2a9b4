//! Pausing between two turns of a task, and being told to end.

use std::{future::Future, time::Duration};

use tokio::sync::watch;

/// How a task learns that it shall end: by word, or because nobody is left who could say it.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens to this sender.
    pub(crate) const fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Whether the task shall end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when the task shall end.
    pub(crate) async fn asked(&mut self) {
        // An error says that the sender is gone.
        let _asked = self.0.wait_for(|stop| *stop).await;
    }

    /// Waits for `pause`, for `sooner`, or until the task shall end; `true` in the last case.
    pub(crate) async fn pause(&mut self, pause: Duration, sooner: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = self.asked() => {}
            () = sooner => {}
            () = tokio::time::sleep(pause) => {}
        }
        self.is_asked()
    }
}
