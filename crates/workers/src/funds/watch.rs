//! Accounts in use, looked at again and again: thresholds that are passed are told, once each, and an
//! overrun that somebody forgave no longer stops its account.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_core::{budget::spec::BudgetMode, id::AccountId, money::amount::Amount, time::Now};
use tollgate_store::{Balance, Store, StoreError};

use super::{
    Pots,
    accounts::{Known, word},
};

/// Accounts looked at in one look; the others in the next.
const LOOKED_AT_MAX: usize = 128;
/// An overrun that the ledger does not show after this long was covered by what others gave back.
const OVERRUN_SHOWN_NS: u64 = 120_000_000_000;

/// What was seen of an account.
#[derive(Default)]
pub(super) struct Watched {
    /// The highest percent that was told.
    told: u8,
    /// Whether it was told that nothing is left.
    exhausted: bool,
    /// Since when this process holds it for overrun, and whether the ledger has shown it.
    overrun: Option<(u64, bool)>,
}

pub(super) struct Watch {
    store: Arc<Store>,
    pots: Arc<dyn Pots>,
    /// The account behind which the next look goes on.
    after: Option<AccountId>,
}

impl Watch {
    pub(super) fn new(store: Arc<Store>, pots: Arc<dyn Pots>) -> Self {
        Self { store, pots, after: None }
    }

    /// Looks at the next accounts.
    pub(super) async fn look(
        &mut self,
        known: &mut BTreeMap<AccountId, Known>,
        now: Now,
    ) -> Result<(), StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.after.map_or(Unbounded, Excluded);
        let next: Vec<AccountId> =
            known.range((from, Unbounded)).map(|(account, _)| *account).take(LOOKED_AT_MAX).collect();
        self.after = next.last().copied().filter(|_| next.len() == LOOKED_AT_MAX);
        for account in next {
            let Some(known) = known.get_mut(&account) else { continue };
            let balance = word(self.store.balance(account)).await?;
            self.forgiven(account, known, &balance, now);
            self.thresholds(account, known, &balance, now).await?;
        }
        Ok(())
    }

    /// Stops an account whose overrun the ledger shows, and lets it go on when that is made up for.
    fn forgiven(&self, account: AccountId, known: &mut Known, balance: &Balance, now: Now) {
        let (_, is_overrun) = self.pots.standing(account);
        // One that only observes goes on whatever it shows.
        let is_hard = known.budget.budget.mode != BudgetMode::Observe;
        let is_shown = is_hard && balance.overrun > Amount::ZERO;
        if !is_overrun {
            known.watched.overrun = is_shown.then_some((now.mono_ns, true));
            if is_shown {
                // Another process, or this one before: the ledger would give nothing more.
                self.pots.learn(account, balance.free().max(Amount::ZERO), true);
            }
            return;
        }
        let (since_ns, shown) = *known.watched.overrun.get_or_insert((now.mono_ns, false));
        if is_shown {
            known.watched.overrun = Some((since_ns, true));
        } else if shown || !is_hard || now.mono_ns.saturating_sub(since_ns) >= OVERRUN_SHOWN_NS {
            known.watched.overrun = None;
            self.pots.learn(account, balance.free().max(Amount::ZERO), false);
        }
    }

    /// Tells the thresholds that are reached.
    async fn thresholds(
        &self,
        account: AccountId,
        known: &mut Known,
        balance: &Balance,
        now: Now,
    ) -> Result<(), StoreError> {
        let spent = balance.spent.checked_add(balance.overrun).unwrap_or(Amount::MAX);
        let (part, whole) = (i128::from(spent.atoms()) * 100, i128::from(balance.funded.atoms()));
        let budget = Arc::clone(&known.budget);
        for percent in budget.budget.thresholds.iter().copied() {
            if whole <= 0 || percent <= known.watched.told || part < whole * i128::from(percent) {
                continue;
            }
            let is_new = word(self.store.tell_threshold(account, (percent, spent), now.wall_us)).await?;
            known.watched.told = percent;
            if is_new {
                let currency = budget.budget.currency;
                let spent = spent.to_text(currency);
                tracing::info!(budget = %budget, percent, spent, "a budget has passed a threshold");
            }
        }
        if whole > 0 && part >= whole * 100 && !known.watched.exhausted {
            word(self.store.tell_threshold(account, (0, spent), now.wall_us)).await?;
            known.watched.exhausted = true;
        }
        Ok(())
    }
}
