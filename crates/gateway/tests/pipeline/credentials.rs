//! Where keys may stand, that there is exactly one, and that none travels on (I18).

use std::time::Duration;

use tollgate_core::{
    authenticate::ForeignHash,
    key::Digest,
    keyring::{KeyState, SlowSecret},
    secret::Secret,
    tables::Foreign,
};
use tollgate_testkit::http::Call;

use super::world::{Plan, TILES, World, assert_refused};

fn everywhere() -> World {
    let resources = TILES.replace(
        "upstreams = [\"{upstream}\"]",
        "upstreams = [\"{upstream}\"]\n credentials = [\"x-goog-api-key\", \"api-key\", \"apikey\", \"query:api_key\", \"query:key\"]",
    );
    Plan::new(&resources).start()
}

#[tokio::test]
async fn a_key_is_found_in_each_place_and_reaches_no_upstream_from_any() {
    let world = everywhere();
    let key = world.key("standard");
    let get = || Call::get("/tiles/1?a=1");
    for call in [
        get().bearer(&key),
        get().header("authorization", &format!("bearer  {key}")),
        get().header("authorization", &key),
        get().header("x-api-key", &key),
        get().header("x-goog-api-key", &key),
        get().header("api-key", &key),
        get().header("apikey", &key),
        Call::get(&format!("/tiles/1?api_key={key}&a=1")),
        Call::get(&format!("/tiles/1?a=1&key={key}")),
        Call::get(&format!("/tiles/1?%6bey={key}&a=1")),
    ] {
        let shown = format!("{call:?}");
        let reply = world.send(call).await;
        assert_eq!(reply.status, 200, "{shown}: {}", reply.text());
        let seen = world.upstream.take_seen().pop().unwrap();
        assert_eq!(seen.target, "/tiles/1?a=1", "{shown}");
        let head = String::from_utf8_lossy(&seen.head).into_owned();
        assert!(!head.contains(&key), "{shown}: {head}");
    }
    let records = world.records_of(10).await;
    assert!(records.iter().all(|record| record.path == "/tiles/1"));
}

#[tokio::test]
async fn more_than_one_credential_is_ambiguous_wherever_they_stand() {
    let world = everywhere();
    let key = world.key("standard");
    let get = || Call::get("/tiles/1");
    for call in [
        get().bearer(&key).header("x-api-key", &key),
        get().bearer(&key).bearer(&key),
        get().header("authorization", "Basic eDp5").bearer(&key),
        get().header("x-api-key", &key).header("x-api-key", &key),
        get().header("api-key", &key).header("apikey", &key),
        Call::get(&format!("/tiles/1?key={key}&key={key}")),
        Call::get(&format!("/tiles/1?key={key}&api_key={key}")),
        Call::get(&format!("/tiles/1?key={key}")).bearer(&key),
    ] {
        let shown = format!("{call:?}");
        let reply = world.send(call).await;
        assert_eq!(reply.code(), "credential_ambiguous", "{shown}");
        assert_refused(&reply, 400, "credential_ambiguous");
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_place_that_the_service_does_not_name_is_an_ordinary_field() {
    let world = World::tiles();
    let key = world.key("standard");
    assert_refused(&world.send(Call::get("/tiles/1").header("api-key", &key)).await, 401, "key_missing");
    let call = Call::get("/tiles/1?key=abc").bearer(&key).header("api-key", "upstreams-own");
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen().pop().unwrap();
    assert_eq!((seen.query(), seen.header("api-key")), (Some("key=abc"), Some("upstreams-own")));
}

#[tokio::test]
async fn other_schemes_of_authorization_belong_to_the_upstream() {
    let world = World::tiles();
    let key = world.key("standard");
    let call = Call::get("/tiles/1").header("authorization", "Basic eDp5").header("x-api-key", &key);
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen().pop().unwrap();
    assert_eq!((seen.header("authorization"), seen.header("x-api-key")), (Some("Basic eDp5"), None));
}

#[tokio::test]
async fn an_address_with_too_many_bad_keys_is_throttled_but_its_valid_keys_still_work() {
    let world = World::tiles();
    let good = world.key("standard");
    let mut codes = Vec::new();
    for _ in 0..35 {
        codes.push(world.get("/tiles/1", &world.fresh_text()).await.code());
    }
    assert!(codes[..30].iter().all(|code| code == "key_unknown"), "{codes:?}");
    assert!(codes[30..].iter().all(|code| code == "too_many_bad_keys"), "{codes:?}");
    let reply = world.get("/tiles/1", &world.fresh_text()).await;
    assert_refused(&reply, 429, "too_many_bad_keys");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(world.get("/tiles/1", &good).await.status, 200);
    assert_refused(&world.get("/tiles/1", "nonsense").await, 401, "key_malformed");
    world.clock.advance(Duration::from_secs(wait));
    assert_refused(&world.get("/tiles/1", &world.fresh_text()).await, 401, "key_unknown");
}

#[tokio::test]
async fn imported_keys_by_sha512_and_hmac_work_and_are_offered_for_rehashing() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::{Digest as _, Sha256, Sha512};
    let world = World::tiles();
    let foreign = Foreign {
        any: true,
        sha512: true,
        hmacs: vec![Secret::new(b"pepper".to_vec())],
        slow_prefix_lens: vec![],
    };
    world.change_tables(|tables| tables.foreign = foreign);
    let record = world.record("standard");
    let by_sha512 = ForeignHash::Sha512.digest(&Sha512::digest(b"old key one"));
    world.snapshot.keyring.put(by_sha512, record.clone());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"pepper").unwrap();
    mac.update(b"old-key-two");
    world.snapshot.keyring.put(ForeignHash::HmacSha256.digest(&mac.finalize().into_bytes()), record.clone());
    for text in ["old key one", "old-key-two"] {
        assert_eq!(world.send(Call::get("/tiles/1").header("x-api-key", text)).await.status, 200, "{text}");
        let offered = world.rehash.0.lock().unwrap().pop().unwrap();
        assert_eq!((offered.key, offered.digest), (record.id, Digest::of(text.as_bytes())));
    }
}

