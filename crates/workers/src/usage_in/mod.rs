//! Usage that services report of requests they served themselves, however it comes: whose keys and services it
//! is about, what it takes of quotas, and handing it to the store, which keeps and counts it in one commit.
//!
//! What must never be here: how a report came. Nothing of a report counts before all of it was found to be right.

mod consumer;
mod kafka;
mod source;

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use tollgate_core::{
    counters::{Charge, Counters, Measure, Refund, Rule, Standings},
    event::{Batch, Content, NotTaken, Record, Sender, Slice, Taken},
    id::{ConsumerId, KeyId, ProjectId, ServiceId, TenantId},
    meter::spec::USAGE_TYPE,
    service::Service,
    tables::{Snapshot, Tables},
    time::{Clock, Now},
    usage_report::{Counted, QuotaCharge, Served, Wrong, charges, check_time},
};
use tollgate_store::{Ingester, KeyOwner, Store, StoreError};

pub use self::{
    consumer::{ReportOptions, Reporting},
    kafka::KafkaReports,
    source::{Incoming, OpenReports, Reports},
};

/// Who reports, and what they may report on.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// The tenant; that of the first key when `None`: the operator's own topic.
    pub tenant: Option<TenantId>,
    /// The services; all of the tenant when empty.
    pub services: Box<[ServiceId]>,
}

/// Why a report was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReported {
    /// It is wrong, and will be.
    Wrong(Wrong),
    /// It could not be kept.
    NotTaken(NotTaken),
}

/// Takes reports; cheap to share.
pub struct UsageIn {
    store: Arc<Store>,
    snapshot: Arc<Snapshot>,
    ingester: Ingester,
    /// `None` where quotas are leased: what is left of them is found out with the next lease then.
    counters: Option<Arc<dyn Counters + Send + Sync>>,
    clock: Arc<dyn Clock>,
}

/// A quota that new requests take something of.
type Taking = Vec<(usize, Rule, QuotaCharge)>;

/// What is left out of a report instead of refusing all of it.
type LeftOut = Vec<Wrong>;

impl UsageIn {
    /// Puts one together; `counters` are those of this process, where it counts quotas by itself.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        snapshot: Arc<Snapshot>,
        ingester: Ingester,
        counters: Option<Arc<dyn Counters + Send + Sync>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, snapshot, ingester, counters, clock }
    }

    /// Takes a report whole or not at all; answers once it is durable and counted.
    ///
    /// # Errors
    /// [`NotReported`], for the first thing that is wrong.
    pub async fn take(&self, reporter: &Reporter, requests: Vec<Served>) -> Result<Taken, NotReported> {
        self.take_of(reporter, requests, None).await
    }

    /// Takes what is right of a report; answers what was left out and why, once the rest is durable and counted.
    ///
    /// # Errors
    /// [`NotReported`], when nothing of it is right, or it could not be kept.
    async fn take_good(&self, reporter: &Reporter, requests: Vec<Served>) -> Result<LeftOut, NotReported> {
        let mut left_out = LeftOut::new();
        self.take_of(reporter, requests, Some(&mut left_out)).await?;
        Ok(left_out)
    }

    /// Whether keys and services are known as they are now (I3).
    fn is_fresh(&self) -> bool {
        self.snapshot.is_fresh(self.clock.mono_ns())
    }

    async fn take_of(
        &self,
        reporter: &Reporter,
        requests: Vec<Served>,
        mut left_out: Option<&mut LeftOut>,
    ) -> Result<Taken, NotReported> {
        let now = self.clock.now();
        let mut keys: Vec<KeyId> = requests.iter().map(|request| request.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let owners = self.store.key_owners(&keys).await.map_err(|error| not_read(&error))?;
        let owners: HashMap<KeyId, KeyOwner> = owners.into_iter().map(|owner| (owner.key, owner)).collect();
        let tables = self.snapshot.tables();
        let mut report = Report::new(&tables, &owners, reporter);
        let mut counted = Vec::with_capacity(requests.len());
        let mut taking = Taking::new();
        let mut first_wrong = None;
        for (index, request) in requests.iter().enumerate() {
            let is_right = check_time(index, request, (now.wall_us, self.ingester.remembered_us()));
            let (owner, service) = match is_right.and_then(|()| report.whose(index, request)) {
                Ok(whose) => whose,
                Err(wrong) => {
                    let Some(left_out) = &mut left_out else { return Err(NotReported::Wrong(wrong)) };
                    first_wrong.get_or_insert_with(|| wrong.clone());
                    left_out.push(wrong);
                    continue;
                }
            };
            let sender = sender_of(&owner, service.id);
            let at_us = request.at_us.unwrap_or(now.wall_us);
            let policy = owner.policy.and_then(|policy| tables.policies.get(&policy));
            let taken = policy.map(|policy| charges(policy, request, (&sender, at_us))).unwrap_or_default();
            let own = taken.iter().map(|(_, charge)| *charge).collect();
            if self.counters.is_some() {
                let place = counted.len();
                taking.extend(taken.iter().map(|(rule, charge)| (place, Rule::clone(rule), *charge)));
            }
            counted.push(Counted {
                sender,
                policy: owner.policy.map_or(0, |policy| policy.0),
                at_us,
                units: request.units,
                tokens: request.tokens,
                status: request.status,
                charges: own,
            });
            report.put(request, &sender, at_us, &service);
        }
        let Some(batch) = report.batch(now.wall_us) else {
            let wrong = first_wrong.unwrap_or_else(|| Wrong::Body("it is empty".to_owned()));
            return Err(NotReported::Wrong(wrong));
        };
        let (store, ingester, counters) =
            (Arc::clone(&self.store), self.ingester.clone(), self.counters.clone());
        // In a task of its own: what is committed is charged, whether or not who asked is still there.
        let kept = tokio::spawn(async move {
            let (taken, is_new) = store.take_report(&ingester, batch, counted).await?;
            if let Some(counters) = counters {
                charge(&*counters, &taking, (&is_new, now));
            }
            Ok(taken)
        });
        kept.await.unwrap_or(Err(NotTaken::Unavailable)).map_err(NotReported::NotTaken)
    }
}

