//! The gateway's own endpoints: `GET /v1/me` and the key set for assertions.

use tollgate_core::{admit::Check, code::Code, counters::subject_of_address, policy::Grant, resource::Per};
use tollgate_core::{
    counters::{Counters, Measure, Rule, Standing},
    keyring::KeyRecord,
    policy::Policy,
    resource::RateHeaders,
    time::Now,
};
use tollgate_wire::me::Me;

use super::admission::{Judged, Request, flaw_denial, policy_of, tenant_of};
use crate::{
    denial::Denial,
    http::{answer::Answer, exchange::Exchange, field::FieldValue},
    lane::{Gateway, account::Account},
    names,
    request::{
        Sender,
        credential::{Places, extract},
    },
};

/// One of the gateway's own endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Me,
    KeySet,
}

/// The endpoint at a path; other methods than GET and HEAD are left to services.
pub(super) fn endpoint(method: &str, path: &str) -> Option<Endpoint> {
    if !matches!(method, "GET" | "HEAD") {
        return None;
    }
    match path {
        "/v1/me" => Some(Endpoint::Me),
        "/.well-known/tollgate/jwks.json" => Some(Endpoint::KeySet),
        _ => None,
    }
}

/// How long a key set may be kept.
static KEY_SET_CACHE: FieldValue = FieldValue::of("public, max-age=300");

impl<C: Counters + 'static> Gateway<C> {
    pub(super) async fn serve_own(
        &self,
        endpoint: Endpoint,
        account: &mut Account<C>,
        exchange: &Exchange,
        request: Request<'_>,
    ) -> Result<Answer, Denial> {
        match endpoint {
            Endpoint::KeySet => {
                account.note_outcome(Code::Valid, "");
                Ok(json(self.assertions.jwks(), &KEY_SET_CACHE))
            }
            Endpoint::Me => self.me(account, exchange, request).await,
        }
    }

    /// What a key is, may do, and has left. Costs nothing: limits are only looked at, so a key with
    /// none left is told so instead of being refused.
    async fn me(
        &self,
        account: &mut Account<C>,
        exchange: &Exchange,
        request: Request<'_>,
    ) -> Result<Answer, Denial> {
        self.check_fresh(request.now)?;
        let presented = extract(&exchange.head, &Places::default()).map_err(flaw_denial)?;
        let known = self.recognise(&presented, Some(request.sender.address), request.now).await?;
        let tables = self.tables();
        let record = &known.record;
        account.note_key(record, tenant_of(&tables, record));
        let policy = policy_of(&tables, record);
        let judged = Judged { known: &known, policy, service: None, model: None, tokens: None };
        let mut decision = self.judge(&exchange.head, request, judged, 0);
        if decision.is_open() {
            decision = self.judge_beyond(&exchange.head, request, judged, (0, decision)).await;
        }
        account.note_decision(&decision, policy);
        if !decision.is_allowed() && decision.failed != Some(Check::Limits) {
            return Err(Denial::of_decision(&decision, policy, RateHeaders::None));
        }
        account.note_outcome(Code::Valid, "");
        let project = tables.tables.projects.get(&record.project);
        let tenant = project.and_then(|project| tables.tables.tenants.get(&project.tenant));
        let services = granted(&tables.tables, policy);
        let mut standings = self.standings(policy, record, request.sender, known.now);
        // What all nodes share is known by whom was asked.
        for (charged, standing) in decision.charged.iter().zip(&decision.standings) {
            let is_shared = |(rule, _): &&mut (&Rule, Standing)| {
                matches!(rule.measure, Measure::Rate { shared: Some(_), .. })
            };
            if let Some((_, known)) =
                standings.get_mut(usize::from(charged.rule)).filter(|one| is_shared(one))
            {
                *known = *standing;
            }
        }
        let consumer = self.shared.snapshot.consumer(record.consumer);
        let me = Me {
            id: account.id(),
            record,
            tenant: tenant.map_or("", |tenant| &tenant.name),
            project: project.map_or("", |project| &project.name),
            consumer: consumer.as_deref(),
            policy,
            services: &services,
            standings: &standings,
        };
        Ok(json(me.to_body(), &names::NO_STORE))
    }

    fn standings<'p>(
        &self,
        policy: Option<&'p Policy>,
        record: &KeyRecord,
        sender: Sender,
        now: Now,
    ) -> Vec<(&'p Rule, Standing)> {
        let rules = policy.map_or(&[][..], |policy| &policy.rules);
        let stands = |rule: &'p Rule| {
            let subject = match rule.per {
                Per::Key => record.id.0,
                Per::Consumer => record.consumer.0,
                Per::Project => record.project.0,
                Per::Ip => subject_of_address(sender.address),
            };
            (rule, self.shared.counters.peek(rule, subject, now))
        };
        rules.iter().map(stands).collect()
    }
}

fn granted<'t>(tables: &'t tollgate_core::tables::Tables, policy: Option<&Policy>) -> Vec<&'t str> {
    match policy.map(|policy| &policy.services) {
        Some(Grant::Only(ids)) => {
            ids.iter().filter_map(|id| tables.services.get(id)).map(|service| service.name()).collect()
        }
        Some(Grant::All) | None => Vec::new(),
    }
}

fn json(body: Vec<u8>, cache: &FieldValue) -> Answer {
    Answer::new(200)
        .with(&names::CONTENT_TYPE, &names::APPLICATION_JSON)
        .with(&names::CACHE_CONTROL, cache)
        .with_body(body)
}
