//! The small tables as one lane sees them, and what it has compiled of them.
//!
//! Held by the lane without counting references across cores; renewed when the process swaps its
//! tables. What did not change is kept, so that a swap costs a lane little.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use tollgate_core::{
    id::{PolicyId, ServiceId},
    keyring::PlainHash,
    policy::Policy,
    service::Service,
    tables::Tables,
};

use crate::{
    http::{field::FieldValue, head::RequestHead},
    identity::scopes_value,
    request,
    service::{ProxyService, balance::Registry},
};

/// The tables of one moment, on one lane.
pub(crate) struct LaneTables {
    pub(crate) tables: Arc<Tables>,
    /// At most one entry for each service in `tables`.
    services: RefCell<HashMap<ServiceId, Rc<ProxyService>, PlainHash>>,
    /// At most one entry for each policy in `tables`.
    scopes: RefCell<HashMap<PolicyId, FieldValue, PlainHash>>,
}

impl LaneTables {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Self { tables, services: RefCell::default(), scopes: RefCell::default() }
    }

    /// Whether it was made of these tables.
    pub(crate) fn is_of(&self, tables: &Arc<Tables>) -> bool {
        Arc::ptr_eq(&self.tables, tables)
    }

    /// Other tables, with what still holds of this.
    pub(crate) fn renewed(&self, tables: Arc<Tables>) -> Self {
        let still_holds = |id: &ServiceId, compiled: &Rc<ProxyService>| {
            tables.services.get(id).is_some_and(|service| compiled.is_of(service, &tables))
        };
        let services = self.services.borrow();
        let kept = services
            .iter()
            .filter(|(id, compiled)| still_holds(id, compiled))
            .map(|(id, compiled)| (*id, compiled.clone()))
            .collect();
        Self { tables, services: RefCell::new(kept), scopes: RefCell::default() }
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

    /// The scopes of a policy as upstreams are told them.
    pub(crate) fn scopes(&self, policy: Option<&Policy>) -> FieldValue {
        let Some(id) = policy.map(|policy| policy.id) else { return scopes_value(None) };
        if let Some(value) = self.scopes.borrow().get(&id) {
            return value.clone();
        }
        let value = scopes_value(policy);
        self.scopes.borrow_mut().insert(id, value.clone());
        value
    }
}
