//! A service as a lane serves it: origins parsed, header changes and fixed values ready; which
//! upstream, which path, which cross-origin fields.

pub(crate) mod balance;
pub(crate) mod cors;
pub(crate) mod route;
pub(crate) mod signing;
mod target;

use std::{cell::Cell, rc::Rc, sync::Arc};

use tollgate_core::{
    ingest_spec::BODY_BYTES_DEFAULT,
    metrics_spec::METRICS_BODY_BYTES_DEFAULT,
    predict_spec::PREDICT_BYTES_DEFAULT,
    reach::Hold,
    resource::{HeadersSpec, ServiceKind, ServiceSpec},
    service::Service,
    signature::spec::SIGNED_BYTES_DEFAULT,
    tables::Tables,
};
use tollgate_wire::headers::IDENTITY_PREFIX;

use self::{
    balance::{Condition, Registry},
    cors::Cors,
    route::LlmService,
    signing::Signing,
    target::Retarget,
};
use crate::{
    http::{
        bounds::Timeouts,
        field::{FieldName, FieldValue},
        lines::Lines,
        strip::StripList,
        upstream::{Origin, OriginTls},
    },
    identity::value_of,
    names,
    options::GatewayOptions,
    request::credential::Places,
};

/// One service, compiled by one lane.
pub(crate) struct ProxyService {
    pub(crate) service: Arc<Service>,
    pub(crate) places: Places,
    pub(crate) cors: Option<Cors>,
    pub(crate) retarget: Retarget,
    pub(crate) request_headers: HeaderChanges,
    pub(crate) response_headers: HeaderChanges,
    pub(crate) timeouts: Timeouts,
    pub(crate) tenant: FieldValue,
    pub(crate) project: FieldValue,
    /// What of every client's fields does not go upstream.
    pub(crate) strips: Rc<StripList>,
    /// What upstreams are told of every request: tenant and project.
    pub(crate) told: Lines,
    /// Of a service that asks for signatures.
    pub(crate) signing: Option<Box<Signing>>,
    /// Of a service of kind `llm`.
    pub(crate) llm: Option<Box<LlmService>>,
    tenant_name: Box<str>,
    project_name: Box<str>,
    /// One entry for each in `conditions`.
    pub(crate) origins: Box<[Origin]>,
    pub(crate) conditions: Box<[Arc<Condition>]>,
    turn: Cell<usize>,
    /// How far its upstreams reach.
    hold: Hold,
}

impl ProxyService {
    /// Compiles a service. What cannot be used (a file of authorities that is gone) goes to the log
    /// and is left out; a service without any upstream answers `upstream_unreachable`.
    pub(crate) fn compile(service: &Arc<Service>, tables: &Tables, registry: &Registry) -> Self {
        let spec = &*service.spec;
        let hold = spec.marks().hold(tables.tenants.len());
        let is_llm = spec.kind == ServiceKind::Llm;
        let places = if is_llm { Places::of_llm(&spec.credentials) } else { Places::of(&spec.credentials) };
        let (tenant_name, project_name) = names_of(service, tables);
        let (tenant, project) = (value_of(&tenant_name), value_of(&project_name));
        let mut told = Lines::default();
        told.add(&names::X_TOLLGATE_TENANT, &tenant);
        told.add(&names::X_TOLLGATE_PROJECT, &project);
        let request_headers = HeaderChanges::of(&spec.request_headers, service.name());
        let Upstreams { origins, conditions } = Upstreams::of(service, &spec.upstreams, (registry, hold));
        Self {
            llm: LlmService::compile(service, (registry, hold)).map(Box::new),
            signing: Signing::compile(service).map(Box::new),
            cors: Cors::of(spec, &places),
            places,
            retarget: Retarget::of(spec),
            strips: Rc::new(request_headers.strips()),
            request_headers,
            response_headers: HeaderChanges::of(&spec.response_headers, service.name()),
            timeouts: Timeouts {
                connect: spec.timeouts.connect.to_std(),
                response_head: spec.timeouts.response.to_std(),
                body_idle: spec.timeouts.idle.to_std(),
            },
            tenant,
            project,
            told,
            tenant_name,
            project_name,
            origins,
            conditions,
            turn: Cell::new(0),
            hold,
            service: service.clone(),
        }
    }

