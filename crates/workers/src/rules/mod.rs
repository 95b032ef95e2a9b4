//! Watching for rules: decisions of all nodes, as they are shipped, are counted by the one node that holds the
//! watch, and what rules do is written down.
//!
//! A watch that begins counts the decisions of the past first without acting, then takes up what rules have done
//! and what people have lifted: it stands where the watch before it stood, whoever held it. One that gets a rule that
//! counts in another way does so for that rule alone, as far as it has read; all others keep what they counted. Then it reads on from there, each decision once. What it owes (a rule has
//! acted and the database did not take it) is done before it reads further, so nothing is queued without a bound.

mod past;

use std::{collections::HashSet, sync::Arc, time::Duration};

use tollgate_core::{
    id::BlockId,
    rule::{Rule, spec::Metric, watch::Watch},
    tables::{Snapshot, Tables},
    time::Clock,
};
use tollgate_store::{Cursors, Fired, Outcome, Store, StoreError, WatchLease, WatchLost};

use crate::{faults::Faults, stop::Stop};

/// How often it looks for decisions that were shipped.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a node holds the watch without saying so again, and how often it does.
const LEASE_US: i64 = 10_000_000;
const KEEP_EVERY_NS: u64 = 3_000_000_000;
/// How often a node tries to take the watch.
const TRY_EVERY_NS: u64 = 1_000_000_000;
/// Lifts are looked for so far back before the last look: one that was begun earlier may be committed later.
const LIFTS_US: i64 = 60_000_000;
/// A rule whose block had no room acts again after this long.
const AGAIN_US: i64 = 10_000_000;
/// How often the end of blocks is looked for, blocks of what is gone too, and what is past its time forgotten.
const END_EVERY_NS: u64 = 500_000_000;
const GONE_EVERY_NS: u64 = 60_000_000_000;
const FORGET_EVERY_NS: u64 = 3_600_000_000_000;
/// How long a rule over calls of models waits for their sums, where none was looked at before.
const SUMS_NS: u64 = 15_000_000_000;
/// How long one call of the database may take.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Reads of one turn, some 30,000 decisions each: the lease is kept in between.
const READS_MAX: u32 = 16;

pub(crate) struct Rules {
    pub(crate) store: Arc<Store>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: u64,
    /// Whether raw decisions are kept; rules see nothing where they are not.
    pub(crate) sees: bool,
}

/// Why a turn failed.
enum Fault {
    Store(StoreError),
    Slow,
    Lost,
}

impl From<WatchLost> for Fault {
    fn from(_: WatchLost) -> Self {
        Self::Lost
    }
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, Fault> {
    tokio::time::timeout(CALL_MAX, call).await.map_err(|_| Fault::Slow)?.map_err(Fault::Store)
}

/// What the holder of the watch knows.
struct Watching {
    lease: WatchLease,
    kept_ns: u64,
    watch: Watch,
    cursors: Cursors,
    /// The rules that it watches for.
    rules: Arc<[Rule]>,
    /// Whether any looks at tokens or money.
    calls: bool,
    /// Since when rules that changed wait for sums of what was read.
    waits_ns: Option<u64>,
    /// When lifts were last looked for.
    looked_us: i64,
    /// Lifts that were taken up.
    lifted: HashSet<BlockId>,
    /// What rules did and is not written yet; of one read at most.
    owed: Vec<Fired>,
    /// Requests without room that were told of.
    left_out: u64,
}

impl Rules {
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut faults = Faults::of("rules");
        let mut watching: Option<Watching> = None;
        let (mut ended_ns, mut forgot_ns, mut tried_ns) = (None::<u64>, None::<u64>, None::<u64>);
        let mut gone_ns = None::<u64>;
        if !self.sees {
            tracing::info!("raw decisions are not kept, so that rules see nothing");
        }
        loop {
            let turn = async {
                let now = self.clock.now();
                if is_due(&mut ended_ns, now.mono_ns, END_EVERY_NS) {
                    self.end_blocks(now.wall_us).await?;
                }
                if is_due(&mut gone_ns, now.mono_ns, GONE_EVERY_NS) && !self.snapshot.blocks_ref().is_empty()
                {
                    within(self.store.end_blocks_of_the_gone(now.wall_us)).await?;
                }
                if is_due(&mut forgot_ns, now.mono_ns, FORGET_EVERY_NS) {
                    within(self.store.forget_rule_history(now.wall_us)).await?;
                }
                self.turn(&mut watching, &mut tried_ns).await
            };
            match turn.await {
                Ok(()) => {
                    faults.worked();
                }
                Err(Fault::Lost) => watching = None,
                Err(Fault::Store(error)) => {
                    faults.failed(self.clock.now(), &error, error.cause());
                }
                Err(Fault::Slow) => {
                    faults.failed(self.clock.now(), &"the database did not answer within 30 s", None);
                }
            }
            if stop.pause(LOOK_EVERY, std::future::pending()).await {
                break;
            }
        }
        if let Some(watching) = watching {
            // Where it cannot be given back, it runs out.
            let _left = within(self.store.leave_watch(watching.lease)).await;
        }
    }

