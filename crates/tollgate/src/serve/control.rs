//! The control listener of a node.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tollgate_control::{Courier, Kept, SmtpCourier};
use tollgate_core::time::Clock as _;
use tollgate_store::{SessionLimits, Store};

use super::{health::NodeHealth, listeners};
use crate::{cli::Role, clock::SystemClock, config::Config, failure::Failure, model_file::ChildTrial};

/// The running control listener.
pub(super) struct ControlServer {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
    tidying: JoinHandle<()>,
}

/// How often sessions and links that have ended are deleted.
const TIDY: Duration = Duration::from_secs(600);

impl ControlServer {
    /// Ends it once what is under way is answered.
    pub(super) async fn end(self) -> Result<(), Failure> {
        // Its task may have ended already.
        let _stopped = self.stop.send(());
        self.tidying.abort();
        self.task.await.map_err(Failure::failed)??;
        Ok(())
    }
}

/// Starts it, where the roles want it.
pub(super) async fn start_control(
    (config, roles): (&Config, &[Role]),
    (store, clock, courier): (&Arc<Store>, &Arc<SystemClock>, Option<&Arc<SmtpCourier>>),
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
        store: store.clone(),
        clock: clock.clone(),
        sign_in: sign_in(config, courier),
        follow: health.clone(),
        models: Arc::new(ChildTrial),
        kept: Kept {
            decisions: config.retention.decisions,
            usage_days: config.retention.usage,
            usage_hours: config.retention.usage_hours,
            usage_minutes: config.retention.usage_minutes,
            reminders: config.reminders.rules(),
        },
    };
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(tollgate_control::serve(listener, control, async {
        let _sent = stopped.await;
    }));
    let tidying = tokio::spawn(tidy(store.clone(), clock.clone(), limits(config)));
    Ok(Some(ControlServer { address, stop, task, tidying }))
}

/// Deletes sessions and links that have ended, now and then.
async fn tidy(store: Arc<Store>, clock: Arc<SystemClock>, limits: SessionLimits) {
    loop {
        if let Err(error) = store.forget_ended(limits, clock.now().wall_us).await {
            tracing::warn!(%error, "sessions that have ended could not be deleted; they are tried again");
        }
        tokio::time::sleep(TIDY).await;
    }
}

fn limits(config: &Config) -> SessionLimits {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    SessionLimits { idle_us: micros(config.people.session_idle), life_us: micros(config.people.session_life) }
}

/// How people sign in.
fn sign_in(config: &Config, courier: Option<&Arc<SmtpCourier>>) -> tollgate_control::SignInOptions {
    let people = &config.people;
    tollgate_control::SignInOptions {
        session_idle: people.session_idle,
        session_life: people.session_life,
        public_url: people.public_url.clone(),
        trusted_proxies: people.trusted_proxies.clone(),
        courier: courier.map(|courier| Arc::clone(courier) as Arc<dyn Courier>),
        providers: people.providers(),
        ..tollgate_control::SignInOptions::default()
    }
}
