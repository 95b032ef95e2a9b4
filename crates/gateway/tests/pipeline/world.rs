//! A gateway with everything around it, made from resources as people write them.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tollgate_core::{
    budget::{
        Budget,
        held::{Budgets, HeldBudget, Level},
        spec::HolderSpec,
    },
    counters::{Counters as _, Measure, Rule},
    id::{BudgetId, ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
    key::{Digest, Environment, mint},
    keyring::{KeyRecord, KeyState, Narrowing},
    money::prices::Prices,
    policy::{Policy, PolicyRow},
    resource::Resources,
    route::Router,
    secret::Secret,
    service::{Service, ServiceRow},
    serving::{Models, NoModels},
    tables::{ById, Consumer, EventType, Foreign, Project, Snapshot, Tables, Tenant},
    time::Clock as _,
};
use tollgate_gateway::{
    http::{
        bounds::Bounds,
        serve::{Listener, Serving},
    },
    options::GatewayOptions,
    ports::Ports,
    serve,
};
use tollgate_journal::{Journal, Options, Reader, StoredRecord};
use tollgate_testkit::{
    Upstream,
    http::{Call, Reply},
    wait_until,
};

use crate::{intake::TestIntake, treasury::TestTreasury};

use super::ports::{Door, Names, TestClock, TestCounters, TestRehash, host_lookup};

/// How long anything in these tests may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const TENANT: TenantId = TenantId(11);
pub(crate) const PROJECT: ProjectId = ProjectId(22);
pub(crate) const CONSUMER: ConsumerId = ConsumerId(33);

/// What a world is made of before it starts.
pub(crate) struct Plan {
    pub(crate) resources: String,
    pub(crate) options: GatewayOptions,
    pub(crate) bounds: Bounds,
    pub(crate) journal: Options,
    pub(crate) lanes: u16,
    pub(crate) models: Arc<dyn Models>,
}

/// A running gateway.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) counters: Arc<TestCounters>,
    pub(crate) treasury: Arc<TestTreasury>,
    pub(crate) intake: Arc<TestIntake>,
    pub(crate) rehash: Arc<TestRehash>,
    pub(crate) names: Names,
    /// Closed, it holds look-ups of host names back.
    pub(crate) door: Door,
    asked: Arc<AtomicU32>,
    policies: HashMap<String, PolicyId>,
    minted: AtomicU64,
    serving: Option<Serving>,
    journal_dir: TempDir,
    _journal: Journal,
}

/// A service at `/tiles` and a policy that allows it all.
pub(crate) const TILES: &str = r#"
    [[service]]
    project = "maps"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/tiles" }
    upstreams = ["{upstream}"]

    [[policy]]
    project = "maps"
    name = "standard"
    services = ["tiles"]
"#;

impl Plan {
    /// A plan with these services and policies, as TOML; `{upstream}` stands for the upstream's URL.
    pub(crate) fn new(resources: &str) -> Self {
        Self {
            resources: resources.to_owned(),
            options: GatewayOptions::default(),
            bounds: Bounds::default(),
            journal: Options { segment_bytes: 256 * 1024, bytes_max: 16 * 1024 * 1024, ..Options::default() },
            lanes: 1,
            models: Arc::new(NoModels),
        }
    }

    pub(crate) fn start(self) -> World {
        self.start_with(Upstream::start())
    }

    /// Starts with a snapshot that is not known to be fresh.
    pub(crate) fn start_stale(self) -> World {
        self.launch(Upstream::start(), 0)
    }

    pub(crate) fn start_with(self, upstream: Upstream) -> World {
        self.launch(upstream, u64::MAX)
    }

    fn launch(self, upstream: Upstream, fresh_until_ns: u64) -> World {
        let resources: Resources = toml::from_str(&self.resources.replace("{upstream}", &upstream.url()))
            .expect("the resources of a test are right");
        let journal_dir = TempDir::new().expect("make a temporary folder");
        let (journal, _) = Journal::open(journal_dir.path(), 0x7e57, self.journal).expect("open the journal");
        let snapshot = Arc::new(Snapshot::with_capacity(16));
        snapshot.keep_fresh_until(fresh_until_ns);
        snapshot.replace_tables(tables(&resources));
        snapshot.consumers.pin().insert(CONSUMER.0, Arc::new(consumer("team")));
        let (clock, counters) = (Arc::new(TestClock::new()), Arc::new(TestCounters::new()));
        let (rehash, names) = (Arc::new(TestRehash::default()), Names::default());
        let asked = Arc::new(AtomicU32::new(0));
        let treasury = Arc::new(TestTreasury::default());
        let intake = Arc::new(TestIntake::default());
        let door = Door::new(tokio::sync::Semaphore::new(8));
        let ports = Ports {
            snapshot: snapshot.clone(),
            counters: counters.clone(),
            limits: Arc::new(tollgate_gateway::ports::NoSharedLimits),
            treasury: treasury.clone(),
            writers: (0..self.lanes).map(|lane| journal.writer(lane).expect("open a writer")).collect(),
            clock: clock.clone(),
            rehash: rehash.clone(),
            intake: intake.clone(),
            models: self.models,
            host_lookup: host_lookup(&names, &door, &asked),
        };
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener { bind, tls: None, bounds: self.bounds };
        let serving = serve(listener, self.options, ports).expect("start the gateway");
        World {
            address: serving.local_addr(),
            upstream,
            snapshot,
            clock,
            counters,
            treasury,
            intake,
            rehash,
            names,
            door,
            asked,
            policies: policy_ids(&resources),
            minted: AtomicU64::new(0),
            serving: Some(serving),
            journal_dir,
            _journal: journal,
        }
    }
}

