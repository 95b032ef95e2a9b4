//! Parts of quotas that nodes lease: over all nodes never more than the amount (I22), and all of it.

use std::collections::BTreeMap;

use tollgate_core::{counters::RuleId, period::Window};
use tollgate_journal::{Charge, Entry, Extent, StoredRecord};
use tollgate_store::{LastUses, Lessee, QuotaKey, QuotaLeased, QuotaWant, Store, Taken, With};

use crate::world::{NOW, SECOND, World};

const AMOUNT: u64 = 1_000;
const HOUR: Window = Window { start_us: NOW, end_us: NOW + 3_600 * SECOND };
const FIRST: Lessee = Lessee { node: 1, boot: 10 };
const SECOND_NODE: Lessee = Lessee { node: 2, boot: 20 };

fn want(rule: u64, wish: u64) -> QuotaWant {
    QuotaWant { rule: RuleId(rule), subject: u64::MAX - 5, window: HOUR, amount: AMOUNT, wish }
}

async fn lease(store: &Store, lessee: Lessee, wish: u64) -> QuotaLeased {
    store.lease_quotas(lessee, &[want(7, wish)]).await.unwrap()[0]
}

/// Ships one record that used so much of a quota.
async fn ship(store: &Store, lessee: Lessee, position: u64, used: u64) {
    ship_at(store, lessee, (position, used), HOUR).await;
}

/// What the database says is used, as far as it is shipped.
async fn used(store: &Store) -> u64 {
    store.quota_usage(NOW).await.unwrap().iter().map(|total| total.used).sum()
}

/// What is left for leases.
async fn rest(store: &Store) -> u64 {
    lease(store, Lessee { node: 99, boot: 99 }, 0).await.rest
}

pub(crate) async fn a_quota_is_leased_up_to_its_amount(world: World) {
    let store = &world.store;
    assert_eq!(lease(store, FIRST, 600).await, QuotaLeased { given: 600, rest: 400, leased: 600 });
    assert_eq!(lease(store, SECOND_NODE, 600).await, QuotaLeased { given: 400, rest: 0, leased: 1_000 });
    assert_eq!(lease(store, FIRST, 1).await.given, 0);
    let key = want(7, 0).key();
    assert!(store.give_quotas_back(1, &[(key, 100)]).await.unwrap());
    assert!(!store.give_quotas_back(1, &[(key, 501)]).await.unwrap(), "more than is granted");
    assert!(!store.give_quotas_back(3, &[(key, 1)]).await.unwrap(), "granted to nobody");
    assert_eq!(rest(store).await, 100);
    assert_eq!(store.quota_grants(1, &[key]).await.unwrap(), [(key, 500)]);
    // Many at once, in any order, and one of them by a smaller amount than is leased.
    let mut many: Vec<QuotaWant> = (1..=100).rev().map(|rule| want(rule, rule)).collect();
    many[93].amount = 50;
    let leased = store.lease_quotas(FIRST, &many).await.unwrap();
    for (want, leased) in many.iter().zip(&leased) {
        let expected = if want.rule.0 == 7 { 0 } else { want.rule.0 };
        assert_eq!(leased.given, expected, "{want:?}");
    }
}

pub(crate) async fn what_a_run_did_not_use_comes_back(world: World) {
    let store = &world.store;
    lease(store, FIRST, 600).await;
    ship(store, FIRST, 0, 250).await;
    assert_eq!((used(store).await, rest(store).await), (250, 400), "what is not shown to be unused is used");
    let key = want(7, 0).key();
    assert!(!store.give_quotas_back(1, &[(key, 351)]).await.unwrap(), "what is used stays");
    let next = Lessee { node: 1, boot: 11 };
    assert_eq!(store.earlier_runs(next).await.unwrap(), [10]);
    assert_eq!(store.end_quota_leases(next).await.unwrap(), 1);
    assert_eq!(store.end_quota_leases(next).await.unwrap(), 0);
    assert_eq!((used(store).await, rest(store).await), (250, 750));
    // A journal with holes proves nothing.
    lease(store, next, 100).await;
    ship(store, next, 0, 10).await;
    store.note_torn(11).await.unwrap();
    store.end_quota_leases(Lessee { node: 1, boot: 12 }).await.unwrap();
    assert_eq!((used(store).await, rest(store).await), (350, 650));
    // A period that is over ends too; what is shipped of it later still counts.
    lease(store, SECOND_NODE, 50).await;
    assert_eq!(store.end_quota_periods(2, HOUR.end_us).await.unwrap(), 0);
    assert_eq!(store.end_quota_periods(2, HOUR.end_us + 1).await.unwrap(), 1);
    ship(store, SECOND_NODE, 0, 5).await;
    assert_eq!((used(store).await, rest(store).await), (355, 645));
}

