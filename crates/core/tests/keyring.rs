//! All keys in memory: the newest version holds (I5), and readers never see half a change.

use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_core::{
    id::{ConsumerId, KeyId},
    key::Digest,
    keyring::{KeyRecord, KeyState, Keyring, SLOW_SHARING_MAX, SlowSecret},
    secret::Secret,
    tables::Snapshot,
};

use crate::fixture::record;

fn versioned(version: u32, state: KeyState) -> KeyRecord {
    KeyRecord { version, state, ..record() }
}

fn state(keyring: &Keyring, digest: &Digest) -> Option<(u32, KeyState)> {
    keyring.find(digest, |record| (record.version, record.state))
}

#[test]
fn an_older_version_never_replaces_a_newer() {
    let (keyring, digest) = (Keyring::default(), Digest::of(b"a"));
    keyring.put(digest, versioned(2, KeyState::Revoked));
    keyring.put(digest, versioned(1, KeyState::Active));
    assert_eq!(state(&keyring, &digest), Some((2, KeyState::Revoked)));
    keyring.put(digest, versioned(3, KeyState::Active));
    assert_eq!(state(&keyring, &digest), Some((3, KeyState::Active)));
    keyring.remove(&digest, 2);
    assert_eq!(state(&keyring, &digest), Some((3, KeyState::Active)));
    keyring.remove(&digest, 3);
    assert_eq!(state(&keyring, &digest), None);
    assert!(keyring.is_empty());
}

#[test]
fn digests_that_share_a_bucket_stay_apart() {
    let keyring = Keyring::with_capacity(4);
    let mut digest = Digest::of(b"a");
    keyring.put(digest, versioned(1, KeyState::Active));
    // The first eight bytes choose the bucket; the rest must still be compared.
    for at in 8..32 {
        digest.0[at] ^= 1;
        assert_eq!(state(&keyring, &digest), None, "byte {at}");
        digest.0[at] ^= 1;
    }
    assert!(state(&keyring, &digest).is_some());
}

#[test]
fn unknown_states_count_as_revoked() {
    for number in 0..=u8::MAX {
        let state = KeyState::from_number(number);
        assert_eq!(state == KeyState::Revoked, number >= 3, "{number}");
    }
}

#[test]
fn slow_secrets_that_share_a_prefix_are_bounded() {
    let (keyring, prefix) = (Keyring::default(), Digest::of(b"old_"));
    let slow = |name: &str| SlowSecret { hash: Secret::new(name.to_owned()), record: record() };
    keyring.put_slow(prefix, (0..10).map(|number| slow(&number.to_string())).collect());
    assert_eq!(keyring.slow_candidates(&prefix).len(), SLOW_SHARING_MAX);
    keyring.put_slow(prefix, Vec::new());
    assert!(keyring.slow_candidates(&prefix).is_empty());
}

#[test]
fn readers_never_see_half_a_record_while_it_changes() {
    const CHANGES: u32 = 20_000;
    let (keyring, digest, done) = (Keyring::default(), Digest::of(b"a"), AtomicBool::new(false));
    // Version, id and consumer always hold the same number.
    let same = |number: u32| KeyRecord {
        version: number,
        id: KeyId(u64::from(number)),
        consumer: ConsumerId(u64::from(number)),
        ..record()
    };
    keyring.put(digest, same(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let (version, id, consumer) =
                        keyring.find(&digest, |own| (own.version, own.id.0, own.consumer.0)).unwrap();
                    assert_eq!((u64::from(version), u64::from(version)), (id, consumer));
                    assert!(version >= last, "{version} after {last}");
                    last = version;
                }
            });
        }
        for number in 1..=CHANGES {
            keyring.put(digest, same(number));
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(state(&keyring, &digest), Some((CHANGES, KeyState::Active)));
}

#[test]
fn freshness_is_proven_and_runs_out() {
    let snapshot = Snapshot::with_capacity(0);
    assert!(!snapshot.is_fresh(0), "nothing is fresh before the first poll (I3)");
    snapshot.keep_fresh_until(100);
    assert!(snapshot.is_fresh(99));
    assert!(!snapshot.is_fresh(100));
    snapshot.keep_fresh_until(50);
    assert!(snapshot.is_fresh(99), "a late poll does not take back what an earlier one proved");
    snapshot.expire();
    assert!(!snapshot.is_fresh(0));
}

#[test]
fn a_record_stays_small() {
    assert!(size_of::<KeyRecord>() <= 72, "{}", size_of::<KeyRecord>());
}
