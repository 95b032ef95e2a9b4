//! The change feed: nothing lost, no gap, nothing goes back (I5, I23).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tollgate_core::{authz::Action, keyring::KeyState, tables::Snapshot};
use tollgate_store::{ApplyMode, NewKey, Rotation, StoreError};

use crate::world::{NOW, World, furniture, new_key, permit, random, recognised};

pub(crate) async fn eight_writers_lose_nothing(world: World) {
    const EACH: u8 = 12;
    let world = world.furnished().await;
    let head = world.store.head().await.unwrap();
    let store = world.other().await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            let snapshot = Snapshot::with_capacity(16);
            let mut applied = store.load(&snapshot).await.unwrap();
            let mut polls = 0u32;
            loop {
                let last = done.load(Ordering::SeqCst);
                let next = store.catch_up(&snapshot, &applied).await.unwrap();
                assert!(next.seq >= applied.seq && !next.restored);
                applied = next;
                polls += 1;
                if last {
                    return (snapshot, applied, polls);
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let mut writers = Vec::new();
    for writer in 0..8u8 {
        let store = world.store.clone();
        writers.push(tokio::spawn(async move {
            let mut keys = Vec::new();
            for number in 0..EACH {
                let created = loop {
                    let seed = writer * EACH + number;
                    match store.create_key(&permit(Action::ChangeKeys), new_key(), &random(seed), NOW).await {
                        Ok(created) => break created,
                        Err(StoreError::Busy { .. }) => {}
                        Err(error) => panic!("{error}: {:?}", error.cause()),
                    }
                };
                keys.push((created.seq, created.value.key));
            }
            keys
        }));
    }
    let mut keys = Vec::new();
    for writer in writers {
        keys.extend(writer.await.unwrap());
    }
    done.store(true, Ordering::SeqCst);
    let (snapshot, applied, polls) = reader.await.unwrap();
    let mut seqs: Vec<u64> = keys.iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    let expected: Vec<u64> = (head + 1..=head + 8 * u64::from(EACH)).collect();
    assert_eq!(seqs, expected, "every number once, none missing");
    assert_eq!(applied.seq, head + 8 * u64::from(EACH));
    assert!(polls > 1);
    for (_, key) in &keys {
        assert!(recognised(&snapshot, key.expose()).is_some());
    }
    assert!(store.audit_verify().await.unwrap().is_ok());
}

pub(crate) async fn a_rollback_leaves_no_gap(world: World) {
    let world = world.furnished().await;
    let head = world.store.head().await.unwrap();
    let wrong = permit(Action::ChangeResources);
    assert!(world.store.create_key(&wrong, new_key(), &random(1), NOW).await.is_err());
    let dry = ApplyMode { dry_run: true, prune: true };
    world.apply(&tollgate_core::resource::Resources::default(), dry).await.unwrap();
    // A call that is given up half way.
    let permit = permit(Action::ChangeKeys);
    for micros in [0, 50, 200, 1000] {
        let (store, secret) = (world.store.clone(), random(9));
        let call =
            store.create_key(&permit, NewKey { name: Some("given up".into()), ..new_key() }, &secret, NOW);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(micros), call).await;
    }
    let created = world.create(new_key(), 2).await;
    let rows = world.store.audit_verify().await.unwrap().unwrap();
    assert_eq!((rows.head, rows.rows), (created.seq, created.seq));
    assert!(created.seq > head);
}

pub(crate) async fn changes_of_another_process_arrive(mut world: World) {
    let other = world.other().await;
    other.apply(&permit(Action::ChangeResources), &furniture(), ApplyMode::default(), NOW).await.unwrap();
    let keys = permit(Action::ChangeKeys);
    let created = other.create_key(&keys, new_key(), &random(1), NOW).await.unwrap().value;
    world.catch_up().await;
    assert_eq!(world.snapshot.tables().services.len(), 2);
    assert_eq!(world.snapshot.tables().seq, 8);
    assert_eq!(world.record(created.key.expose()).unwrap().state, KeyState::Active);
    other.set_key_state(&keys, created.id, KeyState::Revoked, NOW).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.record(created.key.expose()).unwrap().state, KeyState::Revoked);
    let before = world.applied;
    world.catch_up().await;
    assert_eq!(world.applied, before);
}

