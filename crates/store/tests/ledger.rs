//! The ledger: double entry, all or nothing, once.

use std::collections::HashMap;

use tollgate_core::{
    authz::{Action, Actor, authorise},
    budget::held::Level,
    id::{AccountId, BudgetId, TenantId},
    money::amount::{Amount, Currency},
    period::Window,
};
use tollgate_store::{
    Balance, Forgiveness, Funding, Leg, Moved, NewAccount, PageRequest, Posting, Reservation, Reserved,
    Resolved, Store, StoreError, TransferId,
};

use crate::world::{NOW, SECOND, World, permit};

const KEY: AccountId = AccountId(11);
const CONSUMER: AccountId = AccountId(12);
const PROJECT: AccountId = AccountId(13);
const ALL: [AccountId; 3] = [KEY, CONSUMER, PROJECT];

fn amount(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

fn id(number: u128) -> TransferId {
    TransferId(number.to_be_bytes())
}

fn legs(accounts: &[AccountId], atoms: i64) -> Vec<Leg> {
    accounts.iter().map(|account| Leg { account: *account, amount: amount(atoms) }).collect()
}

async fn open(store: &Store, account: AccountId, hard: bool, atoms: i64) -> Moved {
    let new = NewAccount {
        id: account,
        budget: BudgetId(1),
        tenant: TenantId(1),
        level: Level::Key,
        subject: 7,
        window: Window { start_us: NOW, end_us: NOW + 3_600 * SECOND },
        currency: Currency::USD,
        hard,
        amount: amount(atoms),
        transfer: id(u128::from(account.0) << 64),
    };
    store.open_account(&new, NOW).await.unwrap()
}

async fn reserve(store: &Store, number: u128, accounts: &[AccountId], atoms: i64) -> Reserved {
    let legs = legs(accounts, atoms);
    let reservation = Reservation { id: id(number), legs: &legs, cause: "call" };
    store.reserve(&reservation, NOW).await.unwrap()
}

async fn post(store: &Store, number: u128, of: u128, accounts: &[AccountId], atoms: i64) -> Resolved {
    let legs = legs(accounts, atoms);
    let posting = Posting { id: id(number), of: id(of), legs: &legs, cause: "usage" };
    store.post(&posting, NOW).await.unwrap()
}

/// Funded, reserved, spent, overrun.
async fn balance(store: &Store, account: AccountId) -> [i64; 4] {
    let Balance { funded, reserved, spent, overrun } = store.balance(account).await.unwrap();
    [funded.atoms(), reserved.atoms(), spent.atoms(), overrun.atoms()]
}

async fn assert_balanced(store: &Store) {
    let found = store.reconcile().await.unwrap();
    assert!(found.is_clean(), "{found:?}");
}

const HELD: Reserved = Reserved::Held(Moved::Done);
const DONE: Resolved = Resolved::Now(Moved::Done);

/// I7, I8: from all levels or from none; a reservation ends once.
pub(crate) async fn a_reservation_takes_all_or_nothing_and_ends_once(world: World) {
    let store = &world.store;
    for (account, atoms) in [(KEY, 100), (CONSUMER, 60), (PROJECT, 1_000)] {
        assert_eq!(open(store, account, true, atoms).await, Moved::Done);
        assert_eq!(open(store, account, true, atoms).await, Moved::Replayed);
    }
    assert_eq!(reserve(store, 1, &ALL, 40).await, HELD);
    assert_eq!(reserve(store, 1, &ALL, 40).await, Reserved::Held(Moved::Replayed));
    let refused = Reserved::Refused { account: CONSUMER, free: amount(20) };
    assert_eq!(reserve(store, 2, &ALL, 40).await, refused);
    assert_eq!(balance(store, KEY).await, [100, 40, 0, 0], "nothing was taken where there was enough");
    assert_eq!(reserve(store, 2, &ALL, 20).await, HELD, "a refused id is free again");

    assert_eq!(post(store, 3, 1, &ALL, 25).await, DONE);
    assert_eq!(post(store, 3, 1, &ALL, 25).await, Resolved::Now(Moved::Replayed));
    assert_eq!(post(store, 4, 1, &ALL, 25).await, Resolved::Before(id(3)));
    assert_eq!(store.void(id(5), id(1), "late", NOW).await.unwrap(), Resolved::Before(id(3)));
    assert_eq!(balance(store, CONSUMER).await, [60, 20, 25, 0]);
    assert_eq!(store.void(id(6), id(2), "refused upstream", NOW).await.unwrap(), DONE);
    assert_eq!(balance(store, CONSUMER).await, [60, 0, 25, 0]);

    let legs_of_one = legs(&[KEY], 1);
    let other = Reservation { id: id(1), legs: &legs_of_one, cause: "call" };
    assert!(matches!(store.reserve(&other, NOW).await, Err(StoreError::Conflict(_))), "one id, one content");
    assert!(matches!(store.void(id(7), id(99), "x", NOW).await, Err(StoreError::NotFound { .. })));
    assert_eq!(reserve(store, 8, &ALL, 10).await, HELD);
    let too_much = legs(&[KEY], 11);
    let posting = Posting { id: id(9), of: id(8), legs: &too_much, cause: "usage" };
    assert!(matches!(store.post(&posting, NOW).await, Err(StoreError::Conflict(_))));
    assert_eq!(post(store, 9, 8, &[KEY], 10).await, DONE, "what failed left no id behind");
    assert_eq!(balance(store, PROJECT).await, [1_000, 0, 25, 0], "accounts that are not named spend nothing");
    assert_balanced(store).await;
}

pub(crate) async fn transfers_that_mean_nothing_are_refused(world: World) {
    let store = &world.store;
    open(store, KEY, true, 100).await;
    let ask =
        async |legs: &[Leg], cause: &str| store.reserve(&Reservation { id: id(1), legs, cause }, NOW).await;
    let invalid = |asked: Result<Reserved, StoreError>| matches!(asked, Err(StoreError::Invalid(_)));
    assert!(invalid(ask(&[], "x").await));
    assert!(invalid(ask(&legs(&[KEY, KEY], 1), "x").await));
    assert!(invalid(ask(&legs(&[KEY], -1), "x").await));
    assert!(invalid(ask(&legs(&[KEY; 9], 1), "x").await));
    assert!(invalid(ask(&legs(&[KEY], 1), &"x".repeat(257)).await));
    assert!(matches!(ask(&legs(&[KEY, PROJECT], 1), "x").await, Err(StoreError::NotFound { .. })));
    assert_eq!(balance(store, KEY).await, [100, 0, 0, 0]);
    assert_eq!(store.reconcile().await.unwrap().pending, 0);
}

/// Unknown counts as spent: a reservation that nobody can tell of is charged, and what turns up unused
/// is given back.
pub(crate) async fn what_nobody_can_tell_counts_as_spent(world: World) {
    let store = &world.store;
    open(store, KEY, true, 100).await;
    assert_eq!(reserve(store, 1, &[KEY], 30).await, HELD);
    for moved in [Moved::Done, Moved::Replayed] {
        let charged = store.charge(id(5), id(1), "lost", NOW).await.unwrap();
        assert_eq!(charged, Resolved::Now(moved));
    }
    assert_eq!(balance(store, KEY).await, [100, 0, 30, 0]);
    let unused = self::legs(&[KEY], 20);
    for moved in [Moved::Done, Moved::Replayed] {
        assert_eq!(store.refund(id(6), &unused, "found", NOW).await.unwrap(), moved);
    }
    let more = self::legs(&[KEY], 11);
    assert!(matches!(store.refund(id(7), &more, "x", NOW).await, Err(StoreError::Conflict(_))));
    assert_eq!(balance(store, KEY).await, [100, 0, 10, 0]);
    assert_balanced(store).await;
}

pub(crate) async fn an_overrun_blocks_until_it_is_forgiven(world: World) {
    let world = world.furnished().await;
    let store = &world.store;
    open(store, KEY, true, 100).await;
    open(store, CONSUMER, false, 100).await;
    let over = legs(&[KEY, CONSUMER], 5);
    assert_eq!(store.overrun(id(1), &over, "longer than its limit", NOW).await.unwrap(), Moved::Done);
    assert_eq!(reserve(store, 2, &[KEY], 1).await, Reserved::Refused { account: KEY, free: amount(100) });
    assert_eq!(reserve(store, 3, &[CONSUMER], 500).await, HELD, "what only observes refuses nothing");
    let forgiveness = Forgiveness { id: id(4), account: KEY, reason: "the provider paid" };
    let right = permit(Action::ChangeResources);
    let first = store.write_off(&right, &forgiveness, NOW).await.unwrap();
    assert_eq!((first.value, balance(store, KEY).await), (Moved::Done, [100, 0, 0, 0]));
    assert_eq!(reserve(store, 2, &[KEY], 1).await, HELD);
    assert!(store.write_off(&right, &Forgiveness { id: id(5), ..forgiveness }, NOW).await.is_err());
    assert_balanced(store).await;
}

/// I20: who brings funds in has the right to, says why, and stands in the audit.
pub(crate) async fn funds_come_with_a_permit_and_a_reason(world: World) {
    let world = world.furnished().await;
    let store = &world.store;
    open(store, KEY, true, 100).await;
    reserve(store, 1, &[KEY], 60).await;
    let right = permit(Action::ChangeResources);
    let fund = async |number, atoms, reason| {
        let funding = Funding { id: id(number), account: KEY, amount: amount(atoms), reason };
        store.fund(&right, &funding, NOW).await
    };
    let head = store.head().await.unwrap();
    let topped = fund(2, 50, "top-up").await.unwrap();
    assert_eq!((topped.value, topped.seq), (Moved::Done, head + 1));
    assert_eq!(fund(2, 50, "top-up").await.unwrap().value, Moved::Replayed);
    assert_eq!(store.head().await.unwrap(), head + 1, "a replay is no second change");
    assert!(matches!(fund(3, -91, "correction").await, Err(StoreError::Conflict(_))), "60 are reserved");
    assert_eq!(fund(3, -90, "correction").await.unwrap().value, Moved::Done);
    assert_eq!(balance(store, KEY).await, [60, 60, 0, 0]);
    assert!(matches!(fund(4, 1, " ").await, Err(StoreError::Invalid(_))));
    let narrow = authorise(&Actor::OsUser("test".into()), Action::ChangeKeys, None).unwrap();
    let funding = Funding { id: id(5), account: KEY, amount: amount(1), reason: "top-up" };
    assert!(matches!(store.fund(&narrow, &funding, NOW).await, Err(StoreError::NotCovered { .. })));
    assert_eq!(balance(store, KEY).await, [60, 60, 0, 0]);
    assert_balanced(store).await;
}

pub(crate) async fn entries_are_paged_and_sum_up_to_zero(world: World) {
    let store = &world.store;
    open(store, KEY, true, 1_000).await;
    for number in 1..=20 {
        reserve(store, number, &[KEY], 10).await;
        post(store, 100 + number, number, &[KEY], 3).await;
    }
    let mut page = PageRequest { limit: 7, cursor: None };
    let mut entries = Vec::new();
    loop {
        let part = store.entries(KEY, &page).await.unwrap();
        assert!(part.items.len() <= 7);
        entries.extend(part.items);
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(entries.len(), 2 + 20 * (2 + 3));
    assert_eq!(entries.iter().map(|entry| entry.amount.atoms()).sum::<i64>(), 0);
    assert_eq!(entries.iter().filter(|entry| entry.cause == "usage" && entry.resolves.is_some()).count(), 60);
    let bad = PageRequest { limit: 7, cursor: Some("nonsense".into()) };
    assert!(matches!(store.entries(KEY, &bad).await, Err(StoreError::Invalid(_))));
}

pub(crate) async fn a_balance_that_is_not_its_entries_is_told(world: World) {
    let store = &world.store;
    open(store, KEY, true, 100).await;
    reserve(store, 1, &[KEY], 40).await;
    assert_balanced(store).await;
    world.raw("UPDATE ledger_accounts SET spent = spent + 1").await;
    let found = store.reconcile().await.unwrap();
    assert_eq!((found.is_clean(), found.differences.len()), (false, 2), "{found:?}");
    world.raw("UPDATE ledger_accounts SET spent = spent - 1").await;
    world.raw("DELETE FROM ledger_entries WHERE side = 2").await;
    let found = store.reconcile().await.unwrap();
    assert_eq!((found.sum, found.differences.len()), (-40, 1), "{found:?}");
}

/// I7: whatever runs at the same time in however many processes, no account is overspent, and all of
/// it can be spent.
pub(crate) async fn concurrent_reservations_never_overspend(world: World) {
    let others = [world.other().await, world.other().await];
    open(&world.store, KEY, true, 300).await;
    open(&world.store, CONSUMER, true, 1_000).await;
    let stores = [&world.store, &others[0], &others[1]];
    let worker = async |lane: u128| {
        let store = stores[lane as usize % stores.len()];
        let mut held = 0;
        for turn in 0..12 {
            let number = lane * 1_000 + turn * 10;
            // Legs in any order: they are locked in one.
            let accounts = if lane.is_multiple_of(2) { [KEY, CONSUMER] } else { [CONSUMER, KEY] };
            loop {
                let wanted = legs(&accounts, 7);
                let ask = Reservation { id: id(number), legs: &wanted, cause: "call" };
                match store.reserve(&ask, NOW).await {
                    Ok(Reserved::Held(_)) => break held += 1,
                    Ok(Reserved::Refused { .. }) => break,
                    Err(StoreError::Busy { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        held
    };
    let lanes = [worker(1), worker(2), worker(3), worker(4), worker(5), worker(6)];
    let [a, b, c, d, e, f] = lanes;
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    assert_eq!(a + b + c + d + e + f, 300 / 7, "as many as fit and no more");
    assert_eq!(balance(&world.store, KEY).await, [300, 294, 0, 0]);
    assert_eq!(
        balance(&world.store, CONSUMER).await,
        [1_000, 294, 0, 0],
        "the refused ones took nothing here"
    );
    assert_balanced(&world.store).await;
}

/// What the ledger should be, without a database.
#[derive(Default)]
struct Model {
    accounts: HashMap<AccountId, [i64; 4]>,
    open: HashMap<u128, Vec<(AccountId, i64)>>,
    ended: HashMap<u128, u128>,
}

impl Model {
    fn reserve(&mut self, number: u128, legs: &[Leg]) -> bool {
        let fits = |leg: &Leg| {
            let [funded, reserved, spent, overrun] = self.accounts[&leg.account];
            overrun == 0 && spent + reserved + leg.amount.atoms() <= funded
        };
        if !legs.iter().all(fits) {
            return false;
        }
        for leg in legs {
            self.accounts.get_mut(&leg.account).unwrap()[1] += leg.amount.atoms();
        }
        self.open.insert(number, legs.iter().map(|leg| (leg.account, leg.amount.atoms())).collect());
        true
    }

    fn end(&mut self, number: u128, of: u128, used: impl Fn(i64) -> i64) {
        for (account, held) in self.open.remove(&of).unwrap() {
            let balance = self.accounts.get_mut(&account).unwrap();
            balance[1] -= held;
            balance[2] += used(held);
        }
        self.ended.insert(of, number);
    }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// I8, I10: any order of transfers, replayed or not, does what a model without a database does.
pub(crate) async fn the_ledger_does_what_its_model_does(world: World) {
    let store = &world.store;
    for seed in [1, 20_260_101, 77] {
        let mut dice = Dice(seed);
        let mut model = Model::default();
        let base = u128::from(seed) << 80;
        let accounts: Vec<_> = (0..4).map(|number| AccountId(seed * 10 + number)).collect();
        for account in &accounts {
            let funded = 50 + dice.below(200) as i64;
            open(store, *account, true, funded).await;
            model.accounts.insert(*account, [funded, 0, 0, 0]);
        }
        for step in 0..150u128 {
            let number = base + step;
            let pick = |dice: &mut Dice, from: &[u128]| {
                from.get(dice.below(from.len().max(1) as u64) as usize).copied()
            };
            let mut open: Vec<u128> = model.open.keys().copied().collect();
            open.sort_unstable();
            match (dice.below(10), pick(&mut dice, &open)) {
                (0..5, _) | (_, None) => {
                    let mut legs = Vec::new();
                    for account in &accounts {
                        if dice.below(2) == 0 {
                            legs.push(Leg { account: *account, amount: amount(dice.below(30) as i64) });
                        }
                    }
                    if legs.is_empty() {
                        continue;
                    }
                    let fits = model.reserve(number, &legs);
                    let ask = Reservation { id: id(number), legs: &legs, cause: "call" };
                    for _ in 0..=dice.below(2) {
                        let held = store.reserve(&ask, NOW).await.unwrap();
                        assert_eq!(
                            matches!(held, Reserved::Held(_)),
                            fits,
                            "seed {seed}, step {step}: {held:?}"
                        );
                    }
                }
                (5..8, Some(of)) => {
                    let held = model.open[&of].clone();
                    let share = dice.below(3) as i64;
                    let legs: Vec<_> = held
                        .iter()
                        .map(|(account, held)| Leg { account: *account, amount: amount(held * share / 2) })
                        .collect();
                    model.end(number, of, |held| held * share / 2);
                    let posting = Posting { id: id(number), of: id(of), legs: &legs, cause: "usage" };
                    for _ in 0..=dice.below(2) {
                        assert!(matches!(store.post(&posting, NOW).await.unwrap(), Resolved::Now(_)));
                    }
                }
                (8, Some(of)) => {
                    model.end(number, of, |_| 0);
                    assert_eq!(store.void(id(number), id(of), "void", NOW).await.unwrap(), DONE);
                    assert_eq!(
                        store.charge(id(number + (1 << 70)), id(of), "late", NOW).await.unwrap(),
                        Resolved::Before(id(number))
                    );
                }
                (_, Some(of)) => {
                    model.end(number, of, |held| held);
                    assert_eq!(store.charge(id(number), id(of), "lost", NOW).await.unwrap(), DONE);
                }
            }
        }
        for account in &accounts {
            assert_eq!(balance(store, *account).await, model.accounts[account], "seed {seed}");
        }
        assert_balanced(store).await;
    }
    let pending = store.reconcile().await.unwrap().pending;
    assert!(pending > 0, "some reservations are left open");
}
