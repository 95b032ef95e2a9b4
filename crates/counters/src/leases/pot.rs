//! One account of this process: how much of its lease is free, and who holds the rest.
//!
//! Invariant: what was granted is what is free, what is in flight, and what was used; nothing is counted
//! twice and nothing is lost, whatever threads do at once. Checked under loom (`tests/loom.rs`).

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use smallvec::SmallVec;
use tollgate_core::{
    budget::funds::{Available, Drawn, Hold, LEGS_USUAL, Leg, Short},
    id::AccountId,
    money::amount::Amount,
};

/// One account. Held for a few dozen nanoseconds at a time.
#[derive(Debug, Default)]
pub struct Pot(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    lease: Option<u64>,
    free: Amount,
    in_flight: u32,
    rest: Option<Amount>,
    is_overrun: bool,
    /// Asked since the last sweep.
    is_used: bool,
    /// Taken out of the map: whoever found it before looks again.
    is_gone: bool,
}

/// What was free of a lease, to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Its number.
    pub lease: u64,
    /// What was free of it. What the ledger still has of it beyond that is in flight, or was used and is
    /// not shipped yet.
    pub amount: Amount,
}

/// What the ledger gave cannot be put into a pot; it must go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// The account has another lease, which has not come to its end.
    #[error("the account has another lease in this process")]
    OtherLease,
    /// The sum is more than an amount can be.
    #[error("the lease would be more than an amount can be")]
    TooMuch,
    /// There are as many accounts as there may be.
    #[error("this process has leases of as many accounts as it may have")]
    Full,
    /// The pot was dropped meanwhile; it is to be looked up again.
    #[error("the account was dropped meanwhile")]
    Gone,
}

impl Pot {
    /// Adds to the lease `lease`, which begins with this if the pot has none, and notes what the ledger
    /// has left in nobody's lease.
    ///
    /// # Errors
    /// [`NotGranted`]; nothing was added.
    pub fn grant(&self, lease: u64, amount: Amount, rest: Amount) -> Result<(), NotGranted> {
        let mut state = self.hold();
        if state.is_gone {
            return Err(NotGranted::Gone);
        }
        if state.lease.is_some_and(|own| own != lease) {
            return Err(NotGranted::OtherLease);
        }
        let free = state.free.checked_add(amount).filter(|_| amount >= Amount::ZERO);
        state.free = free.ok_or(NotGranted::TooMuch)?;
        (state.lease, state.rest) = (Some(lease), Some(rest));
        Ok(())
    }

    /// Notes what the ledger has left, and whether it has made up for what was overrun.
    pub fn learn(&self, rest: Amount, is_overrun: bool) {
        let mut state = self.hold();
        (state.rest, state.is_overrun) = (Some(rest), is_overrun);
    }

    /// Takes out what is free, and ends the lease unless something of it is in flight: then it goes on,
    /// and calls give back to it what they do not use. `None` when there is nothing to give back.
    pub fn take_back(&self) -> Option<Returned> {
        let mut state = self.hold();
        let lease = state.lease?;
        if state.in_flight == 0 {
            state.lease = None;
        } else if state.free == Amount::ZERO {
            return None;
        }
        Some(Returned { lease, amount: std::mem::take(&mut state.free) })
    }

    /// Whether nobody asked since the last time this was asked, and something could be taken back: calls
    /// in flight, which may take minutes, keep what they hold and nothing else.
    pub fn is_idle(&self) -> bool {
        let mut state = self.hold();
        !std::mem::take(&mut state.is_used) && (state.in_flight == 0 || state.free > Amount::ZERO)
    }

    /// Marks it as gone if it holds nothing; then it must be taken out of the map.
    pub fn retire(&self) -> bool {
        let mut state = self.hold();
        state.is_gone |= state.lease.is_none() && state.in_flight == 0 && !state.is_overrun;
        state.is_gone
    }

    /// What is known of the account.
    #[must_use]
    pub fn available(&self) -> Available {
        let State { free, rest, is_overrun, .. } = *self.hold();
        Available { free, rest, is_overrun }
    }

    /// The lease, and how many calls hold a part of it.
    #[must_use]
    pub fn lease(&self) -> Option<(u64, u32)> {
        let State { lease, in_flight, .. } = *self.hold();
        lease.map(|lease| (lease, in_flight))
    }

    /// Ends one call's part: gives back what it did not use. What was used beyond it is taken from what is
    /// free; what is not there is an overrun, and stops the account.
    pub fn settle(&self, leg: Leg, held: Amount, used: Amount) -> Drawn {
        let mut state = self.hold();
        state.in_flight = state.in_flight.saturating_sub(1);
        let used = used.max(Amount::ZERO);
        if used <= held {
            // Both are at least 0, and the sum was a lease before: neither is out of bounds.
            let unused = held.checked_sub(used).unwrap_or(Amount::ZERO);
            state.free = state.free.checked_add(unused).unwrap_or(state.free);
            return Drawn { leg, reserved: held, used };
        }
        let over = used.checked_sub(held).unwrap_or(Amount::ZERO);
        let there = over.min(state.free);
        state.free = state.free.checked_sub(there).unwrap_or(Amount::ZERO);
        state.is_overrun |= there < over;
        Drawn { leg, reserved: held.checked_add(there).unwrap_or(held), used }
    }

    /// A thread that panicked while it held a pot left a whole state: it is `Copy` and written field by
    /// field without anything that can fail between.
    fn hold(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes `amount` from every pot or from none. The pots stand in the order of their accounts, each once:
/// so none waits in a circle.
///
/// # Errors
/// [`Short`] names the first account that has too little.
pub fn reserve(pots: &[(AccountId, &Pot)], amount: Amount) -> Result<Hold, Short> {
    let mut held: SmallVec<[MutexGuard<'_, State>; LEGS_USUAL]> = SmallVec::new();
    let mut legs = SmallVec::new();
    for (account, pot) in pots {
        let mut state = pot.hold();
        state.is_used = true;
        let enough = amount >= Amount::ZERO && state.free >= amount && !state.is_overrun;
        let Some(lease) = state.lease.filter(|_| enough && !state.is_gone) else {
            return Err(Short { account: *account });
        };
        legs.push(Leg { account: *account, lease });
        held.push(state);
    }
    for state in &mut held {
        state.in_flight = state.in_flight.saturating_add(1);
        state.free = state.free.checked_sub(amount).unwrap_or(Amount::ZERO);
    }
    Ok(Hold { amount, legs })
}
