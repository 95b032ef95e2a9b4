//! Starting in the right order, running, ending in the right order.

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};
use tollgate_core::{
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::Journal;
use tollgate_store::{Applied, LastUses, Lessee, Rehash, Store, StoreError};

use crate::{
    asks::Asks,
    beat::Beat,
    feed::Feed,
    funds::{FundsOptions, Keeper},
    kept::UsageKept,
    pace::Pace,
    quotas::{QuotaKeeper, QuotaOptions},
    rehash,
    remind::{RemindOptions, Reminding},
    retention::Retention,
    rules::Rules,
    runs::Runs,
    seal::{SealOptions, Sealer},
    ship::{Failure, QuotaSink, Shipper},
    state::Progress,
    stop::Stop,
};

/// How often, how long.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often the feed is polled.
    pub poll_every: Duration,
    /// How long the snapshot counts as fresh after a poll began (`L`).
    pub lease: Duration,
    /// How often the journal is read. How often it is written to the database is the shipper's own
    /// business: within a second while little happens, at most every 10 s (1 s on PostgreSQL) else.
    pub ship_every: Duration,
    /// How long raw decisions are kept; zero keeps none.
    pub decisions_kept: Duration,
    /// How long sums of usage are kept.
    pub usage_kept: UsageKept,
    /// Whether this node forgets what is past its time. One that does not still ships no raw decisions
    /// where none are kept.
    pub forgets: bool,
    /// How long leftovers of an earlier run may take to ship at the start, and the rest at the end.
    pub drain_patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll_every: Duration::from_millis(100),
            lease: Duration::from_secs(10),
            ship_every: Duration::from_millis(200),
            decisions_kept: Duration::from_secs(30 * 86_400),
            usage_kept: UsageKept::default(),
            forgets: true,
            drain_patience: Duration::from_secs(10),
        }
    }
}

/// What the tasks work on.
pub struct Parts {
    /// The durable rows.
    pub store: Arc<Store>,
    /// What decisions are made from.
    pub snapshot: Arc<Snapshot>,
    /// The usage journal; a process without gateway and service API has none.
    pub journal: Option<Arc<Journal>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told what quotas have taken.
    pub quotas: Arc<dyn QuotaSink>,
    /// Drops counters that are as good as new.
    pub sweep: Arc<dyn Fn(Now) + Send + Sync>,
    /// Secrets to re-hash, from a bounded channel.
    pub rehashes: mpsc::Receiver<Rehash>,
    /// How the audit is sealed; only where the node has the role for it.
    pub seal: Option<SealOptions>,
    /// Whom to remind of what; only where the node has the role for it.
    pub remind: Option<RemindOptions>,
    /// Whether this node may watch for rules.
    pub rules: bool,
    /// What this process has of budgets; one that serves nothing has none.
    pub funds: Option<FundsOptions>,
    /// What this process may use of quotas; `None` where it counts them alone.
    pub quota_leases: Option<QuotaOptions>,
    /// This node.
    pub node: u64,
    /// This run of it.
    pub boot: u64,
    /// How often, how long.
    pub options: Options,
}

/// Why a process cannot start its work.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The database does not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What an earlier run left cannot be taken over.
    #[error("usage of an earlier run cannot be taken over: {public}")]
    Leftovers {
        /// What is wrong.
        public: String,
        /// For the log.
        cause: Option<String>,
    },
}

impl From<Failure> for PrepareError {
    fn from(failure: Failure) -> Self {
        Self::Leftovers { public: failure.public, cause: failure.cause }
    }
}

/// Leftovers shipped, snapshot loaded, quotas counted: ready to be started.
pub struct Prepared {
    parts: Parts,
    applied: Applied,
    shipper: Option<Shipper>,
    runs: Option<Runs>,
    progress: Arc<Progress>,
    moved: Arc<Notify>,
    asks: Arc<Asks>,
}

