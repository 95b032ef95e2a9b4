//! What calls of models held of quotas when their process died: used once, whatever happens then, and never more
//! than there is (I8, I13, I22).

use std::collections::{BTreeMap, VecDeque};

use tollgate_core::{counters::RuleId, period::Window};
use tollgate_journal::{Batch, Charge, Entry, Extent, Flags, StoredRecord};
use tollgate_store::{LastUses, Lessee, QuotaWant, Store, Taken, With};

use crate::world::{NOW, SECOND, World};

const AMOUNT: u64 = 1_000;
const HOUR: Window = Window { start_us: NOW, end_us: NOW + 3_600 * SECOND };
const SUBJECT: u64 = u64::MAX - 5;
const RUN: Lessee = Lessee { node: 1, boot: 10 };
const NEXT: Lessee = Lessee { node: 1, boot: 11 };

fn charge(rule: u64, amount: u64) -> Charge {
    let Window { start_us, end_us } = HOUR;
    Charge { rule, subject: SUBJECT, period_start_us: start_us, period_end_us: end_us, amount }
}

/// The record that holds so much of the quota 7 for a call.
fn holds(call: u64, amount: u64) -> StoredRecord {
    StoredRecord {
        decision: call + 1_000_000,
        entry: Entry { at_us: NOW, flags: Flags::RESERVATION, ..Entry::default() },
        charges: vec![charge(7, amount)],
        held_for: Some(call),
        ..StoredRecord::default()
    }
}

/// The record of a call that held something, and used so much.
fn ends(call: u64, used: u64) -> StoredRecord {
    StoredRecord {
        decision: call,
        entry: Entry { at_us: NOW, flags: Flags::HELD, ..Entry::default() },
        charges: vec![charge(7, used)],
        ..StoredRecord::default()
    }
}

/// The journal of one run, and how far it is shipped.
struct Journal {
    run: Lessee,
    is_leased: bool,
    position: u64,
}

impl Journal {
    fn of(run: Lessee, is_leased: bool) -> Self {
        Self { run, is_leased, position: 0 }
    }

    /// Ships records by a later run, or by the run itself.
    async fn ship_by(&mut self, store: &Store, by: Lessee, records: &[StoredRecord]) {
        let (boot, from) = (self.run.boot, self.position);
        let intake = store.intake(false, LastUses::default()).await.unwrap();
        let mut intake = intake.leased_by(self.is_leased.then_some(by)).read_by(by.node);
        for record in records {
            let record = StoredRecord { position: self.position, ..record.clone() };
            intake.add(boot, 0, &record.lend());
            self.position += 1;
        }
        intake.reached(&Extent { boot, lane: 0, from, to: self.position, lost: 0 });
        let taken = store.take_over(&mut intake, With { uses: false, totals: false }).await.unwrap();
        assert!(matches!(taken, Taken::Done(_)), "{taken:?}");
    }

    async fn ship(&mut self, store: &Store, records: &[StoredRecord]) {
        self.ship_by(store, self.run, records).await;
    }
}

async fn used(store: &Store) -> u64 {
    store.quota_usage(NOW).await.unwrap().iter().map(|total| total.used).sum()
}

fn want(wish: u64) -> QuotaWant {
    QuotaWant { rule: RuleId(7), subject: SUBJECT, window: HOUR, amount: AMOUNT, wish }
}

/// What is left for leases.
async fn rest(store: &Store) -> u64 {
    store.lease_quotas(Lessee { node: 99, boot: 99 }, &[want(0)]).await.unwrap()[0].rest
}

