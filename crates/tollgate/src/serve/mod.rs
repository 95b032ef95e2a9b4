//! `tollgate serve`: starts a node, waits for a signal, ends it in order.

mod control;
mod data_plane;
mod health;
mod ingest;
mod listeners;
mod models;
mod node;
mod process;
mod shared;
mod sinks;
mod treasury;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::ServeArgs,
    context::Context,
    failure::Failure,
    telemetry::{start_log, start_metrics},
};

pub(crate) use node::{Addresses, Node};
pub(crate) use process::prepare as prepare_process;

pub(crate) async fn run(context: Context, args: &ServeArgs) -> Result<(), Failure> {
    prepare_process();
    start_log(&context.config.log)?;
    let metrics = start_metrics()?;
    let mut signals = Signals::new()?;
    // A signal during the start ends it: nothing has been answered yet.
    let node = tokio::select! {
        started = Node::start(&context, &args.roles, metrics) => started?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Ok(());
        }
    };
    let addresses = node.addresses();
    tracing::info!(
        gateway = addresses.gateway.map(tracing::field::display),
        service_api = addresses.service_api.map(tracing::field::display),
        control = addresses.control.map(tracing::field::display),
        "ready"
    );
    let name = signals.next().await;
    tracing::info!(
        signal = name,
        "draining: no new connections, requests in flight finish; a second signal ends at once"
    );
    let drained = tokio::select! {
        drained = node.drain() => drained,
        name = signals.next() => {
            tracing::warn!(signal = name, "ended without draining; what was answered is in the journal");
            return Err(Failure::Said);
        }
    };
    drained?;
    tracing::info!("ended");
    Ok(())
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one; its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
