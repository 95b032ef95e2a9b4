//! Keys from elsewhere, in every scheme.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};
use tollgate_core::{
    authenticate::{Recognised, recognise},
    authz::Action,
    key::{Digest, Environment},
    keyring::{KeyState, SLOW_SHARING_MAX},
    secret::Secret,
    tables::{HMACS_MAX, PREFIX_LENGTHS_MAX, Snapshot},
};
use tollgate_store::{
    Encoding, ImportOptions, ImportReport, ImportRow, ImportScheme, KeyFilter, PageRequest, Rehash,
    StoreError,
};

use crate::world::{NOW, World, new_key, permit, recognised, worker};

const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(secret: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn row(line: u64, secret: impl Into<String>) -> ImportRow {
    ImportRow {
        line,
        secret: Secret::new(secret.into()),
        prefix: None,
        last4: None,
        consumer: Some("app".into()),
        policy: None,
        environment: None,
        name: None,
        expires_us: None,
        metadata: Default::default(),
    }
}

fn slow(line: u64, hash: &str, prefix: &str) -> ImportRow {
    ImportRow { prefix: Some(prefix.into()), ..row(line, hash) }
}

fn options(scheme: ImportScheme) -> ImportOptions {
    ImportOptions {
        project: "maps".into(),
        scheme,
        environment: Environment::Live,
        consumer: None,
        policy: Some("standard".into()),
        dry_run: false,
    }
}

async fn import(world: &World, scheme: ImportScheme, rows: Vec<ImportRow>) -> ImportReport {
    let permit = permit(Action::ChangeKeys);
    world.store.import_keys(&permit, &options(scheme), rows.into_iter(), NOW).await.unwrap()
}

fn hmac_scheme(secret: &[u8]) -> ImportScheme {
    ImportScheme::HmacSha256 { encoding: Encoding::Hex, secret: Secret::new(secret.to_vec()) }
}

pub(crate) async fn every_scheme_is_recognised(mut world: World) {
    world = world.furnished().await;
    world.catch_up().await;
    assert!(!world.snapshot.tables().foreign.any);
    let base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="; // SHA-256 of "abc"
    let reports = [
        import(&world, ImportScheme::Plain, vec![row(1, "legacy-plain-credential")]).await,
        import(
            &world,
            ImportScheme::Sha256(Encoding::Hex),
            vec![row(1, hex(Sha256::digest("legacy-sha256")))],
        )
        .await,
        import(&world, ImportScheme::Sha256(Encoding::Base64), vec![row(1, base64)]).await,
        import(
            &world,
            ImportScheme::Sha512(Encoding::Hex),
            vec![row(1, hex(Sha512::digest("legacy-sha512")))],
        )
        .await,
        import(
            &world,
            hmac_scheme(b"pepper"),
            vec![row(1, hex(hmac(b"pepper", "legacy-hmac")).to_uppercase())],
        )
        .await,
        import(&world, ImportScheme::Bcrypt, vec![slow(1, BCRYPT, "bcr_12")]).await,
        import(&world, ImportScheme::Argon2, vec![slow(1, ARGON2, "argon_12")]).await,
    ];
    for report in &reports {
        assert_eq!((report.accepted, &report.collisions[..], &report.rejected[..]), (1, &[][..], &[][..]));
    }
    world.catch_up().await;
    let fresh = Snapshot::with_capacity(16);
    world.store.load(&fresh).await.unwrap();
    for snapshot in [&world.snapshot, &fresh] {
        for text in ["legacy-plain-credential", "legacy-sha256", "abc", "legacy-sha512", "legacy-hmac"] {
            let record = recognised(snapshot, text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((record.state, record.policy.is_some()), (KeyState::Active, true));
            assert_eq!(snapshot.consumer(record.consumer).unwrap().name.as_ref(), "app");
        }
        for (text, hash) in [("bcr_12345678", BCRYPT), ("argon_12_and_more", ARGON2)] {
            let tables = snapshot.tables();
            let Recognised::Slow(candidates) = recognise(text.as_bytes(), &snapshot.keyring, &tables.foreign)
            else {
                panic!("{text}")
            };
            assert_eq!((candidates.len(), candidates[0].hash.expose().as_str()), (1, hash));
        }
        assert!(recognised(snapshot, "legacy-unknown").is_none());
    }
    let shown = world.store.list_keys(&KeyFilter::default(), &PageRequest::default()).await.unwrap().items;
    let plain = shown.iter().find(|key| key.face.last4 == "tial").unwrap();
    let detail = world.store.show_key(&plain.id.to_string()).await.unwrap();
    assert_eq!((detail.secrets.len(), detail.secrets[0].scheme), (1, "sha256"));
}

pub(crate) async fn a_rehash_replaces_the_hash(mut world: World) {
    world = world.furnished().await;
    import(&world, ImportScheme::Sha512(Encoding::Hex), vec![row(1, hex(Sha512::digest("legacy-sha512")))])
        .await;
    import(&world, ImportScheme::Bcrypt, vec![slow(1, BCRYPT, "bcr_12")]).await;
    world.catch_up().await;
    let fast = world.record("legacy-sha512").unwrap();
    let old_digest =
        tollgate_core::authenticate::ForeignHash::Sha512.digest(&Sha512::digest("legacy-sha512"));
    let tables = world.snapshot.tables();
    let Recognised::Slow(candidates) = recognise(b"bcr_12345678", &world.snapshot.keyring, &tables.foreign)
    else {
        panic!()
    };
    let rehashes = [(fast.id, "legacy-sha512"), (candidates[0].record.id, "bcr_12345678")];
    for (key, text) in rehashes {
        let rehash = Rehash { key, generation: 0, digest: Digest::of(text.as_bytes()) };
        let refused = world.store.rehash(&permit(Action::ChangeKeys), rehash, NOW).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotCovered { .. }), "{refused}");
        assert!(world.store.rehash(&worker(), rehash, NOW).await.unwrap().value);
        assert!(!world.store.rehash(&worker(), rehash, NOW).await.unwrap().value, "again is no change");
        world.catch_up().await;
        let record = world.record(text).unwrap();
        assert_eq!((record.id, record.version), (key, 2));
    }
    assert!(world.snapshot.keyring.find(&old_digest, |_| ()).is_none());
    assert!(world.snapshot.keyring.slow_candidates(&Digest::of(b"bcr_12")).is_empty());
    let foreign = &world.snapshot.tables().foreign;
    assert_eq!((foreign.any, foreign.sha512, foreign.slow_prefix_lens.len()), (true, false, 0));
    // What was re-hashed is switched off like any other.
    let keys = permit(Action::ChangeKeys);
    world.store.set_key_state(&keys, rehashes[1].0, KeyState::Revoked, NOW).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.record("bcr_12345678").unwrap().state, KeyState::Revoked);
}

