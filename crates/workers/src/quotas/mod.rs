//! The keeper of quotas: leases parts of them for this process when requests need more, and gives back what
//! nobody uses, so that other nodes can.
//!
//! Requests use what is here without asking anybody ([`QuotaCells`]); only here is the database asked, for
//! many quotas in one round. How much a node may use is in the database before it is here, and taken out here
//! before it goes back: so over all nodes no more is used than there is (I22). What the keeper does not know
//! the outcome of it finds out by asking what is granted to the node.
//!
//! | when | it |
//! | --- | --- |
//! | a request needs more | leases a fourth of what is left, shared by the live nodes, or what is needed |
//! | nothing was used for five seconds | gives back what is free |
//! | a period has ended | ends what this node was granted of it |

mod parts;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    counters::RuleId,
    period::Window,
    time::{Clock, Now},
};
use tollgate_store::{Lessee, QuotaKey, QuotaWant, Store, StoreError};

use self::parts::Parts;
use crate::{faults::Faults, stop::Stop};

/// Asks that may wait for the keeper; more are answered that it is silent.
pub const QUOTA_ASKS_MAX: usize = 8_192;
/// Asks that are answered together.
const TOGETHER_MAX: usize = 2_048;
/// How often it looks at what nobody asks for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a process may use of quotas without asking: kept by the counters.
pub trait QuotaCells: Send + Sync + 'static {
    /// Adds what was leased. `false` when it is of no use here and must go back.
    fn grant(&self, key: QuotaKey, window: Window, granted: QuotaGranted) -> bool;
    /// Takes out what is free.
    fn take_back(&self, key: QuotaKey, window: Window) -> u64;
    /// What is free.
    fn free(&self, key: QuotaKey, window: Window) -> u64;
}

/// What was leased, and what the database has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaGranted {
    /// The amount of the quota that it was leased by.
    pub amount: u64,
    /// How much was leased.
    pub given: u64,
    /// How much is left that is set aside for nobody.
    pub rest: u64,
    /// Before this moment, in monotonic nanoseconds, asking again is in vain.
    pub ask_from_ns: u64,
    /// Whether other nodes have some that they may give back.
    pub is_elsewhere: bool,
}

/// What a request needs of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaNeed {
    /// The quota.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// The period.
    pub window: Window,
    /// The amount of the quota.
    pub amount: u64,
    /// How much more is needed than is here; 0 only asks what there is.
    pub at_least: u64,
}

/// The needs of one request, and who waits for them: `true` when the database answered.
#[derive(Debug)]
pub struct QuotaAsk {
    /// The needs.
    pub needs: Vec<QuotaNeed>,
    /// Who waits.
    pub answer: oneshot::Sender<bool>,
}

/// How the quotas of a process are kept.
pub struct QuotaOptions {
    /// What it may use.
    pub cells: Arc<dyn QuotaCells>,
    /// Who needs more; a channel of [`QUOTA_ASKS_MAX`].
    pub asks: mpsc::Receiver<QuotaAsk>,
}

/// The task.
pub(crate) struct QuotaKeeper {
    clock: Arc<dyn Clock>,
    asks: mpsc::Receiver<QuotaAsk>,
    parts: Parts,
}

impl QuotaKeeper {
    pub(crate) fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        lessee: Lessee,
        options: QuotaOptions,
    ) -> Self {
        let QuotaOptions { cells, asks } = options;
        Self { clock, asks, parts: Parts::new(store, cells, lessee) }
    }

    pub(crate) async fn run(self, mut stop: Stop) {
        let Self { clock, mut asks, mut parts } = self;
        let mut faults = Faults::of("quotas");
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_asked() {
            let done = tokio::select! {
                () = stop.asked() => break,
                Some(ask) = asks.recv() => answer(&mut parts, together(ask, &mut asks), clock.now()).await,
                _ = look.tick() => parts.look(clock.now()).await,
                () = std::future::ready(()), if parts.is_ending() && asks.is_empty() => parts.end_some().await,
            };
            match done {
                Ok(()) => {
                    faults.worked();
                }
                Err(error) => {
                    faults.failed(clock.now(), &error, error.cause());
                }
            }
        }
        // What is left here is freed when the run ends, all of whose journal is shipped then.
    }
}

/// An ask and those that wait behind it.
fn together(first: QuotaAsk, asks: &mut mpsc::Receiver<QuotaAsk>) -> Vec<QuotaAsk> {
    let mut all = vec![first];
    while all.len() < TOGETHER_MAX
        && let Ok(next) = asks.try_recv()
    {
        all.push(next);
    }
    // Whoever has gone away needs nothing any more.
    all.retain(|ask| !ask.answer.is_closed());
    all
}

/// Answers asks together: what several requests need of one quota is one want.
async fn answer(parts: &mut Parts, asks: Vec<QuotaAsk>, now: Now) -> Result<(), StoreError> {
    let mut wants: BTreeMap<QuotaKey, QuotaWant> = BTreeMap::new();
    for need in asks.iter().flat_map(|ask| &ask.needs) {
        let QuotaNeed { rule, subject, window, amount, at_least } = *need;
        let want = QuotaWant { rule, subject, window, amount, wish: 0 };
        let want = wants.entry(want.key()).or_insert(want);
        // While an edit of a policy is on its way to the lanes, the smaller amount counts.
        want.amount = want.amount.min(amount);
        want.wish = want.wish.saturating_add(at_least);
    }
    let failed = parts.get_all(wants, now).await;
    for QuotaAsk { needs, answer } in asks {
        let key = |need: &QuotaNeed| QuotaKey {
            rule: need.rule.0,
            subject: need.subject,
            start_us: need.window.start_us,
        };
        // Whoever has gone away hears nothing.
        let _heard = answer.send(needs.iter().all(|need| !failed.contains_key(&key(need))));
    }
    failed.into_values().next().map_or(Ok(()), Err)
}
