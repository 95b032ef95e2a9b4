//! Every operation on keys.

use std::collections::BTreeSet;

use tollgate_core::{
    authz::{Action, Actor, authorise},
    id::TenantId,
    key::Environment,
    keyring::KeyState,
    secret::Secret,
};
use tollgate_store::{KeyFilter, NewInstallation, NewKey, PageRequest, Rotation, StoreError};

use crate::world::{NOW, SECOND, World, new_key, number, permit, random};

pub(crate) async fn a_created_key_is_recognised(mut world: World) {
    world = world.furnished().await;
    let created = world.create(new_key(), 1).await;
    assert!(created.value.key.expose().starts_with("mbk_live_"));
    assert_eq!(world.record(created.value.key.expose()).map(|record| record.id), None, "not before the feed");
    world.catch_up().await;
    let record = world.record(created.value.key.expose()).unwrap();
    assert_eq!((record.id, record.version, record.generation), (created.value.id, 1, 0));
    assert_eq!((record.state, record.environment), (KeyState::Active, Environment::Live));
    assert_eq!((record.expires_us, record.secret_until_us), (i64::MAX, i64::MAX));
    assert!(record.narrowing.is_none());
    let tables = world.snapshot.tables();
    assert_eq!(&*tables.policies[&record.policy.unwrap()].name, "standard");
    let consumer = world.snapshot.consumer(record.consumer).unwrap();
    assert_eq!((&*consumer.name, consumer.external_id.as_deref()), ("app", Some("p-17")));
}

pub(crate) async fn what_a_key_says_is_kept(mut world: World) {
    world = world.furnished().await;
    let new = NewKey {
        environment: Environment::Test,
        policy: None,
        name: Some("build \"7\"".into()),
        expires_us: Some(NOW + 90 * SECOND),
        bind_host: Some("build-7.example.com".into()),
        allow_ips: Some(vec!["10.1.0.0/16".into(), "2001:db8::1".into()]),
        metadata: [("team".to_owned(), "é ' %".to_owned())].into(),
        ..new_key()
    };
    let created = world.create(new, 2).await.value;
    assert_eq!(created.face.environment, Environment::Test);
    assert!(created.key.expose().ends_with(&created.face.last4));
    world.catch_up().await;
    let record = world.record(created.key.expose()).unwrap();
    let narrowing = record.narrowing.unwrap();
    assert_eq!(narrowing.bind_host.as_deref(), Some("build-7.example.com"));
    assert_eq!(narrowing.networks.unwrap().len(), 2);
    assert_eq!((record.policy, record.expires_us), (None, NOW + 90 * SECOND));
    let shown = world.store.show_key(&created.id.to_string()).await.unwrap();
    assert_eq!(shown.key.name.as_deref(), Some("build \"7\""));
    assert_eq!(shown.key.allow_ips.unwrap().len(), 2);
    assert_eq!(shown.key.metadata["team"], "é ' %");
    assert_eq!((shown.key.tenant.name.as_str(), shown.key.project.name.as_str()), ("acme", "maps"));
    assert_eq!(shown.secrets.len(), 1);
    assert_eq!((shown.secrets[0].scheme, shown.secrets[0].last_used_us), ("tollgate", None));
}

pub(crate) async fn bad_keys_are_refused_with_their_fields(world: World) {
    let world = world.furnished().await;
    let bad = NewKey {
        name: Some("a\u{0}b".into()),
        expires_us: Some(NOW),
        bind_host: Some("http://x".into()),
        allow_ips: Some(vec!["10.0.0.0/8".into(), "10.0.0.0/99".into()]),
        metadata: [(String::new(), "x".to_owned())].into(),
        ..new_key()
    };
    let error = world.store.create_key(&permit(Action::ChangeKeys), bad, &random(1), NOW).await.unwrap_err();
    let StoreError::Invalid(errors) = error else { panic!("{error}") };
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["name", "expires", "metadata", "bind_host", "allow_ips[1]"]);
    for new in [
        NewKey { consumer: "nobody".into(), ..new_key() },
        NewKey { policy: Some("none".into()), ..new_key() },
        NewKey { project: "acme/none".into(), ..new_key() },
    ] {
        let error =
            world.store.create_key(&permit(Action::ChangeKeys), new, &random(1), NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    }
    assert_eq!(world.store.count_keys().await.unwrap(), 0);
}