pub(crate) async fn collisions_and_rejects_are_reported(world: World) {
    let world = world.furnished().await;
    let ours = world.create(new_key(), 1).await.value;
    let rows = vec![
        row(1, "legacy-credential-1"),
        row(2, "legacy-credential-1"),
        row(3, ours.key.expose().clone()),
        row(4, "short"),
        row(5, "with space in it"),
        ImportRow { consumer: None, ..row(6, "legacy-credential-6") },
        ImportRow { policy: Some("absent".into()), ..row(7, "legacy-credential-7") },
        ImportRow { consumer: Some("new one".into()), ..row(8, "legacy-credential-8") },
        ImportRow { consumer: Some("new-one".into()), ..row(9, "legacy-credential-9") },
        ImportRow { consumer: Some("new-one".into()), ..row(10, "legacy-credential-10") },
    ];
    let report = import(&world, ImportScheme::Plain, rows.clone()).await;
    assert_eq!((report.accepted, report.consumers_created), (3, 1));
    let collisions: Vec<_> =
        report.collisions.iter().map(|one| (one.line, one.with_line, one.with_key)).collect();
    assert_eq!(collisions, [(2, Some(1), None), (3, None, Some(ours.id))]);
    let rejected: Vec<_> = report.rejected.iter().map(|one| one.line).collect();
    assert_eq!(rejected, [4, 5, 6, 7, 8]);
    let again = import(&world, ImportScheme::Plain, rows).await;
    assert_eq!((again.accepted, again.consumers_created, again.seq, again.collisions.len()), (0, 0, 0, 5));
    let bad = ["xyz", "abcd", &"0".repeat(63), &"0".repeat(66)];
    let rows = bad.iter().zip(1..).map(|(text, line)| row(line, *text)).collect();
    assert_eq!(import(&world, ImportScheme::Sha256(Encoding::Hex), rows).await.rejected.len(), 4);
    let rows = vec![
        row(1, BCRYPT),
        slow(2, BCRYPT, "short"),
        slow(3, &BCRYPT.replace("$04$", "$31$"), "bcr_12"),
        slow(4, "$2b$04$tooshort", "bcr_12"),
        slow(5, ARGON2, "bcr_12"),
    ];
    assert_eq!(import(&world, ImportScheme::Bcrypt, rows).await.rejected.len(), 5);
    let rows = vec![slow(1, &ARGON2.replace("m=19456", "m=99999999"), "argon_")];
    assert_eq!(import(&world, ImportScheme::Argon2, rows).await.rejected.len(), 1);
}