impl Parts {
    /// Ships what earlier runs left, counts what their calls held, ends their leases, loads the snapshot,
    /// counts the quotas, in this order: a quota read before the leftovers are in would be too low.
    ///
    /// # Errors
    /// When the database or the journal does not do its part.
    pub async fn prepare(self) -> Result<Prepared, PrepareError> {
        let progress = Arc::new(Progress::default());
        let (asks, moved) = (Arc::new(Asks::default()), Arc::new(Notify::new()));
        let mut shipper = self.journal.as_ref().map(|journal| Shipper {
            store: Arc::clone(&self.store),
            journal: Arc::clone(journal),
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&progress),
            quotas: Arc::clone(&self.quotas),
            ship_every: self.options.ship_every,
            snapshot: Arc::clone(&self.snapshot),
            kept_ns: 0,
            keep: !self.options.decisions_kept.is_zero(),
            asks: Arc::clone(&asks),
            moved: Arc::clone(&moved),
            pace: Pace::new(self.store.engine()),
            open: None,
            uses: LastUses::default(),
            read_until_us: 0,
            node: self.node,
            lessee: self.quota_leases.is_some().then_some(Lessee { node: self.node, boot: self.boot }),
            has_company: false,
            asked_us: None,
        });
        let runs = self.journal.as_ref().map(|journal| Runs::of(journal.dir()));
        if let Some(shipper) = &mut shipper {
            shipper.drain(self.options.drain_patience).await?;
            let lessee = Lessee { node: self.node, boot: self.boot };
            if let Some(runs) = &runs {
                note_torn(&self.store, runs, lessee).await?;
                runs.begin(self.boot).map_err(unmarked)?;
            }
            count_holds(&self.store, lessee, self.quota_leases.is_some()).await?;
            end_leases(&self.store, lessee, self.clock.as_ref()).await?;
            if let Some(runs) = &runs {
                runs.keep_only(self.boot).map_err(unmarked)?;
            }
        }
        let began = self.clock.now();
        let applied = self.store.load(&self.snapshot).await?;
        progress.applied(applied.seq);
        progress.database(true);
        if self.quota_leases.is_none() {
            self.quotas.merge(&self.store.quota_usage(self.clock.now().wall_us).await?);
        }
        let lease_ns = u64::try_from(self.options.lease.as_nanos()).unwrap_or(u64::MAX);
        self.snapshot.keep_fresh_until(began.mono_ns.saturating_add(lease_ns));
        Ok(Prepared { parts: self, applied, shipper, runs, progress, moved, asks })
    }
}

impl Prepared {
    /// How far the tasks are.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Starts the tasks on the present tokio runtime.
    ///
    /// # Errors
    /// When the node's first heartbeat cannot be written: nobody would wait for it otherwise.
    pub async fn start(self) -> Result<Running, StoreError> {
        let beat = self.beat();
        self.parts.store.heartbeat(&beat.now()).await?;
        let (feed, retention) = (self.feed(), self.retention());
        let Self { mut parts, shipper, runs, progress, asks, .. } = self;
        let (stop, stopped) = watch::channel(false);
        let stopped = Stop::new(stopped);
        let mut tasks = parts.spawn_optional(&progress, &stopped);
        let Parts { store, clock, rehashes, node, boot, options, .. } = parts;
        tasks.extend([
            tokio::spawn(feed.run(stopped.clone())),
            tokio::spawn(beat.run(stopped.clone())),
            tokio::spawn(rehash::run(Arc::clone(&store), Arc::clone(&clock), rehashes, stopped.clone())),
            tokio::spawn(retention.run(stopped.clone())),
        ]);
        let shipping = shipper.map(|shipper| tokio::spawn(shipper.run(stopped)));
        Ok(Running { store, clock, node, boot, runs, options, progress, asks, stop, tasks, shipping })
    }

    fn beat(&self) -> Beat {
        Beat {
            store: Arc::clone(&self.parts.store),
            clock: Arc::clone(&self.parts.clock),
            progress: Arc::clone(&self.progress),
            node: self.parts.node,
            boot: self.parts.boot,
            lease: self.parts.options.lease,
            moved: Arc::clone(&self.moved),
        }
    }

    fn feed(&self) -> Feed {
        Feed {
            store: Arc::clone(&self.parts.store),
            snapshot: Arc::clone(&self.parts.snapshot),
            clock: Arc::clone(&self.parts.clock),
            progress: Arc::clone(&self.progress),
            applied: self.applied,
            poll_every: self.parts.options.poll_every,
            lease: self.parts.options.lease,
            moved: Arc::clone(&self.moved),
            asks: self.shipper.is_some().then(|| Arc::clone(&self.asks)),
            asks_seen: None,
        }
    }

    fn retention(&self) -> Retention {
        Retention {
            store: Arc::clone(&self.parts.store),
            clock: Arc::clone(&self.parts.clock),
            decisions_kept: self.parts.options.decisions_kept,
            usage_kept: self.parts.options.usage_kept,
            forgets: self.parts.options.forgets,
            sweep: Arc::clone(&self.parts.sweep),
        }
    }
}

