//! From a credential to a decision: recognise, learn what the key's restrictions need to know, ask
//! `core`.
//!
//! Whatever is waited for here (a slow hash, a name server), the key is looked up again afterwards:
//! a key that was revoked in the meantime is not accepted (I3).

use std::net::IpAddr;

use tollgate_core::{
    admit::{Case, Decision, admit},
    authenticate::{Recognised, recognise},
    code::Code,
    counters::Counters,
    facts::Facts,
    key::Digest,
    keyring::KeyRecord,
    policy::Policy,
    tables::Service,
    time::Now,
};

use crate::{
    bound_host::Known,
    caller::{Caller, Identity},
    denial::{Denial, rate_fields},
    http::{exchange::Exchange, field::FieldValue, head::RequestHead},
    identity::{environment_value, value_of},
    lane::{Gateway, account::Account, tables::LaneTables, throttle::Throttle},
    request::{
        Sender,
        credential::{Flaw, Presented, extract},
        only,
    },
    service::ProxyService,
    slow_hash::Rehash,
};

/// How often a key is looked up anew for one request: once at first, once after a slow hash, once
/// after its host was resolved, and once more if either changed under way.
const LOOKUPS_MAX: usize = 4;

/// What the entrance found out.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) path: &'a str,
    pub(super) sender: Sender,
    pub(super) now: Now,
}

/// A key that was recognised, with all that is needed to decide.
pub(crate) struct Recognition {
    pub(crate) record: KeyRecord,
    /// `None` for a key that is bound to no host.
    pub(crate) host: Option<Known>,
    /// The moment after the last wait.
    pub(crate) now: Now,
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
        let decision =
            self.judge(&exchange.head, request, Judged { known: &known, policy, service: Some(service) }, 1);
        account.note_decision(&decision, policy);
        let choice = service.service.spec.headers;
        if !decision.is_allowed() {
            return Err(Denial::of_decision(&decision, policy, choice));
        }
        let (consumer, external_id) = self.consumer_values(record);
        let at_ns = known.now.mono_ns;
        let identity = Identity {
            consumer,
            external_id,
            environment: environment_value(record.environment),
            scopes: tables.scopes(policy),
            record: known.record,
        };
        let strip = smallvec::smallvec![presented.place];
        Ok(Caller { at_ns, strip, identity: Some(identity), rate: rate_fields(&decision, policy, choice) })
    }

    /// Finds the key of a credential. Bad keys are counted against the address, where it is known.
    pub(crate) async fn recognise(
        &self,
        presented: &Presented<'_>,
        address: Option<IpAddr>,
        mut now: Now,
    ) -> Result<Recognition, Denial> {
        let secret: &[u8] = &presented.secret;
        for _ in 0..LOOKUPS_MAX {
            let tables = self.tables();
            let record = match recognise(secret, &self.shared.snapshot.keyring, &tables.tables.foreign) {
                Recognised::Key { record, rehash, .. } => {
                    if let Some(digest) = rehash {
                        self.offer_rehash(&record, digest);
                    }
                    record
                }
                Recognised::Slow(candidates) => {
                    let digest = Digest::of(secret);
                    match self.shared.slow_hashes.recall(&digest, &candidates) {
                        Some(record) => {
                            self.offer_rehash(&record, digest);
                            record
                        }
                        None => {
                            self.check_throttle(&self.shared.unknown_keys, address, now)?;
                            let verified = self.shared.slow_hashes.verify(secret, candidates).await;
                            now = self.now();
                            self.check_fresh(now)?;
                            match verified {
                                Ok(true) => continue,
                                Ok(false) => {
                                    return Err(self.bad_key(Code::KeyUnknown, NO_SUCH_KEY, address, now));
                                }
                                Err(_busy) => return Err(Denial::new(Code::Overloaded, "")),
                            }
                        }
                    }
                }
                Recognised::Nothing { code, detail } => return Err(self.bad_key(code, detail, address, now)),
            };
            let Some(name) = record.narrowing.as_ref().and_then(|own| own.bind_host.as_deref()) else {
                return Ok(Recognition { record, host: None, now });
            };
            if let Some(known) = self.hosts.remembered(name, now.mono_ns) {
                return Ok(Recognition { record, host: Some(known), now });
            }
            let resolved = self.hosts.resolve(name, || self.now().mono_ns).await;
            resolved.map_err(|_| Denial::new(Code::Overloaded, ""))?;
            now = self.now();
            self.check_fresh(now)?;
        }
        Err(Denial::new(Code::Overloaded, "the key changed while it was being checked; try again"))
    }

    /// Asks `core`, with what it may look at.
    pub(super) fn judge(
        &self,
        head: &RequestHead,
        request: Request<'_>,
        judged: Judged<'_>,
        cost: u32,
    ) -> Decision {
        let Judged { known, policy, service } = judged;
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
            model: None,
            cost,
        };
        let case = Case { facts: &facts, record: &known.record, policy, now: known.now };
        admit(case, &*self.shared.counters)
    }

    fn offer_rehash(&self, record: &KeyRecord, digest: Digest) {
        self.shared.rehash.offer(Rehash { key: record.id, generation: record.generation, digest });
    }

    /// A bad key: counted against its address, and refused as such or for being one of too many.
    pub(crate) fn bad_key(
        &self,
        code: Code,
        detail: &'static str,
        address: Option<IpAddr>,
        now: Now,
    ) -> Denial {
        // What is no key at all is counted apart: it is a mistake more often than a guess.
        let throttle = match code {
            Code::KeyMalformed => &self.shared.malformed_keys,
            _ => &self.shared.unknown_keys,
        };
        if let Err(denial) = self.check_throttle(throttle, address, now) {
            return denial;
        }
        if let Some(address) = address {
            throttle.count(address, now.mono_ns);
        }
        Denial::new(code, detail)
    }

    fn check_throttle(&self, throttle: &Throttle, address: Option<IpAddr>, now: Now) -> Result<(), Denial> {
        let Some(wait_ns) = address.and_then(|address| throttle.wait_ns(address, now.mono_ns)) else {
            return Ok(());
        };
        self.meters.throttled.increment(1);
        Err(Denial::new(Code::TooManyBadKeys, "").wait_ns(wait_ns))
    }

    pub(crate) fn consumer_values(&self, record: &KeyRecord) -> (FieldValue, Option<FieldValue>) {
        let consumers = self.shared.snapshot.consumers.pin();
        match consumers.get(&record.consumer.0) {
            Some(consumer) => (value_of(&consumer.name), consumer.external_id.as_deref().map(value_of)),
            None => (value_of(&record.consumer.to_string()), None),
        }
    }
}

/// What a decision is about, besides the request.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) known: &'a Recognition,
    pub(super) policy: Option<&'a Policy>,
    /// `None` at the gateway's own endpoints.
    pub(super) service: Option<&'a ProxyService>,
}

pub(crate) const NO_SUCH_KEY: &str =
    "no such key; it may have been deleted, or belong to another installation";

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
fn check_declared_length(exchange: &Exchange, bytes_max: u64) -> Result<(), Denial> {
    match exchange.body.declared_len() {
        Some(length) if length > bytes_max => {
            Err(crate::proxy::body_denial(crate::http::body::BodyError::TooLarge { limit_bytes: bytes_max }))
        }
        _ => Ok(()),
    }
}
