//! The small tables and the blocks as one lane sees them, and what it has compiled of them.
//!
//! Held by the lane without counting references across cores; renewed when the process swaps any of
//! them, which one number tells ([`Snapshot::version`]). What did not change is kept, so that a swap
//! costs a lane little.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tollgate_core::{
    blocks::Blocks,
    id::{PolicyId, ServiceId},
    policy::Policy,
    service::Service,
    tables::{ById, Snapshot, Tables},
};

use crate::{
    http::head::RequestHead,
    identity::Granted,
    request,
    service::{ProxyService, balance::Registry},
};

/// The tables of one moment, on one lane.
pub(crate) struct LaneTables {
    pub(crate) tables: Arc<Tables>,
    pub(crate) blocks: Arc<Blocks>,
    /// What the snapshot's version was before they were taken.
    version: u64,
    /// At most one entry for each service in `tables`.
    services: RefCell<ById<ServiceId, Rc<ProxyService>>>,
    /// At most one entry for each policy in `tables`.
    granted: RefCell<ById<PolicyId, Rc<Granted>>>,
}

impl LaneTables {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        // The version first: what is replaced from here on is seen at the next look.
        let version = snapshot.version();
        let (tables, blocks) = (snapshot.tables(), snapshot.blocks());
        Self { tables, blocks, version, services: RefCell::default(), granted: RefCell::default() }
    }

    /// Whether nothing was replaced since it was made.
    pub(crate) fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.version == snapshot.version()
    }

    /// What there is now, with what still holds of this.
    pub(crate) fn renewed(&self, snapshot: &Snapshot) -> Self {
        let fresh = Self::new(snapshot);
        let tables = &fresh.tables;
        let still_holds = |id: &ServiceId, compiled: &Rc<ProxyService>| {
            tables.services.get(id).is_some_and(|service| compiled.is_of(service, tables))
        };
        let services = self.services.borrow();
        let kept = services
            .iter()
            .filter(|(id, compiled)| still_holds(id, compiled))
            .map(|(id, compiled)| (*id, compiled.clone()))
            .collect();
        Self { services: RefCell::new(kept), ..fresh }
    }

    /// The service that takes a request. A preflight is asked on behalf of the method it names;
    /// where that finds nothing that answers preflights, it is an `OPTIONS` request like any other.
    pub(crate) fn route(
        &self,
        head: &RequestHead,
        path: &str,
        preflight: Option<&str>,
        registry: &Registry,
    ) -> Option<Rc<ProxyService>> {
        let host = request::host(head);
        let find = |method: &str| {
            self.tables.router.find(host, path, method).map(|found| self.compiled(found, registry))
        };
        preflight.and_then(find).filter(|service| service.cors.is_some()).or_else(|| find(head.method()))
    }

    /// What this lane has made of a service.
    pub(crate) fn compiled(&self, service: &Arc<Service>, registry: &Registry) -> Rc<ProxyService> {
        if let Some(compiled) = self.services.borrow().get(&service.id) {
            return compiled.clone();
        }
        let compiled = Rc::new(ProxyService::compile(service, &self.tables, registry));
        self.services.borrow_mut().insert(service.id, compiled.clone());
        compiled
    }

    /// What upstreams are told of all keys of a policy.
    pub(crate) fn granted(&self, policy: Option<&Policy>) -> Rc<Granted> {
        let Some(id) = policy.map(|policy| policy.id) else { return Rc::new(Granted::of(None)) };
        if let Some(known) = self.granted.borrow().get(&id) {
            return known.clone();
        }
        let made = Rc::new(Granted::of(policy));
        self.granted.borrow_mut().insert(id, made.clone());
        made
    }
}