pub(crate) async fn what_was_used_beyond_a_lease_is_left_for_nobody(world: World) {
    let store = &world.store;
    lease(store, FIRST, 100).await;
    ship(store, FIRST, 0, 130).await;
    assert_eq!((used(store).await, rest(store).await), (130, 870));
    ship(store, FIRST, 1, 20).await;
    assert_eq!((used(store).await, rest(store).await), (150, 850));
    ship(store, SECOND_NODE, 0, 850).await;
    assert_eq!((used(store).await, rest(store).await), (1_000, 0), "without any lease");
    ship(store, SECOND_NODE, 1, 7).await;
    assert_eq!(lease(store, FIRST, 1).await.given, 0);
    store.end_quota_leases(Lessee { node: 2, boot: 21 }).await.unwrap();
    store.end_quota_leases(Lessee { node: 1, boot: 11 }).await.unwrap();
    assert_eq!((used(store).await, rest(store).await), (1_007, 0));
}

/// An edit of a quota may move the end of a period that has begun: what was granted in it is in use until the
/// later end.
pub(crate) async fn what_was_granted_in_a_period_ends_with_its_later_end(world: World) {
    let store = &world.store;
    let day = Window { end_us: NOW + 86_400 * SECOND, ..HOUR };
    lease(store, FIRST, 100).await;
    store.lease_quotas(FIRST, &[QuotaWant { window: day, ..want(7, 100) }]).await.unwrap();
    assert_eq!(store.end_quota_periods(1, HOUR.end_us + 1).await.unwrap(), 0, "it is in use");
    // The other way round: what is left of the old end keeps the lease for longer, never for shorter.
    lease(store, FIRST, 1).await;
    assert_eq!(store.end_quota_periods(1, HOUR.end_us + 1).await.unwrap(), 0, "it is in use");
    assert_eq!(store.end_quota_periods(1, day.end_us + 1).await.unwrap(), 1);
    // Nor does what was used first, and leased by nobody, end the rest.
    ship(store, SECOND_NODE, 0, 5).await;
    ship_at(store, SECOND_NODE, (1, 5), day).await;
    assert_eq!(store.end_quota_periods(2, HOUR.end_us + 1).await.unwrap(), 0, "it is in use");
}

/// One node of the model.
#[derive(Clone, Copy, Default)]
struct Node {
    boot: u64,
    /// What it may use, what it used and did not ship, what it shipped in this run.
    free: u64,
    unshipped: u64,
    position: u64,
}

