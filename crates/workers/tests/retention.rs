//! What is old is forgotten, all of it, and nothing else.

use std::sync::atomic::Ordering;

use tollgate_store::DecisionFilter;

use crate::world::{START_US, World, until};

#[tokio::test]
async fn old_decisions_go_at_the_first_look_and_their_counts_stay() {
    const OLD: usize = 11_000;
    const DAY_US: i64 = 86_400_000_000;
    let mut world = World::new().await;
    let mut process = world.boot();
    let prepared = process.prepare().await;
    process.answer(OLD, START_US - 31 * DAY_US);
    process.answer(3, START_US - 29 * DAY_US);
    drop((process, prepared));
    // More than one statement deletes: they are repeated within one look.
    let mut process = world.boot();
    let running = process.start().await;
    let kept = || async { world.store.count_decisions(&DecisionFilter::default()).await.unwrap() };
    until("the old ones are gone", || async { kept().await == 3 }).await;
    assert_eq!(world.counted().await, OLD as u64 + 3, "roll-ups are kept longer");
    assert!(process.sweeps.load(Ordering::SeqCst) >= 1, "counters are swept too");
    running.stop().await.unwrap();
}
