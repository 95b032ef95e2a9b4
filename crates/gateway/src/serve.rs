//! Starts the gateway on a listener.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use tollgate_core::counters::Counters;
use tollgate_journal::Writer;

use crate::{
    bound_host::BoundHosts,
    http::{
        exchange::{Handler, Lane},
        serve::{Listener, ServeError, Serving},
    },
    lane::{Gateway, Shared},
    options::GatewayOptions,
    pipeline::Gate,
    ports::Ports,
    proxy::health,
};

/// The gateway could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no writer, and so no lane.
    #[error("the gateway needs at least one lane with a journal writer")]
    NoLane,
    /// The lanes of the writers do not follow one another.
    #[error("the journal writers of the gateway must be of lanes that follow one another")]
    LanesApart,
    /// The threads for slow hashes could not be started.
    #[error("cannot start the threads for slow hashes: {0}")]
    Threads(std::io::Error),
    /// The engine could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Serves the gateway until the returned value is drained or dropped, with one lane for each of
/// [`Ports::writers`]. Returns when all lanes accept.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub fn serve<C: Counters + Send + Sync + 'static>(
    listener: Listener,
    options: GatewayOptions,
    ports: Ports<C>,
) -> Result<Serving, StartError> {
    let first_lane = ports.writers.first().map(Writer::lane);
    serve_with(listener, options, ports, move |gateway, lane| {
        if Some(lane.0) == first_lane {
            tokio::task::spawn_local(health::watch(Rc::downgrade(&gateway)));
        }
        Rc::new(Gate(gateway))
    })
}

/// Starts the lanes of a listener with what `wrap` makes of each lane's gateway.
pub(crate) fn serve_with<C: Counters + Send + Sync + 'static, H: Handler>(
    listener: Listener,
    options: GatewayOptions,
    ports: Ports<C>,
    wrap: impl Fn(Rc<Gateway<C>>, Lane) -> Rc<H> + Send + Sync + 'static,
) -> Result<Serving, StartError> {
    let first = ports.writers.first().ok_or(StartError::NoLane)?.lane();
    let in_order = ports.writers.iter().zip(first..).all(|(writer, lane)| writer.lane() == lane);
    let count = u16::try_from(ports.writers.len()).map_err(|_| StartError::LanesApart)?;
    let after = first.checked_add(count).filter(|_| in_order).ok_or(StartError::LanesApart)?;
    let host_lookup = ports.host_lookup.clone();
    let (shared, writers) = Shared::new(options, ports).map_err(StartError::Threads)?;
    let shared = Arc::new(shared);
    let writers = Mutex::new(writers);
    let make = move |lane: Lane| {
        let mut writers = writers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = writers.iter().position(|writer| writer.lane() == lane.0);
        let writer = place.map(|place| writers.swap_remove(place));
        drop(writers);
        let hosts = BoundHosts::new(host_lookup(), shared.options.bound_hosts.clone());
        wrap(Rc::new(Gateway::new(shared.clone(), lane, writer, hosts)), lane)
    };
    Ok(crate::http::serve::serve(listener, first..after, make)?)
}
