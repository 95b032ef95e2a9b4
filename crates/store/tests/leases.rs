//! Leases: taken up to what is free, drawn from by what is shipped, ended with their runs.

use std::collections::BTreeMap;

use tollgate_core::{
    budget::held::Level,
    code::Code,
    id::{AccountId, BudgetId, TenantId},
    money::amount::{Amount, Currency},
    period::Window,
};
use tollgate_journal::{Batch, Draw, Entry, Extent, Flags, StoredRecord};
use tollgate_store::{
    Balance, DecisionFilter, Ended, LastUses, LeaseWant, Leased, Lessee, NewAccount, NodeBeat, PageRequest,
    Store, StoreError, Taken, TransferId, TransferKind, UsageFilter, With,
};

use crate::world::{NOW, SECOND, World};

pub(crate) const POT: AccountId = AccountId(21);
const OTHER: AccountId = AccountId(22);
pub(crate) const FIRST: Lessee = Lessee { node: 1, boot: 100 };
const ALL: With = With { uses: true, totals: true };

pub(crate) fn amount(atoms: i64) -> Amount {
    Amount::from_atoms(atoms).unwrap()
}

pub(crate) async fn open(store: &Store, account: AccountId, hard: bool, atoms: i64) {
    let new = NewAccount {
        id: account,
        budget: BudgetId(account.0),
        tenant: TenantId(1),
        level: Level::Key,
        subject: 7,
        window: Window { start_us: NOW, end_us: NOW + 3_600 * SECOND },
        currency: Currency::USD,
        hard,
        amount: amount(atoms),
        transfer: TransferId(u128::from(account.0).to_be_bytes()),
    };
    store.open_account(&new, NOW).await.unwrap();
}

pub(crate) fn want(account: AccountId, step: u64, at_least: i64, wish: i64) -> LeaseWant {
    LeaseWant { account, step, at_least: amount(at_least), wish: amount(wish) }
}

/// What was taken and what is left free.
pub(crate) async fn lease(store: &Store, lessee: Lessee, want: &LeaseWant) -> (i64, i64) {
    let Leased { taken, rest, .. } = store.lease_up_to(lessee, want, NOW).await.unwrap();
    (taken.atoms(), rest.atoms())
}

/// Funded, reserved, spent, overrun.
pub(crate) async fn balance(store: &Store, account: AccountId) -> [i64; 4] {
    let Balance { funded, reserved, spent, overrun } = store.balance(account).await.unwrap();
    [funded.atoms(), reserved.atoms(), spent.atoms(), overrun.atoms()]
}

pub(crate) async fn assert_balanced(store: &Store) {
    let found = store.reconcile().await.unwrap();
    assert!(found.is_clean(), "{found:?}");
}

pub(crate) fn draw(reservation: u64, account: AccountId, reserved: i64, used: i64) -> Draw {
    Draw { reservation, account: account.0, lease: 1, reserved, used }
}

/// The record that opens reservations; its decision is their number.
fn opens(position: u64, decision: u64, draws: Vec<Draw>) -> StoredRecord {
    let entry = Entry { at_us: NOW + position as i64, flags: Flags::RESERVATION, ..Entry::default() };
    StoredRecord { position, decision, entry, draws, ..StoredRecord::default() }
}

/// The record of a call.
pub(crate) fn call(position: u64, decision: u64, draws: Vec<Draw>) -> StoredRecord {
    let entry =
        Entry { at_us: NOW + position as i64, key: 9, code: Code::Valid.number(), ..Entry::default() };
    StoredRecord { position, decision, entry, draws, ..StoredRecord::default() }
}

/// One batch of lane 0, its positions rising from the first.
fn batch(boot: u64, records: Vec<StoredRecord>) -> Batch {
    let from = records.first().map_or(0, |record| record.position);
    let to = from + records.len() as u64;
    Batch { boot, lane: 0, from, to, lost: 0, records }
}

pub(crate) async fn ship(store: &Store, boot: u64, records: Vec<StoredRecord>) {
    store.ship(0, &[batch(boot, records)], true).await.unwrap();
}

