//! A running service API with two tenants in it.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tollgate_core::{
    budget::{
        Budget,
        held::{HeldBudget, Level},
        spec::BudgetSpec,
    },
    id::{BudgetId, ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, ServiceTokenId, TenantId},
    key::{Digest, Environment, mint},
    keyring::{KeyRecord, KeyState},
    policy::{Policy, PolicyRow},
    resource::{ConsumerKind, PolicySpec, Resources},
    route::Router,
    secret::Secret,
    service::{Service, ServiceRow},
    tables::{ById, Consumer, Foreign, Project, ServiceToken, Snapshot, Tables, Tenant},
    time::{Clock, Now},
};
use tollgate_counters::LocalCounters;
use tollgate_gateway::{
    bound_host::{HostAnswer, HostLookup, HostUnknown, Lookup},
    http::{
        bounds::Bounds,
        serve::{Listener, Serving},
    },
    intake::NoIntake,
    options::GatewayOptions,
    ports::Ports,
    service_api,
    slow_hash::NoRehash,
};
use tollgate_journal::{Journal, Options, Reader, StoredRecord};
use tollgate_testkit::http::{Call, Reply};

use super::waiting::TestLimits;
use crate::treasury::TestTreasury;

pub(crate) const ACME: TenantId = TenantId(11);
pub(crate) const GLOBEX: TenantId = TenantId(12);
pub(crate) const MAPS: ProjectId = ProjectId(21);
pub(crate) const SHOP: ProjectId = ProjectId(22);
pub(crate) const FOREIGN: ProjectId = ProjectId(23);
pub(crate) const CONSUMER: ConsumerId = ConsumerId(33);

/// May ask about everything of acme.
pub(crate) const TOKEN: &str = "tgs_of_all_of_acme";
/// May ask about `maps/tiles` alone.
pub(crate) const TILES_TOKEN: &str = "tgs_of_tiles_alone";
/// May ask about `maps/tiles` and `maps/admin`.
pub(crate) const TWO_TOKEN: &str = "tgs_of_two_services";
/// Of the other tenant.
pub(crate) const GLOBEX_TOKEN: &str = "tgs_of_all_of_globex";

/// 2026-09-01T12:00:00Z: the middle of a day and of no month's end.
pub(crate) const NOON_US: i64 = 1_788_264_000_000_000;

const SERVICES: &str = r#"
    [[service]]
    project = "maps"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/tiles" }
    upstreams = ["http://127.0.0.1:1"]
    credentials = ["query:key"]
    headers = "both"

    [[service]]
    project = "maps"
    name = "admin"
    kind = "proxy"
    match = { path_prefix = "/admin", host = "admin.example.com" }
    upstreams = ["http://127.0.0.1:1"]
    endpoint_scopes = { "POST /admin/refunds/**" = ["refund"] }

    [[service]]
    project = "maps"
    name = "open"
    kind = "proxy"
    match = { path_prefix = "/open" }
    upstreams = ["http://127.0.0.1:1"]
    public = true

    [[service]]
    project = "shop"
    name = "tiles"
    kind = "proxy"
    match = { path_prefix = "/shop" }
    upstreams = ["http://127.0.0.1:1"]

    [[service]]
    project = "foreign"
    name = "vault"
    kind = "proxy"
    match = { path_prefix = "/vault" }
    upstreams = ["http://127.0.0.1:1"]
"#;

/// A clock that stands until it is moved.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let passed_ns = self.0.load(Ordering::SeqCst);
        let wall_us = NOON_US + i64::try_from(passed_ns / 1_000).unwrap();
        Now { wall_us, mono_ns: 1_000_000_000 + passed_ns }
    }
}

/// Knows what the test has put in.
struct Hosts(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl HostLookup for Hosts {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        let addresses = self.0.lock().unwrap().get(host).cloned();
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(HostAnswer { addresses: addresses.ok_or(HostUnknown)?, ttl: Duration::from_secs(60) })
        })
    }
}

