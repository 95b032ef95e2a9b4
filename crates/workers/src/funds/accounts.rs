//! The accounts of this process: opened, taken from, given back; many of them in one round where they can be.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use tollgate_core::{
    budget::{Lease, held::HeldBudget, lease, spec::BudgetMode},
    id::AccountId,
    money::amount::{Amount, Currency},
    time::Now,
};
use tollgate_store::{Followed, LeaseWant, Leased, Lessee, ROUND_MAX, Store, StoreError};

use super::{Pots, WORD_MAX, Waiting};

/// How long after its last use an account is still looked at, so that what was shipped late is seen.
const LOOKED_AT_NS: u64 = 60_000_000_000;
/// Idle leases are given back after two looks without anybody asking: 5 s at the least, 10 s at the most.
const IDLE_EVERY_NS: u64 = 5_000_000_000;
/// How long a count of nodes is good.
const NODES_NS: u64 = 5_000_000_000;
/// Leases given back in one look.
const RETURNS_MAX: usize = 256;

/// An account that this process has, or had a short while ago.
pub(super) struct Known {
    pub(super) budget: Arc<HeldBudget>,
    /// Whether the account is not yet at what its budget says.
    is_behind: bool,
    lease: u64,
    /// What the ledger had left when it was asked last.
    rest: Amount,
    /// A want whose outcome is not known.
    unsure: Option<LeaseWant>,
    /// What found no room in the pot, or was taken out of it, and must go back, each with its step. Nothing
    /// more is taken before they are back, so they are three at most.
    returning: Vec<(u64, Amount)>,
    used_ns: u64,
    /// When it was seen to stand as its budget says, among others.
    said_ns: u64,
    pub(super) watched: super::watch::Watched,
}

impl Known {
    /// Whether nothing is to be done before it is asked.
    fn stands(&self, wanted: &Waiting) -> bool {
        let is_same = Arc::ptr_eq(&self.budget, &wanted.budget);
        is_same && !self.is_behind && wanted.budget.budget.refill.is_none()
    }
}

pub(super) struct Accounts {
    store: Arc<Store>,
    pots: Arc<dyn Pots>,
    lessee: Lessee,
    known: BTreeMap<AccountId, Known>,
    /// Counted up for leases and for steps; no number comes again in a run.
    numbers: u64,
    nodes: (u32, u64),
    idle_ns: u64,
}

impl Accounts {
    pub(super) fn new(store: Arc<Store>, pots: Arc<dyn Pots>, lessee: Lessee) -> Self {
        Self { store, pots, lessee, known: BTreeMap::new(), numbers: 0, nodes: (1, 0), idle_ns: 0 }
    }

    pub(super) fn known(&mut self) -> &mut BTreeMap<AccountId, Known> {
        &mut self.known
    }

    /// Gets what is wanted of accounts, or less where less is free: all of it in few words with the ledger.
    /// Gives those that it could not be done for, and why.
    pub(super) async fn get_all(
        &mut self,
        waiting: &BTreeMap<AccountId, Waiting>,
        now: Now,
    ) -> BTreeMap<AccountId, StoreError> {
        let mut failed = BTreeMap::new();
        self.note_as_said(waiting, now).await;
        let mut wants = Vec::with_capacity(waiting.len());
        for (account, wanted) in waiting {
            match self.want(*account, wanted, now).await {
                Ok(want) => wants.extend(want),
                Err(error) => {
                    failed.insert(*account, error);
                }
            }
        }
        for round in wants.chunks(ROUND_MAX) {
            if let Err(error) = self.take_all(round, now).await {
                // One of them, or the database: each is asked again alone, and tells by itself.
                tracing::debug!(%error, accounts = round.len(), "leases are asked for one by one");
                for want in round {
                    if let Err(error) = self.settle_unsure(want.account, now).await {
                        failed.insert(want.account, error);
                    }
                }
            }
        }
        failed
    }

    /// What is to be asked of the ledger for one account; `None` when there is nothing to ask.
    async fn want(
        &mut self,
        account: AccountId,
        wanted: &Waiting,
        now: Now,
    ) -> Result<Option<LeaseWant>, StoreError> {
        self.open(account, wanted, now).await?;
        self.settle_unsure(account, now).await?;
        self.give_back(account, now).await?;
        if wanted.at_least <= Amount::ZERO {
            let balance = word(self.store.balance(account)).await?;
            self.learn(account, balance.free().max(Amount::ZERO), balance.overrun > Amount::ZERO);
            return Ok(None);
        }
        let nodes = self.nodes(now).await?;
        let wish = match chunk(wanted.budget.budget.currency, self.rest(account), nodes) {
            Lease::Chunk(chunk) => chunk.max(wanted.at_least),
            Lease::EachCall => wanted.at_least,
        };
        let step = self.number();
        // Whatever there is, up to the wish: a call may do with less.
        let least = Amount::from_atoms(1).unwrap_or(wish);
        Ok(Some(LeaseWant { account, step, at_least: least, wish }))
    }