pub(crate) async fn an_import_dry_run_changes_nothing(world: World) {
    let world = world.furnished().await;
    let head = world.store.head().await.unwrap();
    let dry = ImportOptions { dry_run: true, ..options(hmac_scheme(b"pepper")) };
    let rows = (1..=20).map(|line| ImportRow {
        consumer: Some(format!("c{}", line % 3)),
        ..row(line, hex(hmac(b"pepper", &line.to_string())))
    });
    let report = world.store.import_keys(&permit(Action::ChangeKeys), &dry, rows, NOW).await.unwrap();
    assert_eq!((report.accepted, report.consumers_created, report.seq), (20, 3, 0));
    assert_eq!((world.store.head().await.unwrap(), world.store.count_keys().await.unwrap()), (head, 0));
    assert_eq!(world.store.export().await.unwrap().consumers.len(), 1);
}

pub(crate) async fn slow_prefixes_are_bounded(world: World) {
    let world = world.furnished().await;
    let hash = |number: usize| BCRYPT.replace("01234", &format!("{number:05}"));
    let most = SLOW_SHARING_MAX as u64;
    let rows = (0..=SLOW_SHARING_MAX).map(|number| slow(number as u64, &hash(number), "shared")).collect();
    let report = import(&world, ImportScheme::Bcrypt, rows).await;
    assert_eq!((report.accepted, report.rejected[0].line), (most, most));
    let again =
        import(&world, ImportScheme::Bcrypt, vec![slow(1, &hash(0), "shared"), slow(2, &hash(77), "shared")]);
    let again = again.await;
    assert_eq!((again.accepted, again.collisions.len(), again.rejected.len()), (0, 1, 1));
    // One length is there already.
    let rows = (1..=PREFIX_LENGTHS_MAX)
        .map(|number| slow(number as u64, &hash(100 + number), &format!("p{}", "x".repeat(6 + number))))
        .collect();
    let report = import(&world, ImportScheme::Bcrypt, rows).await;
    assert_eq!((report.accepted, report.rejected.len()), (PREFIX_LENGTHS_MAX as u64 - 1, 1));
}

pub(crate) async fn hmac_secrets_are_bounded(world: World) {
    let world = world.furnished().await;
    for number in 0..HMACS_MAX {
        let secret = format!("pepper-{number}").into_bytes();
        let rows = vec![row(1, hex(hmac(&secret, "same text")))];
        assert_eq!(import(&world, hmac_scheme(&secret), rows).await.accepted, 1);
    }
    let rows = vec![row(1, hex(hmac(b"pepper-0", "other text")))];
    assert_eq!(
        import(&world, hmac_scheme(b"pepper-0"), rows).await.accepted,
        1,
        "a known secret is no new one"
    );
    let one_more = options(hmac_scheme(b"one more"));
    let rows = vec![row(1, hex(hmac(b"one more", "text")))];
    let error = world
        .store
        .import_keys(&permit(Action::ChangeKeys), &one_more, rows.into_iter(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}
