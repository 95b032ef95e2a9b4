//! From a recognised key to a decision: what `core` may look at, what it says, and what that means
//! for the request.

use tollgate_core::{
    admit::{Case, Decision, admit, screen},
    code::Code,
    counters::Counters,
    facts::{Facts, TokenAsk},
    keyring::KeyRecord,
    policy::Policy,
    service::Service,
    signature::SignatureFact,
    tables::Consumer,
    time::Now,
};

use super::recognition::Recognition;
use crate::{
    caller::{Caller, Identity},
    denial::{Denial, RateFields},
    http::{exchange::Exchange, head::RequestHead},
    lane::{Gateway, account::Account, tables::LaneTables},
    request::{
        Sender,
        credential::{Flaw, extract},
        only,
    },
    service::ProxyService,
};

/// What the entrance found out.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) path: &'a str,
    pub(crate) sender: Sender,
    pub(crate) now: Now,
    /// Where the service asks for one.
    pub(crate) signature: SignatureFact,
}

impl<C: Counters + 'static> Gateway<C> {
    /// Lets a request of a service through, or says why not.
    pub(super) async fn admit(
        &self,
        account: &mut Account<C>,
        exchange: &Exchange,
        request: Request<'_>,
        service: &ProxyService,
    ) -> Result<Caller, Denial> {
        let presented = extract(&exchange.head, &service.places).map_err(flaw_denial)?;
        let known = self.recognise(&presented, Some(request.sender.address), request.now).await?;
        let tables = self.tables();
        let record = &known.record;
        account.note_key(record, tenant_of(&tables, record));
        check_declared_length(exchange, service.body_bytes_max(&self.shared.options))?;
        let policy = policy_of(&tables, record);
        let judged = Judged { known: &known, policy, service: Some(service), model: None, tokens: None };
        let mut decision = self.judge(&exchange.head, request, judged, 1);
        if decision.is_open() {
            decision = self.judge_beyond(&exchange.head, request, judged, (1, decision)).await;
        }
        account.note_decision(&decision, policy);
        let choice = service.service.spec.headers;
        if !decision.is_allowed() {
            return Err(Denial::of_decision(&decision, policy, choice));
        }
        let at_ns = known.now.mono_ns;
        let granted = tables.granted(policy);
        let rate = RateFields::after(&mut granted.limits.borrow_mut(), &decision, policy, choice);
        let identity = Identity { granted, record: known.record };
        let strip = smallvec::smallvec![presented.place];
        Ok(Caller { at_ns, strip, identity: Some(identity), rate })
    }

    /// Asks `core`, with what it may look at.
    pub(crate) fn judge(
        &self,
        head: &RequestHead,
        request: Request<'_>,
        judged: Judged<'_>,
        cost: u32,
    ) -> Decision {
        self.with_case(head, request, judged, cost, |case| admit(case, &*self.shared.counters))
    }

    /// Ends a decision that needs somebody beyond this process.
    pub(crate) async fn judge_beyond(
        &self,
        head: &RequestHead,
        request: Request<'_>,
        judged: Judged<'_>,
        (cost, open): (u32, Decision),
    ) -> Decision {
        let again = || self.judge(head, request, judged, cost);
        // Boxed: every request carries the room that this function needs.
        Box::pin(self.settled_beyond(open, judged.policy, judged.known.now, again)).await
    }

    /// Asks `core` as far as it can say without counting, and before the body is read.
    pub(crate) fn screen(&self, head: &RequestHead, request: Request<'_>, judged: Judged<'_>) -> Decision {
        self.with_case(head, request, judged, 1, screen)
    }

    fn with_case(
        &self,
        head: &RequestHead,
        request: Request<'_>,
        judged: Judged<'_>,
        cost: u32,
        decide: impl FnOnce(Case<'_>) -> Decision,
    ) -> Decision {
        let Judged { known, policy, service, model, tokens } = judged;
        let asks = |list: fn(&Policy) -> bool| policy.is_some_and(list);
        // Fields are looked for only where a policy compares them.
        let field = |wanted: bool, name: &str| if wanted { only(head, name) } else { None };
        let apps = asks(|policy| policy.apps.is_some());
        let facts = Facts {
            service: service.map(|service| &*service.service as &Service),
            method: service.map(|_| head.method()),
            path: service.map(|_| request.path),
            address: Some(request.sender.address),
            bound_host_addresses: known.host.as_ref().and_then(|known| known.as_deref()),
            referer: field(asks(|policy| policy.referers.is_some()), "referer"),
            origin: field(asks(|policy| policy.origins.is_some()), "origin"),
            user_agent: field(asks(|policy| policy.user_agents.is_some()), "user-agent"),
            android_package: field(apps, "x-android-package"),
            android_certificate: field(apps, "x-android-cert"),
            ios_bundle: field(apps, "x-ios-bundle-identifier"),
            scopes: &[],
            signature: request.signature,
            model,
            tokens,
            cost,
        };
        let blocks = &self.tables().blocks;
        decide(Case { facts: &facts, record: &known.record, policy, blocks, now: known.now })
    }

    /// Hands the consumer of a key over; `None` when it is not known.
    pub(crate) fn with_consumer<R>(
        &self,
        record: &KeyRecord,
        with: impl FnOnce(Option<&Consumer>) -> R,
    ) -> R {
        let consumers = self.shared.snapshot.consumers.pin();
        with(consumers.get(&record.consumer.0).map(|consumer| &**consumer))
    }
}

/// What a decision is about, besides the request.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) known: &'a Recognition,
    pub(crate) policy: Option<&'a Policy>,
    /// `None` at the gateway's own endpoints.
    pub(crate) service: Option<&'a ProxyService>,
    /// Of a call to a model.
    pub(crate) model: Option<&'a str>,
    /// Of a call to a model.
    pub(crate) tokens: Option<TokenAsk>,
}

/// The policy of a key.
pub(crate) fn policy_of<'t>(tables: &'t LaneTables, record: &KeyRecord) -> Option<&'t Policy> {
    record.policy.and_then(|id| tables.tables.policies.get(&id)).map(|policy| &**policy)
}

/// The tenant of a key, 0 when its project is not known.
pub(crate) fn tenant_of(tables: &LaneTables, record: &KeyRecord) -> u64 {
    tables.tables.projects.get(&record.project).map_or(0, |project| project.tenant.0)
}

/// The refusal of a request that has not exactly one credential.
pub(crate) fn flaw_denial(flaw: Flaw) -> Denial {
    match flaw {
        Flaw::Missing => Denial::new(Code::KeyMissing, ""),
        Flaw::Ambiguous => Denial::new(
            Code::CredentialAmbiguous,
            "the request has more than one credential; send the key in exactly one place, once",
        ),
    }
}

/// A body that says that it is too long is refused before it moves a counter.
pub(crate) fn check_declared_length(exchange: &Exchange, bytes_max: u64) -> Result<(), Denial> {
    match exchange.body.declared_len() {
        Some(length) if length > bytes_max => {
            Err(crate::proxy::body_denial(crate::http::body::BodyError::TooLarge { limit_bytes: bytes_max }))
        }
        _ => Ok(()),
    }
}
