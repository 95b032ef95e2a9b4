//! Records: from the gateway to the store, and on to Kafka and InfluxDB.

use std::sync::Arc;

use tollgate_core::{counters::Counters, event::Batch, metric::METRIC_TYPE, tables::Snapshot, time::Clock};
use tollgate_gateway::intake::{Intake, NotReported, Receipt, ReportReceipt, UsageReport};
use tollgate_store::{Committing, Ingester, Store, Stream};
use tollgate_workers::{
    EventOptions, InfluxSink, KafkaOptions, MakeProducer, Metering, MetersKept, RelayOptions, Relaying,
    ReportOptions, Reporter, Reporting, StreamOptions, Takes, UsageIn,
};

use crate::{cli::Role, config::Config};

/// The names of the sinks, which their cursors are told apart by.
const KAFKA: &str = "kafka";
const INFLUX: &str = "influx";
/// Messages on their way to it at once.
const IN_FLIGHT_MAX: usize = 16_384;
/// How often usage of a key or service that is not known is tried again, a second apart: what was made elsewhere
/// is known here within the time of one look at the database, and some of them may fail.
const UNKNOWN_TRIES: u32 = 10;

/// Hands batches to the store, and reports of usage to what counts them.
pub(super) struct Batches {
    ingester: Ingester,
    usage: Arc<UsageIn>,
}

impl Intake for Batches {
    fn submit(&self, batch: Batch) -> Receipt {
        Box::pin(self.ingester.submit(batch))
    }

    fn report(&self, report: UsageReport) -> ReportReceipt {
        let UsageReport { tenant, services, requests } = report;
        let usage = Arc::clone(&self.usage);
        Box::pin(async move {
            let reporter = Reporter { tenant: Some(tenant), services };
            usage.take(&reporter, requests).await.map_err(|refused| match refused {
                tollgate_workers::NotReported::Wrong(wrong) => NotReported::Wrong(wrong),
                tollgate_workers::NotReported::NotTaken(refused) => NotReported::NotTaken(refused),
            })
        })
    }
}

/// What works on records beside the requests.
pub(super) struct Records {
    committing: Committing,
    relaying: Relaying,
    metering: Option<Metering>,
    usage: Arc<UsageIn>,
    reporting: Option<Reporting>,
}

/// What reports of usage are held against.
pub(super) struct Known {
    pub(super) snapshot: Arc<Snapshot>,
    /// `None` where quotas are leased.
    pub(super) counters: Option<Arc<dyn Counters + Send + Sync>>,
}

impl Records {
    /// Starts it; the other end is the gateway's.
    pub(super) fn start(
        store: &Arc<Store>,
        clock: &Arc<dyn Clock>,
        (node, known): (u64, Known),
        (config, roles): (&Config, &[Role]),
    ) -> (Arc<Batches>, Self) {
        let (ingester, committing) = Ingester::start(Store::clone(store), config.events.intake());
        let works = roles.contains(&Role::Workers);
        let Known { snapshot, counters } = known;
        let usage = UsageIn::new(Arc::clone(store), snapshot, ingester.clone(), counters, Arc::clone(clock));
        let usage = Arc::new(usage);
        let kept = MetersKept { minutes: config.retention.usage_minutes, hours: config.retention.usage };
        let metering = works.then(|| Metering::start(store, clock, node, kept));
        let relays = if works { relays(config, clock) } else { Vec::new() };
        let options = EventOptions {
            relays,
            streams: if works { streams(config) } else { Vec::new() },
            kept: config.events.kept,
            remembered: config.events.remembered,
            forgets: works,
        };
        let relaying = Relaying::start(store, clock, node, options);
        let records = Self { committing, relaying, metering, usage: Arc::clone(&usage), reporting: None };
        (Arc::new(Batches { ingester, usage }), records)
    }

    /// Reads reports of usage from here on; not before it is known which keys and services there are.
    pub(super) fn read_reports(&mut self, clock: &Arc<dyn Clock>, (config, roles): (&Config, &[Role])) {
        let works = roles.contains(&Role::Workers);
        self.reporting = config.events.kafka.reports().filter(|_| works).map(|from| {
            let options = ReportOptions { from: Arc::new(from), unknown_tries: UNKNOWN_TRIES };
            Reporting::start(Arc::clone(&self.usage), Arc::clone(clock), options)
        });
    }

    /// Ends it when nothing is answered any more: what waits is committed.
    pub(super) async fn stop(self) {
        if let Some(reporting) = self.reporting {
            reporting.stop().await;
        }
        if let Err(error) = self.committing.end().await {
            tracing::error!(%error, "the intake of records ended badly");
        }
        self.relaying.stop().await;
        if let Some(metering) = self.metering {
            metering.stop().await;
        }
    }
}

/// Decisions and changes, where there are topics for them.
fn streams(config: &Config) -> Vec<StreamOptions> {
    let Some(kafka) = config.events.kafka.options() else { return Vec::new() };
    let to = |stream: Stream, topic: &Option<String>, one_in: u64| {
        let topic = topic.clone()?;
        let producers: Arc<dyn MakeProducer> = Arc::new(KafkaOptions { topic, ..kafka.clone() });
        Some(StreamOptions { stream, producers, one_in })
    };
    let topics = &config.topics;
    let decisions = to(Stream::Decisions, &topics.decisions, topics.decisions_one_in);
    [to(Stream::Audit, &topics.audit, 1), decisions].into_iter().flatten().collect()
}

/// One relay for each sink that is set.
fn relays(config: &Config, clock: &Arc<dyn Clock>) -> Vec<RelayOptions> {
    let kafka = config.events.kafka.options().map(|kafka| RelayOptions {
        sink: KAFKA.to_owned(),
        takes: if config.events.kafka.metrics { Takes::All } else { Takes::AllBut(METRIC_TYPE) },
        producers: Arc::new(kafka),
        policy: config.events.kafka.policy(),
        in_flight_max: IN_FLIGHT_MAX,
    });
    let influx = config.influx.options().map(|options| RelayOptions {
        sink: INFLUX.to_owned(),
        takes: Takes::Only(METRIC_TYPE),
        producers: Arc::new(InfluxSink { options, clock: Arc::clone(clock) }),
        policy: config.influx.policy(),
        in_flight_max: IN_FLIGHT_MAX,
    });
    kafka.into_iter().chain(influx).collect()
}