pub(crate) async fn what_a_call_held_when_its_run_ended_is_used_once(world: World) {
    let store = &world.store;
    let mut journal = Journal::of(RUN, false);
    // One that began and ended in one shipment, one that ends in the next, one that never ends, and one of a
    // version that held nothing.
    let before = StoredRecord { charges: Vec::new(), held_for: None, ..holds(4, 0) };
    journal.ship(store, &[holds(1, 500), holds(2, 400), ends(1, 10), holds(3, 300), before]).await;
    assert_eq!(used(store).await, 10, "what is in flight is not in the sums");
    journal.ship(store, &[ends(2, 20)]).await;
    assert_eq!(store.count_quota_holds(RUN, false).await.unwrap(), 0, "the run is there");
    assert_eq!(store.count_quota_holds(Lessee { node: 2, boot: 20 }, false).await.unwrap(), 0, "not its own");
    assert_eq!(used(store).await, 30);
    assert_eq!(store.count_quota_holds(NEXT, false).await.unwrap(), 1);
    assert_eq!(used(store).await, 330);
    for boot in [11, 12] {
        assert_eq!(store.count_quota_holds(Lessee { node: 1, boot }, false).await.unwrap(), 0, "once");
    }
    assert_eq!(used(store).await, 330);
}

pub(crate) async fn the_journal_proves_what_a_call_used_before_its_hold_counts(world: World) {
    let store = &world.store;
    let mut journal = Journal::of(RUN, false);
    journal.ship(store, &[holds(1, 500), holds(2, 400)]).await;
    // The next run ships what the killed one left.
    journal.ship_by(store, NEXT, &[ends(2, 7), holds(5, 50)]).await;
    assert_eq!(store.count_quota_holds(NEXT, false).await.unwrap(), 2);
    assert_eq!(used(store).await, 557);
}

pub(crate) async fn what_a_command_ships_for_a_killed_node_is_held_by_that_node(world: World) {
    let store = &world.store;
    let batch = Batch { boot: RUN.boot, lane: 0, from: 0, to: 1, lost: 0, records: vec![holds(1, 500)] };
    store.ship(RUN.node, &[batch], true).await.unwrap();
    assert_eq!(store.count_quota_holds(Lessee { node: 2, boot: 20 }, false).await.unwrap(), 0, "not its own");
    assert_eq!(store.count_quota_holds(NEXT, false).await.unwrap(), 1);
    assert_eq!(used(store).await, 500);
}

pub(crate) async fn what_is_held_of_a_lease_is_withheld_and_then_used(world: World) {
    let store = &world.store;
    assert_eq!(store.lease_quotas(RUN, &[want(600)]).await.unwrap()[0].given, 600);
    let mut journal = Journal::of(RUN, true);
    journal.ship(store, &[holds(1, 250), holds(2, 100), ends(2, 40)]).await;
    assert_eq!((used(store).await, rest(store).await), (40, 400), "all of the lease is withheld");
    // The recovery is killed between its steps, twice, and begun again by further runs.
    assert_eq!(store.count_quota_holds(NEXT, true).await.unwrap(), 1);
    assert_eq!((used(store).await, rest(store).await), (290, 400));
    let third = Lessee { node: 1, boot: 12 };
    assert_eq!(store.count_quota_holds(third, true).await.unwrap(), 0);
    assert_eq!(store.end_quota_leases(third).await.unwrap(), 1);
    assert_eq!((used(store).await, rest(store).await), (290, 710));
    let fourth = Lessee { node: 1, boot: 13 };
    assert_eq!(store.count_quota_holds(fourth, true).await.unwrap(), 0);
    assert_eq!(store.end_quota_leases(fourth).await.unwrap(), 0);
    assert_eq!((used(store).await, rest(store).await), (290, 710));
    // Where the journal has holes all of the lease is used, and what was held of it is a part of that.
    store.lease_quotas(fourth, &[want(200)]).await.unwrap();
    Journal::of(fourth, true).ship(store, &[holds(1, 50)]).await;
    store.note_torn(13).await.unwrap();
    let fifth = Lessee { node: 1, boot: 14 };
    assert_eq!(store.count_quota_holds(fifth, true).await.unwrap(), 1);
    assert_eq!(store.end_quota_leases(fifth).await.unwrap(), 1);
    assert_eq!((used(store).await, rest(store).await), (490, 510));
}