fn consumer(name: &str) -> Consumer {
    Consumer {
        id: CONSUMER,
        project: PROJECT,
        name: name.into(),
        kind: tollgate_core::resource::ConsumerKind::Partner,
        external_id: Some("p 17".into()),
        metadata: Box::default(),
    }
}

fn policy_ids(resources: &Resources) -> HashMap<String, PolicyId> {
    resources.policies.iter().zip(1000..).map(|(spec, id)| (spec.name.clone(), PolicyId(id))).collect()
}

pub(crate) fn service_ids(resources: &Resources) -> HashMap<String, ServiceId> {
    resources.services.iter().zip(2000..).map(|(spec, id)| (spec.name.clone(), ServiceId(id))).collect()
}

fn event_types(resources: &Resources) -> HashMap<(ProjectId, Box<str>), Arc<EventType>> {
    let mut types: HashMap<(ProjectId, Box<str>), EventType> = HashMap::new();
    for spec in &resources.event_types {
        let known = types.entry((PROJECT, spec.name.as_str().into())).or_default();
        known.versions.insert(spec.version, spec.schema.as_str().into());
    }
    types.into_iter().map(|(key, known)| (key, Arc::new(known))).collect()
}

fn tables(resources: &Resources) -> Tables {
    let service_ids = service_ids(resources);
    let services: ById<ServiceId, Arc<Service>> = resources
        .services
        .iter()
        .map(|spec| {
            let id = service_ids[&spec.name];
            // A service of another project shows that a key stays in its own.
            let project = if spec.project == "maps" { PROJECT } else { ProjectId(99) };
            let row = ServiceRow { id, project, tenant: TENANT, version: 1 };
            (id, Arc::new(Service::compile(Arc::new(spec.clone()), row).expect("a right service")))
        })
        .collect();
    let policies = policy_ids(resources);
    let policies = resources
        .policies
        .iter()
        .map(|spec| {
            let id = policies[&spec.name];
            let row = PolicyRow { id, project: PROJECT, version: 1 };
            let policy = Policy::compile(spec, row, |name| service_ids.get(name).copied());
            (id, Arc::new(policy.expect("a right policy")))
        })
        .collect();
    Tables {
        tenants: ById::from_iter([(TENANT, Tenant { name: "acme".into() })]),
        projects: ById::from_iter([(
            PROJECT,
            Project { tenant: TENANT, name: "maps".into(), key_prefix: "mbk".into() },
        )]),
        policies,
        router: Router::new(services.values().cloned()),
        services,
        service_tokens: HashMap::new(),
        foreign: Foreign::default(),
        prices: Arc::new(prices(resources)),
        budgets: budgets(resources),
        secrets: HashMap::new(),
        event_types: event_types(resources),
        rules: Arc::from([]),
        models: HashMap::new(),
        seq: 1,
    }
}

fn prices(resources: &Resources) -> Prices {
    let own = resources.prices.clone();
    Prices::compile(&HashMap::from([(None, own)])).expect("right prices")
}

/// Budgets of the one tenant, project and consumer, or of the key that is named.
fn budgets(resources: &Resources) -> Budgets {
    let held = resources.budgets.iter().zip(3000..).map(|(spec, id)| {
        let (level, subject) = match spec.holder().expect("somebody holds it") {
            HolderSpec::Tenant(_) => (Level::Tenant, TENANT.0),
            HolderSpec::Project(_) => (Level::Project, PROJECT.0),
            HolderSpec::Consumer { .. } => (Level::Consumer, CONSUMER.0),
            HolderSpec::Key(key) => (Level::Key, key.0),
        };
        let budget = Budget::compile(spec).expect("a right budget");
        let (id, tenant, period) = (BudgetId(id), TENANT, spec.period);
        HeldBudget { id, level, subject, holder: level.name().into(), tenant, period, budget }
    });
    held.collect()
}

impl World {
    /// A world with [`TILES`].
    pub(crate) fn tiles() -> Self {
        Plan::new(TILES).start()
    }

    /// A key with this policy.
    pub(crate) fn key(&self, policy: &str) -> String {
        self.key_with(policy, |_| {})
    }

