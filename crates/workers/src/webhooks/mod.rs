//! Telling webhooks what happened: Standard Webhooks (<https://www.standardwebhooks.com>), each notice at least once.
//!
//! One sender of all nodes holds a lease with an epoch. It keeps a row for each notice that a webhook wants, sends
//! those that are due, some at once for each webhook and in all, and writes down what became of them. What was sent
//! and not written down is sent again with the same `webhook-id`. A receiver that is slow or gone holds no other back.
//!
//! | module | holds |
//! | --- | --- |
//! | `sender` | the lease, what is due, how many at once |
//! | `message` | one delivery as it is sent: body and signature |
//! | `client` | one request: names resolved here, addresses judged, no redirects, bounded in time and bytes |

mod client;
mod message;
mod sender;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};
use tollgate_core::{time::Clock, webhook::Egress};
use tollgate_store::Store;

use self::sender::Sender;
use crate::stop::Stop;

/// How long the sender may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How webhooks are told.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where requests may go.
    pub egress: Egress,
    /// PEM file of authorities that are believed beside the system's.
    pub ca_file: Option<PathBuf>,
    /// A webhook that failed for so long is switched off.
    pub disabled_after: Duration,
    /// How long one request may take.
    pub timeout: Duration,
}

/// The running sender.
pub struct Webhooks {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Webhooks {
    /// Starts it on the present tokio runtime. `node` is who holds the lease: the same node takes its own again at
    /// once after a crash.
    #[must_use]
    pub fn start(store: &Arc<Store>, clock: &Arc<dyn Clock>, node: u64, options: WebhookOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let sender = Sender::new(Arc::clone(store), Arc::clone(clock), node, options);
        Self { stop, task: tokio::spawn(sender.run(Stop::new(stopped))) }
    }

    /// Ends it: waits a little for what is on its way, and gives the lease back.
    pub async fn stop(mut self) {
        // Nobody listening means that it has ended already.
        let _listeners = self.stop.send(true);
        match tokio::time::timeout(STOP_PATIENCE, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the sender of webhooks ended badly"),
            Err(_late) => {
                tracing::warn!("the sender of webhooks takes too long to end and is left behind");
                self.task.abort();
            }
        }
    }
}
