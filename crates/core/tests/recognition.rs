//! Recognising a credential: own shapes by checksum and digest, imported ones by their scheme (I1).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};
use tollgate_core::{
    authenticate::{ForeignHash, Recognised, recognise},
    code::Code,
    id::KeyId,
    key::{CREDENTIAL_LEN_MAX, Digest},
    keyring::{KeyRecord, Keyring, SlowSecret},
    secret::Secret,
    tables::Foreign,
};

use crate::fixture::{key, record};

fn numbered(number: u64) -> KeyRecord {
    KeyRecord { id: KeyId(number), ..record() }
}

fn foreign() -> Foreign {
    Foreign {
        any: true,
        sha512: true,
        hmacs: vec![Secret::new(b"first".to_vec()), Secret::new(b"second".to_vec())],
        slow_prefix_lens: vec![4, 8],
    }
}

/// The id and whether it was found by another hash than its SHA-256.
fn found(credential: &[u8], keyring: &Keyring, foreign: &Foreign) -> Option<(u64, bool)> {
    match recognise(credential, keyring, foreign) {
        Recognised::Key { record, rehash, .. } => {
            assert!(rehash.is_none_or(|digest| digest == Digest::of(credential)));
            Some((record.id.0, rehash.is_some()))
        }
        _ => None,
    }
}

fn refusal(credential: &[u8], keyring: &Keyring, foreign: &Foreign) -> Option<Code> {
    match recognise(credential, keyring, foreign) {
        Recognised::Nothing { code, detail } => {
            assert!(!detail.is_empty());
            Some(code)
        }
        _ => None,
    }
}

#[test]
fn own_keys_are_found_and_others_are_not() {
    let (keyring, none) = (Keyring::default(), Foreign::default());
    let (known, unknown) = (key("tg", 1), key("tg", 2));
    keyring.put(Digest::of(known.as_bytes()), numbered(1));
    assert_eq!(found(known.as_bytes(), &keyring, &none), Some((1, false)));
    assert_eq!(refusal(unknown.as_bytes(), &keyring, &none), Some(Code::KeyUnknown));
    for damaged in ["", "x", "Bearer", known.split_at(1).1, &known.to_uppercase(), &format!("{known} ")] {
        assert_eq!(refusal(damaged.as_bytes(), &keyring, &none), Some(Code::KeyMalformed), "{damaged}");
    }
}

#[test]
fn a_foreign_shape_is_not_even_looked_up_while_no_such_key_exists() {
    let (keyring, none) = (Keyring::default(), Foreign::default());
    keyring.put(Digest::of(b"legacy"), numbered(1));
    assert_eq!(refusal(b"legacy", &keyring, &none), Some(Code::KeyMalformed));
    assert_eq!(found(b"legacy", &keyring, &foreign()), Some((1, false)));
}

#[test]
fn imported_hashes_are_found_by_their_scheme_and_no_other() {
    let (keyring, foreign) = (Keyring::default(), foreign());
    keyring.put(ForeignHash::Sha512.digest(&Sha512::digest(b"by-sha512")), numbered(1));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"second").unwrap();
    mac.update(b"by-hmac");
    let mac = mac.finalize().into_bytes();
    keyring.put(ForeignHash::HmacSha256.digest(&mac), numbered(2));
    assert_eq!(found(b"by-sha512", &keyring, &foreign), Some((1, true)));
    assert_eq!(found(b"by-hmac", &keyring, &foreign), Some((2, true)));
    assert_eq!(refusal(b"other", &keyring, &foreign), Some(Code::KeyMalformed));
    // A stolen hash is no credential, in no scheme.
    for hash in [&Sha512::digest(b"by-sha512")[..], &mac[..]] {
        assert_eq!(found(hash, &keyring, &foreign), None);
    }
    assert_ne!(ForeignHash::Sha512.digest(b"x"), ForeignHash::HmacSha256.digest(b"x"));
    // The secret of one scheme does not open the other.
    let only_hmac = Foreign { sha512: false, ..self::foreign() };
    assert_eq!(found(b"by-sha512", &keyring, &only_hmac), None);
}

#[test]
fn slow_hashes_are_asked_for_by_prefix_only() {
    let (keyring, foreign) = (Keyring::default(), foreign());
    let slow = SlowSecret { hash: Secret::new("$2b$10$…".to_owned()), record: numbered(3) };
    keyring.put_slow(Digest::of(b"old_"), vec![slow]);
    let Recognised::Slow(candidates) = recognise(b"old_secret", &keyring, &foreign) else {
        panic!("not asked for");
    };
    assert_eq!(candidates.len(), 1);
    assert_eq!(candidates[0].record.id, KeyId(3));
    assert_eq!(refusal(b"new_secret", &keyring, &foreign), Some(Code::KeyMalformed));
    assert_eq!(refusal(b"old", &keyring, &foreign), Some(Code::KeyMalformed));
}

#[test]
fn what_is_too_long_is_not_hashed() {
    let (keyring, foreign) = (Keyring::default(), foreign());
    let fits = vec![b'a'; CREDENTIAL_LEN_MAX];
    keyring.put(Digest::of(&fits), numbered(1));
    assert_eq!(found(&fits, &keyring, &foreign), Some((1, false)));
    let long = vec![b'a'; CREDENTIAL_LEN_MAX + 1];
    keyring.put(Digest::of(&long), numbered(2));
    assert_eq!(refusal(&long, &keyring, &foreign), Some(Code::KeyMalformed));
    assert_eq!(refusal(b"", &keyring, &foreign), Some(Code::KeyMalformed));
}