    /// Ends blocks whose moment has come.
    async fn end_blocks(&self, now_us: i64) -> Result<(), Fault> {
        let is_due = self.snapshot.blocks_ref().iter().any(|block| !block.holds(now_us));
        if is_due {
            within(self.store.end_blocks(now_us)).await?;
        }
        Ok(())
    }

    async fn turn(&self, slot: &mut Option<Watching>, tried_ns: &mut Option<u64>) -> Result<(), Fault> {
        let tables = self.snapshot.tables();
        if tables.rules.is_empty() || !self.sees {
            if let Some(watching) = slot.take() {
                within(self.store.leave_watch(watching.lease)).await?;
            }
            return Ok(());
        }
        let watching = match slot {
            Some(watching) => watching,
            None => {
                if !is_due(tried_ns, self.clock.mono_ns(), TRY_EVERY_NS) {
                    return Ok(());
                }
                let Some(begun) = self.begin(&tables).await? else { return Ok(()) };
                slot.insert(begun)
            }
        };
        for _ in 0..READS_MAX {
            // Before each read, and before what the last one found is done: a turn may be long.
            self.follow(watching, &tables).await?;
            self.settle(watching).await?;
            self.keep(watching).await?;
            let seen = within(self.store.read_on(&mut watching.cursors, watching.calls)).await?;
            if seen.is_empty() {
                break;
            }
            let Watching { watch, owed, .. } = &mut *watching;
            watch.set_present(self.clock.now().wall_us);
            for seen in &seen {
                watch.look(seen, |firing| {
                    if let Some(project) = tables.projects.get(&firing.rule.project) {
                        owed.push(Fired::of(&firing, project.tenant));
                    }
                });
            }
            self.tell_left_out(watching);
        }
        Ok(())
    }

    /// Takes the watch; `None` while another node holds it.
    async fn begin(&self, tables: &Tables) -> Result<Option<Watching>, Fault> {
        let now = self.clock.now();
        let span = (now.wall_us, now.wall_us.saturating_add(LEASE_US));
        let Some(lease) = within(self.store.take_watch(self.node, span)).await? else { return Ok(None) };
        let mut watching = Watching {
            lease,
            kept_ns: now.mono_ns,
            watch: Watch::default(),
            cursors: Cursors::default(),
            rules: Arc::from([]),
            calls: false,
            waits_ns: None,
            looked_us: now.wall_us,
            lifted: HashSet::new(),
            owed: Vec::new(),
            left_out: 0,
        };
        self.recall(&mut watching, tables).await?;
        Ok(Some(watching))
    }

    /// Takes up what changed: rules, and blocks that were lifted.
    async fn follow(&self, watching: &mut Watching, tables: &Tables) -> Result<(), Fault> {
        if !Arc::ptr_eq(&watching.rules, &tables.rules) {
            self.take_up(watching, tables).await?;
        }
        // Those too that came while the past was counted. A lift that is not in the snapshot yet ends nothing either.
        let now_us = self.clock.now().wall_us;
        let since_us = watching.looked_us.min(now_us).saturating_sub(LIFTS_US);
        let lifts = within(self.store.lifts_since(since_us)).await?;
        for lift in lifts.iter().filter(|lift| !watching.lifted.contains(&lift.block)) {
            watching.watch.forget(lift.rule, lift.subject, lift.at_us);
            watching.owed.retain(|fired| {
                (fired.rule.id, fired.subject) != (lift.rule, lift.subject) || fired.at_us > lift.at_us
            });
        }
        watching.lifted = lifts.iter().map(|lift| lift.block).collect();
        watching.looked_us = now_us;
        Ok(())
    }

