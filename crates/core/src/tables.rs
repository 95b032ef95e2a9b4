//! The small tables: tenants, projects, policies, services, tokens, prices, budgets; immutable, swapped whole.
//!
//! Keys and consumers may be millions and live in concurrent maps of their own; everything else is
//! thousands at most and is rebuilt when it changes, so that a request reads one consistent state.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::{
    blocks::Blocks,
    budget::held::Budgets,
    id::{ConsumerId, ModelId, PolicyId, ProjectId, ServiceId, ServiceTokenId, TenantId},
    key::Digest,
    keyring::{Keyring, PlainHash},
    model::Model,
    money::prices::Prices,
    policy::Policy,
    resource::ConsumerKind,
    route::Router,
    rule::Rule,
    secret::Secret,
    service::Service,
};

/// A table by id. Ids are random and made here, so that they are their own hashes.
pub type ById<K, V> = HashMap<K, V, PlainHash>;

/// All that decisions are made from, shared by every thread of the process.
pub struct Snapshot {
    /// All keys.
    pub keyring: Keyring,
    /// All consumers.
    pub consumers: papaya::HashMap<u64, Arc<Consumer>, PlainHash>,
    tables: ArcSwap<Tables>,
    blocks: ArcSwap<Blocks>,
    /// Goes up after tables or blocks were put in place.
    version: AtomicU64,
    fresh_until_ns: AtomicU64,
}

impl Snapshot {
    /// An empty snapshot with room for this many keys, stale until said otherwise.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self {
            keyring: Keyring::with_capacity(keys),
            consumers: papaya::HashMap::with_hasher(PlainHash),
            tables: ArcSwap::from_pointee(Tables::default()),
            blocks: ArcSwap::from_pointee(Blocks::default()),
            version: AtomicU64::new(0),
            fresh_until_ns: AtomicU64::new(0),
        }
    }

    /// The small tables as they are now.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        self.tables.load_full()
    }

    /// The small tables as they are now, lent without counting references.
    #[must_use]
    pub fn tables_ref(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.tables.load()
    }

    /// Another number whenever tables or blocks were replaced. Who asks for it first and for them then may
    /// keep them for as long as it stays the same: a replacement is not done before it has changed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Puts new tables in place.
    pub fn replace_tables(&self, tables: Tables) {
        self.tables.store(Arc::new(tables));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Who is blocked now.
    #[must_use]
    pub fn blocks(&self) -> Arc<Blocks> {
        self.blocks.load_full()
    }

    /// Who is blocked now, lent without counting references.
    #[must_use]
    pub fn blocks_ref(&self) -> arc_swap::Guard<Arc<Blocks>> {
        self.blocks.load()
    }

    /// Puts new blocks in place.
    pub fn replace_blocks(&self, blocks: Blocks) {
        self.blocks.store(Arc::new(blocks));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The consumer with this id.
    #[must_use]
    pub fn consumer(&self, id: ConsumerId) -> Option<Arc<Consumer>> {
        self.consumers.pin().get(&id.0).cloned()
    }

    /// Says that the snapshot is known to be fresh until this moment of `CLOCK_BOOTTIME`; an
    /// earlier moment than the present one changes nothing.
    pub fn keep_fresh_until(&self, mono_ns: u64) {
        self.fresh_until_ns.fetch_max(mono_ns, Ordering::Release);
    }

    /// Says that nothing is known to be fresh any more: the feed went back or changed its identity.
    pub fn expire(&self) {
        self.fresh_until_ns.store(0, Ordering::Release);
    }

    /// Whether the snapshot is known to be fresh (I3).
    #[must_use]
    pub fn is_fresh(&self, mono_ns: u64) -> bool {
        mono_ns < self.fresh_until_ns.load(Ordering::Acquire)
    }
}

/// The small tables.
#[derive(Debug, Default)]
pub struct Tables {
    /// Tenants by id.
    pub tenants: ById<TenantId, Tenant>,
    /// Projects by id.
    pub projects: ById<ProjectId, Project>,
    /// Policies by id.
    pub policies: ById<PolicyId, Arc<Policy>>,
    /// Services by id.
    pub services: ById<ServiceId, Arc<Service>>,
    /// Which service takes a request.
    pub router: Router,
    /// Tokens of the service API by digest.
    pub service_tokens: HashMap<Digest, Arc<ServiceToken>>,
    /// How imported keys of other shapes are recognised.
    pub foreign: Foreign,
    /// What models cost.
    pub prices: Arc<Prices>,
    /// Who may spend how much.
    pub budgets: Budgets,
    /// Secrets by their project and name, as far as this node can decrypt them. What is not in here and
    /// is needed is answered `unavailable`, never sent without.
    pub secrets: HashMap<(ProjectId, Box<str>), Arc<Secret<String>>>,
    /// Versions of types of events, by their project and name.
    pub event_types: HashMap<(ProjectId, Box<str>), Arc<EventType>>,
    /// Rules that watch what is answered.
    pub rules: Arc<[Rule]>,
    /// Versions of models, by their id.
    pub models: HashMap<ModelId, Model>,
    /// The last change that is in here.
    pub seq: u64,
}

/// A type of events in its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventType {
    /// Each version and its JSON Schema as text.
    pub versions: BTreeMap<u32, Box<str>>,
}

impl Tables {
    /// A type of events of a project.
    #[must_use]
    pub fn event_type(&self, project: ProjectId, name: &str) -> Option<&Arc<EventType>> {
        if self.event_types.is_empty() {
            return None;
        }
        self.event_types.get(&(project, Box::from(name)))
    }

    /// The secret of this name in a project, decrypted.
    #[must_use]
    pub fn secret(&self, project: ProjectId, name: &str) -> Option<&Arc<Secret<String>>> {
        self.secrets.get(&(project, Box::from(name)))
    }
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: Box<str>,
}

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: Box<str>,
    /// What its keys begin with.
    pub key_prefix: Box<str>,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its id.
    pub id: ConsumerId,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: Box<str>,
    /// What kind of holder it is.
    pub kind: ConsumerKind,
    /// Its id in the user's own systems.
    pub external_id: Option<Box<str>>,
    /// Free text by name.
    pub metadata: Box<[(Box<str>, Box<str>)]>,
}

/// A token of the service API.
#[derive(Debug)]
pub struct ServiceToken {
    /// Its id.
    pub id: ServiceTokenId,
    /// Its name.
    pub name: Box<str>,
    /// The tenant whose keys it may ask about.
    pub tenant: TenantId,
    /// The services it may ask about; all of the tenant when empty.
    pub services: Box<[ServiceId]>,
}

/// How imported keys of other shapes are recognised.
#[derive(Debug, Default)]
pub struct Foreign {
    /// Whether any key of another shape exists; otherwise such shapes are refused unseen.
    pub any: bool,
    /// Whether keys known by their SHA-512 exist.
    pub sha512: bool,
    /// Secrets of keys known by their HMAC-SHA-256, at most [`HMACS_MAX`].
    pub hmacs: Vec<Secret<Vec<u8>>>,
    /// Lengths of the prefixes that slow hashes are found by, at most [`PREFIX_LENGTHS_MAX`].
    pub slow_prefix_lens: Vec<u16>,
}

/// Different HMAC secrets an installation may have: each costs a hash per unknown key.
pub const HMACS_MAX: usize = 8;
/// Different prefix lengths of slow imports an installation may have.
pub const PREFIX_LENGTHS_MAX: usize = 8;
