//! Imported hashes are replaced at first use.

use sha2::{Digest as _, Sha512};
use tollgate_core::{
    authenticate::{Recognised, recognise},
    authz::Action,
    key::Environment,
    secret::Secret,
};
use tollgate_store::{Encoding, ImportOptions, ImportRow, ImportScheme, Rehash};

use crate::world::{Known, START_US, World, permit, until};

const CREDENTIAL: &str = "legacy-key-of-another-product";

#[tokio::test]
async fn a_used_import_is_known_by_the_fast_hash_soon_after() {
    let mut world = World::new().await;
    let hash: String =
        Sha512::digest(CREDENTIAL.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let options = ImportOptions {
        project: "maps".into(),
        scheme: ImportScheme::Sha512(Encoding::Hex),
        environment: Environment::Live,
        consumer: Some("app".into()),
        policy: None,
        dry_run: false,
    };
    let row = ImportRow {
        line: 1,
        secret: Secret::new(hash),
        prefix: None,
        last4: None,
        consumer: None,
        policy: None,
        environment: None,
        name: None,
        expires_us: None,
        metadata: Default::default(),
    };
    let change = permit(Action::ChangeKeys);
    let report = world.store.import_keys(&change, &options, std::iter::once(row), START_US).await.unwrap();
    assert_eq!(report.accepted, 1, "{report:?}");
    let mut process = world.boot();
    let running = process.start().await;
    assert_eq!(process.knows(CREDENTIAL), Some(Known::Foreign));
    let tables = process.snapshot.tables();
    let Recognised::Key { record, rehash: Some(digest), .. } =
        recognise(CREDENTIAL.as_bytes(), &process.snapshot.keyring, &tables.foreign)
    else {
        panic!("not found by its imported hash");
    };
    let rehash = Rehash { key: record.id, generation: record.generation, digest };
    process.rehashes.send(rehash).await.unwrap();
    until("known by SHA-256", || async { process.knows(CREDENTIAL) == Some(Known::Fast) }).await;
    // The same again, and nonsense, harm nobody.
    process.rehashes.send(rehash).await.unwrap();
    let nobody = Rehash { key: tollgate_core::id::KeyId(404), ..rehash };
    process.rehashes.send(nobody).await.unwrap();
    let created = world.create_key(1).await;
    until("changes go on", || async { process.knows(created.key.expose()) == Some(Known::Fast) }).await;
    assert_eq!(process.knows(CREDENTIAL), Some(Known::Fast));
    running.stop().await.unwrap();
}
