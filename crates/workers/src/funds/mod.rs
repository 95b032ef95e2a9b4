//! The keeper of budgets: gets more of an account when calls need it, gives back what nobody uses, and
//! looks after accounts in between.
//!
//! Calls spend from leases without asking anybody ([`Pots`]); only here is the ledger asked. The keeper is
//! level-triggered: whatever it did not get done is done at its next look, and what it does not know the
//! outcome of is asked again with the same number, so that nothing is taken twice.
//!
//! | when | it |
//! | --- | --- |
//! | a call needs more | opens the account, brings it to what its budget says, takes a chunk |
//! | nobody asked for five seconds | gives back what is free of the lease |
//! | every two seconds | looks at accounts in use: thresholds, overruns that were forgiven |
//! | every hour | recomputes all balances from their entries, and says any difference |
//! | at the end | gives all back |

mod accounts;
mod reconciling;
mod watch;

pub(crate) use self::accounts::word;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tollgate_core::{
    budget::held::HeldBudget, id::AccountId, money::amount::Amount, period::Window, time::Clock,
};
use tollgate_store::{Lessee, Store, StoreError};

use self::accounts::Accounts;
use crate::{faults::Faults, stop::Stop};

/// Asks that may wait for the keeper; more are answered that it is silent.
pub const ASKS_MAX: usize = 1_024;
/// Asks that are answered together.
const TOGETHER_MAX: usize = 256;
/// How often it looks at what nobody asks for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long one word with the ledger may take before its outcome counts as unknown.
const WORD_MAX: Duration = Duration::from_secs(5);

/// What a process has of budgets, to be spent without asking: kept by the counters.
pub trait Pots: Send + Sync + 'static {
    /// Puts what the ledger set aside into the pot of an account; `rest` is what it has left. `false` when
    /// it must go back.
    fn grant(&self, account: AccountId, lease: u64, amount: Amount, rest: Amount) -> bool;
    /// Notes what the ledger has left of an account, and whether more was used of it than reserved.
    fn learn(&self, account: AccountId, rest: Amount, is_overrun: bool);
    /// Takes out what is free of an account's lease, and ends the lease unless something of it is in
    /// flight; `None` without one, and when all of it is in flight.
    fn take_back(&self, account: AccountId) -> Option<Amount>;
    /// Accounts with a lease that nobody asked for since the last call of this, and not all in flight.
    fn idle(&self) -> Vec<AccountId>;
    /// How an account stands: the number of its lease, and whether it is overrun.
    fn standing(&self, account: AccountId) -> (Option<u64>, bool);
    /// All accounts with a lease.
    fn leased(&self) -> Vec<AccountId>;
}

/// What is wanted of one account.
#[derive(Clone, Debug)]
pub struct FundsWant {
    /// The account.
    pub account: AccountId,
    /// The budget that it is of.
    pub budget: Arc<HeldBudget>,
    /// The period that it is for.
    pub window: Window,
    /// How much more is needed than is here; zero only asks what there is.
    pub at_least: Amount,
}

/// Wants of one call, and who waits for them: `true` when the ledger answered for each.
#[derive(Debug)]
pub struct FundsAsk {
    /// The wants.
    pub wants: Vec<FundsWant>,
    /// Who waits.
    pub answer: oneshot::Sender<bool>,
}

/// How the funds of a process are kept.
pub struct FundsOptions {
    /// What it has.
    pub pots: Arc<dyn Pots>,
    /// Who needs more; a channel of [`ASKS_MAX`].
    pub asks: mpsc::Receiver<FundsAsk>,
    /// Whether this node recomputes the balances; some node does.
    pub reconciles: bool,
}

/// The task.
pub(crate) struct Keeper {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lessee: Lessee,
    pub(crate) options: FundsOptions,
}

/// All wants of an account that wait.
struct Waiting {
    budget: Arc<HeldBudget>,
    window: Window,
    at_least: Amount,
}

impl Keeper {
    pub(crate) async fn run(self, mut stop: Stop) {
        let Self { store, clock, lessee, options } = self;
        let FundsOptions { pots, mut asks, reconciles } = options;
        let mut accounts = Accounts::new(Arc::clone(&store), Arc::clone(&pots), lessee);
        let mut watch = watch::Watch::new(Arc::clone(&store), Arc::clone(&pots));
        let mut reconciling = reconciling::Reconciling::new(Arc::clone(&store), reconciles);
        let mut faults = Faults::of("funds");
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_asked() {
            let looked = tokio::select! {
                () = stop.asked() => break,
                Some(ask) = asks.recv() => answer(&mut accounts, together(ask, &mut asks), clock.as_ref()).await,
                _ = look.tick() => {
                    let now = clock.now();
                    let kept = accounts.look(now).await;
                    let watched = watch.look(accounts.known(), now).await;
                    reconciling.look(now).await;
                    kept.and(watched)
                }
            };
            note(&mut faults, clock.as_ref(), &looked);
        }
        let given = accounts.give_all_back(clock.now()).await;
        note(&mut faults, clock.as_ref(), &given);
    }
}

/// An ask and those that wait behind it.
fn together(first: FundsAsk, asks: &mut mpsc::Receiver<FundsAsk>) -> Vec<FundsAsk> {
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

/// Answers asks together: what several calls want of one account is one want.
async fn answer(accounts: &mut Accounts, asks: Vec<FundsAsk>, clock: &dyn Clock) -> Result<(), StoreError> {
    let mut waiting: BTreeMap<AccountId, Waiting> = BTreeMap::new();
    for want in asks.iter().flat_map(|ask| &ask.wants) {
        let entry = waiting.entry(want.account).or_insert_with(|| Waiting {
            budget: Arc::clone(&want.budget),
            window: want.window,
            at_least: Amount::ZERO,
        });
        entry.at_least = entry.at_least.checked_add(want.at_least).unwrap_or(Amount::MAX);
    }
    let failed = accounts.get_all(&waiting, clock.now()).await;
    for FundsAsk { wants, answer } in asks {
        let is_answered = wants.iter().all(|want| !failed.contains_key(&want.account));
        // Whoever has gone away hears nothing.
        let _heard = answer.send(is_answered);
    }
    failed.into_values().next().map_or(Ok(()), Err)
}

fn note(faults: &mut Faults, clock: &dyn Clock, done: &Result<(), StoreError>) {
    match done {
        Ok(()) => {
            faults.worked();
        }
        Err(error) => {
            faults.failed(clock.now(), error, error.cause());
        }
    }
}
