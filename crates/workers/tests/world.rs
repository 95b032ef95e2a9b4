//! One node and what it works on.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tollgate_core::{
    authenticate::{Recognised, recognise},
    authz::{Action, Actor, Permit, authorise},
    code::Code,
    counters::RuleId,
    key::Environment,
    resource::Resources,
    secret::Secret,
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::{Charge, Charges, Entry, Journal, Options as JournalOptions, Record, Ticket, Writer};
use tollgate_store::{ApplyMode, CreatedKey, NewKey, OpenOptions, QuotaTotal, Rehash, Store, UsageFilter};
use tollgate_workers::{FundsOptions, Options, Parts, Prepared, QuotaSink, Running};

/// 2026-01-01T00:00:00Z.
pub(crate) const START_US: i64 = 1_767_225_600_000_000;
/// A state that should come soon comes within this.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits for a state.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let all = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, all).await.is_ok(), "not so within {SOON:?}: {what}");
}

/// A clock that stands still until it is moved.
pub(crate) struct HandClock {
    wall_us: AtomicI64,
    mono_ns: AtomicU64,
}

impl HandClock {
    pub(crate) fn advance(&self, time: Duration) {
        self.wall_us.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
        self.mono_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Now {
        Now { wall_us: self.wall_us.load(Ordering::SeqCst), mono_ns: self.mono_ns.load(Ordering::SeqCst) }
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<QuotaTotal>>);

impl Told {
    /// The last total of a rule.
    pub(crate) fn used(&self, rule: RuleId) -> Option<u64> {
        self.0.lock().unwrap().iter().rev().find(|total| total.rule == rule).map(|total| total.used)
    }
}

impl QuotaSink for Told {
    fn merge(&self, totals: &[QuotaTotal]) {
        self.0.lock().unwrap().extend_from_slice(totals);
    }
}

/// Everything of a node that outlives its process.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) clock: Arc<HandClock>,
    boots: u64,
}

/// One run of the node.
pub(crate) struct Process {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) writer: Writer,
    pub(crate) told: Arc<Told>,
    pub(crate) rehashes: mpsc::Sender<Rehash>,
    pub(crate) sweeps: Arc<AtomicUsize>,
    pub(crate) parts: Option<Parts>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", folder.path().display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        let clock =
            HandClock { wall_us: AtomicI64::new(START_US), mono_ns: AtomicU64::new(1_000_000_000_000) };
        let world = Self { folder, url, store, clock: Arc::new(clock), boots: 0 };
        world.furnish().await;
        world
    }

    async fn furnish(&self) {
        let resources: Resources = resources(
            "[[tenant]]\nname = 'acme'\n[[project]]\ntenant = 'acme'\nname = 'maps'\n\
             [[consumer]]\nproject = 'maps'\nname = 'app'",
        );
        let permit = permit(Action::ChangeResources);
        self.store.apply(&permit, &resources, ApplyMode::default(), START_US).await.unwrap();
    }

    /// A new run of the node; the one before must be gone.
    pub(crate) fn boot(&mut self) -> Process {
        self.boot_with(Options {
            poll_every: Duration::from_millis(10),
            ship_every: Duration::from_millis(10),
            ..Options::default()
        })
    }

    pub(crate) fn boot_with(&mut self, options: Options) -> Process {
        self.boots += 1;
        let journal_options = JournalOptions { segment_bytes: 256 * 1024, ..JournalOptions::default() };
        let dir = self.folder.path().join("journal");
        let (journal, _) = Journal::open(dir, self.boots, journal_options).unwrap();
        let (journal, snapshot) = (Arc::new(journal), Arc::new(Snapshot::with_capacity(16)));
        let (told, sweeps) = (Arc::new(Told::default()), Arc::new(AtomicUsize::new(0)));
        let (rehashes, received) = mpsc::channel(16);
        let swept = Arc::clone(&sweeps);
        let parts = Parts {
            store: Arc::new(self.store.clone()),
            snapshot: Arc::clone(&snapshot),
            journal: Some(Arc::clone(&journal)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            quotas: Arc::clone(&told) as Arc<dyn QuotaSink>,
            sweep: Arc::new(move |_| {
                swept.fetch_add(1, Ordering::SeqCst);
            }),
            rehashes: received,
            seal: None,
            remind: None,
            rules: true,
            funds: None,
            quota_leases: None,
            node: 7,
            boot: self.boots,
            options,
        };
        let writer = journal.writer(0).unwrap();
        Process { snapshot, journal, writer, told, rehashes, sweeps, parts: Some(parts) }
    }

    /// Another process on the same database.
    pub(crate) async fn other(&self) -> Store {
        Store::open(&self.url, OpenOptions::default()).await.unwrap()
    }

    /// Somebody who owns the tenant.
    pub(crate) async fn add_owner(&self, email: &str) {
        let mut stranger = self.stranger().await;
        stranger
            .run(&format!(
                "INSERT INTO accounts (id, email, login, name, totp_step, created_us, version) \
                 VALUES (1, '{email}', '{email}', 'Owner', 0, 0, 1)"
            ))
            .await;
        stranger
            .run(
                "INSERT INTO members (account, tenant, role, source, created_us, version) \
                  SELECT 1, id, 'owner', 'local', 0, 1 FROM tenants",
            )
            .await;
    }

    pub(crate) async fn create_key(&self, seed: u8) -> CreatedKey {
        self.create(seed, None).await
    }

    pub(crate) async fn create_expiring_key(&self, seed: u8, expires_us: i64) -> CreatedKey {
        self.create(seed, Some(expires_us)).await
    }

    async fn create(&self, seed: u8, expires_us: Option<i64>) -> CreatedKey {
        let new = NewKey {
            project: "maps".into(),
            consumer: "app".into(),
            policy: None,
            environment: Environment::Live,
            name: None,
            expires_us,
            bind_host: None,
            allow_ips: None,
            metadata: Default::default(),
        };
        let now_us = self.clock.now().wall_us;
        let created =
            self.store.create_key(&permit(Action::ChangeKeys), new, &Secret::new([seed; 32]), now_us).await;
        created.unwrap().value
    }

    /// Requests counted in the database.
    pub(crate) async fn counted(&self) -> u64 {
        self.store.usage(&[], &UsageFilter::default()).await.unwrap().total.requests
    }

    /// A connection of somebody else.
    pub(crate) async fn stranger(&self) -> Stranger {
        Stranger(sqlx::AnyPool::connect(&self.url).await.unwrap().acquire().await.unwrap())
    }
}

