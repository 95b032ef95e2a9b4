//! The end of the port between the gateway and the limits that all nodes share.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::task::JoinHandle;
use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    time::{Clock, Now},
};
use tollgate_counters::shared::SharedLimits;
use tollgate_store::Store;

use crate::{config::Config, failure::Failure};

/// How often the live nodes are counted, and the metrics set.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The shared limits of this process.
pub(super) struct Shared(Arc<SharedLimits>);

impl Shared {
    /// Those in the Redis of the settings; this node's part of each where there is none.
    pub(super) fn start(config: &Config) -> Result<Self, Failure> {
        let started = config.redis.url.as_ref().map(|url| SharedLimits::start(url.expose()));
        let limits = started.transpose().map_err(|error| Failure::failed(format!("redis.url: {error}")))?;
        Ok(Self(Arc::new(limits.unwrap_or_else(SharedLimits::without_redis))))
    }

    /// Keeps up with how many nodes live, as long as the process runs.
    pub(super) fn keep_up(&self, store: &Arc<Store>, clock: &Arc<dyn Clock>) -> JoinHandle<()> {
        let (limits, store, clock) = (Arc::clone(&self.0), Arc::clone(store), Arc::clone(clock));
        tokio::spawn(async move {
            let mut told = (0, 0);
            loop {
                // While the database does not answer, the last count is the best there is.
                if let Ok(nodes) = store.live_nodes().await {
                    limits.share_with(nodes.len() as u64);
                }
                limits.sweep(clock.now());
                let (with, without) = limits.decided();
                let decided =
                    |by: &'static str| metrics::counter!("tollgate_shared_limits_total", "by" => by);
                decided("redis").increment(with - told.0);
                decided("node").increment(without - told.1);
                told = (with, without);
                metrics::gauge!("tollgate_redis_up").set(f64::from(u8::from(limits.is_up())));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl tollgate_gateway::ports::SharedLimits for Shared {
    fn take(
        &self,
        charges: SmallVec<[SharedCharge; 2]>,
        now: Now,
    ) -> Pin<Box<dyn Future<Output = SharedVerdict> + Send>> {
        let limits = Arc::clone(&self.0);
        Box::pin(async move { limits.take(charges, now).await })
    }
}