/// I7: never more than is free, the same step once; what is given back is free again.
pub(crate) async fn a_lease_takes_what_is_free_and_no_more(world: World) {
    let store = &world.store;
    open(store, POT, true, 100).await;
    assert_eq!(lease(store, FIRST, &want(POT, 1, 10, 60)).await, (60, 40));
    for _ in 0..2 {
        assert_eq!(lease(store, FIRST, &want(POT, 1, 10, 60)).await.0, 60, "the same step takes once");
    }
    assert_eq!(balance(store, POT).await, [100, 60, 0, 0]);
    assert_eq!(lease(store, FIRST, &want(POT, 2, 41, 50)).await, (0, 40), "less than the least is nothing");
    let second = Lessee { node: 2, boot: 200 };
    assert_eq!(lease(store, second, &want(POT, 1, 1, 50)).await, (40, 0), "as much as there is");
    assert_eq!(lease(store, second, &want(POT, 2, 1, 1)).await, (0, 0));
    let wrong = store.lease_up_to(FIRST, &want(POT, 1, 1, 7), NOW).await;
    assert!(matches!(wrong, Err(StoreError::Conflict(_))), "one step, one want");
    let held: Vec<_> = store.leases(None).await.unwrap().iter().map(|lease| lease.holds.atoms()).collect();
    assert_eq!(held, [60, 40]);
    for _ in 0..2 {
        assert!(store.give_back(FIRST, (POT, 3), amount(25), NOW).await.unwrap());
    }
    assert!(!store.give_back(FIRST, (POT, 4), amount(36), NOW).await.unwrap(), "it holds 35");
    assert_eq!(balance(store, POT).await, [100, 75, 0, 0]);
    assert!(store.give_back(FIRST, (POT, 5), amount(35), NOW).await.unwrap());
    assert_eq!(store.leases(Some(1)).await.unwrap(), [], "an empty lease is gone");
    open(store, OTHER, false, 5).await;
    assert_eq!(lease(store, FIRST, &want(OTHER, 1, 50, 90)).await.0, 90, "what only observes gives all");
    assert!(matches!(
        store.lease_up_to(FIRST, &want(AccountId(99), 1, 1, 1), NOW).await,
        Err(StoreError::NotFound { .. })
    ));
    assert_balanced(store).await;
}