#[tokio::test]
async fn a_bcrypt_key_works_is_remembered_and_is_refused_once_it_is_revoked() {
    let world = World::tiles();
    let foreign = Foreign { any: true, sha512: false, hmacs: vec![], slow_prefix_lens: vec![4] };
    world.change_tables(|tables| tables.foreign = foreign);
    let mut record = world.record("standard");
    let hash = bcrypt::hash("abcd-secret", 4).unwrap();
    let put = |record| {
        let secret = SlowSecret { hash: Secret::new(hash.clone()), record };
        world.snapshot.keyring.put_slow(Digest::of(b"abcd"), vec![secret]);
    };
    put(record.clone());
    let get = |text: &'static str| world.send(Call::get("/tiles/1").header("x-api-key", text));
    assert_eq!(get("abcd-secret").await.status, 200);
    assert_eq!(world.rehash.0.lock().unwrap()[0].digest, Digest::of(b"abcd-secret"));
    assert_refused(&get("abcd-other").await, 401, "key_unknown");
    assert_eq!(get("abcd-secret").await.status, 200);
    record.state = KeyState::Revoked;
    put(record);
    assert_refused(&get("abcd-secret").await, 401, "key_revoked");
}

#[tokio::test]
async fn more_slow_hashes_than_the_queue_holds_are_refused_as_overload() {
    let mut plan = Plan::new(TILES);
    (plan.options.slow_hash_threads, plan.options.slow_hash_queue) = (1, 1);
    let world = plan.start();
    let foreign = Foreign { any: true, sha512: false, hmacs: vec![], slow_prefix_lens: vec![4] };
    world.change_tables(|tables| tables.foreign = foreign);
    let hash = bcrypt::hash("abcd-secret", 9).unwrap();
    let secret = SlowSecret { hash: Secret::new(hash), record: world.record("standard") };
    world.snapshot.keyring.put_slow(Digest::of(b"abcd"), vec![secret]);
    let guesses = (0..12).map(|number| {
        let call = Call::get("/tiles/1").header("x-api-key", &format!("abcd-guess-{number}"));
        call.send(world.address)
    });
    let replies = futures_util::future::join_all(guesses).await;
    let codes: Vec<String> = replies.iter().map(tollgate_testkit::http::Reply::code).collect();
    let count = |code: &str| codes.iter().filter(|own| *own == code).count();
    assert!(count("overloaded") >= 1 && count("key_unknown") >= 1, "{codes:?}");
    assert_eq!(count("overloaded") + count("key_unknown"), 12, "{codes:?}");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_public_service_needs_no_key_is_journalled_and_keeps_keys_from_its_upstream() {
    let resources =
        TILES.replace("upstreams = [\"{upstream}\"]", "upstreams = [\"{upstream}\"]\n public = true");
    let world = Plan::new(&resources).start();
    assert_eq!(world.send(Call::get("/tiles/1")).await.status, 200);
    let key = world.key("standard");
    let call = Call::get("/tiles/1").bearer("the-upstreams-own").header("x-api-key", &key);
    assert_eq!(world.send(call).await.status, 200);
    let seen = world.upstream.take_seen();
    assert_eq!(seen[1].header("authorization"), Some("Bearer the-upstreams-own"));
    assert_eq!(seen[1].header("x-api-key"), None);
    let records = world.records_of(2).await;
    assert!(records.iter().all(|record| record.entry.code == 0 && record.entry.key == 0));
    assert!(records.iter().all(|record| record.entry.service != 0));
}

#[tokio::test]
async fn a_public_service_keeps_every_key_from_its_upstream_wherever_it_stands() {
    let resources = TILES.replace(
        "upstreams = [\"{upstream}\"]",
        "upstreams = [\"{upstream}\"]\n public = true\n credentials = [\"api-key\", \"query:api_key\", \"query:key\"]",
    );
    let world = Plan::new(&resources).start();
    let (one, other) = (world.key("standard"), world.key("standard"));
    for call in [
        Call::get(&format!("/tiles/1?key={one}&a=1&api_key={other}")),
        Call::get(&format!("/tiles/1?api_key={one}&key={other}&a=1&key={one}")),
        Call::get("/tiles/1?a=1").header("x-api-key", &one).header("api-key", &other),
        // Of two fields nobody knows which counts; that is no reason to look no further.
        Call::get("/tiles/1?a=1").bearer("x").bearer("y").header("x-api-key", &one),
        Call::get(&format!("/tiles/1?a=1&key={one}")).bearer(&one).bearer(&other).header("api-key", &one),
    ] {
        let shown = format!("{call:?}");
        assert_eq!(world.send(call).await.status, 200, "{shown}");
        let seen = world.upstream.take_seen().pop().unwrap();
        assert_eq!(seen.target, "/tiles/1?a=1", "{shown}");
        let head = String::from_utf8_lossy(&seen.head).into_owned();
        assert!(!head.contains(&one) && !head.contains(&other), "{shown}: {head}");
    }
}