pub(crate) async fn many_holds_are_counted_in_turns(world: World) {
    let store = &world.store;
    let records: Vec<StoredRecord> = (0..600).map(|call| holds(call, 1)).collect();
    Journal::of(RUN, false).ship(store, &records).await;
    let mut calls = Vec::new();
    loop {
        match store.count_quota_holds(NEXT, false).await.unwrap() {
            0 => break,
            counted => calls.push(counted),
        }
    }
    assert_eq!((calls, used(store).await), (vec![256, 256, 88], 600));
    // Those of periods that are over and that nobody ends go with their periods.
    Journal::of(Lessee { node: 1, boot: 12 }, false).ship(store, &[holds(1, 1)]).await;
    store.forget_quotas_ended_before(HOUR.end_us + 1).await.unwrap();
    assert_eq!(store.count_quota_holds(Lessee { node: 1, boot: 13 }, false).await.unwrap(), 0);
}

/// One node of the model.
struct Node {
    journal: Journal,
    free: u64,
    /// Calls in flight, and what they hold.
    open: BTreeMap<u64, u64>,
    calls: u64,
    unshipped: VecDeque<StoredRecord>,
}

impl Node {
    fn begin(run: Lessee) -> Self {
        let (open, unshipped) = (BTreeMap::new(), VecDeque::new());
        Self { journal: Journal::of(run, true), free: 0, open, calls: 0, unshipped }
    }
}

/// Steps chosen by dice, held against what is too simple to be wrong: what was used, what is in flight and what
/// may be used are never more than the amount, and nothing is lost either.
pub(crate) async fn holds_do_what_their_model_does(world: World) {
    let store = &world.store;
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    let mut roll = |below: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % below
    };
    let mut nodes: Vec<Node> = (1..=2).map(|node| Node::begin(Lessee { node, boot: node * 100 })).collect();
    let mut spent = 0;
    for _ in 0..160 {
        let node = &mut nodes[roll(2) as usize];
        let run = node.journal.run;
        match roll(8) {
            0 => node.free += store.lease_quotas(run, &[want(roll(60))]).await.unwrap()[0].given,
            1..=3 if node.free > 0 => {
                let amount = 1 + roll(node.free.min(9));
                node.free -= amount;
                node.calls += 1;
                node.open.insert(node.calls, amount);
                node.unshipped.push_back(holds(node.calls, amount));
            }
            4 => {
                if let Some((call, held)) = node.open.pop_first() {
                    let used = roll(held + 1);
                    node.free += held - used;
                    spent += used;
                    node.unshipped.push_back(ends(call, used));
                }
            }
            5 | 6 => {
                let count = roll(node.unshipped.len() as u64 + 1) as usize;
                let records: Vec<StoredRecord> = node.unshipped.drain(..count).collect();
                node.journal.ship(store, &records).await;
            }
            7 if roll(4) == 0 => {
                // Killed. The next runs ship the rest and count, and are killed somewhere in it.
                let mut next = Lessee { boot: run.boot + 1, ..run };
                let records: Vec<StoredRecord> = node.unshipped.drain(..).collect();
                node.journal.ship_by(store, next, &records).await;
                spent += node.open.values().sum::<u64>();
                for _ in 0..roll(3) {
                    store.count_quota_holds(next, true).await.unwrap();
                    next.boot += 1;
                }
                while store.count_quota_holds(next, true).await.unwrap() > 0 {}
                while store.end_quota_leases(next).await.unwrap() > 0 {}
                *node = Node::begin(next);
            }
            _ => {}
        }
        let held: u64 = nodes.iter().map(|node| node.free + node.open.values().sum::<u64>()).sum();
        assert!(spent + held <= AMOUNT);
        assert_eq!(rest(store).await, AMOUNT - spent - held, "what nobody holds is left");
    }
    assert!(spent > AMOUNT / 20, "the dice have something to show: {spent}");
}
