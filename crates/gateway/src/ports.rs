//! What the gateway needs from the rest of the process, and nothing more: it never sees the store.

use std::{rc::Rc, sync::Arc};

use tollgate_core::{tables::Snapshot, time::Clock};
use tollgate_journal::Writer;

use crate::{
    bound_host::{MakeHostLookup, SystemHosts},
    slow_hash::RehashSink,
};

/// The gateway's ends of its ports.
pub struct Ports<C> {
    /// All that decisions are made from.
    pub snapshot: Arc<Snapshot>,
    /// Live counters of limits and quotas.
    pub counters: Arc<C>,
    /// One writer of the usage journal for each lane; their lanes follow one another.
    pub writers: Vec<Writer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Takes credentials whose slow or foreign hash should be replaced.
    pub rehash: Arc<dyn RehashSink>,
    /// Makes each lane's resolver of the hosts that keys are bound to.
    pub host_lookup: MakeHostLookup,
}

/// The system's resolver, for [`Ports::host_lookup`].
#[must_use]
pub fn system_host_lookup() -> MakeHostLookup {
    Arc::new(|| Rc::new(SystemHosts::new()))
}
