//! Each answered request is counted exactly once, whatever fails between (I12, I13).

use tollgate_core::{counters::RuleId, time::Clock as _};
use tollgate_journal::{Charge, Reader};

use crate::world::{START_US, World, until};

/// Ships as the shipper would, without telling the journal.
async fn commit_without_release(world: &World, dir: &std::path::Path) {
    let mut reader = Reader::open(dir).unwrap();
    let from = world.store.shipped_marks().await.unwrap();
    let batches = reader.batches(&from, usize::MAX).unwrap();
    assert!(!batches.is_empty());
    world.store.ship(0, &batches, true).await.unwrap();
}

fn charge(rule: u64, amount: u64) -> Charge {
    const DAY_US: i64 = 86_400_000_000;
    Charge { rule, subject: 5, period_start_us: START_US, period_end_us: START_US + DAY_US, amount }
}

#[tokio::test]
async fn what_is_answered_is_counted_soon_and_once() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    for round in 1..=5u64 {
        process.answer(200, START_US);
        until("all are counted", || async { world.counted().await == round * 200 }).await;
    }
    let progress = running.progress();
    // What the database has is told a moment later.
    until("all are told", || async { progress.records_shipped() >= 1000 }).await;
    assert_eq!((progress.records_shipped(), progress.records_lost()), (1000, 0));
    running.stop().await.unwrap();
    assert_eq!(world.counted().await, 1000);
}

#[tokio::test]
async fn leftovers_of_a_killed_run_are_counted_before_the_next_one_starts() {
    let mut world = World::new().await;
    let process = world.boot();
    for _ in 0..300 {
        process.answer_with(START_US, &[charge(9, 2)]);
    }
    // The process ends here: nobody shipped anything.
    drop(process);
    let mut process = world.boot();
    let prepared = process.prepare().await;
    assert_eq!(world.counted().await, 300);
    assert_eq!(process.told.used(RuleId(9)), Some(600), "quotas are read after the leftovers are in");
    assert!(prepared.progress().shipped_until_us() >= START_US);
    assert_eq!(prepared.progress().records_shipped(), 300);
}

#[tokio::test]
async fn a_run_killed_between_commit_and_release_counts_once_and_gives_its_room_back() {
    let mut world = World::new().await;
    let process = world.boot();
    process.answer(300, START_US);
    commit_without_release(&world, process.journal.dir()).await;
    drop(process);
    let mut process = world.boot();
    let before = process.journal.health().segments;
    let _prepared = process.prepare().await;
    assert_eq!(world.counted().await, 300);
    until("the old segments are gone", || async { process.journal.health().segments < before }).await;
    // And nothing of it turns up at later starts.
    drop((process, _prepared));
    let mut process = world.boot();
    let prepared = process.prepare().await;
    assert_eq!((world.counted().await, prepared.progress().records_shipped()), (300, 0));
}

#[tokio::test]
async fn many_runs_that_are_killed_at_any_moment_count_every_request_once() {
    let mut world = World::new().await;
    let mut answered = 0;
    for run in 0..8usize {
        let mut process = world.boot();
        let running = process.start().await;
        process.answer(40 + run, START_US);
        answered += 40 + run as u64;
        if run % 2 == 0 {
            tokio::task::yield_now().await;
        } else {
            until("some are counted", || async { world.counted().await >= answered }).await;
        }
        // Without stop(): the tasks end because nobody is left, wherever they are.
        drop(running);
        until("the tasks have ended", || async { std::sync::Arc::strong_count(&process.journal) == 1 }).await;
    }
    let mut process = world.boot();
    let _prepared = process.prepare().await;
    assert_eq!(world.counted().await, answered);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_loses_nothing() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    let mut stranger = world.stranger().await;
    stranger.run("BEGIN IMMEDIATE").await;
    process.answer(500, START_US);
    let failed = || async { !running.progress().is_shipping_ok() };
    until("shipping has failed", failed).await;
    stranger.run("ROLLBACK").await;
    until("all are counted", || async { world.counted().await == 500 }).await;
    // Now it refuses in the middle of the transaction, for as long as it likes.
    stranger.run("ALTER TABLE usage_minute RENAME TO away").await;
    process.answer(500, START_US);
    until("shipping has failed again", failed).await;
    assert_eq!(world.store.shipped_upto(1, 0).await.unwrap(), 500, "nothing was taken over by half");
    stranger.run("ALTER TABLE away RENAME TO usage_minute").await;
    until("all are counted", || async { world.counted().await == 1000 }).await;
    running.stop().await.unwrap();
    assert_eq!(world.counted().await, 1000);
}

