//! An orderly end ships the rest and says good-bye; a process that is just dropped leaves no task.

use std::{sync::Arc, time::Duration};

use tollgate_workers::Options;

use crate::world::{START_US, World, until};

#[tokio::test]
async fn stopping_ships_the_rest_and_retires_the_node() {
    let mut world = World::new().await;
    // Long enough never to ship by itself.
    let seldom = Options { ship_every: Duration::from_secs(3600), ..Options::default() };
    let mut process = world.boot_with(seldom);
    let running = process.start().await;
    assert_eq!(world.store.live_nodes().await.unwrap().len(), 1, "known before it serves");
    process.answer(100, START_US);
    running.stop().await.unwrap();
    assert_eq!(world.counted().await, 100);
    assert!(world.store.live_nodes().await.unwrap().is_empty());
}

#[tokio::test]
async fn asked_to_ship_now_it_does_not_wait_for_its_turn() {
    let mut world = World::new().await;
    let seldom = Options { ship_every: Duration::from_secs(3600), ..Options::default() };
    let mut process = world.boot_with(seldom);
    let running = process.start().await;
    process.answer(100, START_US);
    running.ship_now();
    until("all are counted", || async { world.counted().await == 100 }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn tasks_end_when_nobody_is_left_who_could_stop_them() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    assert!(Arc::strong_count(&process.journal) > 1);
    drop(running);
    until("the tasks have ended", || async {
        Arc::strong_count(&process.journal) == 1 && Arc::strong_count(&process.snapshot) == 1
    })
    .await;
}
