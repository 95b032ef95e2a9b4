//! Records: from the gateway to the store, and on to Kafka.

use std::sync::Arc;

use tollgate_core::{event::Batch, time::Clock};
use tollgate_gateway::intake::{Intake, Receipt};
use tollgate_store::{Committing, Ingester, Store};
use tollgate_workers::{EventOptions, RelayOptions, Relaying};

use crate::{cli::Role, config::Config};

/// The name of the sink, which its cursor is told apart by.
const KAFKA: &str = "kafka";
/// Messages on their way to it at once.
const IN_FLIGHT_MAX: usize = 16_384;

/// Hands batches to the store.
pub(super) struct Batches(Ingester);

impl Intake for Batches {
    fn submit(&self, batch: Batch) -> Receipt {
        Box::pin(self.0.submit(batch))
    }
}

/// What works on records beside the requests.
pub(super) struct Records {
    committing: Committing,
    relaying: Relaying,
}

impl Records {
    /// Starts it; the other end is the gateway's.
    pub(super) fn start(
        store: &Arc<Store>,
        clock: &Arc<dyn Clock>,
        node: u64,
        (config, roles): (&Config, &[Role]),
    ) -> (Arc<Batches>, Self) {
        let (ingester, committing) = Ingester::start(Store::clone(store), config.events.intake());
        let works = roles.contains(&Role::Workers);
        let kafka = config.events.kafka.options().filter(|_| works);
        let relays = kafka.map(|kafka| RelayOptions {
            sink: KAFKA.to_owned(),
            producers: Arc::new(kafka),
            policy: config.events.kafka.policy(),
            in_flight_max: IN_FLIGHT_MAX,
        });
        let options = EventOptions {
            relays: relays.into_iter().collect(),
            kept: config.events.kept,
            remembered: config.events.remembered,
            forgets: works,
        };
        (
            Arc::new(Batches(ingester)),
            Self { committing, relaying: Relaying::start(store, clock, node, options) },
        )
    }

    /// Ends it when nothing is answered any more: what waits is committed.
    pub(super) async fn stop(self) {
        if let Err(error) = self.committing.end().await {
            tracing::error!(%error, "the intake of records ended badly");
        }
        self.relaying.stop().await;
    }
}
