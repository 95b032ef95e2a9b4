//! Leases of many accounts in one round: each is what it would be alone.

use tollgate_core::id::AccountId;
use tollgate_store::{Leased, StoreError};

use crate::{
    leases::{FIRST, amount, assert_balanced, balance, lease, open, want},
    world::{NOW, World},
};

/// I7: a round gives each account what it would give alone, takes each step once, and returns what is held.
pub(crate) async fn a_round_gives_each_account_what_it_would_alone(world: World) {
    let store = &world.store;
    let accounts: Vec<AccountId> = (1..=40).map(AccountId).collect();
    for account in &accounts {
        // Every fourth is empty, every fifth only observes.
        let atoms = if account.0 % 4 == 0 { 0 } else { 100 };
        open(store, *account, account.0 % 5 != 0, atoms).await;
    }
    // In an order that is not that of the ids.
    let wants: Vec<_> = accounts.iter().rev().map(|account| want(*account, 1, 10, 60)).collect();
    let leased = store.lease_round(FIRST, &wants, NOW).await.unwrap();
    for (want, Leased { taken, .. }) in wants.iter().zip(&leased) {
        let id = want.account.0;
        let expected = if id % 4 == 0 && id % 5 != 0 { 0 } else { 60 };
        assert_eq!(taken.atoms(), expected, "account {id}");
        assert_eq!(balance(store, want.account).await[1], expected);
    }
    assert_balanced(store).await;
    let again = store.lease_round(FIRST, &wants, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "a step is asked once in a round");
    assert_eq!(lease(store, FIRST, &wants[0]).await.0, leased[0].taken.atoms(), "and known when asked alone");
    let gone = [want(AccountId(1), 2, 1, 1), want(AccountId(99), 2, 1, 1)];
    let gone = store.lease_round(FIRST, &gone, NOW).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
    assert_eq!(balance(store, AccountId(1)).await[1], 60, "all or nothing");

    let parts: Vec<_> = [3, 2, 1].map(|id| (AccountId(id), 7, amount(60))).into();
    assert!(store.give_back_round(FIRST, &parts, NOW).await.unwrap());
    assert!(!store.give_back_round(FIRST, &parts, NOW).await.unwrap(), "a step gives back once");
    let too_much = [(AccountId(6), 8, amount(60)), (AccountId(7), 8, amount(61))];
    assert!(!store.give_back_round(FIRST, &too_much, NOW).await.unwrap(), "more than it holds");
    for (id, reserved) in [(1, 0), (2, 0), (3, 0), (6, 60), (7, 60)] {
        assert_eq!(balance(store, AccountId(id)).await[1], reserved, "account {id}");
    }
    let held = store.leases(None).await.unwrap();
    assert!(held.iter().all(|lease| lease.account.0 > 3), "an empty lease is gone");
    assert_balanced(store).await;
}

/// I7: rounds of several nodes over the same accounts, in different orders, never pass a limit and never
/// wait for each other in a circle.
pub(crate) async fn rounds_at_once_never_pass_a_limit(world: World) {
    let others = [world.other().await, world.other().await];
    let stores = [&world.store, &others[0], &others[1]];
    let accounts: Vec<AccountId> = (1..=20).map(AccountId).collect();
    for account in &accounts {
        open(&world.store, *account, true, 90).await;
    }
    let worker = async |number: u64| {
        let lessee = tollgate_store::Lessee { node: number, boot: 100 + number };
        for step in 0..10 {
            let mut wants: Vec<_> = accounts.iter().map(|account| want(*account, step, 1, 7)).collect();
            if number.is_multiple_of(2) {
                wants.reverse();
            }
            stores[number as usize].lease_round(lessee, &wants, NOW).await.unwrap();
        }
    };
    tokio::join!(worker(0), worker(1), worker(2));
    for account in &accounts {
        assert_eq!(balance(&world.store, *account).await[..2], [90, 90], "all of it, and no more");
    }
    assert_balanced(&world.store).await;
}
