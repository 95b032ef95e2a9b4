//! Limits that all nodes count together, in Redis; and what becomes of them while Redis is gone.
//!
//! Redis is never the record (rule 5): it may be empty at any moment, and then every limit lets through at most
//! one burst more. While it does not answer, each node enforces the limit divided by the live nodes, or
//! refuses where the limit says so; it comes back by itself. Whoever asks waits at most [`WAIT_MAX`].
//!
//! One task per process asks Redis for all requests that wait at the same time, in one call of one script; of
//! each request all limits are taken or none (I22).

mod link;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    counters::{Charge, Counters as _, Measure, Refusal, Rule, Standings, WhenGone},
    limits::Gcra,
    resource::{Per, Unit},
    time::{Now, Span},
};

use crate::LocalCounters;
pub use link::{LinkError, check};

/// How long a request waits for Redis at the most; after that it is decided without.
pub const WAIT_MAX: Duration = Duration::from_millis(100);
/// Requests that may wait for Redis; more are decided without.
const ASKS_MAX: usize = 4_096;
/// Limits of a request that are handled without allocating.
const USUAL: usize = 2;
/// Cells that are kept while Redis is gone.
const CELLS_MAX: usize = 1_000_000;

/// Limits of a request.
pub type SharedCharges = SmallVec<[SharedCharge; USUAL]>;

/// One request that waits for Redis.
struct Ask {
    charges: SharedCharges,
    answer: oneshot::Sender<SharedVerdict>,
}

/// What all users of the limits see.
struct State {
    is_up: AtomicBool,
    nodes: AtomicU64,
    /// Requests that were decided by Redis, and without it.
    decided: [AtomicU64; 2],
}

/// Limits that all nodes count together.
pub struct SharedLimits {
    asks: Option<mpsc::Sender<Ask>>,
    state: Arc<State>,
    /// What this node counts alone while Redis is gone.
    alone: LocalCounters,
}

impl SharedLimits {
    /// Limits without Redis: this node enforces its part of each.
    #[must_use]
    pub fn without_redis() -> Self {
        let state = State {
            is_up: AtomicBool::new(false),
            nodes: AtomicU64::new(1),
            decided: [const { AtomicU64::new(0) }; 2],
        };
        Self { asks: None, state: Arc::new(state), alone: LocalCounters::new(CELLS_MAX) }
    }

    /// Limits in the Redis at `url`, `redis://` or `rediss://`, asked by a task on the present tokio runtime
    /// that lives as long as this does.
    ///
    /// # Errors
    /// When the URL means nothing.
    pub fn start(url: &str) -> Result<Self, LinkError> {
        let maker = link::Maker::of(url)?;
        let (asks, inbox) = mpsc::channel(ASKS_MAX);
        let limits = Self { asks: Some(asks), ..Self::without_redis() };
        tokio::spawn(link::run(maker, inbox, Arc::clone(&limits.state)));
        Ok(limits)
    }

    /// Whether Redis answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.is_up.load(Ordering::Relaxed)
    }

    /// How many requests Redis has decided, and how many were decided without it.
    #[must_use]
    pub fn decided(&self) -> (u64, u64) {
        let [with, without] = &self.state.decided;
        (with.load(Ordering::Relaxed), without.load(Ordering::Relaxed))
    }

    /// Says how many nodes live, at least 1: each enforces its part while Redis is gone.
    pub fn share_with(&self, nodes: u64) {
        self.state.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    /// Drops what this node counted alone and is as good as new; to be called now and then.
    pub fn sweep(&self, now: Now) {
        let _dropped = self.alone.sweep(now);
    }

    /// Takes all charges or none, within [`WAIT_MAX`].
    pub async fn take(&self, charges: SharedCharges, now: Now) -> SharedVerdict {
        let [with, without] = &self.state.decided;
        if let Some(verdict) = self.asked(&charges).await {
            with.fetch_add(1, Ordering::Relaxed);
            return verdict;
        }
        without.fetch_add(1, Ordering::Relaxed);
        self.decide_alone(&charges, now)
    }

    /// What Redis says; `None` when it says nothing.
    async fn asked(&self, charges: &SharedCharges) -> Option<SharedVerdict> {
        let asks = self.asks.as_ref().filter(|_| self.is_up())?;
        let (answer, heard) = oneshot::channel();
        asks.try_send(Ask { charges: charges.clone(), answer }).ok()?;
        tokio::time::timeout(WAIT_MAX, heard).await.ok()?.ok()
    }

    /// Decides without Redis: by this node's part of each limit, unless one of them says to refuse.
    fn decide_alone(&self, charges: &SharedCharges, now: Now) -> SharedVerdict {
        if charges.iter().any(|charge| charge.when_gone == WhenGone::Refuses) {
            return SharedVerdict::Unknown;
        }
        let nodes = self.state.nodes.load(Ordering::Relaxed);
        let rules: SmallVec<[Rule; USUAL]> = charges.iter().map(|charge| part_of(charge, nodes)).collect();
        let parts: SmallVec<[Charge<'_>; USUAL]> = rules
            .iter()
            .zip(charges)
            .map(|(rule, charge)| Charge { rule, subject: charge.subject, amount: charge.amount })
            .collect();
        let mut standings = Standings::new();
        match self.alone.take(&parts, now, &mut standings) {
            Ok(()) => SharedVerdict::Passed(standings),
            Err(Refusal::Exhausted { index, retry_after_ns }) => {
                SharedVerdict::Exhausted { index, retry_after_ns, standings }
            }
            Err(Refusal::Full | Refusal::Short { .. }) => SharedVerdict::Unknown,
        }
    }
}

/// The part of a limit that one of so many nodes enforces. A burst is at least 1, or nothing would pass.
fn part_of(charge: &SharedCharge, nodes: u64) -> Rule {
    let gcra = Gcra {
        interval_ns: charge.gcra.interval_ns.saturating_mul(nodes),
        burst: (charge.gcra.burst / nodes).max(1),
    };
    Rule {
        id: charge.rule,
        name: Box::default(),
        unit: Unit::Units,
        per: Per::Key,
        amount: gcra.burst,
        measure: Measure::Rate { gcra, window: Span::from_secs(1), shared: None },
    }
}
