//! Secrets: encrypted under a key outside of the database, bound to their place, encrypted anew under another
//! key, and those of former versions moved.

use std::{path::Path, sync::Arc};

use serde_json::json;
use tollgate_core::{
    authz::{Action, Role},
    id::ProjectId,
    secret::Secret,
    tables::Tables,
};
use tollgate_store::{ApplyMode, Engine, Store, StoreError};

use crate::world::{NOW, World, permit, resources};

const VALUE: &str = "sk-very-secret-1234567890";

fn secret(value: &str) -> Secret<String> {
    Secret::new(value.to_owned())
}

async fn put(world: &World, name: &str, value: &str) {
    let permit = permit(Action::ChangeProviderCredentials);
    world.store.put_secret(&permit, ("maps", name, &secret(value)), NOW).await.unwrap();
}

fn value_in(tables: &Tables, name: &str) -> Option<String> {
    let project: ProjectId = *tables.projects.keys().next().unwrap();
    tables.secret(project, name).map(|secret| secret.expose().clone())
}

async fn loaded(store: &Store) -> Arc<Tables> {
    let snapshot = tollgate_core::tables::Snapshot::with_capacity(16);
    store.load(&snapshot).await.unwrap();
    snapshot.tables()
}

/// Whether any file of a folder holds these bytes.
fn folder_holds(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

pub(crate) async fn a_secret_reaches_nodes_and_is_nowhere_in_the_clear(world: World) {
    let mut world = world.furnished().await;
    put(&world, "openai", VALUE).await;
    world.catch_up().await;
    assert_eq!(value_in(&world.snapshot.tables(), "openai").as_deref(), Some(VALUE));
    put(&world, "openai", "another").await;
    world.catch_up().await;
    assert_eq!(value_in(&world.snapshot.tables(), "openai").as_deref(), Some("another"));
    let listed = world.store.list_secrets(None).await.unwrap();
    assert_eq!((listed.len(), listed[0].version, listed[0].is_readable), (1, 2, true));
    if world.store.engine() == Engine::Sqlite {
        let folder = world.folder().to_owned();
        assert!(!folder_holds(&folder, VALUE.as_bytes()));
        assert!(folder_holds(&folder, b"openai"), "the search finds what is there");
    }
    for change in world.store.export().await.unwrap().services {
        assert!(change.credential.is_none());
    }
}

pub(crate) async fn a_secret_put_in_another_place_cannot_be_read(world: World) {
    let world = world.furnished().await;
    put(&world, "one", "value-1").await;
    put(&world, "two", "value-2").await;
    world
        .raw("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'one') WHERE name = 'two'")
        .await;
    let tables = loaded(&world.store).await;
    assert_eq!(value_in(&tables, "one").as_deref(), Some("value-1"));
    assert_eq!(value_in(&tables, "two"), None);
    let check = world.store.check_secrets().await.unwrap();
    assert_eq!(check.unreadable, ["the secret `two` of project `maps`"]);
}

pub(crate) async fn a_node_with_another_key_reads_nothing_and_writes_nothing(world: World) {
    let world = world.furnished().await;
    put(&world, "openai", VALUE).await;
    let stranger = world.with_key_file("elsewhere.key").await;
    assert_eq!(value_in(&*loaded(&stranger).await, "openai"), None);
    let permit = permit(Action::ChangeProviderCredentials);
    let refused = stranger.put_secret(&permit, ("maps", "other", &secret("v")), NOW).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(!world.folder().join("elsewhere.key").exists(), "no key of its own is made");
    assert!(stranger.check_secrets().await.unwrap().problem.is_some());
}

pub(crate) async fn everything_is_encrypted_anew_under_another_key(world: World) {
    let world = world.furnished().await;
    put(&world, "openai", VALUE).await;
    let permit = permit(Action::ChangeProviderCredentials);
    let file = world.folder().join("secrets.key");
    let keys = || {
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = keys();
    // As after a crash between the file and the rows: the prepared key is taken, and no third one made.
    let prepared = world.store.prepare_rewrap(&permit).await.unwrap();
    assert_eq!(keys(), [before[0].clone(), prepared.clone()]);
    assert_eq!(world.store.prepare_rewrap(&permit).await.unwrap(), prepared);
    assert_eq!(value_in(&*loaded(&world.store).await, "openai").as_deref(), Some(VALUE));
    // Another process read the file before the key was added.
    let other = world.other().await;
    assert_eq!(value_in(&*loaded(&other).await, "openai").as_deref(), Some(VALUE));
    let done = world.store.rewrap_secrets(&permit, NOW).await.unwrap();
    assert_eq!((done.count, done.key.as_str()), (1, prepared.as_str()));
    assert_eq!(keys(), std::slice::from_ref(&prepared));
    assert_eq!(value_in(&*loaded(&other).await, "openai").as_deref(), Some(VALUE));
    let again = world.store.rewrap_secrets(&permit, NOW).await.unwrap();
    assert_ne!(again.key, prepared);
    assert_eq!(value_in(&*loaded(&other).await, "openai").as_deref(), Some(VALUE));
}

/// A second factor of account 5 and a key of imported HMACs, as former versions kept them.
async fn keep_in_the_clear(world: &World, clear: &str) {
    let hex: String = clear.bytes().map(|byte| format!("{byte:02x}")).collect();
    let blob = world.blob(&hex);
    world
        .raw(&format!(
            "INSERT INTO accounts (id, email, login, name, totp_secret, totp_step, created_us, version) \
             VALUES (5, 'a@b.example', 'a@b.example', 'a', {blob}, 0, 0, 1)"
        ))
        .await;
    world.raw(&format!("INSERT INTO hmac_secrets (id, secret) VALUES (6, {blob})")).await;
}

pub(crate) async fn no_node_of_several_makes_a_key_of_its_own(world: World) {
    let world = world.furnished().await;
    let clear = "63-clear-bytes-of-a-second-factor";
    keep_in_the_clear(&world, clear).await;
    let readable = async |store: &Store| {
        store.second_factor(tollgate_core::id::UserId(5)).await.unwrap().secret.unwrap().expose()
            == clear.as_bytes()
    };
    let (first, second) = (world.one_of_several("first.key").await, world.one_of_several("second.key").await);
    let permit = permit(Action::ChangeProviderCredentials);
    assert_eq!(first.seal_what_is_clear().await.unwrap(), 0);
    let refused = first.put_secret(&permit, ("maps", "openai", &secret(VALUE)), NOW).await.unwrap_err();
    assert!(refused.to_string().contains("tollgate secrets seal"), "{refused}");
    assert!(!world.folder().join("first.key").exists());
    assert!(readable(&first).await && readable(&second).await);
    first.make_key_file().await.unwrap();
    assert!(second.make_key_file().await.is_ok(), "nothing is encrypted yet");
    std::fs::copy(world.folder().join("first.key"), world.folder().join("second.key")).unwrap();
    assert_eq!(second.seal_what_is_clear().await.unwrap(), 2);
    assert!(readable(&first).await && readable(&second).await);
    let stranger = world.one_of_several("third.key").await;
    assert!(stranger.make_key_file().await.is_err(), "it would be another key");
}

pub(crate) async fn where_a_secret_is_sent_is_said_by_who_may_change_secrets(world: World) {
    let place = crate::people::place(world).await;
    put(&place.world, "openai", VALUE).await;
    let by = |action| place.by(place.owner, Role::Owner, action);
    let plain = by(Action::ChangeResources);
    let fresh = plain.clone().along_with(&by(Action::ChangeProviderCredentials));
    let service = |upstream: &str, secret: Option<&str>| {
        let mut service = json!({"project": "maps", "name": "models", "kind": "llm", "provider": "openai",
            "upstreams": [upstream]});
        if let Some(secret) = secret {
            service["credential"] = json!({ "secret": secret });
        }
        resources(json!({ "service": [service] }))
    };
    let own = "https://api.openai.com";
    let apply = async |permit, file| place.store().apply(permit, &file, ApplyMode::default(), NOW).await;
    let refused = apply(&plain, service(own, Some("openai"))).await;
    assert!(matches!(refused, Err(StoreError::SignInNotFresh)), "{refused:?}");
    apply(&plain, service(own, None)).await.unwrap();
    let refused = apply(&plain, service(own, Some("openai"))).await;
    assert!(matches!(refused, Err(StoreError::SignInNotFresh)), "{refused:?}");
    apply(&fresh, service(own, Some("openai"))).await.unwrap();
    apply(&plain, service(own, Some("openai"))).await.unwrap();
    for file in [service("https://evil.example", Some("openai")), service(own, None)] {
        let refused = apply(&plain, file).await;
        assert!(matches!(refused, Err(StoreError::SignInNotFresh)), "{refused:?}");
    }
    apply(&fresh, service("https://eu.api.openai.com", Some("openai"))).await.unwrap();
}

pub(crate) async fn what_was_kept_in_the_clear_is_encrypted_at_the_next_start(world: World) {
    let clear = "63-clear-bytes-of-a-second-factor";
    keep_in_the_clear(&world, clear).await;
    let is_sqlite = world.store.engine() == Engine::Sqlite;
    assert!(!is_sqlite || folder_holds(world.folder(), clear.as_bytes()));
    world.store.close().await;
    let next = world.other().await;
    assert_eq!(next.seal_what_is_clear().await.unwrap(), 2);
    let factor = next.second_factor(tollgate_core::id::UserId(5)).await.unwrap();
    assert_eq!(factor.secret.unwrap().expose(), clear.as_bytes());
    assert!(!is_sqlite || !folder_holds(world.folder(), clear.as_bytes()));
    assert_eq!(next.check_secrets().await.unwrap().count, 2);
    assert_eq!(next.seal_what_is_clear().await.unwrap(), 0);
    // A second start finds nothing to do, and rows that change places are noticed.
    assert_eq!(world.other().await.check_secrets().await.unwrap().unreadable, [""; 0]);
    world.raw("UPDATE accounts SET totp_secret = (SELECT secret FROM hmac_secrets WHERE id = 6)").await;
    assert_eq!(next.check_secrets().await.unwrap().unreadable.len(), 1);
}

pub(crate) async fn a_secret_that_a_service_sends_stays(world: World) {
    let world = world.furnished().await;
    put(&world, "openai", VALUE).await;
    let file = resources(json!({"service": [{
        "project": "maps", "name": "models", "kind": "llm", "provider": "openai",
        "upstreams": ["https://api.openai.com"], "credential": {"secret": "openai"},
    }]}));
    world.apply(&file, ApplyMode::default()).await.unwrap();
    assert_eq!(world.apply(&file, ApplyMode::default()).await.unwrap().changes, []);
    let permit = permit(Action::ChangeProviderCredentials);
    let id = world.store.list_secrets(None).await.unwrap()[0].id;
    let refused = world.store.remove_secret(&permit, (id, None), NOW).await.unwrap_err();
    assert!(refused.to_string().contains("service `models` sends it"), "{refused}");
    let none = resources(json!({"project": [{"tenant": "acme", "name": "maps", "key_prefix": "mbk"}],
        "policy": [{"project": "maps", "name": "open", "services": ["*"]}],
        "consumer": [{"project": "maps", "name": "app"}]}));
    world.apply(&none, ApplyMode { dry_run: false, prune: true }).await.unwrap();
    world.store.remove_secret(&permit, (id, None), NOW).await.unwrap();
    assert!(world.store.list_secrets(None).await.unwrap().is_empty());
}