pub(crate) async fn states_change_and_revoked_is_final(mut world: World) {
    world = world.furnished().await;
    let permit = permit(Action::ChangeKeys);
    let key = world.create(new_key(), 1).await.value;
    let states = [KeyState::Disabled, KeyState::Active, KeyState::Blocked, KeyState::Revoked];
    for (version, state) in (2..).zip(states) {
        let changed = world.store.set_key_state(&permit, key.id, state, NOW).await.unwrap();
        assert_eq!((changed.value.state, changed.value.version), (state, version));
        world.catch_up().await;
        let record = world.record(key.key.expose()).unwrap();
        assert_eq!((record.state, record.version, world.applied.seq), (state, version, changed.seq));
    }
    let head = world.store.head().await.unwrap();
    let again = world.store.set_key_state(&permit, key.id, KeyState::Revoked, NOW).await.unwrap();
    assert_eq!((again.seq, world.store.head().await.unwrap()), (head, head), "the same state is no change");
    let rotation = Rotation { id: key.id, overlap_us: 0 };
    for error in [
        world.store.set_key_state(&permit, key.id, KeyState::Active, NOW).await.unwrap_err(),
        world
            .store
            .set_key_expiry(&permit, key.id, None, NOW)
            .await
            .err()
            .unwrap_or_else(|| StoreError::Conflict(String::new())),
        world.store.rotate_key(&permit, rotation, &random(2), NOW).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    }
}

pub(crate) async fn an_expiry_moves(mut world: World) {
    world = world.furnished().await;
    let permit = permit(Action::ChangeKeys);
    let key = world.create(new_key(), 1).await.value;
    world.store.set_key_expiry(&permit, key.id, Some(NOW), NOW).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.record(key.key.expose()).unwrap().expires_us, NOW);
    world.store.set_key_expiry(&permit, key.id, None, NOW).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.record(key.key.expose()).unwrap().expires_us, i64::MAX);
}

