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
use tokio::{sync::mpsc, task::JoinHandle};
use tollgate_control::SmtpCourier;
use tollgate_core::{tables::Snapshot, time::Now};
use tollgate_counters::{LocalCounters, Quotas as QuotaCount};
use tollgate_gateway::http::serve::Serving;
use tollgate_journal::Journal;
use tollgate_store::{Engine, Rehash, Store};
use tollgate_workers::{
    FundsOptions, Options as WorkerOptions, Parts, Postman, Prepared, QuotaAsk, QuotaOptions, RemindOptions,
    Running, SealOptions, UsageKept, Webhooks,
};

use super::{
    control::{ControlServer, start_control},
    data_plane::{DataPlane, open_journal},
    health::{NodeHealth, Phase},
    ingest::{Known, Records},
    listeners, models,
    process::put_behind_requests,
    shared::Shared,
    sinks::{Post, Quotas, REHASHES_MAX},
    treasury::Purse,
};
use crate::{cli::Role, clock::SystemClock, config::Config, context::Context, data_dir, failure::Failure};

/// How often the highest wall time is written down, and metrics are tidied.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long mails that wait may hold up the end.
const MAIL_PATIENCE: Duration = Duration::from_secs(10);

/// A running node.
pub(crate) struct Node {
    gateway: Option<Serving>,
    service_api: Option<Serving>,
    control: Option<ControlServer>,
    courier: Option<Arc<SmtpCourier>>,
    running: Running,
    records: Records,
    webhooks: Option<Webhooks>,
    health: Arc<NodeHealth>,
    clock: Arc<SystemClock>,
    upkeep: [JoinHandle<()>; 2],
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

impl Node {
    /// Starts a node; returns when it is ready.
    pub(crate) async fn start(
        context: &Context,
        roles: &[Role],
        metrics: PrometheusHandle,
    ) -> Result<Self, Failure> {
        let config = &context.config;
        let clock = context.clock.clone();
        let store = Arc::new(context.store_of_node().await?);
        let lock = data_dir::lock(&config.data_dir)?;
        let node = data_dir::node_id(&config.data_dir)?;
        let boot = u64::from_le_bytes(data_dir::random()?) >> 16;
        let journal = open_journal(config, roles, boot)?.map(Arc::new);
        let secrets = usize::try_from(store.count_keys().await?).unwrap_or(usize::MAX);
        let snapshot = Arc::new(Snapshot::with_capacity(secrets));
        let health = Arc::new(NodeHealth::new(node, roles, clock.clone(), snapshot.clone(), journal.clone()));
        let courier = start_courier(config)?;
        let control =
            start_control((config, roles), (&store, &clock, courier.as_ref()), &health, metrics.clone())
                .await?;
        let (treasury, funds, quota_asks) = Purse::new(roles.contains(&Role::Workers));
        let (rehashes, rehash_inbox) = mpsc::channel(REHASHES_MAX);
        let wall: Arc<dyn tollgate_core::time::Clock> = clock.clone();
        let counters = Arc::new(LocalCounters::default().with_quotas(quotas_of(store.engine())));
        let limits = Shared::start(config)?;
        let counts = counters.quotas() == QuotaCount::Counted;
        let known = Known { snapshot: snapshot.clone(), counters: counts.then(|| counters.clone() as _) };
        let (intake, mut records) = Records::start(&store, &wall, (node, known), (config, roles));
        let sends = roles.contains(&Role::Workers);
        let webhooks = sends.then(|| Webhooks::start(&store, &wall, node, config.webhooks.options()));
        let mut plane = DataPlane {
            snapshot,
            counters,
            limits: limits.clone(),
            treasury,
            clock: clock.clone(),
            rehashes,
            intake,
            models: models::port(None),
        };
        let inboxes = Inboxes { rehashes: rehash_inbox, funds, quota_asks };
        let kept = (&store, journal.as_ref(), courier.as_ref());
        let parts = worker_parts(&plane, inboxes, kept, (config, roles), (node, boot))?;
        let prepared: Prepared = parts.prepare().await.map_err(prepare_failure)?;
        health.follow(prepared.progress());
        let host = models::start((config, roles), &plane.snapshot, &wall).await?;
        plane.models = models::port(host.as_ref());
        health.holds(host);
        announce(&store, &plane.snapshot, config.assertion.key_file.is_some()).await?;
        records.read_reports(&wall, (config, roles));
        let running = prepared.start().await?;
        let (running, (gateway, service_api)) =
            listen(running, (config, roles), &plane, journal.as_ref()).await?;
        tell_url(&health, config, gateway.as_ref());
        health.enter(Phase::Serving);
        let upkeep = [tokio::spawn(keep_up(clock.clone(), metrics)), limits.keep_up(&store, &wall)];
        Ok(Self {
            gateway,
            service_api,
            control,
            courier,
            running,
            records,
            webhooks,
            health,
            clock,
            upkeep,
            drain_timeout: config.gateway.drain_timeout,
            _lock: lock,
        })
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
        self.records.stop().await;
        if let Some(webhooks) = self.webhooks {
            webhooks.stop().await;
        }
        let stopped = self.running.stop().await;
        self.upkeep.iter().for_each(JoinHandle::abort);
        if let Err(error) = self.clock.persist() {
            tracing::warn!(%error, "the highest wall time could not be written down");
        }
        if let Some(control) = self.control {
            control.end().await?;
        }
        if let Some(courier) = self.courier {
            courier.end(MAIL_PATIENCE).await;
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

/// What the gateway asks of the workers, at the workers' end; each is bounded.
struct Inboxes {
    rehashes: mpsc::Receiver<Rehash>,
    funds: FundsOptions,
    quota_asks: mpsc::Receiver<QuotaAsk>,
}

/// What the workers of this node work on.
fn worker_parts(
    plane: &DataPlane,
    inboxes: Inboxes,
    (store, journal, courier): (&Arc<Store>, Option<&Arc<Journal>>, Option<&Arc<SmtpCourier>>),
    (config, roles): (&Config, &[Role]),
    (node, boot): (u64, u64),
) -> Result<Parts, Failure> {
    let Inboxes { rehashes, funds, quota_asks } = inboxes;
    Ok(Parts {
        store: Arc::clone(store),
        snapshot: Arc::clone(&plane.snapshot),
        journal: journal.cloned(),
        clock: plane.clock.clone(),
        quotas: Arc::new(Quotas(Arc::clone(&plane.counters))),
        sweep: sweeping(&plane.counters),
        rehashes,
        seal: seals(config, roles)?,
        remind: reminding(config, roles, courier),
        rules: roles.contains(&Role::Workers),
        funds: Some(funds),
        quota_leases: quota_leases(&plane.counters, quota_asks),
        node,
        boot,
        options: worker_options(config, roles),
    })
}

/// How quotas are kept: a SQLite database has one node, which counts them by itself.
const fn quotas_of(engine: Engine) -> QuotaCount {
    match engine {
        Engine::Sqlite => QuotaCount::Counted,
        Engine::Postgres => QuotaCount::Leased,
    }
}

/// What leases the quotas of this process, where they are leased.
fn quota_leases(counters: &Arc<LocalCounters>, asks: mpsc::Receiver<QuotaAsk>) -> Option<QuotaOptions> {
    let cells = Arc::new(Quotas(Arc::clone(counters)));
    (counters.quotas() == QuotaCount::Leased).then_some(QuotaOptions { cells, asks })
}

/// Drops counters that are as good as new.
fn sweeping(counters: &Arc<LocalCounters>) -> Arc<dyn Fn(Now) + Send + Sync> {
    let counters = Arc::clone(counters);
    Arc::new(move |now| {
        let _dropped = counters.sweep(now);
    })
}

/// Says under which address the gateway is reached, for the console.
fn tell_url(health: &NodeHealth, config: &Config, gateway: Option<&Serving>) {
    let at = gateway.map(Serving::local_addr);
    if let Some(url) = listeners::gateway_url(&config.gateway, at) {
        health.reached_at(url);
    }
}

/// Starts what sends mail, where a server is set.
fn start_courier(config: &Config) -> Result<Option<Arc<SmtpCourier>>, Failure> {
    let started = config.smtp.options().map(|options| SmtpCourier::start(&options));
    started.transpose().map_err(Failure::failed)
}

/// Opens the listeners of the data plane; from then on everything else stands behind requests. When that fails the
/// node is taken off the list, or `revoke --wait` would wait for one that never served.
async fn listen(
    running: Running,
    (config, roles): (&Config, &[Role]),
    plane: &DataPlane,
    journal: Option<&Arc<Journal>>,
) -> Result<(Running, (Option<Serving>, Option<Serving>)), Failure> {
    match journal.map_or(Ok((None, None)), |journal| plane.listen(config, roles, journal)) {
        Ok(listening) => {
            if listening.0.is_some() || listening.1.is_some() {
                put_behind_requests();
            }
            Ok((running, listening))
        }
        Err(failure) => {
            let _retired = running.stop().await;
            Err(failure)
        }
    }
}

/// How this node seals the audit, where it has the role for it.
fn seals(config: &Config, roles: &[Role]) -> Result<Option<SealOptions>, Failure> {
    if !roles.contains(&Role::Workers) {
        return Ok(None);
    }
    let key = Arc::new(data_dir::audit_key(&config.audit_key_file())?);
    Ok(Some(SealOptions::new(key, config.audit_checkpoint_file(), config.audit.syslog.clone())))
}

/// Whom this node reminds of what, where it has the role for it.
fn reminding(config: &Config, roles: &[Role], courier: Option<&Arc<SmtpCourier>>) -> Option<RemindOptions> {
    let postman = courier.map(|courier| Arc::new(Post(Arc::clone(courier))) as Arc<dyn Postman>);
    let console = config.people.public_url.clone();
    let options = RemindOptions { rules: config.reminders.rules(), postman, console };
    roles.contains(&Role::Workers).then_some(options)
}

fn worker_options(config: &Config, roles: &[Role]) -> WorkerOptions {
    WorkerOptions {
        poll_every: config.feed.poll,
        lease: config.feed.lease,
        decisions_kept: config.retention.decisions,
        usage_kept: UsageKept {
            minutes: config.retention.usage_minutes,
            hours: config.retention.usage_hours,
            days: config.retention.usage,
        },
        // Following the feed and shipping the own journal are part of serving; forgetting is left to the
        // nodes that have the role.
        forgets: roles.contains(&Role::Workers),
        ..WorkerOptions::default()
    }
}

/// Says what an operator should know about what is served.
async fn announce(store: &Store, snapshot: &Snapshot, signs_assertions: bool) -> Result<(), Failure> {
    let check = store.check().await?;
    if !check.initialised {
        tracing::warn!("there is no tenant yet; run `tollgate init`");
    }
    if let Some(reason) = check.not_writable {
        tracing::warn!(reason, "the database cannot be written");
    }
    let secrets = store.check_secrets().await?;
    if let Some(problem) = secrets.problem {
        tracing::error!(problem, "secrets cannot be decrypted here; services that send one answer 503");
    }
    for secret in secrets.unreadable {
        tracing::error!(secret, "cannot be decrypted here; what needs it answers 503");
    }
    let tables = snapshot.tables();
    for service in tables.services.values().filter(|service| service.spec.public) {
        tracing::warn!(service = service.name(), "is served WITHOUT a key: it says `public = true`");
    }
    if !signs_assertions {
        for service in tables.services.values().filter(|service| service.spec.assertion) {
            tracing::warn!(
                service = service.name(),
                "asks for assertions and gets NONE: set assertion.key_file, or take `assertion = true` away"
            );
        }
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