/// Steps chosen by dice, held against what is too simple to be wrong: at every moment what was used and what
/// may be used is no more than the amount, and what nobody holds is left.
pub(crate) async fn quota_leases_do_what_their_model_does(world: World) {
    let store = &world.store;
    let key = want(7, 0).key();
    for seed in 1..=4u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |below: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % below
        };
        let window = Window { start_us: NOW + seed as i64, end_us: HOUR.end_us };
        let want = |wish| QuotaWant { window, ..want(7, wish) };
        let key = QuotaKey { start_us: window.start_us, ..key };
        let mut nodes: BTreeMap<u64, Node> =
            (1..=3).map(|node| (node, Node { boot: seed * 1_000 + node * 100, ..Node::default() })).collect();
        let mut spent = 0;
        for _ in 0..120 {
            let id = 1 + roll(3);
            let node = nodes.get_mut(&id).unwrap();
            let lessee = Lessee { node: id, boot: node.boot };
            match roll(6) {
                0 | 1 => {
                    node.free += store.lease_quotas(lessee, &[want(roll(120))]).await.unwrap()[0].given;
                }
                2 => {
                    let used = roll(node.free + 1);
                    (node.free, node.unshipped) = (node.free - used, node.unshipped + used);
                }
                3 => {
                    let back = roll(node.free + 1);
                    node.free -= back;
                    let parts: Vec<_> = [(key, back)].into_iter().filter(|(_, back)| *back > 0).collect();
                    assert!(store.give_quotas_back(id, &parts).await.unwrap());
                }
                4 if node.unshipped > 0 => {
                    ship_at(store, lessee, (node.position, node.unshipped), window).await;
                    spent += node.unshipped;
                    (node.unshipped, node.position) = (0, node.position + 1);
                }
                5 => {
                    // It was killed: the next run ships what is in the journal.
                    if node.unshipped > 0 {
                        ship_at(store, lessee, (node.position, node.unshipped), window).await;
                        spent += node.unshipped;
                    }
                    *node = Node { boot: node.boot + 1, ..Node::default() };
                    while store.end_quota_leases(Lessee { node: id, boot: node.boot }).await.unwrap() > 0 {}
                }
                _ => {}
            }
            let held: u64 = nodes.values().map(|node| node.free + node.unshipped).sum();
            assert!(spent + held <= AMOUNT);
            let asked = store.lease_quotas(Lessee { node: 9, boot: 9 }, &[want(0)]).await.unwrap()[0];
            assert_eq!(asked.rest, AMOUNT - spent - held, "what nobody holds is left");
        }
    }
}

async fn ship_at(store: &Store, lessee: Lessee, (position, used): (u64, u64), window: Window) {
    let mut intake = store.intake(false, LastUses::default()).await.unwrap().leased_by(Some(lessee));
    let charge = Charge {
        rule: 7,
        subject: u64::MAX - 5,
        period_start_us: window.start_us,
        period_end_us: window.end_us,
        amount: used,
    };
    let entry = Entry { at_us: NOW, ..Entry::default() };
    let record = StoredRecord {
        position,
        decision: position,
        entry,
        charges: vec![charge],
        ..StoredRecord::default()
    };
    intake.add(lessee.boot, 0, &record.lend());
    intake.reached(&Extent { boot: lessee.boot, lane: 0, from: position, to: position + 1, lost: 0 });
    let taken = store.take_over(&mut intake, With { uses: false, totals: false }).await.unwrap();
    assert!(matches!(taken, Taken::Done(_)), "{taken:?}");
}

/// Nodes that lease the same quotas at once, in different orders, get all of them and no more.
pub(crate) async fn nodes_at_once_lease_all_of_a_quota_and_no_more(world: World) {
    let others = [world.other().await, world.other().await];
    let stores = [&world.store, &others[0], &others[1]];
    let worker = async |number: u64| {
        let lessee = Lessee { node: 1 + number, boot: 1 + number };
        let mut given = 0;
        for _ in 0..12 {
            let mut wants: Vec<QuotaWant> = (1..=20).map(|rule| want(rule, 37)).collect();
            if number.is_multiple_of(2) {
                wants.reverse();
            }
            let leased = stores[number as usize].lease_quotas(lessee, &wants).await.unwrap();
            given += leased.iter().map(|leased| leased.given).sum::<u64>();
            let back: Vec<(QuotaKey, u64)> = wants
                .iter()
                .zip(&leased)
                .filter(|(_, leased)| leased.given > 5)
                .map(|(want, _)| (want.key(), 5))
                .collect();
            given -= back.len() as u64 * 5;
            assert!(stores[number as usize].give_quotas_back(lessee.node, &back).await.unwrap());
        }
        given
    };
    let (one, two, three) = tokio::join!(worker(0), worker(1), worker(2));
    let wants: Vec<QuotaWant> = (1..=20).map(|rule| want(rule, AMOUNT)).collect();
    let last = world.store.lease_quotas(Lessee { node: 8, boot: 8 }, &wants).await.unwrap();
    let last: u64 = last.iter().map(|leased| leased.given).sum();
    assert_eq!(one + two + three + last, 20 * AMOUNT);
}
