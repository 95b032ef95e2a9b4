//! What this process may spend: a pot for each account that it has a lease of.
//!
//! The ledger sets funds aside for the process ([`LeasePots::grant`]); calls take from them and give back
//! what they did not use, without asking anybody; what is idle goes back ([`LeasePots::take_back`]). The
//! ledger's part of a lease is at every moment what is free here, what is in flight, and what was used and
//! is not shipped yet (I7).
//!
//! What this knows nothing of: the ledger, time. Who keeps the leases says when something is idle.

mod pot;

use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use papaya::HashMap;
use smallvec::SmallVec;
use tollgate_core::{
    budget::funds::{Available, Drawn, Funds, Hold, LEGS_USUAL, Leg, Short},
    id::AccountId,
    money::amount::Amount,
};

pub use self::pot::{NotGranted, Pot, Returned, reserve};

/// How many accounts a process may have leases of at once unless the caller says otherwise: some 20 MB.
pub const POTS_MAX_DEFAULT: usize = 200_000;

/// Draws of one settled call.
pub type Draws = SmallVec<[Drawn; LEGS_USUAL]>;

/// A lease as it stands in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub account: AccountId,
    /// Its lease; `None` when it has none now.
    pub lease: Option<u64>,
    /// Calls that hold a part of it.
    pub in_flight: u32,
    /// What is known of it.
    pub available: Available,
}

/// The pots of this process.
pub struct LeasePots {
    pots: HashMap<u64, Pot, RandomState>,
    count: AtomicUsize,
    pots_max: usize,
}

impl Default for LeasePots {
    fn default() -> Self {
        Self::new(POTS_MAX_DEFAULT)
    }
}

impl LeasePots {
    /// No leases yet, and of at most `pots_max` accounts at once.
    #[must_use]
    pub fn new(pots_max: usize) -> Self {
        Self { pots: HashMap::default(), count: AtomicUsize::new(0), pots_max }
    }

    /// Puts what the ledger set aside into a pot; `rest` is what it has left in nobody's lease.
    ///
    /// # Errors
    /// [`NotGranted`]: it must go back to the ledger.
    pub fn grant(
        &self,
        account: AccountId,
        lease: u64,
        amount: Amount,
        rest: Amount,
    ) -> Result<(), NotGranted> {
        loop {
            match self.with_pot(account, |pot| pot.grant(lease, amount, rest))? {
                Err(NotGranted::Gone) => self.drop_gone(account),
                granted => return granted,
            }
        }
    }

    /// Notes what the ledger has left of an account that it gave nothing of, and whether more was used of
    /// it than reserved and nobody has made up for it.
    ///
    /// # Errors
    /// [`NotGranted::Full`] when the account is not known and there is no room.
    pub fn learn(&self, account: AccountId, rest: Amount, is_overrun: bool) -> Result<(), NotGranted> {
        self.with_pot(account, |pot| pot.learn(rest, is_overrun))
    }

    /// Takes out what is free of an account's lease, and ends the lease unless something of it is in
    /// flight; `None` without a lease, and when all of it is in flight.
    pub fn take_back(&self, account: AccountId) -> Option<Returned> {
        let pin = self.pots.guard();
        self.pots.get(&account.0, &pin)?.take_back()
    }

    /// The number of an account's lease, if it has one.
    pub fn lease_of(&self, account: AccountId) -> Option<u64> {
        let pin = self.pots.guard();
        self.pots.get(&account.0, &pin)?.lease().map(|(lease, _)| lease)
    }

    /// Ends a call: gives back what it did not use of what it held. Once for each hold.
    pub fn settle(&self, hold: &Hold, used: Amount) -> Draws {
        let pin = self.pots.guard();
        let drawn = |leg: &Leg| match self.pots.get(&leg.account.0, &pin) {
            Some(pot) => pot.settle(*leg, hold.amount, used),
            // A pot with something in flight is never dropped.
            None => Drawn { leg: *leg, reserved: hold.amount, used },
        };
        hold.legs.iter().map(drawn).collect()
    }

    /// Accounts with a lease that nobody asked for since the last call of this, and not all in flight.
    /// Drops pots without lease on its way.
    pub fn idle(&self) -> Vec<AccountId> {
        let pin = self.pots.guard();
        let mut idle = Vec::new();
        for (account, pot) in self.pots.iter(&pin) {
            if !pot.is_idle() {
                continue;
            }
            if pot.lease().is_some() {
                idle.push(AccountId(*account));
            } else if pot.retire() {
                self.drop_gone(AccountId(*account));
            }
        }
        idle
    }

    /// Every account that is known here, in no order.
    pub fn standings(&self) -> Vec<Standing> {
        let pin = self.pots.guard();
        let standing = |(account, pot): (&u64, &Pot)| {
            let lease = pot.lease();
            Standing {
                account: AccountId(*account),
                lease: lease.map(|(lease, _)| lease),
                in_flight: lease.map_or(0, |(_, in_flight)| in_flight),
                available: pot.available(),
            }
        };
        self.pots.iter(&pin).map(standing).collect()
    }

    fn with_pot<R>(&self, account: AccountId, with: impl FnOnce(&Pot) -> R) -> Result<R, NotGranted> {
        let pin = self.pots.guard();
        if let Some(pot) = self.pots.get(&account.0, &pin) {
            return Ok(with(pot));
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.pots_max {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(NotGranted::Full);
        }
        let pot = self.pots.try_insert(account.0, Pot::default(), &pin).unwrap_or_else(|occupied| {
            self.count.fetch_sub(1, Ordering::Relaxed);
            occupied.current
        });
        Ok(with(pot))
    }

    fn drop_gone(&self, account: AccountId) {
        let pin = self.pots.guard();
        if let Ok(Some(_)) = self.pots.remove_if(&account.0, |_, pot| pot.retire(), &pin) {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Funds for LeasePots {
    fn reserve(&self, accounts: &[AccountId], amount: Amount) -> Result<Hold, Short> {
        let pin = self.pots.guard();
        let mut pots: SmallVec<[(AccountId, &Pot); LEGS_USUAL]> = SmallVec::new();
        for account in accounts {
            let pot = self.pots.get(&account.0, &pin).ok_or(Short { account: *account })?;
            pots.push((*account, pot));
        }
        reserve(&pots, amount)
    }

    fn available(&self, account: AccountId) -> Available {
        let pin = self.pots.guard();
        self.pots.get(&account.0, &pin).map(Pot::available).unwrap_or_default()
    }
}