    /// One look: what is unsure is asked again, what is idle is given back, what is over is forgotten.
    pub(super) async fn look(&mut self, now: Now) -> Result<(), StoreError> {
        if now.mono_ns.saturating_sub(self.idle_ns) >= IDLE_EVERY_NS {
            self.idle_ns = now.mono_ns;
            for account in self.pots.idle().into_iter().take(RETURNS_MAX) {
                self.end_lease(account);
            }
        }
        self.finish(now).await?;
        let (pots, now_ns) = (&self.pots, now.mono_ns);
        self.known.retain(|account, known| {
            let is_young = now_ns.saturating_sub(known.used_ns) < LOOKED_AT_NS;
            let (lease, is_overrun) = pots.standing(*account);
            let is_open = known.unsure.is_some() || !known.returning.is_empty();
            is_young || lease.is_some() || is_overrun || is_open
        });
        Ok(())
    }

    /// Gives back all that is free.
    pub(super) async fn give_all_back(&mut self, now: Now) -> Result<(), StoreError> {
        for account in self.pots.leased() {
            self.end_lease(account);
        }
        self.finish(now).await
    }

    /// Gives back what is to go back, many accounts together. What fails is left to be given back alone.
    async fn give_back_together(&mut self, now: Now) {
        let returning = self.known.iter().filter(|(_, known)| known.unsure.is_none());
        let parts: Vec<(AccountId, u64, Amount)> = returning
            .filter_map(|(account, known)| match known.returning.as_slice() {
                [(step, amount)] => Some((*account, *step, *amount)),
                _ => None,
            })
            .collect();
        for round in parts.chunks(ROUND_MAX).filter(|round| round.len() > 1) {
            let given = word(self.store.give_back_round(self.lessee, round, now.wall_us)).await;
            if !matches!(given, Ok(true)) {
                return;
            }
            for (account, ..) in round {
                if let Some(known) = self.known.get_mut(account) {
                    known.returning.clear();
                }
            }
        }
    }

    /// Finishes what is not known to be done.
    async fn finish(&mut self, now: Now) -> Result<(), StoreError> {
        self.give_back_together(now).await;
        let open: Vec<AccountId> = self
            .known
            .iter()
            .filter(|(_, known)| known.unsure.is_some() || !known.returning.is_empty())
            .map(|(account, _)| *account)
            .collect();
        for account in open {
            self.settle_unsure(account, now).await?;
            self.give_back(account, now).await?;
        }
        Ok(())
    }

    /// Notes accounts that stand as their budgets say, looked up together: most do. Where that fails they
    /// are looked up one by one.
    async fn note_as_said(&mut self, waiting: &BTreeMap<AccountId, Waiting>, now: Now) {
        let new: Vec<_> = waiting
            .iter()
            .filter(|(account, wanted)| {
                let known = self.known.get(account);
                !known.is_some_and(|known| known.stands(wanted))
            })
            .map(|(_, wanted)| (Arc::clone(&wanted.budget), wanted.window))
            .collect();
        for round in new.chunks(ROUND_MAX) {
            let Ok(found) = word(self.store.accounts_as_said(round, now.wall_us)).await else { return };
            for (account, balance) in found {
                if let Some(wanted) = waiting.get(&account) {
                    let followed = Followed { balance, is_behind: false };
                    self.followed(account, wanted, followed, now);
                    if let Some(known) = self.known.get_mut(&account) {
                        known.said_ns = now.mono_ns;
                    }
                }
            }
        }
    }

    /// Opens the account when it was not seen before, and follows its budget where that has changed.
    async fn open(&mut self, account: AccountId, wanted: &Waiting, now: Now) -> Result<(), StoreError> {
        if let Some(known) = self.known.get_mut(&account) {
            known.used_ns = now.mono_ns;
            // Looked up with others at this very moment.
            if known.stands(wanted) || known.said_ns == now.mono_ns {
                return Ok(());
            }
        }
        let followed = word(self.store.follow_budget(&wanted.budget, wanted.window, now.wall_us)).await?;
        self.followed(account, wanted, followed, now);
        Ok(())
    }

    fn followed(&mut self, account: AccountId, wanted: &Waiting, followed: Followed, now: Now) {
        let rest = followed.balance.free().max(Amount::ZERO);
        let known = self.known.entry(account).or_insert_with(|| Known {
            budget: Arc::clone(&wanted.budget),
            is_behind: false,
            lease: 0,
            rest,
            unsure: None,
            returning: Vec::new(),
            used_ns: now.mono_ns,
            said_ns: 0,
            watched: super::watch::Watched::default(),
        });
        known.budget = Arc::clone(&wanted.budget);
        known.is_behind = followed.is_behind;
        known.rest = rest;
        known.used_ns = now.mono_ns;
    }

