//! One running node: started in an order in which nothing is answered that could not be counted,
//! ended in the reverse.
//!
//! | start | because |
//! | --- | --- |
//! | folder locked, database and journal opened | one process a folder |
//! | control listener | `/livez` while a large keyring loads |
//! | leftovers shipped, snapshot loaded, quotas counted | in this order quotas are exact |
//! | tasks, with the first heartbeat | `revoke --wait` must know of this node before it serves |
//! | gateway and service API, then ready | |

use std::{fs::File, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tollgate_core::tables::Snapshot;
use tollgate_counters::LocalCounters;
use tollgate_gateway::{
    http::serve::Serving,
    ports::{Ports, system_host_lookup},
    service_api,
};
use tollgate_journal::{Journal, Options as JournalOptions, Writer};
use tollgate_store::Store;
use tollgate_workers::{Options as WorkerOptions, Parts, Prepared, Running};

use super::{
    health::{NodeHealth, Phase},
    listeners,
    sinks::{Quotas, REHASHES_MAX, Rehashes},
};
use crate::{cli::Role, clock::SystemClock, config::Config, context::Context, data_dir, failure::Failure};

/// How often the highest wall time is written down, and metrics are tidied.
const UPKEEP: Duration = Duration::from_secs(5);
/// The largest segment of the journal.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// The smallest.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Segments are a multiple of this.
const SEGMENT_BYTES_STEP: u64 = 4096;

/// A running node.
pub(crate) struct Node {
    gateway: Option<Serving>,
    service_api: Option<Serving>,
    control: Option<ControlServer>,
    running: Running,
    health: Arc<NodeHealth>,
    clock: Arc<SystemClock>,
    upkeep: JoinHandle<()>,
    drain_timeout: Duration,
    /// Held until the end, so that no second process uses the folder.
    _lock: File,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) service_api: Option<SocketAddr>,
    pub(crate) control: Option<SocketAddr>,
}

struct ControlServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// What the data plane's listeners share.
struct DataPlane {
    snapshot: Arc<Snapshot>,
    counters: Arc<LocalCounters>,
    clock: Arc<SystemClock>,
    rehashes: mpsc::Sender<tollgate_store::Rehash>,
}

