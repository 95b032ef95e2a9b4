//! The audit: one entry a change, and nobody alters it unseen (I20, T13).

use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{AuditFilter, Broken, PageRequest};

use crate::world::{NOW, World, new_key, permit};

async fn broken(world: &World) -> Option<Broken> {
    world.store.audit_verify().await.unwrap().err()
}

pub(crate) async fn the_chain_verifies(world: World) {
    assert_eq!(world.store.audit_verify().await.unwrap().unwrap().rows, 0);
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await;
    let verified = world.store.audit_verify().await.unwrap().unwrap();
    assert_eq!((verified.rows, verified.head), (key.seq, key.seq));
    let rows = world.store.audit_list(&AuditFilter::default(), &PageRequest::default()).await.unwrap();
    assert_eq!(rows.items[0].hash, verified.hash);
    assert!(rows.items.iter().all(|row| !format!("{row:?}").contains(key.value.key.expose().as_str())), "I6");
}

pub(crate) async fn any_change_of_a_field_is_found(world: World) {
    let world = world.furnished().await;
    world.create(new_key(), 1).await;
    let mut alterations: Vec<(String, String)> = Vec::new();
    for column in ["at_us", "tenant", "entity_id", "version"] {
        alterations.push((format!("{column} = {column} + 1"), format!("{column} = {column} - 1")));
    }
    for column in ["actor", "action", "entity", "after"] {
        alterations.push((
            format!("{column} = {column} || 'x'"),
            format!("{column} = substr({column}, 1, length({column}) - 1)"),
        ));
    }
    alterations.push(("before = ''".into(), "before = NULL".into()));
    for (alter, restore) in alterations {
        assert_eq!(world.raw(&format!("UPDATE changes SET {alter} WHERE seq = 3")).await, 1);
        assert_eq!(broken(&world).await.map(|broken| broken.seq), Some(3), "{alter}");
        world.raw(&format!("UPDATE changes SET {restore} WHERE seq = 3")).await;
        assert_eq!(broken(&world).await, None, "{restore}");
    }
    // Moving a text from one field to the next keeps all characters and is found all the same.
    world.raw("UPDATE changes SET actor = actor || 'a', action = substr(action, 2) WHERE seq = 3").await;
    assert!(broken(&world).await.is_some());
}

pub(crate) async fn missing_added_and_moved_rows_are_found(world: World) {
    let world = world.furnished().await;
    world.create(new_key(), 1).await;
    let keep = "CREATE TABLE kept AS SELECT * FROM changes";
    world.raw(keep).await;
    let tampering: [(&[&str], u64); 7] = [
        (&["DELETE FROM changes WHERE seq = 1"], 1),
        (&["DELETE FROM changes WHERE seq = 4"], 4),
        (&["DELETE FROM changes WHERE seq = 8"], 8),
        // Closing the gap by renumbering.
        (&["DELETE FROM changes WHERE seq = 8", "UPDATE feed_head SET seq = 7"], 8),
        (&["DELETE FROM changes WHERE seq = 4", "UPDATE changes SET seq = 4 WHERE seq = 8"], 4),
        (
            &[
                "UPDATE changes SET seq = 100 WHERE seq = 2",
                "UPDATE changes SET seq = 2 WHERE seq = 3",
                "UPDATE changes SET seq = 3 WHERE seq = 100",
            ],
            2,
        ),
        (
            &[
                "INSERT INTO changes (seq, at_us, actor, action, entity, entity_id, version, prev_hash, hash) \
               SELECT 9, at_us, actor, action, entity, entity_id, version, hash, hash FROM changes WHERE seq = 8",
            ],
            9,
        ),
    ];
    for (statements, seq) in tampering {
        for statement in statements {
            world.raw(statement).await;
        }
        assert_eq!(broken(&world).await.map(|broken| broken.seq), Some(seq), "{statements:?}");
        world.raw("DELETE FROM changes").await;
        world.raw("INSERT INTO changes SELECT * FROM kept").await;
        world.raw("UPDATE feed_head SET seq = 8").await;
        assert_eq!(broken(&world).await, None);
    }
    world.raw(&format!("UPDATE feed_head SET hash = {}", world.blob(&"00".repeat(32)))).await;
    assert!(broken(&world).await.is_some(), "the head itself");
}

pub(crate) async fn the_audit_is_listed_by_page(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    world.store.set_key_state(&permit(Action::ChangeKeys), key.id, KeyState::Revoked, NOW + 5).await.unwrap();
    let mut seqs = Vec::new();
    let mut page = PageRequest { limit: 4, cursor: None };
    loop {
        let part = world.store.audit_list(&AuditFilter::default(), &page).await.unwrap();
        seqs.extend(part.items.iter().map(|row| row.seq));
        match part.next {
            Some(next) => page.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seqs, (1..=9).rev().collect::<Vec<_>>());
    let of_key = AuditFilter { subject: Some(key.id.to_string()), ..AuditFilter::default() };
    let rows = world.store.audit_list(&of_key, &PageRequest::default()).await.unwrap().items;
    let actions: Vec<_> = rows.iter().map(|row| (row.action.as_str(), row.actor.as_str())).collect();
    assert_eq!(actions, [("key.revoke", "os:test"), ("key.create", "os:test")]);
    assert_eq!((rows[0].subject.clone(), rows[0].at_us, rows[0].version), (key.id.to_string(), NOW + 5, 2));
    assert_eq!(rows[0].before.as_deref(), Some(r#"{"state":"active"}"#));
}