/// I7: eight tasks of several nodes take and give back; the account is never over its funds, and all of
/// it can be taken.
pub(crate) async fn nodes_that_lease_at_once_never_pass_the_limit(world: World) {
    const FUNDS: i64 = 5_000;
    let others = [world.other().await, world.other().await];
    open(&world.store, POT, true, FUNDS).await;
    let stores = [&world.store, &others[0], &others[1]];
    let worker = async |number: u64| {
        let store = stores[number as usize % stores.len()];
        let lessee = Lessee { node: number % 3, boot: number };
        let mut dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (mut holds, mut step) = (0, 0);
        for _ in 0..30 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            step += 1;
            if dice.is_multiple_of(4) && holds > 0 {
                let back = 1 + (dice >> 8) as i64 % holds;
                loop {
                    match store.give_back(lessee, (POT, step), amount(back), NOW).await {
                        Ok(given) => break assert!(given),
                        Err(StoreError::Busy { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                holds -= back;
                continue;
            }
            let wanted = want(POT, step, 1, 20 + (dice >> 8) as i64 % 200);
            let leased = loop {
                match store.lease_up_to(lessee, &wanted, NOW).await {
                    Ok(leased) => break leased,
                    Err(StoreError::Busy { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            };
            holds += leased.taken.atoms();
        }
        // The rest of it, so that all that is free is taken in the end.
        let last = store.lease_up_to(lessee, &want(POT, step + 1, 1, FUNDS), NOW).await.unwrap();
        holds + last.taken.atoms()
    };
    let lanes = [worker(1), worker(2), worker(3), worker(4), worker(5), worker(6), worker(7), worker(8)];
    let [a, b, c, d, e, f, g, h] = lanes;
    let (a, b, c, d, e, f, g, h) = tokio::join!(a, b, c, d, e, f, g, h);
    let held = a + b + c + d + e + f + g + h;
    assert!(held <= FUNDS, "{held}");
    let [funded, reserved, spent, _] = balance(&world.store, POT).await;
    assert_eq!((funded, reserved, spent), (FUNDS, held, 0));
    assert_balanced(&world.store).await;
}

/// I13: what calls used is drawn once, however often it is shipped; what they opened and did not settle
/// stays open until it is.
pub(crate) async fn what_is_shipped_is_drawn_once(world: World) {
    let store = &world.store;
    open(store, POT, true, 1_000).await;
    open(store, OTHER, true, 1_000).await;
    for account in [POT, OTHER] {
        lease(store, FIRST, &want(account, 1, 300, 300)).await;
    }
    let both = |reservation, reserved, used| {
        vec![draw(reservation, POT, reserved, used), draw(reservation, OTHER, reserved, used)]
    };
    let first =
        vec![opens(0, 10, both(0, 50, 0)), opens(1, 11, both(0, 70, 0)), call(2, 12, both(10, 50, 20))];
    for _ in 0..3 {
        ship(store, FIRST.boot, first.clone()).await;
    }
    assert_eq!(balance(store, POT).await, [1_000, 280, 20, 0]);
    assert_eq!(world.count("SELECT COUNT(*) FROM ledger_open").await, 2, "the second call is open");
    ship(store, FIRST.boot, vec![call(3, 13, both(11, 70, 70)), opens(4, 14, both(0, 5, 0))]).await;
    ship(store, FIRST.boot, vec![call(5, 15, both(14, 5, 0))]).await;
    assert_eq!(world.count("SELECT COUNT(*) FROM ledger_open").await, 0);
    assert_eq!([balance(store, POT).await, balance(store, OTHER).await], [[1_000, 210, 90, 0]; 2]);
    // Three calls; what opened reservations is neither a request nor an event.
    let usage = store.usage(&[], &UsageFilter::default()).await.unwrap();
    assert_eq!(usage.total.requests, 3);
    assert_eq!(store.count_decisions(&DecisionFilter::default()).await.unwrap(), 3);
    let page = PageRequest { limit: 100, cursor: None };
    let entries = store.entries(POT, &page).await.unwrap().items;
    let causes: Vec<_> =
        entries.iter().filter(|entry| entry.kind == TransferKind::Draw).map(|entry| &*entry.cause).collect();
    assert_eq!(causes.len(), 4, "{causes:?}");
    assert!(causes.iter().all(|cause| cause.starts_with("decision dec_")), "{causes:?}");
    assert_balanced(store).await;
}

/// I13: whoever is overtaken while shipping has drawn nothing.
pub(crate) async fn an_overtaken_shipment_draws_nothing(world: World) {
    let store = &world.store;
    open(store, POT, true, 1_000).await;
    lease(store, FIRST, &want(POT, 1, 300, 300)).await;
    let records = [opens(0, 1, vec![draw(0, POT, 40, 0)]), call(1, 2, vec![draw(1, POT, 40, 15)])];
    let mut slow = store.intake(true, LastUses::default()).await.unwrap();
    let mut fast = store.intake(true, LastUses::default()).await.unwrap();
    for intake in [&mut slow, &mut fast] {
        for record in &records {
            intake.add(FIRST.boot, 0, &record.lend());
        }
        intake.reached(&Extent { boot: FIRST.boot, lane: 0, from: 0, to: 2, lost: 0 });
    }
    assert!(matches!(store.take_over(&mut fast, ALL).await.unwrap(), Taken::Done(_)));
    assert_eq!(store.take_over(&mut slow, ALL).await.unwrap(), Taken::Overtaken);
    assert_eq!(balance(store, POT).await, [1_000, 285, 15, 0]);
    // The same intake goes on behind: nothing of before comes again.
    fast.add(FIRST.boot, 0, &opens(2, 3, vec![draw(0, POT, 9, 0)]).lend());
    fast.add(FIRST.boot, 0, &call(3, 4, vec![draw(3, POT, 9, 9)]).lend());
    fast.reached(&Extent { boot: FIRST.boot, lane: 0, from: 2, to: 4, lost: 0 });
    assert!(matches!(store.take_over(&mut fast, ALL).await.unwrap(), Taken::Done(_)));
    assert_eq!(balance(store, POT).await, [1_000, 276, 24, 0]);
    assert_balanced(store).await;
}

/// What a call used beyond what covered it is an overrun, and the account takes nothing until somebody
/// forgives it.
pub(crate) async fn what_nothing_covers_is_an_overrun(world: World) {
    let store = &world.store;
    open(store, POT, true, 100).await;
    lease(store, FIRST, &want(POT, 1, 30, 30)).await;
    ship(
        store,
        FIRST.boot,
        vec![opens(0, 1, vec![draw(0, POT, 30, 0)]), call(1, 2, vec![draw(1, POT, 30, 37)])],
    )
    .await;
    assert_eq!(balance(store, POT).await, [100, 0, 30, 7]);
    let refused = store.lease_up_to(FIRST, &want(POT, 2, 1, 1), NOW).await.unwrap();
    assert_eq!((refused.taken.atoms(), refused.is_overrun), (0, true));
    // A draw of a lease that nobody holds does not stop shipping either.
    ship(store, 555, vec![call(0, 2, vec![draw(1, POT, 3, 3)])]).await;
    assert_eq!(balance(store, POT).await, [100, 0, 30, 10]);
    // Nor does one of an account that is not there, after a database was restored.
    ship(store, 555, vec![call(1, 3, vec![draw(2, AccountId(99), 3, 3)])]).await;
    // Nor one for which there is no room.
    let most = Amount::MAX.atoms();
    for position in [2, 3] {
        ship(store, 555, vec![call(position, position + 2, vec![draw(position, POT, 1, most)])]).await;
        assert_eq!(balance(store, POT).await, [100, 0, 30, most]);
    }
    assert_balanced(store).await;
}

/// I8: a run that died: calls without an end cost what they had reserved, the rest comes back.
pub(crate) async fn the_end_of_a_run_charges_what_is_open_and_frees_the_rest(world: World) {
    let store = &world.store;
    open(store, POT, true, 1_000).await;
    lease(store, FIRST, &want(POT, 1, 300, 300)).await;
    ship(
        store,
        FIRST.boot,
        vec![
            opens(0, 1, vec![draw(0, POT, 40, 0)]),
            opens(1, 2, vec![draw(0, POT, 50, 0)]),
            call(2, 3, vec![draw(1, POT, 40, 10)]),
        ],
    )
    .await;
    let again = Lessee { node: 1, boot: 101 };
    lease(store, again, &want(POT, 1, 5, 5)).await;
    let elsewhere = Lessee { node: 2, boot: 7 };
    lease(store, elsewhere, &want(POT, 1, 6, 6)).await;
    let ended = store.end_leases(again, NOW).await.unwrap();
    assert_eq!(ended, Ended { leases: 1, calls: 1, charged: 0 });
    assert_eq!(balance(store, POT).await, [1_000, 11, 60, 0], "10 used, 50 of the open call");
    assert_eq!(store.end_leases(again, NOW).await.unwrap(), Ended::default());
    assert_eq!(world.count("SELECT COUNT(*) FROM ledger_open").await, 0);
    assert_balanced(store).await;
}

/// I14: when the journal has holes, or is gone with its node, all that was held is spent; a node that
/// comes back after all gives back what it did not use.
pub(crate) async fn a_lost_journal_charges_the_whole_lease(world: World) {
    let store = &world.store;
    open(store, POT, true, 1_000).await;
    lease(store, FIRST, &want(POT, 1, 100, 100)).await;
    let mut holes = batch(FIRST.boot, vec![call(3, 3, vec![])]);
    // The positions before it are gone.
    holes.lost = 3;
    store.ship(0, &[holes], true).await.unwrap();
    let ended = store.end_leases(Lessee { boot: 101, ..FIRST }, NOW).await.unwrap();
    assert_eq!((ended.leases, ended.charged), (1, 1));
    assert_eq!(balance(store, POT).await, [1_000, 0, 100, 0]);

    let gone = Lessee { node: 5, boot: 500 };
    lease(store, gone, &want(POT, 1, 200, 200)).await;
    let beat =
        NodeBeat { node: 5, boot: 500, applied_seq: 0, seen_us: NOW, lease_ms: 10_000, shipped_until_us: 0 };
    store.heartbeat(&beat).await.unwrap();
    let refused = store.charge_lost(5, NOW + 20 * SECOND).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    store.retire_node(5).await.unwrap();
    assert_eq!(store.charge_lost(5, NOW + 1).await.unwrap().len(), 1);
    assert_eq!(store.charge_lost(5, NOW + 2).await.unwrap(), []);
    assert_eq!(balance(store, POT).await, [1_000, 0, 300, 0]);
    assert_balanced(store).await;
    // Its disk turns up: 30 were used, one call has no end.
    ship(
        store,
        gone.boot,
        vec![
            opens(0, 1, vec![draw(0, POT, 40, 0)]),
            opens(1, 2, vec![draw(0, POT, 50, 0)]),
            call(2, 3, vec![draw(1, POT, 40, 30)]),
        ],
    )
    .await;
    assert_eq!(balance(store, POT).await, [1_000, 0, 300, 0], "it is paid already");
    store.end_leases(Lessee { boot: 501, ..gone }, NOW + 3).await.unwrap();
    assert_eq!(balance(store, POT).await, [1_000, 0, 180, 0]);
    // Nobody can tell what of a journal is gone without a trace.
    let torn = Lessee { node: 6, boot: 600 };
    lease(store, torn, &want(POT, 1, 50, 50)).await;
    store.note_torn(torn.boot).await.unwrap();
    let ended = store.end_leases(Lessee { boot: 601, ..torn }, NOW + 4).await.unwrap();
    assert_eq!((ended.leases, ended.charged), (1, 1));
    assert_eq!(balance(store, POT).await, [1_000, 0, 230, 0]);
    assert_balanced(store).await;
}

/// What leases should be, without a database.
#[derive(Default)]
struct Model {
    funded: i64,
    spent: i64,
    over: i64,
    /// By boot: what it holds, and its open calls.
    leases: BTreeMap<u64, (i64, BTreeMap<u64, i64>)>,
}

impl Model {
    fn reserved(&self) -> i64 {
        self.leases.values().map(|(holds, _)| holds).sum()
    }

    fn balance(&self) -> [i64; 4] {
        [self.funded, self.reserved(), self.spent, self.over]
    }
}

/// I7, I8, I10: leases, calls, crashes and starts in any order do what a model without a database does.
pub(crate) async fn leases_do_what_their_model_does(world: World) {
    let store = &world.store;
    for seed in [3u64, 41, 20_261_122] {
        let mut dice = seed;
        let mut below = |bound: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % bound
        };
        let account = AccountId(seed * 100);
        let mut model = Model { funded: 2_000, ..Model::default() };
        open(store, account, true, model.funded).await;
        // One node; its run, and how far its journal is.
        let (mut boot, mut position, mut step) = (seed * 1_000, 0, 0);
        for turn in 0..160 {
            step += 1;
            let lessee = Lessee { node: seed, boot };
            let lease = model.leases.entry(boot).or_default();
            let in_flight: i64 = lease.1.values().sum();
            match below(12) {
                0..4 => {
                    let (least, wish) = (1 + below(40) as i64, below(200) as i64);
                    let free = model.funded - model.spent - model.reserved();
                    let most = free.min(wish.max(least));
                    let given = if model.over > 0 || most < least { 0 } else { most };
                    model.leases.entry(boot).or_default().0 += given;
                    for _ in 0..=below(2) {
                        let leased = store.lease_up_to(lessee, &want(account, step, least, wish), NOW).await;
                        let leased = leased.unwrap();
                        assert_eq!(leased.taken.atoms(), given, "seed {seed}, turn {turn}");
                        if given == 0 {
                            break;
                        }
                    }
                }
                4..7 if lease.0 > in_flight => {
                    let reserved = 1 + below((lease.0 - in_flight) as u64) as i64;
                    lease.1.insert(position, reserved);
                    ship(store, boot, vec![opens(position, position, vec![draw(0, account, reserved, 0)])])
                        .await;
                    position += 1;
                }
                7..10 if !lease.1.is_empty() => {
                    let (reservation, reserved) = lease.1.pop_first().unwrap();
                    let over = if below(40) == 0 { 3 } else { 0 };
                    let used = if over > 0 { reserved } else { below(reserved as u64 + 1) as i64 };
                    lease.0 -= used;
                    model.spent += used;
                    model.over += over;
                    let record =
                        call(position, position, vec![draw(reservation, account, reserved, used + over)]);
                    for _ in 0..=below(2) {
                        ship(store, boot, vec![record.clone()]).await;
                    }
                    position += 1;
                }
                10 if lease.0 > in_flight => {
                    let back = 1 + below((lease.0 - in_flight) as u64) as i64;
                    lease.0 -= back;
                    assert!(store.give_back(lessee, (account, step), amount(back), NOW).await.unwrap());
                }
                11 => {
                    let (_, open) = model.leases.remove(&boot).unwrap_or_default();
                    model.spent += open.values().sum::<i64>();
                    (boot, position) = (boot + 1, 0);
                    store.end_leases(Lessee { node: seed, boot }, NOW + turn).await.unwrap();
                }
                _ => {}
            }
            assert_eq!(balance(store, account).await, model.balance(), "seed {seed}, turn {turn}");
        }
        assert!(model.spent > 0);
        assert_balanced(store).await;
    }
}