pub(crate) async fn a_restored_database_is_noticed(mut world: World) {
    world = world.furnished().await;
    let keys = permit(Action::ChangeKeys);
    let created = world.create(new_key(), 1).await;
    world.store.set_key_state(&keys, created.value.id, KeyState::Revoked, NOW).await.unwrap();
    world.catch_up().await;
    let newest = world.applied;
    assert!(world.store.same_history(&newest).await.unwrap());
    // The database as it was before the revocation, as a backup gives it back.
    world
        .raw(&format!("UPDATE keys SET state = 0, version = 1 WHERE id = {}", created.value.id.to_sql()))
        .await;
    world.raw(&format!("DELETE FROM changes WHERE seq > {}", created.seq)).await;
    let head = "UPDATE feed_head SET seq = (SELECT MAX(seq) FROM changes), \
                hash = (SELECT hash FROM changes ORDER BY seq DESC LIMIT 1)";
    world.raw(head).await;
    assert!(!world.store.same_history(&newest).await.unwrap());
    world.catch_up().await;
    assert!(world.applied.restored);
    assert_eq!(world.applied.seq, created.seq);
    let record = world.record(created.value.key.expose()).unwrap();
    assert_eq!(record.state, KeyState::Revoked, "what this process knows as revoked stays so (I23)");

    // The same height again, reached by another history.
    world.create(new_key(), 2).await;
    assert_eq!(world.store.head().await.unwrap(), newest.seq);
    assert!(!world.store.same_history(&newest).await.unwrap());
    world.catch_up().await;
    assert!(!world.applied.restored);
    let parted = world.store.catch_up(&world.snapshot, &newest).await.unwrap();
    assert!(parted.restored, "a node that still holds the old head notices");
}

pub(crate) async fn an_older_record_never_replaces_a_newer(mut world: World) {
    world = world.furnished().await;
    let created = world.create(new_key(), 1).await;
    world.catch_up().await;
    let before = world.applied;
    let keys = permit(Action::ChangeKeys);
    world.store.set_key_state(&keys, created.value.id, KeyState::Disabled, NOW).await.unwrap();
    world.catch_up().await;
    // A slow poll that saw the row as it was arrives late.
    world
        .raw(&format!("UPDATE keys SET state = 0, version = 1 WHERE id = {}", created.value.id.to_sql()))
        .await;
    world.store.catch_up(&world.snapshot, &before).await.unwrap();
    let record = world.record(created.value.key.expose()).unwrap();
    assert_eq!((record.state, record.version), (KeyState::Disabled, 2));
}

pub(crate) async fn loading_equals_following(mut world: World) {
    world = world.furnished().await;
    let keys = permit(Action::ChangeKeys);
    let mut texts = Vec::new();
    for seed in 0..20 {
        let created = world.create(new_key(), seed).await.value;
        if seed % 3 == 0 {
            world.store.set_key_state(&keys, created.id, KeyState::Disabled, NOW).await.unwrap();
        }
        if seed % 4 == 0 {
            let rotation = Rotation { id: created.id, overlap_us: 5 };
            let rotated = world.store.rotate_key(&keys, rotation, &random(100 + seed), NOW).await.unwrap();
            texts.push(rotated.value.key);
        }
        texts.push(created.key);
    }
    world.catch_up().await;
    let fresh = Snapshot::with_capacity(16);
    let loaded = world.store.load(&fresh).await.unwrap();
    assert_eq!(loaded, world.applied);
    assert_eq!(fresh.keyring.len(), world.snapshot.keyring.len());
    for text in &texts {
        let shown = |snapshot| format!("{:?}", recognised(snapshot, text.expose()).unwrap());
        assert_eq!(shown(&fresh), shown(&world.snapshot));
    }
    assert_eq!(fresh.tables().policies.len(), world.snapshot.tables().policies.len());
}

pub(crate) async fn concurrent_switches_never_undo_a_revocation(world: World) {
    let world = world.furnished().await;
    let other = world.other().await;
    for seed in 0..10 {
        let created = world.create(new_key(), seed).await.value;
        let (keys, secret) = (permit(Action::ChangeKeys), random(50 + seed));
        let rotation = Rotation { id: created.id, overlap_us: 1 };
        let (revoked, rotated, disabled) = tokio::join!(
            world.store.set_key_state(&keys, created.id, KeyState::Revoked, NOW),
            other.rotate_key(&keys, rotation, &secret, NOW),
            other.set_key_state(&keys, created.id, KeyState::Disabled, NOW),
        );
        revoked.unwrap();
        for error in [rotated.err(), disabled.err()].into_iter().flatten() {
            assert!(matches!(error, StoreError::Conflict(_)), "{error}");
        }
        let shown = world.store.show_key(&created.id.to_string()).await.unwrap().key;
        assert_eq!(shown.state, KeyState::Revoked);
    }
    assert!(world.store.audit_verify().await.unwrap().is_ok());
}
