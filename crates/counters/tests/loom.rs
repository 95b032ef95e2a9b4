//! The pots under loom: every order that threads can take a lease's parts, give them back and end it in.
//!
//! Run by `cargo xtask test --only loom`, or:
//! `RUSTFLAGS="--cfg loom" cargo test -p tollgate-counters --test loom --release`.

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use loom::{sync::Arc, thread};
use tollgate_core::{id::AccountId, money::amount::Amount};
use tollgate_counters::leases::{Pot, reserve};

fn atoms(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

fn pot(free: i64) -> Arc<Pot> {
    let pot = Pot::default();
    pot.grant(1, atoms(free), Amount::ZERO).unwrap();
    Arc::new(pot)
}

const ONE: AccountId = AccountId(1);
const TWO: AccountId = AccountId(2);

/// Two calls that want all of two accounts: one of them gets both, never each one of them, and what is not
/// used is there again.
#[test]
fn calls_take_from_all_their_accounts_or_from_none() {
    loom::model(|| {
        let (one, two) = (pot(10), pot(10));
        let call = |one: Arc<Pot>, two: Arc<Pot>| {
            thread::spawn(move || {
                let Ok(hold) = reserve(&[(ONE, &one), (TWO, &two)], atoms(10)) else { return 0 };
                for (leg, pot) in hold.legs.iter().zip([&one, &two]) {
                    pot.settle(*leg, hold.amount, atoms(4));
                }
                1
            })
        };
        let calls = [call(one.clone(), two.clone()), call(one.clone(), two.clone())];
        let granted: i64 = calls.into_iter().map(|call| call.join().unwrap()).sum();
        assert_eq!(granted, 1, "6 are left after the first, too little for another");
        for pot in [one, two] {
            assert_eq!(pot.available().free, atoms(10 - 4 * granted));
            assert!(!pot.available().is_overrun);
        }
    });
}

/// A refill and two calls that each need what only one of them can have at first.
#[test]
fn what_is_granted_is_free_in_flight_or_used() {
    loom::model(|| {
        let own = pot(5);
        let spend = |pot: Arc<Pot>, used: i64| {
            thread::spawn(move || {
                let Ok(hold) = reserve(&[(ONE, &pot)], atoms(5)) else { return 0 };
                let drawn = pot.settle(hold.legs[0], hold.amount, atoms(used));
                assert_eq!(drawn.used, atoms(used));
                used
            })
        };
        let calls = [spend(own.clone(), 2), spend(own.clone(), 5)];
        own.grant(1, atoms(5), Amount::ZERO).unwrap();
        let used: i64 = calls.into_iter().map(|call| call.join().unwrap()).sum();
        assert_eq!(own.available().free, atoms(10 - used));
    });
}

/// What is free goes back at any time; the lease is ended only when nothing of it is in flight, and then
/// nothing of it can be taken.
#[test]
fn what_is_free_goes_back_once_and_the_lease_ends_with_its_last_call() {
    loom::model(|| {
        let own = pot(7);
        let call = {
            let own = own.clone();
            thread::spawn(move || {
                let Ok(hold) = reserve(&[(ONE, &own)], atoms(5)) else { return 0 };
                assert_eq!(hold.legs[0].lease, 1);
                own.settle(hold.legs[0], hold.amount, atoms(3));
                3
            })
        };
        let returned = own.take_back();
        let used = call.join().unwrap();
        let returned = returned.unwrap();
        match own.take_back() {
            // Before the call, which found nothing; or after it.
            None => assert_eq!(returned.amount, atoms(7 - used)),
            // While it was in flight: what it did not use came back to the same lease.
            Some(rest) => {
                assert_eq!((returned.amount, returned.lease, rest.lease), (atoms(2), 1, 1));
                assert_eq!((rest.amount, used), (atoms(2), 3));
            }
        }
        assert_eq!(own.available().free, Amount::ZERO);
        assert!(reserve(&[(ONE, &own)], Amount::ZERO).is_err());
    });
}

/// A pot that is dropped takes no grant any more, and one with a grant is not dropped.
#[test]
fn a_grant_never_goes_into_a_pot_that_is_gone() {
    loom::model(|| {
        let own = Arc::new(Pot::default());
        let sweep = {
            let own = own.clone();
            thread::spawn(move || own.retire())
        };
        let granted = own.grant(1, atoms(5), Amount::ZERO).is_ok();
        let gone = sweep.join().unwrap();
        assert_ne!(granted, gone);
    });
}
