//! The port to what a process may spend: what [`crate::admit::afford`] asks of it, and nothing of how it
//! is kept.
//!
//! A process holds for each account (a budget in one period) a *lease*: a part of the account that the
//! ledger has set aside for it. A call takes from the leases of all its accounts together or from none,
//! and gives back what it did not use. So what is spent never depends on an answer of the database, and
//! is never more than was set aside (I7).

use smallvec::SmallVec;

use crate::{id::AccountId, money::amount::Amount};

/// Budgets that a call usually has at most, one each of its key, consumer, project and tenant; more are
/// held on the heap.
pub const LEGS_USUAL: usize = 4;

/// Accounts of one call, in the order of their ids.
pub type Legs = SmallVec<[Leg; LEGS_USUAL]>;

/// One account that a call takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The account.
    pub account: AccountId,
    /// The number of the lease that it was taken from; numbers count up in a process and never come again.
    pub lease: u64,
}

/// What a call has taken: the same amount from each of its accounts. It is settled exactly once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is held must be settled, or it is withheld for ever"]
pub struct Hold {
    /// How much, not below zero.
    pub amount: Amount,
    /// From which accounts; none for a call without budgets.
    pub legs: Legs,
}

impl Hold {
    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }
}

/// What a settled hold took from one of its accounts, as the journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The account and the lease.
    pub leg: Leg,
    /// How much of the lease covers it: what was held, and more where more was used and was there.
    pub reserved: Amount,
    /// How much was used. What is more than `reserved` is an overrun.
    pub used: Amount,
}

/// An account has too little here; nothing was taken from any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// The first of them.
    pub account: AccountId,
}

/// What is known of an account in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Available {
    /// What can be taken here and now.
    pub free: Amount,
    /// What the ledger had free, in nobody's lease, when it was asked last; `None` when it never was.
    pub rest: Option<Amount>,
    /// More was used than was reserved, and the ledger has not made up for it yet: nothing may be taken
    /// while this holds, whatever is free.
    pub is_overrun: bool,
}

impl Available {
    /// What is left as far as is known: here and in the ledger. What calls in flight hold, here and on
    /// other nodes, is not in it. `None` when the ledger was never asked.
    #[must_use]
    pub fn left(&self) -> Option<Amount> {
        if self.is_overrun {
            return Some(Amount::ZERO);
        }
        self.rest.map(|rest| self.free.checked_add(rest).unwrap_or(Amount::MAX))
    }
}

/// What a process may spend. All-or-nothing: who is refused has taken nothing.
pub trait Funds {
    /// Takes `amount` from each of the accounts, or from none. `accounts` are in rising order, each once.
    ///
    /// # Errors
    /// [`Short`] names an account that has too little, has no lease, or is overrun.
    fn reserve(&self, accounts: &[AccountId], amount: Amount) -> Result<Hold, Short>;

    /// What is known of an account.
    fn available(&self, account: AccountId) -> Available;
}