/// Somebody else on the same database.
pub(crate) struct Stranger(sqlx::pool::PoolConnection<sqlx::Any>);

impl Stranger {
    pub(crate) async fn run(&mut self, text: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut *self.0).await.unwrap();
    }
}

impl Process {
    /// Gives it funds to keep, before it starts.
    pub(crate) fn keep(&mut self, funds: FundsOptions) {
        self.parts.as_mut().unwrap().funds = Some(funds);
    }

    pub(crate) async fn prepare(&mut self) -> Prepared {
        self.parts.take().unwrap().prepare().await.unwrap()
    }

    pub(crate) async fn start(&mut self) -> Running {
        self.prepare().await.start().await.unwrap()
    }

    /// Answers requests: appends a record each.
    pub(crate) fn answer(&self, requests: usize, at_us: i64) {
        for _ in 0..requests {
            self.answer_with(at_us, &[]);
        }
    }

    pub(crate) fn answer_with(&self, at_us: i64, charges: &[Charge]) {
        let ticket = self.reserve();
        let entry = Entry { at_us, code: Code::Valid.number(), status: 200, units: 1, ..Entry::default() };
        let charges = Charges::new(charges).unwrap();
        let record =
            Record { entry, charges, path: "/tiles/1", detail: "", user_agent: "test", ..Record::default() };
        self.writer.append(ticket, &record).unwrap();
    }

    /// Room for a record; waits while the journal makes the next segment.
    fn reserve(&self) -> Ticket {
        for _ in 0..10_000 {
            match self.writer.reserve() {
                Ok(ticket) => return ticket,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("the journal stays full");
    }

    /// Whether a credential is recognised, and by which hash.
    pub(crate) fn knows(&self, credential: &str) -> Option<Known> {
        match recognise(credential.as_bytes(), &self.snapshot.keyring, &self.snapshot.tables().foreign) {
            Recognised::Key { rehash: None, .. } => Some(Known::Fast),
            Recognised::Key { rehash: Some(_), .. } => Some(Known::Foreign),
            _ => None,
        }
    }
}

/// How a credential is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// By its SHA-256.
    Fast,
    /// By an imported hash.
    Foreign,
}

pub(crate) fn permit(action: Action) -> Permit {
    authorise(&Actor::OsUser("test".into()), action, None).unwrap()
}

pub(crate) fn resources(text: &str) -> Resources {
    toml::from_str(text).unwrap()
}