/// Makes the live counters of this process know what the database knows already.
fn charge(counters: &(dyn Counters + Send + Sync), taking: &Taking, (is_new, now): (&[bool], Now)) {
    for (index, rule, charge) in taking {
        let Measure::Quota(period) = &rule.measure else { continue };
        let is_present = period.window_at(now.wall_us) == charge.window;
        if !is_present || !is_new.get(*index).copied().unwrap_or(false) {
            continue;
        }
        let amount = u32::try_from(charge.amount).unwrap_or(u32::MAX);
        let one = [Charge { rule, subject: charge.subject, amount }];
        if counters.take(&one, now, &mut Standings::new()).is_err() {
            // There is no room: it is counted all the same, and the quota is exhausted.
            let refund = Refund { rule, subject: charge.subject, taken: 0, used: charge.amount, at: now };
            counters.refund(&refund, now);
        }
    }
}

/// Whether a request may be right a moment later: of a key or a service that this node does not know yet.
fn may_become_known(wrong: &Wrong) -> bool {
    matches!(wrong, Wrong::Request { problem, .. } if [NO_KEY, NO_SERVICE].contains(&&**problem))
}

fn not_read(error: &StoreError) -> NotReported {
    tracing::warn!(%error, cause = error.cause(), "a report of usage was refused");
    let why = "the database does not answer now";
    NotReported::NotTaken(NotTaken::Overloaded { why, retry_after_s: 1 })
}

const fn sender_of(owner: &KeyOwner, service: ServiceId) -> Sender {
    Sender { tenant: owner.tenant, project: owner.project, service, consumer: owner.consumer, key: owner.key }
}

/// A report on its way to a batch.
struct Report<'r> {
    tables: &'r Tables,
    owners: &'r HashMap<KeyId, KeyOwner>,
    services: &'r [ServiceId],
    tenant: Option<TenantId>,
    named: HashMap<Box<str>, Result<Arc<Service>, &'static str>>,
    buffer: Vec<u8>,
    records: Vec<Record>,
}

const NO_KEY: &str =
    "there is no such key that may be reported on here; use the `key_id` that verify answered";
const NO_SERVICE: &str =
    "there is no such service that may be reported on here; correct the name, or grant it to the token";
