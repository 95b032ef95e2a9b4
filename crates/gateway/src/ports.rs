//! What the gateway needs from the rest of the process, and nothing more: it never sees the store.

use std::{future::Future, pin::Pin, rc::Rc, sync::Arc};

use smallvec::SmallVec;
use tollgate_core::{
    admit::sharing::{SharedCharge, SharedVerdict},
    budget::{
        funds::{Drawn, Funds, Hold, LEGS_USUAL},
        held::HeldBudget,
    },
    counters::{Lack, RuleId},
    id::AccountId,
    money::amount::Amount,
    period::Window,
    serving::Models,
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::Writer;

use crate::{
    bound_host::{MakeHostLookup, SystemHosts},
    intake::Intake,
    slow_hash::RehashSink,
};

/// The gateway's ends of its ports.
pub struct Ports<C> {
    /// All that decisions are made from.
    pub snapshot: Arc<Snapshot>,
    /// Live counters of limits and quotas.
    pub counters: Arc<C>,
    /// What may be spent of budgets.
    pub treasury: Arc<dyn Treasury>,
    /// Limits that all nodes count together.
    pub limits: Arc<dyn SharedLimits>,
    /// One writer of the usage journal for each lane; their lanes follow one another.
    pub writers: Vec<Writer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Takes credentials whose slow or foreign hash should be replaced.
    pub rehash: Arc<dyn RehashSink>,
    /// Takes batches of records.
    pub intake: Arc<dyn Intake>,
    /// Holds models.
    pub models: Arc<dyn Models>,
    /// Makes each lane's resolver of the hosts that keys are bound to.
    pub host_lookup: MakeHostLookup,
}

/// What this process may spend of budgets, and how it gets more.
pub trait Treasury: Send + Sync {
    /// What is here, to be taken without asking anybody.
    fn funds(&self) -> &dyn Funds;

    /// Ends what was taken for a call: gives back what was not used. Called exactly once for each hold.
    fn settle(&self, hold: &Hold, used: Amount) -> SmallVec<[Drawn; LEGS_USUAL]>;

    /// Asks the ledger to set more aside. The wants of one account that wait at the same time are asked for
    /// together, so that one call does not take what was asked for another. Answered within a bound of
    /// time, whatever the ledger does; the funds are there when it is.
    fn refill(&self, wants: Wants) -> Pin<Box<dyn Future<Output = Refilled> + Send>>;

    /// Asks for parts of quotas to be set aside for this process. Answered within a bound of time; what was
    /// set aside is in the counters when it is. Where quotas are counted here alone, nobody is asked.
    fn lease(&self, needs: QuotaNeeds) -> Pin<Box<dyn Future<Output = Refilled> + Send>> {
        let _nobody_is_asked = needs;
        Box::pin(std::future::ready(Refilled::Silent))
    }
}

/// Limits that all nodes count together.
pub trait SharedLimits: Send + Sync {
    /// Takes all charges or none. Answered within a small bound of time, whatever becomes of those who count.
    fn take(
        &self,
        charges: SmallVec<[SharedCharge; 2]>,
        now: Now,
    ) -> Pin<Box<dyn Future<Output = SharedVerdict> + Send>>;
}

/// Nobody counts them: what needs them is refused.
pub struct NoSharedLimits;

impl SharedLimits for NoSharedLimits {
    fn take(
        &self,
        charges: SmallVec<[SharedCharge; 2]>,
        now: Now,
    ) -> Pin<Box<dyn Future<Output = SharedVerdict> + Send>> {
        let _nobody_counts = (charges, now);
        Box::pin(std::future::ready(SharedVerdict::Unknown))
    }
}

/// What is needed of several quotas at once.
pub type QuotaNeeds = SmallVec<[QuotaNeed; LEGS_USUAL]>;

/// What is needed of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaNeed {
    /// The quota.
    pub rule: RuleId,
    /// Whose count.
    pub subject: u64,
    /// The amount of the quota.
    pub amount: u64,
    /// What is lacking, and of which period.
    pub lack: Lack,
}

/// What is wanted of several accounts at once.
pub type Wants = SmallVec<[Want; LEGS_USUAL]>;

/// What is wanted of one account.
#[derive(Clone, Debug)]
pub struct Want {
    /// The account.
    pub account: AccountId,
    /// The budget that it is of.
    pub budget: Arc<HeldBudget>,
    /// The period that it is for.
    pub window: Window,
    /// How much more is needed than is here: the ledger gives this much if it has it, and less if it does
    /// not. Zero: only to learn what there is.
    pub at_least: Amount,
}

/// What came of asking the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refilled {
    /// It answered for every account; what it gave, and what it has left, is in the funds.
    Answered,
    /// It did not, for one of them at least: it cannot be reached, or too many ask.
    Silent,
}

/// The system's resolver, for [`Ports::host_lookup`].
#[must_use]
pub fn system_host_lookup() -> MakeHostLookup {
    Arc::new(|| Rc::new(SystemHosts::new()))
}
