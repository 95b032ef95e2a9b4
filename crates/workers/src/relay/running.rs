//! The tasks of records: relays, and forgetting what is past its time. Started apart from the others, for a node
//! without them serves all the same.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tollgate_core::time::Clock;
use tollgate_store::{Store, StoreError};

use super::{
    Relay, RelayOptions,
    stream::{StreamOptions, Streaming},
};
use crate::{faults::Faults, stop::Stop};

/// How often it looks for what can go.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The pause between two statements.
const BREATH: Duration = Duration::from_millis(20);
/// How long all tasks together may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Statements of one look.
const STATEMENTS_MAX: u32 = 10_000;

/// How records are handed on and kept.
pub struct EventOptions {
    /// Where they go; nowhere when there is none.
    pub relays: Vec<RelayOptions>,
    /// Where what is no record goes.
    pub streams: Vec<StreamOptions>,
    /// How long they are kept, at least until every sink has them.
    pub kept: Duration,
    /// How long ids and names of requests are remembered.
    pub remembered: Duration,
    /// Whether this node forgets; some node does.
    pub forgets: bool,
}

/// The running tasks.
pub struct Relaying {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Relaying {
    /// Starts them on the present tokio runtime. `node` is who holds the leases: the same node takes its own again
    /// at once after a crash.
    #[must_use]
    pub fn start(store: &Arc<Store>, clock: &Arc<dyn Clock>, node: u64, options: EventOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let stopped = Stop::new(stopped);
        let mut tasks: Vec<JoinHandle<()>> = Vec::new();
        let EventOptions { relays, streams, kept, remembered, forgets } = options;
        for options in relays {
            let (store, clock) = (Arc::clone(store), Arc::clone(clock));
            tasks.push(tokio::spawn(Relay { store, clock, node, options }.run(stopped.clone())));
        }
        for options in streams {
            let (store, clock) = (Arc::clone(store), Arc::clone(clock));
            tasks.push(tokio::spawn(Streaming { store, clock, node, options }.run(stopped.clone())));
        }
        if forgets {
            let (store, clock) = (Arc::clone(store), Arc::clone(clock));
            tasks.push(tokio::spawn(Forgetting { store, clock, kept, remembered }.run(stopped)));
        }
        Self { stop, tasks }
    }

    /// Ends them: waits a little for what is on its way, and gives the leases back. A lease that is not given back in ten seconds runs
    /// out by itself.
    pub async fn stop(self) {
        // Nobody listening means that they have ended already.
        let _listeners = self.stop.send(true);
        let deadline = Instant::now() + STOP_PATIENCE;
        for mut task in self.tasks {
            match timeout_at(deadline, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a relay ended badly"),
                Err(_late) => {
                    tracing::warn!("a relay takes too long to end and is left behind");
                    task.abort();
                }
            }
        }
    }
}

struct Forgetting {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    kept: Duration,
    remembered: Duration,
}

impl Forgetting {
    async fn run(self, mut stop: Stop) {
        let mut faults = Faults::of("event retention");
        loop {
            match self.forget(&mut stop).await {
                Ok(()) => {
                    faults.worked();
                }
                Err(error) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
            }
            if stop.pause(LOOK_EVERY, std::future::pending()).await {
                return;
            }
        }
    }

    async fn forget(&self, stop: &mut Stop) -> Result<(), StoreError> {
        let now_us = self.clock.now().wall_us;
        let before =
            |span: Duration| now_us.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX));
        let (events, ids) = (before(self.kept), before(self.remembered));
        for _ in 0..STATEMENTS_MAX {
            let gone = self.store.forget_events_before(events).await?
                + self.store.forget_event_ids_before(ids).await?;
            if gone == 0 || stop.pause(BREATH, std::future::pending()).await {
                return Ok(());
            }
        }
        Ok(())
    }
}
