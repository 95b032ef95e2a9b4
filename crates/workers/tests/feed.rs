//! Keeping up with changes, and stopping to decide when that is impossible (I2, I3, I5).

use std::time::Duration;

use tollgate_core::{authz::Action, keyring::KeyState, time::Clock as _};
use tollgate_workers::Options;

use crate::world::{Known, World, permit, until};

#[tokio::test]
async fn a_change_by_another_is_in_the_snapshot_soon_and_the_heartbeat_says_so() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    let created = world.create_key(1).await;
    until("the key is known", || async { process.knows(created.key.expose()) == Some(Known::Fast) }).await;
    let head = world.store.head().await.unwrap();
    until("the heartbeat has the change", || async {
        world.store.live_nodes().await.unwrap().iter().any(|node| node.node == 7 && node.applied_seq == head)
    })
    .await;
    // Revoked is not forgotten: the record stays and refuses.
    let now_us = world.clock.now().wall_us;
    let revoke = permit(Action::ChangeKeys);
    world.store.set_key_state(&revoke, created.id, KeyState::Revoked, now_us).await.unwrap();
    until("the key is revoked", || async {
        let digest = tollgate_core::key::Digest::of(created.key.expose().as_bytes());
        process.snapshot.keyring.find(&digest, |record| record.state) == Some(KeyState::Revoked)
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn who_waits_for_a_change_does_not_wait_for_the_next_poll() {
    let mut world = World::new().await;
    let mut process =
        world.boot_with(Options { poll_every: Duration::from_secs(3600), ..Options::default() });
    let running = process.start().await;
    let progress = running.progress();
    for seed in 1..20 {
        let created = world.create_key(seed).await;
        let head = world.store.head().await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), progress.reach(head)).await.unwrap();
        assert_eq!(process.knows(created.key.expose()), Some(Known::Fast));
        // What is there already is not waited for.
        progress.reach(head).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn freshness_runs_out_while_the_feed_cannot_be_read_and_comes_back_with_it() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    let is_fresh = || process.snapshot.is_fresh(world.clock.now().mono_ns);
    assert!(is_fresh());
    // Polls that work keep it fresh however time goes on.
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(9));
        until("fresh after a poll", || async { is_fresh() && running.progress().is_database_ok() }).await;
    }
    let mut stranger = world.stranger().await;
    stranger.run("ALTER TABLE feed_head RENAME TO away").await;
    until("a poll has failed", || async { !running.progress().is_database_ok() }).await;
    // Whatever was proven last, it was proven before now.
    world.clock.advance(Duration::from_secs(10));
    assert!(!is_fresh(), "ten seconds after the last poll that worked nothing is known any more");
    stranger.run("ALTER TABLE away RENAME TO feed_head").await;
    until("fresh again", || async { is_fresh() && running.progress().is_database_ok() }).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_heartbeat_that_cannot_be_written_does_not_stop_reading() {
    let mut world = World::new().await;
    let mut process = world.boot();
    let running = process.start().await;
    let mut stranger = world.stranger().await;
    stranger.run("BEGIN IMMEDIATE").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(9));
        until("fresh while nobody can write", || async {
            process.snapshot.is_fresh(world.clock.now().mono_ns)
        })
        .await;
    }
    stranger.run("ROLLBACK").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn before_the_first_load_nothing_is_fresh() {
    let mut world = World::new().await;
    let mut process = world.boot();
    assert!(!process.snapshot.is_fresh(0));
    let _prepared = process.prepare().await;
    assert!(process.snapshot.is_fresh(world.clock.now().mono_ns));
    world.clock.advance(Duration::from_secs(10));
    assert!(!process.snapshot.is_fresh(world.clock.now().mono_ns), "a load proves no more than a poll");
}