    /// Watches for rules that have changed. What was read before is counted for those that count in another way.
    async fn take_up(&self, watching: &mut Watching, tables: &Tables) -> Result<(), Fault> {
        let calls = looks_at_calls(&tables.rules);
        if watching.watch.counts_all(&tables.rules) {
            watching.watch.replace_rules(tables.rules.to_vec());
            (watching.calls, watching.waits_ns) = (calls, None);
            watching.rules = Arc::clone(&tables.rules);
            return Ok(());
        }
        self.settle(watching).await?;
        if calls && !within(self.store.is_summed_up(&watching.cursors)).await? {
            // It was read without what calls used. From here on that is waited for, so that it catches up.
            watching.calls = true;
            let now_ns = self.clock.mono_ns();
            let since_ns = *watching.waits_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since_ns) < SUMS_NS {
                let known = tables.rules.iter().filter(|rule| watching.watch.counts(rule)).cloned();
                let known = known.collect();
                watching.watch.replace_rules(known);
                return Ok(());
            }
            // A node that is gone owes them: all begin where sums end.
            watching.waits_ns = None;
            return self.recall(watching, tables).await;
        }
        self.recall_changed(watching, tables).await?;
        watching.waits_ns = None;
        Ok(())
    }

    /// Writes down what rules did.
    async fn settle(&self, watching: &mut Watching) -> Result<(), Fault> {
        while let Some(fired) = watching.owed.first() {
            let now_us = self.clock.now().wall_us;
            let outcome = within(self.store.act(watching.lease, fired, now_us)).await??;
            let (rule, words) = (&fired.rule.name, fired.words());
            match outcome {
                Outcome::Done => tracing::info!(%rule, subject = ?fired.subject, "a rule acted: {words}"),
                Outcome::Observed => {
                    tracing::info!(%rule, subject = ?fired.subject, "a rule would act: {words}")
                }
                Outcome::NoRoom => {
                    tracing::error!(%rule, subject = ?fired.subject, "there are too many blocks for another one");
                    let again_us = Some(now_us.saturating_add(AGAIN_US));
                    watching.watch.acted(fired.rule.id, fired.subject, again_us);
                }
                Outcome::Nothing => {}
            }
            watching.owed.remove(0);
            self.keep(watching).await?;
        }
        Ok(())
    }

    /// Says again that it watches, when it is time.
    async fn keep(&self, watching: &mut Watching) -> Result<(), Fault> {
        let now = self.clock.now();
        if now.mono_ns.saturating_sub(watching.kept_ns) < KEEP_EVERY_NS {
            return Ok(());
        }
        let until_us = now.wall_us.saturating_add(LEASE_US);
        within(self.store.keep_watch(watching.lease, until_us, &watching.cursors)).await??;
        watching.kept_ns = now.mono_ns;
        Ok(())
    }

    fn tell_left_out(&self, watching: &mut Watching) {
        let left_out = watching.watch.left_out();
        if left_out > watching.left_out {
            let more = left_out - watching.left_out;
            tracing::warn!(requests = more, "more keys, consumers or addresses than rules can watch at once");
            watching.left_out = left_out;
        }
    }
}

/// Whether any of the rules looks at tokens or money.
fn looks_at_calls(rules: &[Rule]) -> bool {
    rules.iter().any(|rule| matches!(rule.metric, Metric::Tokens | Metric::Cost))
}

/// Whether it is time again; it then counts as done.
fn is_due(last_ns: &mut Option<u64>, now_ns: u64, every_ns: u64) -> bool {
    let due = last_ns.is_none_or(|last| now_ns.saturating_sub(last) >= every_ns);
    if due {
        *last_ns = Some(now_ns);
    }
    due
}