    /// Asks the ledger for many accounts together. Without an answer each is asked again alone.
    async fn take_all(&mut self, wants: &[LeaseWant], now: Now) -> Result<(), StoreError> {
        for want in wants {
            if let Some(known) = self.known.get_mut(&want.account) {
                known.unsure = Some(*want);
            }
        }
        let leased = word(self.store.lease_round(self.lessee, wants, now.wall_us)).await?;
        for (want, leased) in wants.iter().zip(leased) {
            self.taken(want.account, leased, now).await?;
        }
        Ok(())
    }

    /// Asks the ledger; what it gives goes into the pot. Without an answer it is asked again later.
    async fn take(&mut self, want: LeaseWant, now: Now) -> Result<(), StoreError> {
        let account = want.account;
        if let Some(known) = self.known.get_mut(&account) {
            known.unsure = Some(want);
        }
        let leased = word(self.store.lease_up_to(self.lessee, &want, now.wall_us)).await?;
        self.taken(account, leased, now).await
    }

    /// Puts what the ledger gave into the pot.
    async fn taken(&mut self, account: AccountId, leased: Leased, now: Now) -> Result<(), StoreError> {
        let number = self.number();
        let Some(known) = self.known.get_mut(&account) else { return Ok(()) };
        known.unsure = None;
        known.rest = leased.rest;
        let Leased { taken, rest, is_overrun } = leased;
        if taken <= Amount::ZERO {
            self.learn(account, rest, is_overrun);
            return Ok(());
        }
        known.lease = self.pots.standing(account).0.unwrap_or(number);
        if !self.pots.grant(account, known.lease, taken, rest) {
            known.returning.push((number, taken));
            return self.give_back(account, now).await;
        }
        Ok(())
    }

    async fn settle_unsure(&mut self, account: AccountId, now: Now) -> Result<(), StoreError> {
        match self.known.get(&account).and_then(|known| known.unsure) {
            Some(want) => self.take(want, now).await,
            None => Ok(()),
        }
    }

    /// Takes what is free of a lease out of its pot, to be given back.
    fn end_lease(&mut self, account: AccountId) {
        let number = self.number();
        let Some(known) = self.known.get_mut(&account) else { return };
        if known.returning.is_empty()
            && let Some(amount) = self.pots.take_back(account).filter(|amount| *amount > Amount::ZERO)
        {
            known.returning.push((number, amount));
        }
    }

    /// Notes what the ledger has left. That it shows no overrun says nothing of one that is not shipped
    /// yet: only the watch lets an account go on. One that only observes is never stopped.
    fn learn(&self, account: AccountId, rest: Amount, is_overrun: bool) {
        let (_, was_overrun) = self.pots.standing(account);
        let mode = self.known.get(&account).map(|known| known.budget.budget.mode);
        let is_hard = mode != Some(BudgetMode::Observe);
        self.pots.learn(account, rest, is_hard && (is_overrun || was_overrun));
    }

    async fn give_back(&mut self, account: AccountId, now: Now) -> Result<(), StoreError> {
        let Some(known) = self.known.get_mut(&account) else { return Ok(()) };
        while let Some((step, amount)) = known.returning.last().copied() {
            let given = word(self.store.give_back(self.lessee, (account, step), amount, now.wall_us)).await?;
            if !given {
                tracing::warn!(%account, "a lease was charged by somebody; what was free of it is spent");
            }
            known.returning.pop();
        }
        Ok(())
    }

    /// How many nodes share what is left.
    async fn nodes(&mut self, now: Now) -> Result<u32, StoreError> {
        if self.nodes.1 == 0 || now.mono_ns.saturating_sub(self.nodes.1) >= NODES_NS {
            let count = word(self.store.live_nodes()).await?.len();
            self.nodes = (u32::try_from(count).unwrap_or(u32::MAX).max(1), now.mono_ns);
        }
        Ok(self.nodes.0)
    }

    fn rest(&self, account: AccountId) -> Amount {
        self.known.get(&account).map_or(Amount::ZERO, |known| known.rest)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

/// How much to take at once.
fn chunk(currency: Currency, rest: Amount, nodes: u32) -> Lease {
    // From a cent to ten units of money, or from a hundred to a hundred thousand credits.
    let (least, most) = match currency {
        Currency::Money(_) => (10_000_000, 10_000_000_000),
        Currency::Credits => (100, 100_000),
    };
    let bound = |atoms| Amount::from_atoms(atoms).unwrap_or(Amount::ZERO);
    lease(rest, nodes, bound(least), bound(most))
}

/// A word with the database, within its time.
pub(crate) async fn word<T>(said: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(WORD_MAX, said).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable {
            public: "it did not answer in time".to_owned(),
            cause: format!("no answer within {} s", WORD_MAX.as_secs()),
        }),
    }
}
