//! The pots of leases: against a naive model, from many threads, and at their bounds. The orders that
//! threads can take are gone through one by one in `tests/loom.rs`.

use std::{collections::BTreeMap, thread};

use proptest::prelude::*;
use tollgate_core::{
    budget::funds::{Funds as _, Hold},
    id::AccountId,
    money::amount::Amount,
};
use tollgate_counters::leases::{LeasePots, NotGranted};

fn atoms(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

const fn account(id: u64) -> AccountId {
    AccountId(id)
}

#[test]
fn what_is_used_beyond_what_was_held_comes_from_what_is_free_and_then_stops_the_account() {
    let pots = LeasePots::default();
    pots.grant(account(1), 7, atoms(10), atoms(3)).unwrap();
    let hold = pots.reserve(&[account(1)], atoms(4)).unwrap();
    let drawn = pots.settle(&hold, atoms(6));
    assert_eq!((drawn[0].leg.lease, drawn[0].reserved, drawn[0].used), (7, atoms(6), atoms(6)));
    assert_eq!(pots.available(account(1)).free, atoms(4));
    assert_eq!(pots.available(account(1)).left(), Some(atoms(7)));
    let hold = pots.reserve(&[account(1)], atoms(4)).unwrap();
    let drawn = pots.settle(&hold, atoms(9));
    assert_eq!((drawn[0].reserved, drawn[0].used), (atoms(4), atoms(9)));
    assert!(pots.available(account(1)).is_overrun);
    assert_eq!(pots.available(account(1)).left(), Some(Amount::ZERO));
    pots.grant(account(1), 7, atoms(5), atoms(0)).unwrap();
    assert!(pots.reserve(&[account(1)], atoms(1)).is_err(), "until somebody makes up for it");
    pots.learn(account(1), atoms(0), false).unwrap();
    assert!(pots.reserve(&[account(1)], atoms(1)).is_ok());
}

#[test]
fn a_lease_ends_once_and_another_begins_only_after_it() {
    let pots = LeasePots::default();
    pots.grant(account(1), 1, atoms(10), atoms(0)).unwrap();
    let hold = pots.reserve(&[account(1)], atoms(4)).unwrap();
    let returned = pots.take_back(account(1)).unwrap();
    assert_eq!((returned.lease, returned.amount), (1, atoms(6)), "4 are in flight");
    assert_eq!(pots.take_back(account(1)), None);
    assert_eq!(pots.grant(account(1), 2, atoms(1), atoms(0)), Err(NotGranted::OtherLease));
    let _drawn = pots.settle(&hold, atoms(3));
    let returned = pots.take_back(account(1)).unwrap();
    assert_eq!((returned.lease, returned.amount), (1, atoms(1)));
    assert_eq!(pots.take_back(account(1)), None);
    assert!(pots.reserve(&[account(1)], Amount::ZERO).is_err(), "there is no lease");
    pots.grant(account(1), 2, atoms(1), atoms(0)).unwrap();
    assert_eq!(pots.reserve(&[account(1)], atoms(1)).unwrap().legs[0].lease, 2);
}

#[test]
fn what_nobody_asks_for_is_idle_and_accounts_without_lease_make_room() {
    let pots = LeasePots::new(2);
    for id in [1, 2] {
        pots.grant(account(id), 1, atoms(10), atoms(0)).unwrap();
    }
    assert_eq!(pots.grant(account(3), 1, atoms(10), atoms(0)), Err(NotGranted::Full));
    let hold = pots.reserve(&[account(1)], atoms(4)).unwrap();
    assert_eq!(pots.idle(), [account(2)]);
    assert_eq!(pots.idle().len(), 2, "one call in flight keeps what it holds and not the rest");
    assert_eq!(pots.take_back(account(1)).unwrap().amount, atoms(6));
    assert_eq!(pots.idle(), [account(2)], "all that is left is in flight");
    let _drawn = pots.settle(&hold, atoms(4));
    assert_eq!(pots.idle().len(), 2);
    let _short = pots.reserve(&[account(2)], atoms(400));
    assert_eq!(pots.idle(), [account(1)], "who asks for more than there is wants it too");
    assert!(pots.take_back(account(1)).is_some());
    assert_eq!(pots.idle(), [account(2)]);
    pots.grant(account(3), 1, atoms(10), atoms(0)).unwrap();
    assert_eq!(pots.standings().len(), 2);
}

#[test]
fn many_threads_take_and_give_back_and_nothing_is_lost() {
    let pots = LeasePots::default();
    for id in 1..=4 {
        pots.grant(account(id), 1, atoms(1_000), atoms(0)).unwrap();
    }
    let used: i64 = thread::scope(|scope| {
        let spend = |seed: i64| {
            let pots = &pots;
            scope.spawn(move || {
                let mut used = 0;
                for step in 0..5_000_i64 {
                    // Some calls take from all, some from one or two.
                    let first = 1 + ((seed + step) % 4).unsigned_abs();
                    let accounts: Vec<AccountId> = (first..=4).map(account).collect();
                    let Ok(hold) = pots.reserve(&accounts, atoms(50)) else { continue };
                    let cost = if accounts.len() == 4 && step % 50 == 0 { 1 } else { 0 };
                    let _drawn = pots.settle(&hold, atoms(cost));
                    used += cost;
                }
                used
            })
        };
        let threads: Vec<_> = (0..8).map(spend).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(used > 0);
    for id in 1..=4 {
        assert_eq!(pots.available(account(id)).free, atoms(1_000 - used));
    }
}

/// Steps of a process with three accounts.
#[derive(Clone, Debug)]
enum Step {
    Grant(u64, i64),
    Reserve(u8, i64),
    Settle(usize, i64),
    TakeBack(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..4, 0i64..100).prop_map(|(id, amount)| Step::Grant(id, amount)),
        (1u8..8, 0i64..60).prop_map(|(set, amount)| Step::Reserve(set, amount)),
        (0usize..8, 0i64..90).prop_map(|(place, used)| Step::Settle(place, used)),
        (1u64..4).prop_map(Step::TakeBack),
    ]
}

/// An account with no cleverness.
#[derive(Default)]
struct Naive {
    lease: Option<u64>,
    free: i64,
    in_flight: i64,
    overrun: bool,
    granted: i64,
    used: i64,
    returned: i64,
    over: i64,
}

proptest! {
    /// I7, I8: the pots do what a naive model does, and in each account what was granted is what is free,
    /// in flight, used and returned.
    #[test]
    fn pots_agree_with_a_naive_model(steps in prop::collection::vec(any_step(), 1..80)) {
        let pots = LeasePots::default();
        let mut naive: BTreeMap<u64, Naive> = (1..4).map(|id| (id, Naive::default())).collect();
        let mut open: Vec<Hold> = Vec::new();
        let mut leases = 0;
        for step in steps {
            match step {
                Step::Grant(id, amount) => {
                    let own = naive.get_mut(&id).unwrap();
                    let lease = own.lease.unwrap_or_else(|| { leases += 1; leases });
                    own.lease = Some(lease);
                    own.free += amount;
                    own.granted += amount;
                    pots.grant(account(id), lease, atoms(amount), atoms(0)).unwrap();
                }
                Step::Reserve(set, amount) => {
                    let ids: Vec<u64> = (1..4).filter(|id| set & (1 << (id - 1)) != 0).collect();
                    let fits = ids.iter().all(|id| {
                        let own = &naive[id];
                        own.lease.is_some() && own.free >= amount && !own.overrun
                    });
                    let accounts: Vec<AccountId> = ids.iter().copied().map(account).collect();
                    match pots.reserve(&accounts, atoms(amount)) {
                        Ok(hold) => {
                            prop_assert!(fits);
                            for id in ids {
                                let own = naive.get_mut(&id).unwrap();
                                own.free -= amount;
                                own.in_flight += amount;
                            }
                            open.push(hold);
                        }
                        Err(_) => prop_assert!(!fits),
                    }
                }
                Step::Settle(place, used) => {
                    if open.is_empty() { continue }
                    let hold = open.remove(place % open.len());
                    let held = hold.amount.atoms();
                    for drawn in pots.settle(&hold, atoms(used)) {
                        let own = naive.get_mut(&drawn.leg.account.0).unwrap();
                        own.in_flight -= held;
                        let there = (used - held).clamp(0, own.free);
                        own.free += (held - used).max(-there);
                        own.overrun |= used > held + there;
                        own.over += (used - held - there).max(0);
                        own.used += used;
                        prop_assert_eq!(drawn.reserved.atoms(), held + there);
                    }
                }
                Step::TakeBack(id) => {
                    let in_flight = open.iter().any(|hold| hold.legs.iter().any(|leg| leg.account.0 == id));
                    let own = naive.get_mut(&id).unwrap();
                    match pots.take_back(account(id)) {
                        Some(returned) => {
                            prop_assert!(!in_flight || own.free > 0);
                            prop_assert_eq!(Some(returned.lease), own.lease);
                            prop_assert_eq!(returned.amount.atoms(), own.free);
                            own.returned += own.free;
                            (own.free, own.lease) = (0, own.lease.filter(|_| in_flight));
                        }
                        None => prop_assert!(own.lease.is_none() || (in_flight && own.free == 0)),
                    }
                }
            }
            for (id, own) in &naive {
                let found = pots.available(account(*id));
                prop_assert_eq!((found.free.atoms(), found.is_overrun), (own.free, own.overrun));
                prop_assert_eq!(own.granted, own.free + own.in_flight + own.used - own.over + own.returned);
            }
        }
    }
}
