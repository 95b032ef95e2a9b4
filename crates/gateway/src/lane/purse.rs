//! Paying for a call: `core` decides, and what it needs of the ledger is asked for in between.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_core::{
    admit::afford::{Afford, Afforded, Asked, Grant, Purse, Refusal, Wish, afford},
    budget::{funds::LEGS_USUAL, held::HeldBudget, spec::BudgetMode},
    counters::Counters,
    id::TenantId,
    keyring::KeyRecord,
    money::amount::{Amount, Currency},
    tables::Tables,
};

use super::Gateway;
use crate::ports::{Refilled, Want};

/// The budgets that one call is charged to, as of when it was admitted.
pub(crate) struct Budgets {
    held: SmallVec<[Arc<HeldBudget>; LEGS_USUAL]>,
    wall_us: i64,
}

impl Budgets {
    /// Those of a key, its consumer, its project and their tenant.
    pub(crate) fn of(tables: &Tables, record: &KeyRecord, tenant: TenantId, wall_us: i64) -> Self {
        let held = tables.budgets.of(record.id, record.consumer, record.project, tenant);
        Self { held: held.into_iter().cloned().collect(), wall_us }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The first that denies what has no price.
    pub(crate) fn hard(&self) -> Option<&HeldBudget> {
        self.held.iter().find(|held| held.budget.mode == BudgetMode::Hard).map(|held| &**held)
    }

    /// Asks `core` to let a call go, and the ledger for what is short, at most a few times.
    ///
    /// # Errors
    /// What `core` refuses. Nothing is held then.
    pub(crate) async fn pay<C: Counters + 'static>(
        &self,
        gateway: &Gateway<C>,
        wish: Wish<'_>,
    ) -> Result<Grant, Refusal> {
        let treasury = &gateway.shared.treasury;
        let purses = self.purses();
        let mut asked = Asked::Times(0);
        loop {
            let afforded = afford(Afford { purses: &purses, wish, asked }, treasury.funds());
            let lacks = match afforded {
                Afforded::Granted(grant) => return Ok(grant),
                Afforded::Refused(refusal) => return Err(refusal),
                Afforded::Short(lacks) => lacks,
            };
            let want = |lack: &tollgate_core::admit::afford::Lack| {
                let (held, purse) = (self.held.get(lack.purse)?, purses.get(lack.purse)?);
                let (account, window, at_least) = (purse.account, purse.window, lack.at_least);
                Some(Want { account, budget: Arc::clone(held), window, at_least })
            };
            let refilled = treasury.refill(lacks.iter().filter_map(want).collect()).await;
            asked = match (refilled, asked) {
                (Refilled::Answered, Asked::Times(times)) => Asked::Times(times.saturating_add(1)),
                (Refilled::Answered, Asked::InVain) | (Refilled::Silent, _) => Asked::InVain,
            };
        }
    }

    /// The budgets as `core` looks at them.
    pub(crate) fn purses(&self) -> SmallVec<[Purse<'_>; LEGS_USUAL]> {
        self.held.iter().map(|held| Purse::at(held, self.wall_us)).collect()
    }

    /// What the tightest budget of a currency has left as far as is known; hard ones count first.
    pub(crate) fn left<C: Counters + 'static>(
        &self,
        gateway: &Gateway<C>,
        currency: Currency,
    ) -> Option<Amount> {
        let funds = gateway.shared.treasury.funds();
        let of = |mode: BudgetMode| {
            let held = self
                .held
                .iter()
                .filter(move |held| held.budget.mode == mode && held.budget.currency == currency);
            held.filter_map(|held| funds.available(held.account(self.wall_us)).left()).min()
        };
        of(BudgetMode::Hard).or_else(|| of(BudgetMode::Observe))
    }
}