const SEVERAL: &str = "it is the name of several services; write `project/name`";
const OTHER_PROJECT: &str = "the key is of another project; a key never reaches another project's service";

impl<'r> Report<'r> {
    fn new(tables: &'r Tables, owners: &'r HashMap<KeyId, KeyOwner>, reporter: &'r Reporter) -> Self {
        let Reporter { tenant, services } = reporter;
        Self {
            tables,
            owners,
            services,
            tenant: *tenant,
            named: HashMap::new(),
            buffer: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Whose key it was, and which service served.
    fn whose(&mut self, index: usize, request: &Served) -> Result<(KeyOwner, Arc<Service>), Wrong> {
        let owner = self.owners.get(&request.key).copied();
        let tenant = self.tenant.or(owner.map(|owner| owner.tenant));
        let owner = owner.filter(|owner| Some(owner.tenant) == tenant);
        let (Some(owner), Some(tenant)) = (owner, tenant) else {
            return Err(Wrong::at(index, "key_id", NO_KEY));
        };
        self.tenant = Some(tenant);
        let service =
            self.service(tenant, &request.service).map_err(|problem| Wrong::at(index, "service", problem))?;
        if service.project != owner.project {
            return Err(Wrong::at(index, "service", OTHER_PROJECT));
        }
        Ok((owner, service))
    }

    fn service(&mut self, tenant: TenantId, name: &str) -> Result<Arc<Service>, &'static str> {
        if let Some(known) = self.named.get(name) {
            return known.clone();
        }
        let mut parts = name.rsplit('/');
        let (own, project, of_tenant) = (parts.next(), parts.next(), parts.next());
        let is_it = |service: &&Arc<Service>| {
            let named = self.tables.projects.get(&service.project);
            let in_tenant = self.tables.tenants.get(&service.tenant);
            service.tenant == tenant
                && Some(service.name()) == own
                && project.is_none_or(|project| named.is_some_and(|named| *named.name == *project))
                && of_tenant.is_none_or(|name| in_tenant.is_some_and(|tenant| *tenant.name == *name))
        };
        let mut found = self.tables.services.values().filter(is_it);
        let service = match (found.next(), found.next()) {
            (Some(one), None) if self.services.is_empty() || self.services.contains(&one.id) => {
                Ok(Arc::clone(one))
            }
            (Some(_), Some(_)) => Err(SEVERAL),
            _ => Err(NO_SERVICE),
        };
        self.named.insert(name.into(), service.clone());
        service
    }

    /// Adds a request as a record.
    fn put(&mut self, request: &Served, sender: &Sender, at_us: i64, service: &Service) {
        let id = request.id.as_ref().map(|id| self.text(id));
        // Told apart by service, whoever reports: the same report by HTTP and by Kafka counts once.
        let source = self.text(&format!("urn:tollgate:usage:{}", service.id));
        let mut data = String::with_capacity(160);
        let Served { units, tokens, status, .. } = request;
        let _infallible = write!(
            data,
            r#"{{"key_id":"{}","consumer_id":"{}","service":"{}","units":{units},"tokens":{tokens},"status":{status}}}"#,
            sender.key,
            sender.consumer,
            service.name(),
        );
        let data = self.text(&data);
        self.records.push(Record {
            id,
            kind: None,
            source: Some(source),
            version: None,
            time_us: Some(at_us),
            data,
            content: Content::Json,
            attributes: (0, 0),
        });
    }

    fn text(&mut self, text: &str) -> Slice {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(text.as_bytes());
        // A report is a megabyte at most.
        let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Slice { start: at(start), end: at(self.buffer.len()) }
    }

    fn batch(self, received_us: i64) -> Option<Batch> {
        let sender = Sender {
            tenant: self.tenant?,
            project: ProjectId(0),
            service: ServiceId(0),
            consumer: ConsumerId(0),
            key: KeyId(0),
        };
        Some(Batch {
            sender,
            senders: Vec::new(),
            received_us,
            name: None,
            source: "urn:tollgate:usage".into(),
            default_type: USAGE_TYPE.into(),
            buffer: self.buffer,
            records: self.records,
            attributes: Vec::new(),
        })
    }
}