    /// A key with this policy and a record of one's own.
    pub(crate) fn key_with(&self, policy: &str, change: impl FnOnce(&mut KeyRecord)) -> String {
        let text = self.fresh_text();
        self.put(text.as_bytes(), policy, change);
        text
    }

    /// The text of a key that nobody has.
    pub(crate) fn fresh_text(&self) -> String {
        let number = self.minted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut random = [7; 32];
        random[..8].copy_from_slice(&number.to_le_bytes());
        mint("mbk", Environment::Live, &Secret::new(random)).expect("a right prefix").expose().clone()
    }

    /// Puts a secret into the keyring.
    pub(crate) fn put(&self, secret: &[u8], policy: &str, change: impl FnOnce(&mut KeyRecord)) {
        let mut record = self.record(policy);
        change(&mut record);
        self.snapshot.keyring.put(Digest::of(secret), record);
    }

    /// A record with this policy.
    pub(crate) fn record(&self, policy: &str) -> KeyRecord {
        let number = self.minted.fetch_add(1, Ordering::SeqCst) + 1;
        KeyRecord {
            id: KeyId(number),
            consumer: CONSUMER,
            project: PROJECT,
            policy: Some(self.policies[policy]),
            expires_us: i64::MAX,
            secret_until_us: i64::MAX,
            version: 1,
            generation: 0,
            state: KeyState::Active,
            environment: Environment::Live,
            narrowing: None,
        }
    }

    /// A narrowing to a host.
    pub(crate) fn bound_to(host: &str) -> Option<Box<Narrowing>> {
        Some(Box::new(Narrowing { bind_host: Some(host.into()), networks: None }))
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(self.address).await
    }

    /// `GET target` with a bearer key.
    pub(crate) async fn get(&self, target: &str, key: &str) -> Reply {
        self.send(Call::get(target).bearer(key)).await
    }

    /// How many requests of a key are in flight, of a policy with `max_concurrency`.
    pub(crate) fn in_flight(&self, policy: &str, key: KeyId) -> u64 {
        let tables = self.snapshot.tables();
        let policy = &tables.policies[&self.policies[policy]];
        let concurrent = |rule: &&Rule| matches!(rule.measure, Measure::Concurrency);
        let rule = policy.rules.iter().find(concurrent).expect("the policy has max_concurrency");
        rule.amount - self.counters.peek(rule, key.0, self.clock.now()).remaining
    }

    /// Waits until the gateway has seen that its clients are gone.
    pub(crate) async fn left_alone(&self) {
        let serving = self.serving.as_ref().expect("it is not ended");
        wait_until(DEADLINE, || async { serving.connections() == 0 }).await;
    }

    /// The gateway's end, for the test to bring about.
    pub(crate) fn end(&mut self) -> Serving {
        self.serving.take().expect("it is ended once")
    }

    /// How many host names were looked up.
    pub(crate) fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Changes the small tables.
    pub(crate) fn change_tables(&self, change: impl FnOnce(&mut Tables)) {
        let old = self.snapshot.tables();
        let mut new = Tables {
            tenants: old.tenants.clone(),
            projects: old.projects.clone(),
            policies: old.policies.clone(),
            router: Router::new(old.services.values().cloned()),
            services: old.services.clone(),
            service_tokens: HashMap::new(),
            foreign: Foreign::default(),
            prices: old.prices.clone(),
            budgets: old.budgets.clone(),
            secrets: old.secrets.clone(),
            event_types: old.event_types.clone(),
            rules: Arc::clone(&old.rules),
            models: HashMap::new(),
            seq: old.seq + 1,
        };
        change(&mut new);
        self.snapshot.replace_tables(new);
    }

    /// Everything that was journalled, in the order in which requests came.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let mut reader = Reader::open(self.journal_dir.path()).expect("open the journal for reading");
        let batches = reader.batches(&[], 1_000_000).expect("read the journal");
        let mut records: Vec<_> = batches.into_iter().flat_map(|batch| batch.records).collect();
        records.sort_by_key(|record| record.decision);
        records
    }

    /// Waits until so many requests were journalled and gives their records.
    pub(crate) async fn records_of(&self, count: usize) -> Vec<StoredRecord> {
        wait_until(DEADLINE, || async { self.records().len() >= count }).await;
        let records = self.records();
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            let _ = serving.drain(Duration::from_secs(1));
        }
    }
}

/// Asserts a refusal of the gate: status, code, shape, id.
#[track_caller]
pub(crate) fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let body = reply.json();
    assert_eq!(body["status"], status);
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    assert!(body["type"].as_str().is_some_and(|kind| kind.contains(':')), "{body}");
    let id = reply.header("x-request-id").expect("every answer has an id");
    assert_eq!(body["decision_id"].as_str(), Some(id));
    assert!(id.parse::<tollgate_core::id::DecisionId>().is_ok(), "{id}");
}