#[tokio::test]
async fn shipped_room_is_given_back_while_running() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    // Several segments' worth; unreleased, all of them would stay.
    for round in 1..=20u64 {
        process.answer(500, START_US);
        until("all are counted", || async { world.counted().await == round * 500 }).await;
    }
    until("few segments are left", || async { process.journal.health().segments <= 4 }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn heartbeats_say_up_to_when_everything_is_shipped() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let answered_us = world.clock.now().wall_us;
    process.answer(10, answered_us);
    world.clock.advance(std::time::Duration::from_secs(1));
    let asked_us = world.clock.now().wall_us;
    assert!(world.store.wait_shipped(asked_us, 30_000).await.unwrap());
    assert_eq!(world.counted().await, 10, "what was answered before is counted when the wait is over");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn quotas_are_told_the_totals_over_all_nodes() {
    let mut world = World::new().await;
    let company = tollgate_store::NodeBeat {
        node: 8,
        boot: 99,
        applied_seq: 0,
        seen_us: START_US,
        lease_ms: 10_000,
        shipped_until_us: START_US,
    };
    world.store.heartbeat(&company).await.unwrap();
    let mut process = world.boot();
    let running = process.start().await;
    process.answer_with(START_US, &[charge(3, 4)]);
    until("told", || async { process.told.used(RuleId(3)) == Some(4) }).await;
    // Another node charges the same quota; the next total that this one hears contains it.
    let other = world.folder.path().join("other");
    let (journal, _) =
        tollgate_journal::Journal::open(other, 99, tollgate_journal::Options::default()).unwrap();
    let writer = journal.writer(0).unwrap();
    let charges = [charge(3, 10)];
    let record = tollgate_journal::Record {
        entry: tollgate_journal::Entry { at_us: START_US, ..Default::default() },
        charges: tollgate_journal::Charges::new(&charges).unwrap(),
        ..Default::default()
    };
    writer.append(writer.reserve().unwrap(), &record).unwrap();
    commit_without_release(&world, journal.dir()).await;
    process.answer_with(START_US, &[charge(3, 1)]);
    until("told the sum", || async { process.told.used(RuleId(3)) == Some(15) }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn who_asks_is_answered_without_waiting_for_the_next_turn() {
    let mut world = World::new().await;
    // By itself it would look again tomorrow.
    let options = tollgate_workers::Options {
        poll_every: std::time::Duration::from_millis(10),
        ship_every: std::time::Duration::from_secs(86_400),
        ..tollgate_workers::Options::default()
    };
    let mut process = world.boot_with(options);
    let prepared = process.prepare().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let started_us = world.clock.now().wall_us;
    let running = prepared.start().await.unwrap();
    let progress = running.progress();
    until("it has looked once", || async { progress.shipped_until_us() >= started_us }).await;
    for round in 1..=3u64 {
        process.answer(10, world.clock.now().wall_us);
        world.clock.advance(std::time::Duration::from_secs(1));
        let asked_us = world.clock.now().wall_us;
        assert!(world.store.wait_shipped(asked_us, 30_000).await.unwrap());
        assert_eq!(world.counted().await, round * 10);
    }
    process.answer(10, START_US);
    running.ship_now();
    until("all are counted", || async { world.counted().await == 40 }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn somebody_else_who_ships_the_same_is_noticed() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    // The command line ships beside the shipper, all the time.
    for round in 1..=40u64 {
        process.answer(25, START_US);
        let mut reader = Reader::open(process.journal.dir()).unwrap();
        let from = world.store.shipped_marks().await.unwrap();
        let batches = reader.batches(&from, 10).unwrap();
        world.store.ship(0, &batches, true).await.unwrap();
        if round % 10 == 0 {
            until("all are counted", || async { world.counted().await == round * 25 }).await;
        }
    }
    running.stop().await.unwrap();
    assert_eq!(world.counted().await, 1000);
    let kept = world.store.count_decisions(&tollgate_store::DecisionFilter::default()).await.unwrap();
    assert_eq!(kept, 1000);
}
