//! Trying a request on a draft of a policy. The judge is `core::admit`, as for every request; nothing is
//! counted, and limits are taken as unused.

use std::sync::Arc;

use tollgate_core::{
    admit::{Case, admit},
    blocks::Blocks,
    code::Code,
    counters::{Charge, Counters, Measure, Refund, Refusal, Rule, RuleId, Standing, Standings},
    explain::{Step, trace},
    facts::Facts,
    field_error::FieldError,
    id::{ConsumerId, KeyId, PolicyId},
    key::Environment,
    keyring::{KeyRecord, KeyState},
    path::normalise,
    policy::{Policy, PolicyRow},
    resource::PolicySpec,
    service::{Service, ServiceRow},
    time::Now,
};
use tollgate_store::{Entity, Named, PageRequest, ResourceFilter, ResourceId, ResourceSpec, Scope};

use super::{form::Fields, trouble::Trouble, visit::Visit};

/// Services of a project that a policy may name here.
const SERVICES: PageRequest = PageRequest { limit: 1000, cursor: None };

/// What was typed, and what it came to.
#[derive(Default)]
pub(crate) struct Trial {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) service: String,
    pub(crate) address: String,
    pub(crate) referer: String,
    pub(crate) origin: String,
    pub(crate) user_agent: String,
    pub(crate) outcome: Option<(Code, Vec<Step>)>,
    pub(crate) problem: Option<String>,
}

impl Trial {
    /// What was typed.
    pub(crate) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        Self {
            method: text("try_method"),
            path: text("try_path"),
            service: text("try_service"),
            address: text("try_address"),
            referer: text("try_referer"),
            origin: text("try_origin"),
            user_agent: text("try_user_agent"),
            outcome: None,
            problem: None,
        }
    }

    /// Asks for a decision.
    pub(crate) async fn run(
        mut self,
        visit: &Visit,
        spec: &PolicySpec,
        project: &Named<tollgate_core::id::ProjectId>,
    ) -> Result<Self, Trouble> {
        let services = services(visit, project).await?;
        let row = PolicyRow { id: PolicyId(1), project: project.id, version: 1 };
        let id_of = |name: &str| services.iter().find(|own| own.name() == name).map(|own| own.id);
        match Policy::compile(spec, row, id_of) {
            Ok(policy) => self.decide(&policy, &services, visit.app.control().clock.now()),
            Err(errors) => self.problem = errors.first().map(FieldError::to_string),
        }
        Ok(self)
    }

    fn decide(&mut self, policy: &Policy, services: &[Service], now: Now) {
        let Some(service) = services.iter().find(|own| own.name() == self.service) else {
            self.problem = Some("choose a service of the project".to_owned());
            return;
        };
        let bare = self.path.split(['?', '#']).next().unwrap_or("/");
        let path = match normalise(if bare.is_empty() { "/" } else { bare }) {
            Ok(path) => path.into_owned(),
            Err(error) => {
                self.problem = Some(error.to_string());
                return;
            }
        };
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let (referer, origin, user_agent) = (text(&self.referer), text(&self.origin), text(&self.user_agent));
        let method = if self.method.is_empty() { "GET" } else { self.method.as_str() };
        let facts = Facts {
            service: Some(service),
            method: Some(method),
            path: Some(&path),
            address: self.address.parse().ok(),
            referer: referer.as_deref(),
            origin: origin.as_deref(),
            user_agent: user_agent.as_deref(),
            ..Facts::default()
        };
        let record = record(policy, service);
        let case = Case { facts: &facts, record: &record, policy: Some(policy), blocks: Blocks::NONE, now };
        let mut decision = admit(case, &Unused);
        decision.conclude_alone(policy, &Unused, now);
        self.outcome = Some((decision.code, trace(case, &decision)));
    }
}

/// A key that nothing is wrong with, so that only the policy decides.
fn record(policy: &Policy, service: &Service) -> KeyRecord {
    KeyRecord {
        id: KeyId(1),
        consumer: ConsumerId(1),
        project: policy.project,
        policy: Some(policy.id),
        expires_us: i64::MAX,
        secret_until_us: i64::MAX,
        version: 1,
        generation: 0,
        state: KeyState::Active,
        environment: service.environment.unwrap_or(Environment::Live),
        narrowing: None,
    }
}

/// The services of a project, compiled; one that cannot be is no service.
async fn services(
    visit: &Visit,
    project: &Named<tollgate_core::id::ProjectId>,
) -> Result<Vec<Service>, Trouble> {
    let mut filter = ResourceFilter::all(Scope::whole(visit.tenant()), Entity::Service);
    filter.project = Some(project.id);
    let found = visit.store().list_resources(&filter, &SERVICES).await?.items;
    let compiled = found.into_iter().filter_map(|item| match (item.id, item.spec) {
        (ResourceId::Service(id), ResourceSpec::Service(spec)) => {
            let row = ServiceRow { id, project: project.id, tenant: visit.tenant(), version: item.version };
            Service::compile(Arc::from(spec), row).ok()
        }
        _ => None,
    });
    Ok(compiled.collect())
}

/// Counters that nothing was taken from, and nothing is.
struct Unused;

impl Counters for Unused {
    fn take(&self, charges: &[Charge<'_>], now: Now, standings: &mut Standings) -> Result<(), Refusal> {
        standings.extend(charges.iter().map(|charge| self.peek(charge.rule, charge.subject, now)));
        Ok(())
    }

    fn release(&self, _rule: RuleId, _subject: u64) {}

    fn refund(&self, _refund: &Refund<'_>, _now: Now) {}

    fn peek(&self, rule: &Rule, _subject: u64, _now: Now) -> Standing {
        let remaining = match &rule.measure {
            Measure::Concurrency | Measure::Rate { .. } | Measure::Quota(_) => rule.amount,
        };
        Standing { remaining, reset_after_ns: 0, window: None }
    }
}