/// A running service API.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) treasury: Arc<TestTreasury>,
    pub(crate) limits: Arc<TestLimits>,
    pub(crate) hosts: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    minted: AtomicU64,
    serving: Option<Serving>,
    folder: TempDir,
    _journal: Journal,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::start_with(GatewayOptions::default(), u64::MAX)
    }

    /// Not known to be fresh.
    pub(crate) fn start_stale() -> Self {
        Self::start_with(GatewayOptions::default(), 0)
    }

    pub(crate) fn start_with(options: GatewayOptions, fresh_until_ns: u64) -> Self {
        let folder = TempDir::new().expect("make a temporary folder");
        let journal_options =
            Options { segment_bytes: 4 * 1024 * 1024, bytes_max: 64 * 1024 * 1024, ..Options::default() };
        let (journal, _) = Journal::open(folder.path(), 0x7e57, journal_options).expect("open the journal");
        let snapshot = Arc::new(Snapshot::with_capacity(16));
        snapshot.keep_fresh_until(fresh_until_ns);
        snapshot.replace_tables(tables());
        snapshot.consumers.pin().insert(CONSUMER.0, Arc::new(consumer()));
        let (clock, hosts) = (Arc::new(TestClock::default()), Arc::new(Mutex::new(HashMap::new())));
        let known = hosts.clone();
        let treasury = Arc::new(TestTreasury::default());
        let limits = Arc::new(TestLimits::new(clock.clone()));
        let ports = Ports {
            snapshot: snapshot.clone(),
            counters: Arc::new(LocalCounters::default()),
            limits: limits.clone(),
            treasury: treasury.clone(),
            writers: vec![journal.writer(0).expect("open a writer")],
            clock: clock.clone(),
            rehash: Arc::new(NoRehash),
            intake: Arc::new(NoIntake),
            models: Arc::new(tollgate_core::serving::NoModels),
            host_lookup: Arc::new(move || Rc::new(Hosts(known.clone()))),
        };
        let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener { bind, tls: None, bounds: Bounds::default() };
        let serving = service_api::serve(listener, options, ports).expect("start the service API");
        Self {
            address: serving.local_addr(),
            snapshot,
            clock,
            treasury,
            limits,
            hosts,
            minted: AtomicU64::new(0),
            serving: Some(serving),
            folder,
            _journal: journal,
        }
    }

    /// Gives acme's project maps a hard budget of dollars.
    pub(crate) fn set_budget(&self, amount: &str) {
        let text = format!("project = 'maps'\ncurrency = 'USD'\namount = '{amount}'\nperiod = 'once'");
        let spec: BudgetSpec = toml::from_str(&text).expect("a budget of a test is right");
        let budget = Budget::compile(&spec).expect("a budget of a test is right");
        let (id, level, period) = (BudgetId(1), Level::Project, spec.period);
        let held =
            HeldBudget { id, level, subject: MAPS.0, holder: "maps".into(), tenant: ACME, period, budget };
        let old = self.snapshot.tables();
        let budgets = [held].into_iter().collect();
        self.snapshot.replace_tables(Tables { policies: old.policies.clone(), budgets, ..tables() });
    }

    /// A key of acme's project maps with a policy that is written as TOML; `services` is `["*"]`
    /// where it does not say.
    pub(crate) fn key(&self, policy: &str) -> String {
        self.key_with(policy, |_| {})
    }

    /// A key with a record of one's own.
    pub(crate) fn key_with(&self, policy: &str, change: impl FnOnce(&mut KeyRecord)) -> String {
        let number = self.minted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut record = KeyRecord {
            id: KeyId(number),
            consumer: CONSUMER,
            project: MAPS,
            policy: Some(PolicyId(1000 + number)),
            expires_us: i64::MAX,
            secret_until_us: i64::MAX,
            version: 1,
            generation: 0,
            state: KeyState::Active,
            environment: Environment::Live,
            narrowing: None,
        };
        change(&mut record);
        if let Some(id) = record.policy {
            self.add_policy(id, record.project, policy);
        }
        let text = self.fresh_text(number);
        self.snapshot.keyring.put(Digest::of(text.as_bytes()), record);
        text
    }

    /// The text of a key that nobody has.
    pub(crate) fn unknown_key(&self) -> String {
        self.fresh_text(self.minted.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn fresh_text(&self, number: u64) -> String {
        let mut random = [7; 32];
        random[..8].copy_from_slice(&number.to_le_bytes());
        mint("mbk", Environment::Live, &Secret::new(random)).expect("a right prefix").expose().clone()
    }

    fn add_policy(&self, id: PolicyId, project: ProjectId, policy: &str) {
        let services = if policy.contains("services") { "" } else { "services = [\"*\"]" };
        let text = format!("project = \"maps\"\nname = \"standard\"\n{services}\n{policy}");
        let spec: PolicySpec = toml::from_str(&text).expect("the policy of a test is right");
        let old = self.snapshot.tables();
        let service_named = |name: &str| {
            let mut own = old.services.values().filter(|service| service.project == project);
            own.find(|service| service.name() == name).map(|service| service.id)
        };
        let row = PolicyRow { id, project, version: 1 };
        let policy = Policy::compile(&spec, row, service_named).expect("a right policy");
        let mut new = tables();
        new.policies = old.policies.clone();
        new.policies.insert(id, Arc::new(policy));
        self.snapshot.replace_tables(new);
    }

    /// `POST /v1/keys/verify` with [`TOKEN`]; the answer must be 200.
    pub(crate) async fn verify(&self, question: Value) -> Value {
        self.verify_as(TOKEN, question).await
    }

    /// The same with another token.
    pub(crate) async fn verify_as(&self, token: &str, question: Value) -> Value {
        let reply = self.send(Call::post("/v1/keys/verify", &question).bearer(token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let answer = reply.json();
        assert_eq!(answer["decision_id"].as_str(), reply.header("x-request-id"));
        assert_eq!(answer["valid"], answer["code"] == "valid");
        answer
    }

    pub(crate) async fn send(&self, call: Call) -> Reply {
        call.send(self.address).await
    }

    /// Everything that was journalled, in the order in which it was asked.
    pub(crate) fn records(&self) -> Vec<StoredRecord> {
        let mut reader = Reader::open(self.folder.path()).expect("open the journal for reading");
        let batches = reader.batches(&[], 1_000_000).expect("read the journal");
        let mut records: Vec<_> = batches.into_iter().flat_map(|batch| batch.records).collect();
        records.sort_by_key(|record| record.decision);
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

/// The service with this name in this project.
pub(crate) fn service_id(project: &str, name: &str) -> ServiceId {
    let resources: Resources = toml::from_str(SERVICES).expect("the services are right");
    let place = resources.services.iter().position(|spec| spec.project == project && spec.name == name);
    ServiceId(2000 + place.expect("there is such a service") as u64)
}

fn tables() -> Tables {
    let resources: Resources = toml::from_str(SERVICES).expect("the services are right");
    let services: ById<ServiceId, Arc<Service>> = resources
        .services
        .iter()
        .zip(2000..)
        .map(|(spec, id)| {
            let (project, tenant) = match spec.project.as_str() {
                "maps" => (MAPS, ACME),
                "shop" => (SHOP, ACME),
                _ => (FOREIGN, GLOBEX),
            };
            let row = ServiceRow { id: ServiceId(id), project, tenant, version: 1 };
            let service = Service::compile(Arc::new(spec.clone()), row).expect("a right service");
            (ServiceId(id), Arc::new(service))
        })
        .collect();
    let project = |tenant, name: &str| Project { tenant, name: name.into(), key_prefix: "mbk".into() };
    Tables {
        tenants: ById::from_iter([
            (ACME, Tenant { name: "acme".into() }),
            (GLOBEX, Tenant { name: "globex".into() }),
        ]),
        projects: ById::from_iter([
            (MAPS, project(ACME, "maps")),
            (SHOP, project(ACME, "shop")),
            (FOREIGN, project(GLOBEX, "foreign")),
        ]),
        policies: ById::default(),
        router: Router::new(services.values().cloned()),
        services,
        service_tokens: tokens(),
        foreign: Foreign::default(),
        seq: 1,
        ..Tables::default()
    }
}

fn tokens() -> HashMap<Digest, Arc<ServiceToken>> {
    let token = |text: &str, id, tenant, services: &[ServiceId]| {
        let token =
            ServiceToken { id: ServiceTokenId(id), name: "test".into(), tenant, services: services.into() };
        (Digest::of(text.as_bytes()), Arc::new(token))
    };
    let (tiles, admin) = (service_id("maps", "tiles"), service_id("maps", "admin"));
    HashMap::from([
        token(TOKEN, 1, ACME, &[]),
        token(TILES_TOKEN, 2, ACME, &[tiles]),
        token(TWO_TOKEN, 3, ACME, &[tiles, admin]),
        token(GLOBEX_TOKEN, 4, GLOBEX, &[]),
    ])
}

fn consumer() -> Consumer {
    Consumer {
        id: CONSUMER,
        project: MAPS,
        name: "android team".into(),
        kind: ConsumerKind::Partner,
        external_id: Some("p-17".into()),
        metadata: Box::new([("plan".into(), "gold".into())]),
    }
}

/// Asserts a mistake of who asks: status, code, shape.
#[track_caller]
pub(crate) fn assert_mistake(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.json()["status"], status);
    assert!(reply.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", reply.text());
}
