//! Opening a database, and one that is not as it should be. Not all of it has a meaning on both
//! engines, so these are tests of their own.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use sqlx::{Connection as _, Executor as _};
use tollgate_core::authz::Action;
use tollgate_store::{Engine, OpenOptions, Store, StoreError};

use crate::world::{NOW, World, new_key, permit, random};

#[tokio::test]
async fn urls_that_are_none_are_refused() {
    for url in ["", "mysql://x", "sqlite:", "sqlite::memory:", "sqlite://x?mode=ro", "/tmp/x"] {
        let error = Store::open(url, OpenOptions::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{url}: {error}");
    }
    let error = Store::open("sqlite:///no/such/folder/x.db", OpenOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    let options = OpenOptions { wait_ms: 300, ..OpenOptions::default() };
    let error = Store::open("postgres://nobody@127.0.0.1:1/x", options).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. } | StoreError::Busy { .. }), "{error}");
}

#[tokio::test]
async fn a_file_is_private_and_holds_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space & ü?.db".replace('?', ""));
    let url = format!("sqlite://{}", path.display());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let check = store.check().await.unwrap();
    assert_eq!((check.engine, check.schema > 0, check.not_writable), (Engine::Sqlite, true, None));
    assert!(check.free_bytes.unwrap() > 0);
    store.close().await;
    let again = Store::open(&url, OpenOptions::default()).await.unwrap();
    assert_eq!(again.head().await.unwrap(), 0);
}

#[tokio::test]
async fn a_later_schema_is_refused() {
    for world in [World::sqlite().await, World::postgres().await] {
        world.raw("UPDATE meta SET value = '99' WHERE name = 'schema'").await;
        let error = Store::open(&world.url, OpenOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}

#[tokio::test]
async fn a_database_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(&path, b"This is not a database, it is a text of some length.".repeat(100)).unwrap();
    let error =
        Store::open(&format!("sqlite://{}", path.display()), OpenOptions::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_says_so_in_bounded_time() {
    for world in [World::sqlite().await, World::postgres().await] {
        let world = world.furnished().await;
        let mut other = sqlx::AnyConnection::connect(&world.url).await.unwrap();
        let lock = match world.store.engine() {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN; UPDATE feed_head SET seq = seq",
        };
        sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
        let permit = permit(Action::ChangeKeys);
        let secret = random(1);
        let call = world.store.create_key(&permit, new_key(), &secret, NOW);
        let outcome = tokio::time::timeout(Duration::from_secs(10), call).await.expect("a bounded wait");
        assert!(matches!(outcome, Err(StoreError::Busy { .. })), "{outcome:?}");
        assert_eq!(world.store.head().await.unwrap(), 7, "reading goes on");
        other.execute("ROLLBACK").await.unwrap();
        world.create(new_key(), 1).await;
    }
}