impl Parts {
    /// Starts the tasks that not every process has.
    fn spawn_optional(&mut self, progress: &Arc<Progress>, stopped: &Stop) -> Vec<JoinHandle<()>> {
        let with = || (Arc::clone(&self.store), Arc::clone(&self.clock));
        let lessee = Lessee { node: self.node, boot: self.boot };
        let rules = self.rules.then(|| Rules {
            store: Arc::clone(&self.store),
            snapshot: Arc::clone(&self.snapshot),
            clock: Arc::clone(&self.clock),
            node: self.node,
            sees: !self.options.decisions_kept.is_zero(),
        });
        let reminding = self.remind.take().map(|options| {
            let (store, clock) = with();
            Reminding { store, clock, options }
        });
        let funds = self.funds.take().map(|options| {
            let (store, clock) = with();
            Keeper { store, clock, lessee, options }
        });
        let quotas = self.quota_leases.take().map(|options| {
            let (store, clock) = with();
            QuotaKeeper::new(store, clock, lessee, options)
        });
        let sealer = self.seal.take().map(|seal| {
            let (store, clock) = with();
            Sealer::new(store, clock, Arc::clone(progress), seal)
        });
        let tasks = [
            rules.map(|rules| tokio::spawn(rules.run(stopped.clone()))),
            reminding.map(|reminding| tokio::spawn(reminding.run(stopped.clone()))),
            funds.map(|keeper| tokio::spawn(keeper.run(stopped.clone()))),
            quotas.map(|keeper| tokio::spawn(keeper.run(stopped.clone()))),
            sealer.map(|sealer| tokio::spawn(sealer.run(stopped.clone()))),
        ];
        tasks.into_iter().flatten().collect()
    }
}

/// The running tasks.
pub struct Running {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    node: u64,
    boot: u64,
    runs: Option<Runs>,
    options: Options,
    progress: Arc<Progress>,
    asks: Arc<Asks>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    shipping: Option<JoinHandle<Shipper>>,
}

impl Running {
    /// How far they are.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Ships what is there without waiting for the next turn.
    pub fn ship_now(&self) {
        self.asks.ask();
    }

    /// Ends the tasks, ships the rest and takes the node off the list. To be called when nothing
    /// is answered any more.
    ///
    /// # Errors
    /// When the rest cannot be shipped in time; it stays in the journal for the next start.
    pub async fn stop(self) -> Result<(), PrepareError> {
        // Nobody listening means that they have ended already.
        let _listeners = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a worker ended badly");
            }
        }
        if let Some(shipping) = self.shipping {
            match shipping.await {
                Ok(mut shipper) => {
                    shipper.drain(self.options.drain_patience).await?;
                    if let Some(Err(error)) = self.runs.as_ref().map(|runs| runs.end(self.boot)) {
                        tracing::warn!(%error, "the orderly end of this run cannot be marked");
                    }
                    // All is shipped: no run of this node can draw any more.
                    let all = Lessee { node: self.node, boot: 0 };
                    count_holds(&self.store, all, shipper.lessee.is_some()).await?;
                    end_leases(&self.store, all, self.clock.as_ref()).await?;
                }
                Err(error) => tracing::error!(%error, "the shipper ended badly"),
            }
        }
        Ok(self.store.retire_node(self.node).await?)
    }
}

/// Notes which runs with leases may have lost the end of their journal without a trace.
async fn note_torn(store: &Store, runs: &Runs, lessee: Lessee) -> Result<(), StoreError> {
    for boot in store.earlier_runs(lessee).await? {
        if !runs.is_whole(boot) {
            tracing::warn!(run = %format_args!("{boot:012x}"), "nothing shows that the journal of a run is whole");
            store.note_torn(boot).await?;
        }
    }
    Ok(())
}

fn unmarked(error: std::io::Error) -> PrepareError {
    PrepareError::Leftovers {
        public: "the mark of a run cannot be written into the folder of the journal".to_owned(),
        cause: Some(error.to_string()),
    }
}

/// Counts as used what calls in flight held of quotas when their run ended without them.
async fn count_holds(store: &Store, lessee: Lessee, is_leased: bool) -> Result<(), StoreError> {
    let mut calls = 0;
    loop {
        let counted = store.count_quota_holds(lessee, is_leased).await?;
        if counted == 0 {
            break;
        }
        calls += counted;
    }
    if calls > 0 {
        tracing::warn!(calls, "what calls of ended runs held of quotas, and whose end is not known, is used");
    }
    Ok(())
}

/// Ends the leases that other runs of this node have left, whose journals are shipped.
async fn end_leases(store: &Store, lessee: Lessee, clock: &dyn Clock) -> Result<(), StoreError> {
    while store.end_quota_leases(lessee).await? > 0 {}
    loop {
        let ended = store.end_leases(lessee, clock.now().wall_us).await?;
        if ended.leases == 0 {
            return Ok(());
        }
        let (leases, calls, charged) = (ended.leases, ended.calls, ended.charged);
        if calls > 0 || charged > 0 {
            tracing::warn!(
                leases,
                calls,
                charged,
                "what ended runs held of budgets and cannot prove is spent"
            );
        }
    }
}
