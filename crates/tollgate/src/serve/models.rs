//! Models of this node: held by the host of `inference`.

use std::sync::Arc;

use tollgate_core::{
    serving::{Models, NoModels},
    tables::Snapshot,
    time::Clock,
};
use tollgate_inference::{Host, HostOptions};

use crate::{cli::Role, config::Config, failure::Failure, model_file::ChildTrial};

/// Starts the host where requests are answered. What is registered is loaded before it returns.
pub(super) async fn start(
    (config, roles): (&Config, &[Role]),
    snapshot: &Arc<Snapshot>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<Host>>, Failure> {
    if !roles.contains(&Role::Gateway) {
        return Ok(None);
    }
    let options = HostOptions {
        snapshot: Arc::clone(snapshot),
        clock: Arc::clone(clock),
        threads: usize::from(super::listeners::lanes(config)),
        trial: Arc::new(ChildTrial),
    };
    let started = tokio::task::spawn_blocking(move || Host::start(options)).await.map_err(Failure::failed)?;
    let host = started.map_err(|error| Failure::failed(format!("models cannot be run: {error}")))?;
    Ok(Some(Arc::new(host)))
}

/// The gateway's end.
pub(super) fn port(host: Option<&Arc<Host>>) -> Arc<dyn Models> {
    match host {
        Some(host) => Arc::clone(host) as Arc<dyn Models>,
        None => Arc::new(NoModels),
    }
}