impl Node {
    /// Starts a node; returns when it is ready.
    pub(crate) async fn start(
        context: &Context,
        roles: &[Role],
        metrics: PrometheusHandle,
    ) -> Result<Self, Failure> {
        let config = &context.config;
        let clock = context.clock.clone();
        let store = Arc::new(context.store_or_new().await?);
        let lock = data_dir::lock(&config.data_dir)?;
        let node = data_dir::node_id(&config.data_dir)?;
        let boot = u64::from_le_bytes(data_dir::random()?) >> 16;
        let journal = open_journal(config, roles, boot)?.map(Arc::new);
        let secrets = usize::try_from(store.count_keys().await?).unwrap_or(usize::MAX);
        let snapshot = Arc::new(Snapshot::with_capacity(secrets));
        let health = Arc::new(NodeHealth::new(node, roles, clock.clone(), snapshot.clone(), journal.clone()));
        let control = start_control(config, roles, &health, metrics.clone()).await?;

        let (rehashes, rehash_inbox) = mpsc::channel(REHASHES_MAX);
        let plane = DataPlane {
            snapshot,
            counters: Arc::new(LocalCounters::default()),
            clock: clock.clone(),
            rehashes,
        };
        let sweeper = plane.counters.clone();
        let parts = Parts {
            store: store.clone(),
            snapshot: plane.snapshot.clone(),
            journal: journal.clone(),
            clock: clock.clone(),
            quotas: Arc::new(Quotas(plane.counters.clone())),
            sweep: Arc::new(move |now| {
                let _dropped = sweeper.sweep(now);
            }),
            rehashes: rehash_inbox,
            node,
            boot,
            options: worker_options(config, roles),
        };
        let prepared: Prepared = parts.prepare().await.map_err(prepare_failure)?;
        health.follow(prepared.progress());
        announce(&store, &plane.snapshot).await?;
        let running = prepared.start().await?;
        let (gateway, service_api) = match &journal {
            Some(journal) => plane.listen(config, roles, journal)?,
            None => (None, None),
        };
        health.enter(Phase::Serving);
        let upkeep = tokio::spawn(keep_up(clock.clone(), metrics));
        let drain_timeout = config.gateway.drain_timeout;
        Ok(Self { gateway, service_api, control, running, health, clock, upkeep, drain_timeout, _lock: lock })
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            gateway: self.gateway.as_ref().map(Serving::local_addr),
            service_api: self.service_api.as_ref().map(Serving::local_addr),
            control: self.control.as_ref().map(|control| control.address),
        }
    }

    /// Ends it: takes nothing new, finishes what is in flight, ships the rest.
    pub(crate) async fn drain(self) -> Result<(), Failure> {
        self.health.enter(Phase::Draining);
        let within = self.drain_timeout;
        let listeners = [self.gateway, self.service_api];
        let drains = listeners.map(|serving| {
            tokio::task::spawn_blocking(move || serving.map_or(0, |serving| serving.drain(within).cut))
        });
        for drain in drains {
            let cut = drain.await.map_err(Failure::failed)?;
            if cut > 0 {
                tracing::warn!(cut, "connections were cut: they were not done within gateway.drain_timeout");
            }
        }
        let stopped = self.running.stop().await;
        self.upkeep.abort();
        if let Err(error) = self.clock.persist() {
            tracing::warn!(%error, "the highest wall time could not be written down");
        }
        if let Some(control) = self.control {
            // Its task may have ended already.
            let _stopped = control.stop.send(());
            control.task.await.map_err(Failure::failed)??;
        }
        stopped.map_err(|error| {
            let failure = prepare_failure(error);
            let why = failure.message().unwrap_or_default();
            Failure::failed(format!(
                "{why}\nthe latest usage stays in the journal and is shipped at the next start"
            ))
        })
    }
}

impl DataPlane {
    /// Starts the gateway and the service API, as far as the roles want them.
    fn listen(
        &self,
        config: &Config,
        roles: &[Role],
        journal: &Journal,
    ) -> Result<(Option<Serving>, Option<Serving>), Failure> {
        let lanes = listeners::lanes(config);
        let mut gateway = None;
        if roles.contains(&Role::Gateway) {
            let listener = listeners::listener(config, &config.gateway.listener)?;
            let ports = self.ports(writers(journal, 0..lanes)?);
            let served = tollgate_gateway::serve(listener, listeners::options(config)?, ports);
            gateway = Some(served.map_err(Failure::failed)?);
        }
        let mut service_api = None;
        if roles.contains(&Role::ServiceApi) {
            let listener = listeners::listener(config, &config.service_api)?;
            let ports = self.ports(writers(journal, lanes..lanes * 2)?);
            let served = service_api::serve(listener, listeners::options(config)?, ports);
            service_api = Some(served.map_err(Failure::failed)?);
        }
        Ok((gateway, service_api))
    }

    fn ports(&self, writers: Vec<Writer>) -> Ports<LocalCounters> {
        Ports {
            snapshot: self.snapshot.clone(),
            counters: self.counters.clone(),
            writers,
            clock: self.clock.clone(),
            rehash: Arc::new(Rehashes(self.rehashes.clone())),
            host_lookup: system_host_lookup(),
        }
    }
}

fn writers(journal: &Journal, lanes: std::ops::Range<u16>) -> Result<Vec<Writer>, Failure> {
    lanes.map(|lane| Ok(journal.writer(lane)?)).collect()
}