pub(crate) async fn rotation_overlaps_and_ends_older_secrets(mut world: World) {
    world = world.furnished().await;
    let permit = permit(Action::ChangeKeys);
    let first = world.create(new_key(), 1).await.value;
    let rotate = async |seed, now| {
        let rotation = Rotation { id: first.id, overlap_us: 60 * SECOND };
        world.store.rotate_key(&permit, rotation, &random(seed), now).await.unwrap().value
    };
    let second = rotate(2, NOW).await;
    assert_eq!((second.id, second.generation), (first.id, 1));
    assert_eq!(second.previous_until_us, Some(NOW + 60 * SECOND));
    let third = rotate(3, NOW + SECOND).await;
    world.catch_up().await;
    let until =
        |key: &str| world.record(key).map(|record| (record.generation, record.secret_until_us)).unwrap();
    assert_eq!(until(first.key.expose()), (0, NOW + SECOND), "older than the present one ends at once");
    assert_eq!(until(second.key.expose()), (1, NOW + 61 * SECOND));
    assert_eq!(until(third.key.expose()), (2, i64::MAX));
    let shown = world.store.show_key(&first.id.to_string()).await.unwrap();
    let generations: Vec<_> = shown.secrets.iter().map(|secret| secret.generation).collect();
    assert_eq!((generations, shown.key.generation), (vec![2, 1, 0], 2));
    assert_eq!(shown.key.face.last4, third.face.last4);
    let negative = Rotation { id: first.id, overlap_us: -1 };
    let error = world.store.rotate_key(&permit, negative, &random(4), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
}

pub(crate) async fn a_key_is_found_by_the_beginning_of_its_id(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    let full = key.id.to_string();
    let (beginning, _) = full.split_at(8);
    assert_eq!(world.store.find_key(beginning).await.unwrap(), key.id);
    for unknown in ["", "key_", "key_!", "key_zzzzzzzzzzz", "key_000000000000", full.trim_start_matches('k')]
    {
        let error = world.store.find_key(unknown).await.unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{unknown}: {error}");
    }
    // Two keys whose ids begin alike.
    world.raw(&format!("UPDATE keys SET id = 1 WHERE id = {}", number(key.id))).await;
    let other = world.create(new_key(), 2).await.value;
    world.raw(&format!("UPDATE keys SET id = 2 WHERE id = {}", number(other.id))).await;
    let error = world.store.find_key("key_000000").await.unwrap_err();
    assert!(error.to_string().contains("key_00000000001, key_00000000002"), "{error}");
}

pub(crate) async fn listing_gives_every_key_once(world: World) {
    let world = world.furnished().await;
    let mut ids = BTreeSet::new();
    for seed in 0..7 {
        let environment = if seed % 2 == 0 { Environment::Live } else { Environment::Test };
        ids.insert(world.create(NewKey { environment, ..new_key() }, seed).await.value.id);
    }
    let filters = [
        KeyFilter::default(),
        KeyFilter { project: Some("maps".into()), ..KeyFilter::default() },
        KeyFilter { project: Some("acme/maps".into()), consumer: Some("app".into()), ..KeyFilter::default() },
    ];
    for filter in filters {
        let mut seen = Vec::new();
        let mut page = PageRequest { limit: 3, cursor: None };
        loop {
            let part = world.store.list_keys(&filter, &page).await.unwrap();
            assert!(part.items.len() <= 3);
            seen.extend(part.items.iter().map(|key| key.id));
            match part.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (7, ids.clone()));
    }
    let test = KeyFilter { environment: Some(Environment::Test), ..KeyFilter::default() };
    assert_eq!(world.store.list_keys(&test, &PageRequest::default()).await.unwrap().items.len(), 3);
    let revoked = KeyFilter { state: Some(KeyState::Revoked), ..KeyFilter::default() };
    assert_eq!(world.store.list_keys(&revoked, &PageRequest::default()).await.unwrap().items, []);
    let lost = PageRequest { limit: 3, cursor: Some("x".into()) };
    assert!(matches!(world.store.list_keys(&KeyFilter::default(), &lost).await, Err(StoreError::Invalid(_))));
}

pub(crate) async fn permits_are_asked(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await;
    let foreign = TenantId(42);
    let actor = Actor::OsUser("test".into());
    let elsewhere = authorise(&actor, Action::ChangeKeys, Some(foreign)).unwrap();
    let rotation = Rotation { id: key.value.id, overlap_us: 0 };
    for permit in [permit(Action::ChangeResources), elsewhere] {
        let refused = [
            world.store.create_key(&permit, new_key(), &random(2), NOW).await.err(),
            world.store.set_key_state(&permit, key.value.id, KeyState::Revoked, NOW).await.err(),
            world.store.set_key_expiry(&permit, key.value.id, Some(NOW), NOW).await.err(),
            world.store.rotate_key(&permit, rotation, &random(2), NOW).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(StoreError::NotCovered { .. })), "{error:?}");
        }
    }
    assert_eq!(world.store.head().await.unwrap(), key.seq, "nothing was changed");
}

pub(crate) async fn init_happens_once(world: World) {
    let permit = permit(Action::Initialise);
    let new = || NewInstallation {
        tenant: "default".into(),
        owner_email: "owner@example.com".into(),
        password_hash: Secret::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into()),
    };
    assert!(!world.store.check().await.unwrap().initialised);
    let bad =
        NewInstallation { owner_email: "owner".into(), password_hash: Secret::new("pw".into()), ..new() };
    let StoreError::Invalid(errors) = world.store.init(&permit, bad, NOW).await.unwrap_err() else {
        panic!()
    };
    assert_eq!(errors.len(), 2);
    let made = world.store.init(&permit, new(), NOW).await.unwrap();
    assert_eq!(made.seq, 2);
    assert!(world.store.check().await.unwrap().initialised);
    let again = world.store.init(&permit, new(), NOW).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict(_)), "{again}");
    let audit = world.store.audit_list(&Default::default(), &PageRequest::default()).await.unwrap();
    assert!(audit.items.iter().all(|row| !row.after.as_deref().unwrap_or("").contains("argon2")), "I6");
}