    /// Whether it still is what these tables say.
    pub(crate) fn is_of(&self, service: &Arc<Service>, tables: &Tables) -> bool {
        let (tenant, project) = names_of(service, tables);
        // What a tenant wrote while it was alone is held once it is not.
        let is_same = self.hold == service.spec.marks().hold(tables.tenants.len());
        is_same
            && Arc::ptr_eq(&self.service, service)
            && self.tenant_name == tenant
            && self.project_name == project
    }

    /// The largest request body in bytes.
    pub(crate) fn body_bytes_max(&self, options: &GatewayOptions) -> u64 {
        let spec = &self.service.spec;
        let usual = match spec.kind {
            ServiceKind::Ingest => BODY_BYTES_DEFAULT,
            ServiceKind::Metrics => METRICS_BODY_BYTES_DEFAULT,
            // It is held whole until its signature is known to be right.
            ServiceKind::Proxy if spec.signature.is_some() => SIGNED_BYTES_DEFAULT,
            ServiceKind::Predict => PREDICT_BYTES_DEFAULT,
            ServiceKind::Proxy | ServiceKind::Llm => options.body_bytes_max,
        };
        spec.body_bytes_max.unwrap_or(usual)
    }

    /// A number that goes up by one at each call.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }
}

/// The upstreams of a list that can be used, and how they are.
pub(crate) struct Upstreams {
    /// One entry for each in `conditions`.
    pub(crate) origins: Box<[Origin]>,
    pub(crate) conditions: Box<[Arc<Condition>]>,
}

impl Upstreams {
    /// Makes the origins of a list ready; what cannot be used goes to the log and is left out.
    pub(crate) fn of(service: &Service, upstreams: &[String], (registry, hold): (&Registry, Hold)) -> Self {
        let mut origins = Vec::with_capacity(upstreams.len());
        let mut conditions = Vec::with_capacity(upstreams.len());
        for upstream in upstreams {
            match origin(&service.spec, upstream) {
                Ok(origin) => {
                    origins.push(registry.held(origin, hold));
                    conditions.push(registry.condition(service.id, upstream));
                }
                Err(problem) => {
                    let service = service.name();
                    tracing::error!(service, upstream, "an upstream cannot be used: {problem}");
                }
            }
        }
        Self { origins: origins.into(), conditions: conditions.into() }
    }
}

fn names_of(service: &Service, tables: &Tables) -> (Box<str>, Box<str>) {
    let tenant = tables.tenants.get(&service.tenant).map(|tenant| tenant.name.clone());
    let project = tables.projects.get(&service.project).map(|project| project.name.clone());
    (tenant.unwrap_or_default(), project.unwrap_or_default())
}

fn origin(spec: &ServiceSpec, upstream: &str) -> Result<Origin, String> {
    let ca_file = spec.tls.as_ref().and_then(|tls| tls.ca_file.as_ref());
    let roots_pem = match ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?),
        None => None,
    };
    let server_name = spec.tls.as_ref().and_then(|tls| tls.server_name.clone());
    // A WebSocket needs HTTP/1.1.
    let tls = OriginTls { roots_pem, server_name, http1_only: spec.websocket };
    Origin::with_tls(upstream, &tls).map_err(|error| error.to_string())
}

/// Changes to the fields of a head.
#[derive(Debug, Default)]
pub(crate) struct HeaderChanges {
    pub(crate) set: Vec<(FieldName, FieldValue)>,
    pub(crate) strip: Vec<FieldName>,
}

impl HeaderChanges {
    fn of(spec: &HeadersSpec, service: &str) -> Self {
        let mut changes = Self::default();
        for (name, value) in &spec.add {
            match (FieldName::parse(name), FieldValue::parse(value)) {
                (Ok(name), Ok(value)) => changes.set.push((name, value)),
                _ => tracing::error!(service, name, "a header that cannot be sent is left out"),
            }
        }
        changes.strip = spec.remove.iter().filter_map(|name| FieldName::parse(name).ok()).collect();
        changes
    }

    /// What of a client's fields does not go upstream: what the gate writes itself, and what these changes
    /// take out or replace.
    fn strips(&self) -> StripList {
        let mut strips = StripList::default();
        strips.add_prefix(IDENTITY_PREFIX);
        strips.add_prefix(names::FORWARDED_PREFIX);
        let own = [&names::FORWARDED, &names::X_REAL_IP, &names::X_REQUEST_ID];
        let set = self.set.iter().map(|(name, _)| name);
        own.into_iter().chain(&self.strip).chain(set).for_each(|name| strips.add(name));
        strips
    }
}