/// The journal, where anything is answered that must be counted.
fn open_journal(config: &Config, roles: &[Role], boot: u64) -> Result<Option<Journal>, Failure> {
    let listeners =
        [Role::Gateway, Role::ServiceApi].iter().filter(|role| roles.contains(role)).count() as u64;
    if listeners == 0 {
        return Ok(None);
    }
    let lanes = u64::from(listeners::lanes(config)) * listeners;
    // Every lane holds up to three segments; half of the room is for what waits to be shipped.
    let fitting = config.journal.bytes_max / (lanes * 6) / SEGMENT_BYTES_STEP * SEGMENT_BYTES_STEP;
    let options = JournalOptions {
        segment_bytes: fitting.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
        bytes_max: config.journal.bytes_max,
        ..JournalOptions::default()
    };
    let (journal, recovery) = Journal::open(config.journal_dir(), boot, options)?;
    if recovery.records > 0 || recovery.lost_records > 0 {
        tracing::info!(
            records = recovery.records,
            torn = recovery.torn_records,
            lost = recovery.lost_records,
            "an earlier run left usage records; they are shipped first"
        );
    }
    Ok(Some(journal))
}

fn worker_options(config: &Config, roles: &[Role]) -> WorkerOptions {
    let mut options = WorkerOptions {
        poll_every: config.feed.poll,
        lease: config.feed.lease,
        decisions_kept: config.retention.decisions,
        usage_kept: config.retention.usage,
        ..WorkerOptions::default()
    };
    if !roles.contains(&Role::Workers) {
        // Forgetting is left to the nodes that have the role; following the feed and shipping the
        // own journal are part of serving.
        const NEVER: Duration = Duration::from_secs(200 * 365 * 86_400);
        options.decisions_kept = NEVER;
        options.usage_kept = NEVER;
    }
    options
}

async fn start_control(
    config: &Config,
    roles: &[Role],
    health: &Arc<NodeHealth>,
    metrics: PrometheusHandle,
) -> Result<Option<ControlServer>, Failure> {
    if !roles.contains(&Role::Control) {
        return Ok(None);
    }
    let wanted = config.control.listen;
    let listener =
        TcpListener::bind(wanted).await.map_err(|error| listeners::cannot_listen(wanted, &error))?;
    let address = listener.local_addr()?;
    let measured = health.clone();
    let control = tollgate_control::Control {
        health: health.clone(),
        metrics: Arc::new(move || {
            measured.measure();
            metrics.render()
        }),
        version: env!("CARGO_PKG_VERSION"),
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(tollgate_control::serve(listener, control, async {
        let _sent = stopped.await;
    }));
    Ok(Some(ControlServer { address, stop, task }))
}

/// Says what an operator should know about what is served.
async fn announce(store: &Store, snapshot: &Snapshot) -> Result<(), Failure> {
    let check = store.check().await?;
    if !check.initialised {
        tracing::warn!("there is no tenant yet; run `tollgate init`");
    }
    if let Some(reason) = check.not_writable {
        tracing::warn!(reason, "the database cannot be written");
    }
    let tables = snapshot.tables();
    for service in tables.services.values().filter(|service| service.spec.public) {
        tracing::warn!(service = service.name(), "is served WITHOUT a key: it says `public = true`");
    }
    tracing::info!(
        engine = check.engine.name(),
        secrets = snapshot.keyring.len(),
        services = tables.services.len(),
        policies = tables.policies.len(),
        change = check.head,
        "loaded"
    );
    Ok(())
}

/// Writes the highest wall time down and tidies the metrics, now and then.
async fn keep_up(clock: Arc<SystemClock>, metrics: PrometheusHandle) {
    let mut was_written = true;
    loop {
        let written = clock.persist();
        if let (Err(error), true) = (&written, was_written) {
            tracing::warn!(%error, "the highest wall time cannot be written down");
        }
        was_written = written.is_ok();
        metrics.run_upkeep();
        tokio::time::sleep(UPKEEP).await;
    }
}

fn prepare_failure(error: tollgate_workers::PrepareError) -> Failure {
    match error {
        tollgate_workers::PrepareError::Store(error) => error.into(),
        tollgate_workers::PrepareError::Leftovers { cause, .. } => {
            let cause = cause.map(|cause| format!("\n  cause: {cause}")).unwrap_or_default();
            Failure::failed(format!("usage of an earlier run cannot be taken over{cause}"))
        }
    }
}
